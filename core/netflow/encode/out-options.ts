import type { LayoutField } from '../plan.ts'
import type { SetVersion } from './layout.ts'
import type { OutMessage } from './out-message.ts'
import type { OutSampling } from './out-sampling.ts'

/** An options template: what its records are about, and what they say. */
interface OptionsTemplate {
  readonly id: number
  readonly fields: readonly LayoutField[]
}

/** The first id that is free for other templates. */
export const FIRST_TEMPLATE = 260

const iana = (id: number, length: number): LayoutField => ({ pen: 0, id, length })

/** samplingInterval and samplingAlgorithm: RFC 3954 §8; deprecated in IPFIX, but read by all. */
const RATE: OptionsTemplate = { id: 256, fields: [iana(34, 4), iana(35, 1)] }
/** samplingPacketInterval and samplingPacketSpace, RFC 5477 §8.2; what nfdump 1.7.1 reads. */
const INTERVAL: OptionsTemplate = { id: 257, fields: [iana(305, 4), iana(306, 4)] }
/** Id, mode and interval of one sampler; the id is of 302 in IPFIX, whose samplerId has 8 bits. */
const SAMPLER: Readonly<Record<SetVersion, OptionsTemplate>> = {
  9: { id: 258, fields: [iana(48, 4), iana(49, 1), iana(50, 4)] },
  10: { id: 258, fields: [iana(302, 8), iana(49, 1), iana(50, 4)] },
}
/** exportedMessageTotalCount, exportedFlowRecordTotalCount, exportedOctetTotalCount: RFC 7011 §4.1, RFC 3954 §8. */
const STATISTICS: OptionsTemplate = { id: 259, fields: [iana(41, 8), iana(42, 8), iana(40, 8)] }

/** The scope of all: the system in v9 (RFC 3954 §6.1), the observation domain in IPFIX. */
const SCOPES: Readonly<Record<SetVersion, LayoutField>> = { 9: iana(1, 4), 10: iana(149, 4) }

const SET_HEADER = 4
const PADDING = 3

/** Append what options tell of sampling; `makeRoom` gives the message out and begins the next. */
export function writeSampling(
  message: OutMessage, version: SetVersion, domain: number, { whole, byId }: OutSampling, makeRoom: () => void,
): void {
  if (whole.rate > 0) {
    const records = [whole.rate, whole.algorithm]
    const interval = [1, whole.rate - 1]
    // together and in this order: goflow2 takes the first of a message, and 305 alone for the rate
    if (message.room(0) < sizeOf(RATE) + sizeOf(INTERVAL)) makeRoom()
    writeOptions(message, version, domain, RATE, records)
    writeOptions(message, version, domain, INTERVAL, interval)
  }
  for (const [id, { rate, algorithm }] of byId) {
    if (message.room(0) < sizeOf(SAMPLER[version])) makeRoom()
    writeOptions(message, version, domain, SAMPLER[version], [id, algorithm, rate])
  }
}

/** Append how much was exported before this message. */
export function writeStatistics(
  message: OutMessage, version: SetVersion, domain: number, makeRoom: () => void,
): void {
  if (message.room(0) < sizeOf(STATISTICS)) makeRoom()
  const { messages, flows, bytes } = message.sent
  writeOptions(message, version, domain, STATISTICS, [messages, flows, bytes])
}

/** A template and one record, each in a set of its own: nfdump reads no more of a set. */
function writeOptions(
  message: OutMessage, version: SetVersion, domain: number, template: OptionsTemplate, values: readonly number[],
): void {
  const fields = [SCOPES[version], ...template.fields]
  const counts = version === 9 ? [4, template.fields.length * 4] : [fields.length, 1]
  message.inSet(version === 9 ? 1 : 3, 4)
  const words = [template.id, ...counts, ...fields.flatMap(({ id, length }) => [id, length])]
  for (const word of words) put(message, word, 2)
  message.count(1, 'templates')
  message.closeSet()
  message.inSet(template.id, recordLength(template))
  put(message, version === 9 ? 0 : domain, 4)
  for (const [i, { length }] of template.fields.entries()) put(message, values[i], length)
  message.count(1, 'options')
  message.closeSet()
}

/** Bytes of a template and one record with their set headers and padding. */
function sizeOf(template: OptionsTemplate): number {
  const templateLength = 6 + 4 * (template.fields.length + 1)
  return SET_HEADER + templateLength + PADDING + SET_HEADER + recordLength(template) + PADDING
}

function recordLength({ fields }: OptionsTemplate): number {
  return fields.reduce((sum, { length }) => sum + length, SCOPES[9].length)
}

function put(message: OutMessage, value: number, length: number): void {
  for (let i = length - 1; i >= 0; i--) {
    message.bytes[message.at + i] = value // modulo 256
    value = Math.floor(value / 256)
  }
  message.at += length
}
