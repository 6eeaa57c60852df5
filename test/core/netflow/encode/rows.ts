/** Rows for encoders, and the datagrams that come out. */
import { ipv6Storage, parseIpv4, parseIpv6, parseMac } from '../../../../core/flow/address.ts'
import { FlowBatch, isAddress } from '../../../../core/flow/batch.ts'
import { FIELDS, findField } from '../../../../core/flow/fields.ts'
import { makeShape, VARIABLE_LENGTH, type ExtraElement, type TimeDigits } from '../../../../core/flow/shape.ts'
import type { DatagramEncoder } from '../../../../core/netflow/encode/encoder.ts'
import { collector, type Collector, type Row } from '../messages.ts'

/** An element without a column of a row to be made: the value in hexadecimal; `variable` if its length is told. */
export interface Extra {
  readonly pen: number
  readonly id: number
  readonly hex: string
  readonly variable?: boolean
}

/** A row to be made: values as `rows` of messages.ts gives them. */
export interface RowSource {
  readonly fields: Row
  readonly timeDigits?: TimeDigits
  readonly extras?: readonly Extra[]
}

/** A batch of rows. */
export function batchOf(...sources: readonly RowSource[]): FlowBatch {
  const batch = new FlowBatch(Math.max(1, sources.length))
  for (const source of sources) appendRow(batch, source)
  return batch
}

function appendRow(batch: FlowBatch, { fields, timeDigits = 3, extras = [] }: RowSource): void {
  const row = batch.length
  batch.reserve(1)
  const elements: ExtraElement[] = extras.map(({ pen, id, hex, variable }) => ({
    pen, id, length: variable ? VARIABLE_LENGTH : hex.length / 2,
  }))
  const ids = Object.keys(fields).map((name) => findField(name)!.id)
  batch.shape[row] = batch.intern(makeShape(ids, timeDigits, elements))
  for (const id of ids) setValue(batch, id, row, fields[FIELDS[id].name] as string | number)
  if (extras.length > 0) {
    const pairs = batch.useExtras()
    const bytes = Buffer.concat(extras.map(({ hex, variable }) => {
      const value = Buffer.from(hex, 'hex')
      return variable ? Buffer.concat([Buffer.from([value.length >> 8, value.length & 255]), value]) : value
    }))
    pairs[row * 2] = batch.addBytes(bytes, 0, bytes.length)
    pairs[row * 2 + 1] = bytes.length
  }
  batch.length++
}

function setValue(batch: FlowBatch, id: number, row: number, value: string | number): void {
  const column = batch.column(id)
  const { type } = FIELDS[id]
  if (isAddress(column)) {
    const text = String(value)
    column.family[row] = text.includes(':') ? 6 : 4
    column.v4[row] = text.includes(':') ? 0 : parseIpv4(text)
    if (text.includes(':')) parseIpv6(text, ipv6Storage(column), row * 16)
  } else if (type === 'mac') column[row] = parseMac(String(value))
  else if (type === 'u64') {
    column[row * 2] = Number(value) % 2 ** 32
    column[row * 2 + 1] = Math.floor(Number(value) / 2 ** 32)
  } else if (type === 'text' || type === 'octets') {
    const bytes = Buffer.from(String(value), type === 'text' ? 'utf8' : 'hex')
    column[row * 2] = batch.addBytes(bytes, 0, bytes.length)
    column[row * 2 + 1] = bytes.length
  } else column[row] = Number(value)
}

/** The datagrams that an encoder makes of batches, all of them given out. */
export function encodeAll(encoder: DatagramEncoder, ...batches: readonly FlowBatch[]): Uint8Array[] {
  const made: Uint8Array[] = []
  const take = (bytes: Uint8Array) => { made.push(bytes.slice()) }
  for (const batch of batches) encoder.encode(batch, take)
  encoder.flush(take)
  return made
}

/** What a collector that keeps everything makes of datagrams. */
export function decodeAll(datagrams: readonly Uint8Array[], into: Collector = everything()): Row[] {
  return datagrams.flatMap((bytes) => into.send(bytes))
}

/** A collector that keeps all fields, the exporter's clock and elements without a column too. */
export function everything(): Collector {
  return collector({ extras: true, fields: new Uint8Array(FIELDS.length).fill(1) })
}
