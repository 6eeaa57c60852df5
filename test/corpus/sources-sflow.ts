/**
 * Whether flowkit's rows and counters say what the samples say, no more and no less.
 *
 * The layouts of counter records are those of sFlow version 5 section 5.4, sflow_openflow.txt, sflow_host.txt
 * and sflow_host_ip.txt; flow records are read as far as the corpus has them.
 */
import type { CounterSample } from '../../core/netflow/sflow/counters.ts'
import { formatIpv4, formatIpv6, formatMac } from '../../core/flow/address.ts'
import { readFrame, readIp } from './packet.ts'
import type { Row } from './rows.ts'
import type { SourceFault } from './sources.ts'
import { Reader, type SflowPort, type SflowRecord, type SflowSample } from './wire-sflow.ts'

/** The number of the device itself, where an interface is wanted. */
const ITSELF = [0x3fffffff, 0xffffffff]
/** Statuses (RFC 7270 §4.12) of the reasons that occur: host unreachable is unroutable, 289 just dropped. */
const STATUSES: Readonly<Record<number, number>> = { 1: 131, 289: 128 }
const FOR_US = 195

/** Compare a row with the sample it was made of. */
export function checkSample({ fields, extras }: Row, sample: SflowSample): SourceFault[] {
  const sent = sampleFields(sample)
  const faults: SourceFault[] = []
  for (const [field, ours] of fields) {
    const value = sent.get(field)
    if (value === undefined) faults.push({ kind: 'invented', field, ours, sent: '' })
    else if (String(value) !== ours) faults.push({ kind: 'differs', field, ours, sent: String(value) })
  }
  for (const [field, value] of sent) {
    if (!fields.has(field)) faults.push({ kind: 'lost', field, ours: '', sent: String(value) })
  }
  if (extras.length > 0) {
    faults.push({ kind: 'invented', field: 'extras', ours: String(extras.length), sent: '' })
  }
  return faults
}

function sampleFields(sample: SflowSample): Map<string, string | number> {
  const { source, received, header, sourceType, sourceIndex, flow, records } = sample
  const { drops, rate, pool, reason, input, output } = flow!
  const fields = new Map<string, string | number>([
    ['type', 1], ['received', received], ['flow_start', received], ['flow_end', received],
    ['exporter_addr', source], ['sub_agent_id', header.subAgent], ['sequence_num', header.sequence],
    ['sys_uptime', header.uptime], ['sample_drops', drops],
    ['observation_point_id', String((BigInt(sourceType) << 32n) + BigInt(sourceIndex))],
  ])
  if (header.agent !== '') fields.set('agent_addr', header.agent)
  if (reason < 0) fields.set('sample_pool', pool)
  if (rate > 0) fields.set('sampling_rate', rate).set('sampling_source', 1)
  const [enters, leaves] = [isInterface(input), isInterface(output)]
  if (enters) fields.set('in_if', input.value)
  if (leaves) fields.set('out_if', output.value)
  const here = (port: SflowPort): boolean => sourceType === 0 && port.value === sourceIndex
  const [entersHere, leavesHere] = [enters && here(input), leaves && here(output)]
  if (entersHere !== leavesHere) fields.set('direction', entersHere ? 0 : 1)
  if (reason >= 0) fields.set('forwarding_status', STATUSES[reason])
  else if (output.format === 1) fields.set('forwarding_status', STATUSES[output.value])
  else if (output.format === 0 && ITSELF.includes(output.value)) fields.set('forwarding_status', FOR_US)
  const length = takeRecords(records, fields)
  const [packets, bytes] = reason < 0 ? ['packets', 'bytes'] : ['dropped_packets', 'dropped_bytes']
  fields.set(packets, 1)
  if (length >= 0) fields.set(bytes, length)
  return fields
}

function isInterface({ format, value }: SflowPort): boolean {
  return format === 0 && value > 0 && !ITSELF.includes(value)
}

/** Set what the records tell, the packet's header before others. @returns the length of the packet, or -1 */
function takeRecords(records: readonly SflowRecord[], fields: Map<string, string | number>): number {
  let length = -1
  const offer = (values: Iterable<[string, string | number]>): void => {
    for (const [name, value] of values) if (!fields.has(name)) fields.set(name, value)
  }
  for (const { format, bytes } of records.toSorted((a, b) => a.format - b.format)) {
    const reader = new Reader(bytes)
    const words = (count: number): number[] => Array.from({ length: count }, () => reader.u32())
    switch (format) {
      case 1: {
        const [protocol, frame] = words(3) // the third: bytes stripped
        const isFrame = protocol === 1
        const packet = (isFrame ? readFrame : readIp)(reader.opaque())
        packet.delete('bytes') // the record tells how long the packet was
        if (isFrame) offer([['frame_length', frame]])
        offer(packet)
        length = frame
        break
      }
      case 2: {
        const frame = reader.u32()
        const padding = bytes.length < 24 ? 0 : 2 // some agents leave it out
        const source = formatMac(reader.take(6 + padding).readUIntBE(0, 6))
        const target = formatMac(reader.take(6 + padding).readUIntBE(0, 6))
        const type = reader.u32()
        offer([['frame_length', frame], ['src_mac', source], ['dst_mac', target]])
        if (type > 1500) offer([['etype', type]])
        if (length < 0) length = frame
        break
      }
      case 3: case 4: {
        const [packet, proto] = words(2)
        const address = (): string => format === 3 ? formatIpv4(reader.u32()) : formatIpv6(reader.take(16), 0)
        offer([['src_addr', address()], ['dst_addr', address()]])
        const [source, target, flags, tos] = words(4)
        offer([['etype', format === 3 ? 0x0800 : 0x86dd], ['proto', proto], ['tos', tos]])
        offer([['src_port', source], ['dst_port', target]])
        if (proto === 6) offer([['tcp_flags', flags]])
        if (length < 0) length = packet
        break
      }
      case 1001: {
        const [source, , target] = words(4) // the others: priorities
        for (const [name, vlan] of [['vlan_id', source], ['post_vlan_id', target]] as const) {
          if (vlan > 0 && vlan < 4096) fields.set(name, vlan)
        }
      }
    }
  }
  return length
}

/** Layouts of counter records: bytes of the numbers in order; f float, % a percentage, s string, x bytes. */
const COUNTERS: Readonly<Record<number, string>> = {
  1: '4 4 8 4 4 8 4 4 4 4 4 4 8 4 4 4 4 4 4',
  2: '4 4 4 4 4 4 4 4 4 4 4 4 4',
  1004: 'x8 4',
  1005: 's',
  2000: 's x16 4 4 s',
  2003: 'f f f 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4',
  2004: '8 8 8 8 8 8 8 4 4 4 4',
  2005: '8 8 % 4 8 4 4 8 4',
  2006: '8 4 4 4 8 4 4 4',
  2007: '4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4',
  2008: '4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4 4',
  2009: '4 4 4 4 4 4 4 4 4 4 4 4 4 4 4',
  2010: '4 4 4 4 4 4 4',
}

/** Compare what flowkit has of a counter sample: where it comes from, and its values in their order. */
export function checkCounters(ours: CounterSample, sample: SflowSample): SourceFault[] {
  const { source, received, header, sequence, sourceType, sourceIndex, records } = sample
  const base = [received, source, header.agent, header.subAgent, sequence, sourceType, sourceIndex]
  const found = [
    ours.received, ours.exporterAddr, ours.agentAddr, ours.subAgentId, ours.sequence, ours.sourceType,
    ours.sourceIndex,
  ]
  const values = records.flatMap(({ format, bytes }) =>
    format === 2001 ? adapterValues(new Reader(bytes)) : counterValues(COUNTERS[format], new Reader(bytes)))
  const [a, b] = [[...found, ...Object.values(ours.values)], [...base, ...values]]
  const at = a.findIndex((value, i) => value !== b[i])
  if (at < 0 && a.length === b.length) return []
  const name = Object.keys(ours.values)[at - found.length] ?? 'header or number of values'
  return [{ kind: 'differs', field: name, ours: `${a[at]} of ${a.length}`, sent: `${b[at]} of ${b.length}` }]
}

/** Values in order; the largest number and negative ones stand for what the agent does not know. */
function counterValues(layout: string | undefined, reader: Reader): (number | string)[] {
  if (layout === undefined) throw new Error('the corpus has counters that the plain reading does not know')
  const values: (number | string)[] = []
  for (const kind of layout.split(' ')) {
    if (reader.left === 0) break // an older agent
    switch (kind) {
      case '4': {
        const value = reader.u32()
        if (value !== 0xffffffff) values.push(value)
        break
      }
      case '8': {
        const value = reader.u64()
        if (value !== 0xffffffffffffffffn) values.push(Number(value))
        break
      }
      case 'f': {
        const value = reader.take(4).readFloatBE()
        // the shortest decimal number that is the same float
        const digits = [6, 7, 8, 9].find((count) => Math.fround(Number(value.toPrecision(count))) === value)
        if (value >= 0) values.push(Number(value.toPrecision(digits)))
        break
      }
      case '%': {
        const value = reader.take(4).readInt32BE()
        if (value >= 0) values.push(value / 100)
        break
      }
      case 's': values.push(reader.opaque().toString()); break
      default: values.push(reader.take(Number(kind.slice(1))).toString('hex'))
    }
  }
  return values
}

/** Adapters: index and MAC addresses, padded to 8 bytes, of each. */
function adapterValues(reader: Reader): (number | string)[] {
  const values: (number | string)[] = []
  for (let adapters = reader.u32(); adapters > 0; adapters--) {
    values.push(reader.u32())
    for (let macs = reader.u32(); macs > 0; macs--) values.push(formatMac(reader.take(8).readUIntBE(0, 6)))
  }
  return values
}
