import * as fc from 'fast-check'
import {
  formatIpv4, formatIpv6, formatMac, ipv6Storage, parseIpv4, parseIpv6, parseMac, type AddressColumn,
} from '../../core/flow/address.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, findField, ID, type Field, type FieldName } from '../../core/flow/fields.ts'
import { FLOW_TYPES } from '../../core/flow/names.ts'
import { makeShape, type ExtraElement, type TimeDigits } from '../../core/flow/shape.ts'
import { formatTime } from '../../core/flow/time.ts'
import type { FlowFormat, WriteRequest } from '../../formats/format.ts'

/** Ids of fields by name. */
export function ids(...names: FieldName[]): number[] {
  return names.map((name) => findField(name)!.id)
}

/** A value of a field: a number, u64 as bigint, an address or MAC as text, text, octets; null is an absent address. */
export type Value = number | bigint | string | Uint8Array | null

/** A flow by field names. */
export type Flow = Partial<Record<FieldName, Value>>

/** What a flow has beside its fields. */
export interface More {
  readonly digits?: TimeDigits
  readonly extras?: readonly ExtraElement[]
  readonly extraBytes?: Uint8Array
}

/** Append a flow to a batch. */
export function addFlow(batch: FlowBatch, flow: Flow, { digits = -1, extras = [], extraBytes }: More = {}): void {
  batch.reserve(1)
  const row = batch.length
  const fields = Object.keys(flow).map((name) => findField(name)!)
  batch.shape[row] = batch.intern(makeShape(fields.map(({ id }) => id), digits, extras))
  for (const field of fields) setValue(batch, row, field, flow[field.name]!)
  if (extraBytes) {
    batch.useExtras()[row * 2] = batch.addBytes(extraBytes, 0, extraBytes.length)
    batch.extras[row * 2 + 1] = extraBytes.length
  }
  batch.length++
}

/** A batch of flows. */
export function batchOf(flows: readonly Flow[], more: More = {}): FlowBatch {
  const batch = new FlowBatch(1)
  for (const flow of flows) addFlow(batch, flow, more)
  return batch
}

function setValue(batch: FlowBatch, row: number, { id, type }: Field, value: Value): void {
  const column = batch.column(id)
  if (type === 'addr') {
    const address = column as AddressColumn
    const text = (value ?? '') as string
    address.family[row] = text === '' ? 0 : text.includes(':') ? 6 : 4
    if (address.family[row] === 6) parseIpv6(text, ipv6Storage(address), row * 16)
    else if (text !== '') address.v4[row] = parseIpv4(text)
    return
  }
  const numbers = column as Uint32Array
  if (type === 'u64') {
    numbers[row * 2] = Number(BigInt(value as bigint) & 0xffffffffn)
    numbers[row * 2 + 1] = Number(BigInt(value as bigint) >> 32n)
  } else if (type === 'text' || type === 'octets') {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value as Uint8Array
    numbers[row * 2] = batch.addBytes(bytes, 0, bytes.length)
    numbers[row * 2 + 1] = bytes.length
  } else numbers[row] = typeof value === 'string' ? parseMac(value) : value as number
}

/** What flows read as in plain JavaScript: an accessor that shares nothing with the encoders. */
export function plainRow(batch: FlowBatch, row: number): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  const shape = batch.shapes[batch.shape[row]]
  for (const id of shape.fields) {
    if (id === ID.flowStartNs || id === ID.flowEndNs) continue
    const { name, type } = FIELDS[id]
    const column = batch.column(id)
    const numbers = column as Uint32Array
    const bytes = batch.heap.subarray(numbers[row * 2], numbers[row * 2] + numbers[row * 2 + 1])
    if (id === ID.type) out[name] = FLOW_TYPES[numbers[row]] ?? 'UNKNOWN'
    else if (type === 'addr') {
      const { family, v4, v6 } = column as AddressColumn
      if (family[row] !== 0) out[name] = family[row] === 4 ? formatIpv4(v4[row]) : formatIpv6(v6, row * 16)
    } else if (type === 'mac') out[name] = formatMac(numbers[row])
    else if (type === 'text') out[name] = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    else if (type === 'octets') out[name] = Buffer.from(bytes).toString('hex')
    else if (type === 'u64') out[name] = (BigInt(numbers[row * 2 + 1]) << 32n | BigInt(numbers[row * 2])).toString()
    else if (type === 'time') {
      const own = id === ID.received || id === ID.eventTime ? -1 : shape.timeDigits
      const nanos = id === ID.flowStart && shape.mask[ID.flowStartNs] ? batch.flowStartNs[row]
        : id === ID.flowEnd && shape.mask[ID.flowEndNs] ? batch.flowEndNs[row] : 0
      out[name] = formatTime(numbers[row], nanos, own)
    } else out[name] = numbers[row]
  }
  return out
}

const VALUES: Readonly<Record<Field['type'], fc.Arbitrary<Value>>> = {
  u8: fc.integer({ min: 0, max: 0xff }),
  u16: fc.integer({ min: 0, max: 0xffff }),
  u32: fc.integer({ min: 0, max: 0xffffffff }),
  u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  count: fc.oneof(fc.nat(), fc.maxSafeNat()),
  time: fc.integer({ min: -(10 ** 15), max: 4 * 10 ** 15 }),
  addr: fc.oneof(fc.ipV4(), fc.ipV6(), fc.constant(null)),
  mac: fc.uint8Array({ minLength: 6, maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('hex').replace(/..(?!$)/g, '$&:')),
  text: fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array({ maxLength: 12 })),
  octets: fc.uint8Array({ maxLength: 12 }),
}

/** Random batches: rows of up to five shapes, of any fields. */
export const batches: fc.Arbitrary<FlowBatch> = fc.array(fc.tuple(
  fc.uniqueArray(fc.constantFrom(...FIELDS), { maxLength: 30 }), fc.constantFrom<TimeDigits>(-1, 0, 3, 6, 9),
), { minLength: 1, maxLength: 5 }).chain((shapes) => fc.array(fc.constantFrom(...shapes).chain(([fields, digits]) => {
  const entries = fields.map(({ id, name, type }) => [
    name, id === ID.flowStartNs || id === ID.flowEndNs ? fc.integer({ min: 0, max: 999 }) : VALUES[type],
  ])
  return fc.tuple(fc.record(Object.fromEntries(entries) as Record<FieldName, fc.Arbitrary<Value>>), fc.constant(digits))
}), { maxLength: 12 }).map((rows) => {
  const batch = new FlowBatch(1)
  for (const [flow, digits] of rows) addFlow(batch, flow as Flow, { digits })
  return batch
}))

/** All bytes that a format makes of batches. */
export function bytesOf(format: FlowFormat, batches: readonly FlowBatch[], request: WriteRequest = {}): Buffer {
  const encoder = format.encoder!(request)
  const parts = batches.map((batch) => Buffer.from(encoder.encode(batch)))
  if (encoder.finish) parts.push(Buffer.from(encoder.finish()))
  return Buffer.concat(parts)
}

/** All text that a format makes of flows. */
export function textOf(format: FlowFormat, flows: readonly Flow[], request: WriteRequest = {}, more: More = {}): string {
  return bytesOf(format, [batchOf(flows, more)], request).toString()
}

/** The largest value of each field. */
export function largest({ id, type }: Field): Value {
  if (id === ID.flowStartNs || id === ID.flowEndNs) return 999
  switch (type) {
    case 'u8': return 0xff
    case 'u16': return 0xffff
    case 'u32': return 0xffffffff
    case 'u64': return 2n ** 64n - 1n
    case 'count': return 2 ** 53
    case 'time': return 2 ** 53 // in the year 2255
    case 'addr': return 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'
    case 'mac': return 'ff:ff:ff:ff:ff:ff'
    case 'text': return '"'.repeat(300)
    case 'octets': return new Uint8Array(300).fill(255)
  }
}
