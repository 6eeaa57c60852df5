import type { FlowBatch } from '../core/flow/batch.ts'
import { ID } from '../core/flow/fields.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { PRINT_FORMATS, printFormatFor, type PrintFormat } from './flow-tools/print-formats.ts'
import { RowPrinter } from './flow-tools/row-printer.ts'
import { versionFor } from './flow-tools/version.ts'

const NOTHING = new Uint8Array(0)
const TCP = 6
const SYN = 2
/** Bytes of a packet without payload. */
const BARE = 40

/**
 * What flow-print of flow-tools prints, byte for byte, in the format that it takes for flows of their
 * version. Flows that lack a field are printed with 0 where flow-print refuses.
 */
export const flowPrint: FlowFormat = {
  name: 'flow-print',
  summary: "flow-print's text, in the format that suits the flows",
  extensions: [],
  encoder: (request) => encoder(undefined, request),
}

/** What `flow-print -f N` prints, as `flow-print-N`. */
export const flowPrintFormats: readonly FlowFormat[] = PRINT_FORMATS.map((format, number): FlowFormat => ({
  name: `flow-print-${number}`,
  summary: `The text of flow-print -f ${number}`,
  extensions: [],
  encoder: (request) => encoder(format, request),
}))

function encoder(chosen: PrintFormat | undefined, { quiet = false, utc = false }: WriteRequest): FlowEncoder {
  let format = chosen
  let printer: RowPrinter | undefined
  /** Settle the format by the first flows. @returns where they go */
  function begin(batch: FlowBatch | undefined): number {
    if (printer) return 0
    format ??= PRINT_FORMATS[printFormatFor(batch ? versionFor(batch) : '5')]
    printer = new RowPrinter(format.row, !utc)
    return quiet ? 0 : printer.text(format.head, 0)
  }
  return {
    encode(batch) {
      if (batch.length === 0) return NOTHING
      const at = begin(batch)
      return printer!.take(printer!.rows(batch, at, format!.only && skipped(batch, format!.only)))
    },
    finish() {
      const at = begin(undefined)
      return printer!.take(at)
    },
  }
}

/** By row, 1 for those that are not printed. */
function skipped(batch: FlowBatch, only: 'packets' | 'syn'): Uint8Array {
  const { length, shape, shapes, proto, tcpFlags, packets, bytes } = batch
  return Uint8Array.from({ length }, (_, row) => {
    const { mask } = shapes[shape[row]]
    if (!mask[ID.packets] || packets[row] === 0) return 1
    if (only === 'packets') return 0
    const isSyn = mask[ID.proto] && proto[row] === TCP && mask[ID.tcpFlags] && tcpFlags[row] === SYN
    return isSyn && packets[row] === 2 && mask[ID.bytes] && bytes[row] === packets[row] * BARE ? 0 : 1
  })
}
