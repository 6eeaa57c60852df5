import { ipv6Storage, type AddressColumn } from '../../flow/address.ts'
import { FlowBatch } from '../../flow/batch.ts'
import { FIELDS } from '../../flow/fields.ts'
import type { DatagramEncoder } from '../encode/encoder.ts'
import type { Profile, Stream } from './streams.ts'

/** Template sets and options template sets. */
const SETS: Readonly<Record<number, number>> = { 9: 0, 10: 2 }
const SET_HEADER = 4
/** The template of options, away from those of records. */
const OPTIONS_TEMPLATE = 1000
const SCOPE_SYSTEM = 1
const SAMPLING_INTERVAL = 34
const SAMPLING_ALGORITHM = 35
const RANDOM_SAMPLING = 2

/**
 * Make `encoder` announce the templates of all kinds of records, so that it will send data alone.
 *
 * @returns the template records
 */
export function takeTemplates(encoder: DatagramEncoder, { version, kinds, headerSize }: Profile): Uint8Array {
  const batch = new FlowBatch(kinds.length)
  for (const kind of kinds) {
    if (!kind) continue
    batch.shape[batch.length] = batch.intern(kind.sent)
    for (const id of kind.sent.fields) {
      if (FIELDS[id].type !== 'addr') continue
      const column = batch.column(id) as AddressColumn
      column.family[batch.length] = kind.family
      if (kind.family === 6) ipv6Storage(column)
    }
    batch.length++
  }
  const records: number[] = []
  const collect = (message: Uint8Array): void => {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
    for (let at = headerSize, end = at; at < message.length; at = end) {
      end = at + view.getUint16(at + 2)
      if (view.getUint16(at) === SETS[version]) records.push(...message.subarray(at + SET_HEADER, end))
    }
  }
  encoder.encode(batch, collect)
  encoder.flush(collect)
  return Uint8Array.from(records)
}

/**
 * Write the message in which a stream tells of its templates, and in v9 of its sampling.
 *
 * @returns how long it is
 */
export function writeAnnouncement(
  stream: Stream, templates: Uint8Array, sequence: number, view: DataView,
): number {
  const { profile: { version, kinds, rate }, time, boot, domain } = stream
  const seconds = Math.floor(time / 1e6)
  let at = 4
  const put = (...words: number[]): void => {
    for (const word of words) {
      view.setUint16(at, word)
      at += 2
    }
  }
  const putLong = (value: number): void => put(value >>> 16, value)
  if (version === 9) putLong((seconds * 1e6 - boot) / 1000)
  putLong(seconds)
  putLong(sequence)
  putLong(domain)
  put(SETS[version], SET_HEADER + templates.length)
  for (const byte of templates) view.setUint8(at++, byte)
  let records = kinds.filter((kind) => kind !== undefined).length
  if (version === 9 && rate > 1) {
    // RFC 3954 §6.1: bytes of scopes and of options, then type and length of each; two bytes of padding
    put(1, 24, OPTIONS_TEMPLATE, 4, 8, SCOPE_SYSTEM, 4, SAMPLING_INTERVAL, 4, SAMPLING_ALGORITHM, 1, 0)
    put(OPTIONS_TEMPLATE, 16)
    putLong(0)
    putLong(rate)
    put(RANDOM_SAMPLING << 8, 0)
    records += 2
  }
  view.setUint16(0, version)
  view.setUint16(2, version === 9 ? records : at)
  return at
}
