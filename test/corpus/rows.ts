/** What flowkit reads in datagrams, a record at a time, with the elements each record was sent as. */
import { formatIpv4, formatIpv6, formatMac } from '../../core/flow/address.ts'
import { FlowBatch, isAddress } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { VARIABLE_LENGTH, type Shape } from '../../core/flow/shape.ts'
import { datagramDecoder } from '../../core/netflow/datagram.ts'
import type { Datagram } from '../../core/netflow/message.ts'
import type { CounterSample } from '../../core/netflow/sflow/counters.ts'
import type { Packet } from './corpus.ts'
import type { WireElement } from './wire.ts'

/** One flow record as flowkit has it: fields by name as text, times in µs, and elements without a column. */
export interface Row {
  /** Number of the datagram that gave it; a late record has that of the datagram with its template. */
  readonly packet: number
  readonly fields: ReadonlyMap<string, string>
  readonly extras: readonly WireElement[]
}

/** What became of a list of datagrams. */
export interface Decoded {
  readonly rows: readonly Row[]
  /** Data records that each datagram gave at once, of flows and options; NaN for a fault. */
  readonly counts: readonly number[]
  readonly faults: readonly { readonly packet: number, readonly error: FlowkitError }[]
}

/**
 * Decode datagrams in order with one decoder, all fields and elements wanted.
 *
 * @param onCounters is given each counter sample of sFlow
 */
export function decode(packets: readonly Packet[], onCounters?: (sample: CounterSample) => void): Decoded {
  const fields = new Uint8Array(FIELDS.length).fill(1)
  const decoder = datagramDecoder({ fields, extras: true }, onCounters ? { onCounters } : {})
  const batch = new FlowBatch(64)
  const rows: Row[] = []
  const counts: number[] = []
  const faults: { packet: number, error: FlowkitError }[] = []
  for (const [packet, { bytes, v4, v6, port, received }] of packets.entries()) {
    const datagram: Datagram = {
      bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), start: 0, end: bytes.length,
      family: v6 ? 6 : 4, v4, v6: v6 ?? new Uint8Array(16), port, received,
    }
    try {
      counts.push(decoder.decode(datagram, batch))
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      faults.push({ packet, error })
      counts.push(NaN)
    }
    for (let i = 0; i < batch.length; i++) rows.push(rowOf(batch, i, packet))
    batch.clear()
  }
  return { rows, counts, faults }
}

/** Row `i` of a batch as text. */
export function rowOf(batch: FlowBatch, i: number, packet: number): Row {
  const shape = batch.shapes[batch.shape[i]]
  const fields = new Map(shape.fields.map((id) => [FIELDS[id].name as string, textOf(batch, id, i)]))
  return { packet, fields, extras: shape.extras.length > 0 ? extrasOf(batch, i, shape) : [] }
}

function textOf(batch: FlowBatch, id: number, i: number): string {
  const column = batch.column(id)
  if (isAddress(column)) {
    return column.family[i] === 6 ? formatIpv6(column.v6, i * 16) : formatIpv4(column.v4[i])
  }
  const [low, high] = [column[i * 2], column[i * 2 + 1]]
  switch (FIELDS[id].type) {
    case 'mac': return formatMac(column[i])
    case 'u64': return ((BigInt(high) << 32n) + BigInt(low)).toString()
    case 'text': return Buffer.from(batch.heap.subarray(low, low + high)).toString()
    case 'octets': return Buffer.from(batch.heap.subarray(low, low + high)).toString('hex')
    default: return String(column[i])
  }
}

function extrasOf(batch: FlowBatch, i: number, { extras }: Shape): WireElement[] {
  let at = batch.extras[i * 2]
  return extras.map(({ pen, id, length }) => {
    let size = length
    if (length === VARIABLE_LENGTH) {
      size = batch.heap[at] << 8 | batch.heap[at + 1]
      at += 2
    }
    at += size
    return { pen, id, bytes: batch.heap.slice(at - size, at) }
  })
}
