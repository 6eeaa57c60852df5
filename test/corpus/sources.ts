/**
 * Whether flowkit's rows say what was sent, no more and no less: each field present has an element of the
 * record as its source and that element's value, and each element is in a field or among the extras.
 */
import { formatIpv4, formatIpv6, formatMac } from '../../core/flow/address.ts'
import { elementName, findElement } from '../../core/flow/elements.ts'
import { formatElement } from '../../core/flow/element-value.ts'
import { FIELDS, type Field } from '../../core/flow/fields.ts'
import { isList } from '../../core/flow/list-value.ts'
import { readFrame } from './packet.ts'
import type { Row } from './rows.ts'
import { headerTime } from './values.ts'
import { NAMED_ELEMENTS, type WireElement, type WireRecord } from './wire.ts'

/** One way in which a row and its record disagree. */
export interface SourceFault {
  readonly kind: 'invented' | 'lost' | 'differs'
  readonly field: string
  readonly ours: string
  readonly sent: string
}

/** Fields of v9 and IPFIX records that options records may tell. */
const LEARNED = new Set([
  'sampling_rate', 'sampling_source', 'sampling_algorithm', 'in_if_name', 'out_if_name', 'src_vrf_name',
  'dst_vrf_name', 'application_name',
])
/** Values of the field `type` by version. */
const TYPES: Readonly<Record<number, string>> = { 1: '5', 5: '2', 6: '6', 7: '7', 9: '3', 10: '4' }
const MAX_EXACT = 2n ** 53n
const MAX: Partial<Record<Field['type'], bigint>> = {
  u8: 0xffn, u16: 0xffffn, u32: 0xffffffffn, count: MAX_EXACT,
}

/** A field that a record fills: its value, and the element that has it if it is one element's. */
interface Filled {
  readonly text: string
  readonly element?: WireElement
}

/** Compare a row with the record it was made of. */
export function checkSources(row: Row, record: WireRecord): SourceFault[] {
  const used = new Set<WireElement>()
  const sent = filledFields(record, used)
  const faults: SourceFault[] = []
  for (const [field, ours] of row.fields) {
    const filled = sent.get(field)
    if (filled === undefined) {
      const isLearned = record.header.version >= 9 && LEARNED.has(field)
      if (!isLearned) faults.push({ kind: 'invented', field, ours, sent: '' })
    } else if (filled.text !== ours) faults.push({ kind: 'differs', field, ours, sent: filled.text })
  }
  for (const [field, { text }] of sent) {
    if (!row.fields.has(field)) faults.push({ kind: 'lost', field, ours: '', sent: text })
  }
  if (record.header.version < 9) return faults
  const rest = record.elements.filter((element) => !used.has(element) && !isNothing(element))
  const [kept, wanted] = [row.extras, rest].map((list) => list.map(elementText).join(' '))
  if (kept !== wanted) faults.push({ kind: 'differs', field: 'extras', ours: kept, sent: wanted })
  return faults
}

/** Where flowkit has an element: in a field, or under the element's name; and its text there. */
interface Place {
  readonly field: string
  readonly text: string
}

/** Where flowkit has put the elements of a record. */
export function placesOf(row: Row, record: WireRecord): Map<WireElement, Place> {
  const places = new Map<WireElement, Place>()
  for (const [field, { element }] of filledFields(record, new Set())) {
    const text = row.fields.get(field)
    if (element && text !== undefined && !places.has(element)) places.set(element, { field, text })
  }
  const extras = [...row.extras]
  for (const element of record.elements) {
    const at = extras.findIndex(({ pen, id }) => pen === element.pen && id === element.id)
    if (places.has(element) || at < 0) continue
    const [{ pen, id, bytes }] = extras.splice(at, 1)
    const value = formatElement(findElement(pen, id)?.type, bytes, 0, bytes.length)
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    places.set(element, { field: elementName(pen, id), text })
  }
  return places
}

/** Element and value, as `8=c0a80001`; of a list its JSON, since flowkit keeps the templates with it. */
export function elementText({ pen, id, bytes, list }: WireElement): string {
  const type = findElement(pen, id)?.type
  const value = !isList(type) ? Buffer.from(bytes).toString('hex')
    : list ?? JSON.stringify(formatElement(type, bytes, 0, bytes.length))
  return `${pen === 0 ? '' : `${pen}/`}${id}=${value}`
}

/** The fields that the elements of a record fill, best element first; `used` gets the elements. */
function filledFields(record: WireRecord, used: Set<WireElement>): Map<string, Filled> {
  const fields = new Map<string, Filled>()
  for (const [field, value] of headerFields(record)) fields.set(field, { text: String(value) })
  for (const field of FIELDS) {
    const found = candidates(field, record)
    if (field.type === 'addr') {
      // the inner packet's addresses, behind those of the outer, are extras
      const nested = record.elements.filter(({ pen, id }) => pen === 0 && id === 4).length > 1
      const usable = nested ? record.elements.filter((one) => found.includes(one)).slice(0, 1) : found
      const v4 = usable.find(({ bytes }) => bytes.length === 4)
      const v6 = usable.find(({ bytes }) => bytes.length === 16)
      for (const element of [v4, v6]) if (element) used.add(element)
      if (v6 && (!v4 || v6.bytes.some((byte) => byte !== 0))) {
        fields.set(field.name, { text: formatIpv6(v6.bytes, 0), element: v6 })
      } else if (v4) fields.set(field.name, { text: formatIpv4(Number(number(v4.bytes))), element: v4 })
    } else if (found.length > 0) {
      const text = valueText(field, found[0], record)
      if (text === undefined) continue
      used.add(found[0])
      fields.set(field.name, { text, element: found[0] })
      if (NANOSECOND_IDS.has(found[0].id) && field.name.startsWith('flow_')) {
        fields.set(`${field.name}_ns`, { text: String(ntp(found[0].bytes).nanos % 1000) })
      }
    }
  }
  const rate = fields.get('sampling_rate')
  if (rate?.text === '0') fields.delete('sampling_rate') // none
  else if (rate?.element) fields.set('sampling_source', { text: '2' })
  addLabels(record, fields)
  addDuration(record, fields, used)
  const address = fields.get('src_addr') ?? fields.get('dst_addr')
  if (address && !fields.has('etype')) {
    fields.set('etype', { text: address.text.includes(':') ? '34525' : '2048' })
  }
  addPacket(record, fields)
  return fields
}

/** What the header and the datagram say of a record, as far as the version has it. */
function headerFields({ header, source, received }: WireRecord): [string, string | number][] {
  const { version, domain, sampling } = header
  const engine: [string, number][] = [['engine_type', domain >> 8], ['engine_id', domain & 255]]
  const clock: [string, number][] = [['export_secs', header.secs]]
  if (version < 10) clock.push(['sys_uptime', header.uptime])
  if (version < 9) clock.push(['export_nsecs', header.nsecs])
  if (version > 1) clock.push(['sequence_num', header.sequence])
  if (version > 8) clock.push(['observation_domain_id', domain])
  if (version === 5 && (sampling & 0x3fff) > 0) {
    clock.push(['sampling_rate', sampling & 0x3fff], ['sampling_source', 1])
    if (sampling >> 14 > 0) clock.push(['sampling_algorithm', sampling >> 14])
  }
  const common: [string, string][] = [['type', TYPES[version]], ['exporter_addr', source]]
  return [...common, ['received', received], ...version === 5 || version === 6 ? engine : [], ...clock]
}

function candidates(field: Field, { elements, header }: WireRecord): WireElement[] {
  const named = NAMED_ELEMENTS.indexOf(field.name)
  const inRecord = elements.some(({ pen, id, bytes }) => pen === 0 && id === 160 && bytes.length === 8)
  const wanted = named < 0 ? field.elements : [{ pen: -1, id: named }]
  return wanted.flatMap(({ pen, id }) => elements.filter((element) => {
    if (element.pen !== pen || element.id !== id) return false
    if (element.bytes.length === 0 && !element.variable) return false
    if (pen === 0 && (id === 21 || id === 22) && header.uptime < 0 && !inRecord) return false
    return !element.variable || field.type === 'text' || field.type === 'octets'
  }))
}

function valueText(
  { type, name }: Field, { pen, id, bytes }: WireElement, record: WireRecord,
): string | undefined {
  switch (type) {
    case 'text': return Buffer.from(bytes).toString().replace(/\0+$/, '')
    case 'octets': return Buffer.from(bytes).toString('hex')
    case 'mac': return bytes.length === 6 ? formatMac(Number(number(bytes))) : undefined
    case 'time': return timeText(pen === 29305 ? 0 : pen, id, bytes, record)
  }
  if (bytes.length > 8) return undefined
  if (pen === 0 && (id === 32 || id === 139) && name.startsWith('icmp')) {
    return bytes.length === 2 ? String(bytes[name === 'icmp_type' ? 0 : 1]) : undefined
  }
  if (pen === 0 && id >= 70 && id <= 79 && bytes.length === 3) return String(number(bytes) >> 4n)
  const value = number(bytes)
  const max = MAX[type] ?? value
  return String(value > max ? max : value)
}

const SECOND_IDS = new Set([150, 151, 322])
const MILLISECOND_IDS = new Set([152, 153, 258, 323])
const NANOSECOND_IDS = new Set([156, 157, 325])

function timeText(
  pen: number, id: number, bytes: Uint8Array, { header, elements }: WireRecord,
): string | undefined {
  if (pen !== 0) return undefined
  const value = number(bytes)
  if (id === 21 || id === 22) {
    const init = elements.find((one) => one.pen === 0 && one.id === 160 && one.bytes.length === 8)
    const exported = BigInt(headerTime(header.secs, header.nsecs))
    const uptime = init ? BigInt(header.secs) * 1000n - number(init.bytes) : BigInt(header.uptime)
    return bytes.length === 4 ? String(exported - BigInt.asIntN(32, uptime - value) * 1000n) : undefined
  }
  if (id === 158 || id === 159) {
    return bytes.length === 4 ? String(BigInt(header.secs) * 1000000n - value) : undefined
  }
  const clamp = (micros: bigint): string => String(micros > MAX_EXACT ? MAX_EXACT : micros)
  if (SECOND_IDS.has(id)) return clamp(value * 1000000n)
  if (MILLISECOND_IDS.has(id)) return clamp(value * 1000n)
  if (bytes.length !== 8) return undefined
  const { seconds, nanos } = ntp(bytes)
  const isExact = NANOSECOND_IDS.has(id) // what is below is in a field of its own
  const micros = isExact ? Math.floor(nanos / 1000) : Math.min(999_999, Math.round(nanos / 1000))
  return String(seconds * 1_000_000 + micros)
}

/** Seconds since 1970, up to 2106, and nanoseconds of an NTP time; 0 where it is not set. */
function ntp(bytes: Uint8Array): { seconds: number, nanos: number } {
  const value = number(bytes)
  if (value === 0n) return { seconds: 0, nanos: 0 }
  const seconds = (Number(value >> 32n) - 2_208_988_800 + 2 ** 32) % 2 ** 32
  const rounded = ((value & 0xffffffffn) * 2_000_000_000n + 2n ** 32n) >> 33n
  return { seconds, nanos: Math.min(999_999_999, Number(rounded)) }
}

/** mpls_exp gathers what is below the labels. */
function addLabels({ elements }: WireRecord, fields: Map<string, Filled>): void {
  let sum = 0n
  let any = false
  for (let i = 0; i < 10; i++) {
    const label = elements.find(({ pen, id, bytes }) => pen === 0 && id === 70 + i && bytes.length === 3)
    if (!label) continue
    any = true
    sum += BigInt(label.bytes[2] & 15) << BigInt(i * 4)
  }
  if (any) fields.set('mpls_exp', { text: String(sum) })
}

/** The other end of a flow that tells its duration. */
function addDuration({ elements }: WireRecord, fields: Map<string, Filled>, used: Set<WireElement>): void {
  const duration = elements.find(({ pen, id, bytes }) =>
    pen === 0 && (id === 161 || id === 162) && bytes.length === 4)
  const [start, end] = [fields.get('flow_start'), fields.get('flow_end')]
  if (!duration || !start === !end) return
  const length = number(duration.bytes) * (duration.id === 161 ? 1000n : 1n)
  if (!end) fields.set('flow_end', { text: String(BigInt(start!.text) + length), element: duration })
  else fields.set('flow_start', { text: String(BigInt(end.text) - length), element: duration })
  used.add(duration)
}

/** A sampled frame (315) tells what the record does not; without counters the record is of one packet. */
function addPacket({ elements }: WireRecord, fields: Map<string, Filled>): void {
  const find = (id: number): WireElement | undefined => elements.find((one) => one.pen === 0 && one.id === id)
  const [section, exported] = [find(315), find(410)] // sectionExportedOctets: the rest is padding
  if (!section) return
  const hasCounters = fields.has('bytes') || fields.has('packets')
  const packet = readFrame(section.bytes.subarray(0, exported && Number(number(exported.bytes))))
  packet.set('packets', '1')
  const size = fields.get('frame_length')
  if (size) packet.set('bytes', size.text)
  for (const [field, text] of packet) {
    const isTold = fields.has(field) || (hasCounters && (field === 'bytes' || field === 'packets'))
    if (!isTold) fields.set(field, { text })
  }
}

/** paddingOctets, and fields that the template gives no bytes. */
function isNothing({ pen, id, bytes, variable }: WireElement): boolean {
  return (pen === 0 && id === 210) || (bytes.length === 0 && !variable)
}

/** The unsigned number that `bytes` are. */
export function number(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => value << 8n | BigInt(byte), 0n)
}
