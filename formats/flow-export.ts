import type { FlowBatch } from '../core/flow/batch.ts'
import { FIELDS } from '../core/flow/fields.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { makePlan } from '../core/netflow/plan.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { LAYOUTS } from './flow-tools/layouts.ts'
import { RowPrinter } from './flow-tools/row-printer.ts'
import { versionFor } from './flow-tools/version.ts'

/**
 * What flow-export -f2 of flow-tools prints, byte for byte: a header and comma-separated values of the fields
 * that the version of the flows has, or of those asked for. Values that a flow lacks are 0, as in
 * flow-tools' records.
 */
export const flowExport: FlowFormat = {
  name: 'flow-export',
  summary: "flow-export's comma-separated text",
  extensions: [],
  clock: true,
  encoder,
}

const NOTHING = new Uint8Array(0)

/** The values, in their order. */
const VALUES = `
  unix_secs unix_nsecs sysuptime exaddr dflows dpkts doctets first last engine_type engine_id srcaddr dstaddr
  nexthop input output srcport dstport prot tos tcp_flags src_mask dst_mask src_as dst_as in_encaps out_encaps
  peer_nexthop router_sc marked_tos extra_pkts src_tag dst_tag
`.trim().split(/\s+/)
/** The header has two of them the other way round. */
const LABELS = VALUES.with(VALUES.indexOf('marked_tos'), 'extra_pkts')
  .with(VALUES.indexOf('extra_pkts'), 'marked_tos')
/** Fields by flow-tools' names. */
const IDS = new Map(FIELDS.map(({ id, peers }) => [peers['flow-tools'], id]))

function encoder({ fields, quiet = false, utc = false }: WriteRequest): FlowEncoder {
  let printer: RowPrinter | undefined
  /** Settle the values by the first flows. @returns where they go */
  function begin(batch: FlowBatch | undefined): number {
    if (printer) return 0
    const has = new Set(fields ? namesOf(fields) : namesIn(batch ? versionFor(batch) : '5'))
    const values = VALUES.filter((name) => has.has(name)).map((name) => `{${name}}`)
    printer = new RowPrinter(values.length > 0 ? `${values.join()}\n` : '', !utc)
    // as it has another one under its own name, the next hop of the peer is one more `nexthop`
    const labels = LABELS.filter((name) => has.has(name)).map((name) => name.replace('peer_', ''))
    return quiet ? 0 : printer.text(`#:${labels.join()}\n`, 0)
  }
  return {
    encode(batch) {
      if (batch.length === 0) return NOTHING
      const at = begin(batch)
      return printer!.take(printer!.rows(batch, at, undefined))
    },
    finish() {
      const at = begin(undefined)
      return printer!.take(at)
    },
  }
}

function namesOf(fields: readonly number[]): string[] {
  return VALUES.filter((name) => fields.includes(IDS.get(name)!))
}

/** The fields of a version; of scheme 10 flow-export knows no interfaces. */
function namesIn(version: string): string[] {
  const { fields } = makePlan(LAYOUTS[version], { extras: false }, true).shape
  return namesOf(fields).filter((name) => version !== '8.10' || (name !== 'input' && name !== 'output'))
}
