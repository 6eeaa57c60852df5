/** Ordinary traffic in peers/capture: the flows that other meters made of it, and flowkit's, by their key. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { formatIpv4, formatIpv6 } from '../../core/flow/address.ts'
import { BATCH_SIZE } from '../../core/flow/batch.ts'
import { protocolNumber } from '../../core/flow/names.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import type { MeterOptions } from '../../core/meter/options.ts'
import { replyTo } from '../../core/meter/packet-key.ts'
import { CaptureReader } from '../../core/pcap/capture.ts'
import { LINK_ETHERNET, parsePacket } from '../../core/pcap/headers.ts'
import { PacketHeaders } from '../../core/pcap/packet-headers.ts'
import { readUint32 } from '../../core/pcap/packet.ts'
import type { Golden, Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { decode, rowOf, type Row } from './rows.ts'
import { parseJson } from './values.ts'

const FOLDER = 'peers/capture'

/** All flows of a key together: counters are added up, values that occur are listed. */
type Sums = ReadonlyMap<string, string>
/** What one record tells: its key, and its fields. */
interface Told {
  readonly key: string
  readonly fields: readonly (readonly [field: string, text: string])[]
}

/** What readings are explained by, in their `all`. */
export interface Keyed {
  /** Name of the capture without ending. */
  readonly capture: string
  readonly key: string
  /** Bytes of the key's packets behind the Ethernet header and a tag: with labels, padding and trailers. */
  readonly framed: number | undefined
}

interface Peer {
  readonly ending: string
  readonly name: string
  /** How flowkit is to meter. */
  readonly options: MeterOptions
  read(path: string): Iterable<Told>
  /** The key of a row in the peer's terms. */
  keyOf(row: Row): string
}

const SOFTFLOWD = { name: 'softflowd', options: {}, read: readSoftflowd, keyOf: icmpKey } as const
const NFPCAPD = { name: 'nfpcapd', options: { inner: true }, read: readNfpcapd, keyOf: icmpKey } as const
const PMACCTD = { name: 'pmacctd', options: {}, read: readPmacct, keyOf: plainKey } as const

const PEERS: readonly Peer[] = [
  { ...PMACCTD, ending: 'pmacctd.json.json' },
  { ...PMACCTD, ending: 'pmacctd.times.json' },
  { ...SOFTFLOWD, ending: 'softflowd10ms.csv' },
  { ...SOFTFLOWD, ending: 'softflowd9-short.csv', keyOf: icmp4Key },
  {
    ...SOFTFLOWD, ending: 'softflowd10bi.pcap', options: { biflow: true }, read: readBiflows, keyOf: plainKey,
  },
  { ...NFPCAPD, ending: 'nfpcapd.csv' },
  { ...NFPCAPD, ending: 'nfpcapd-e30-10.csv' },
]

/** The goldens of peers/capture and the readings of each. */
export function* captureReadings(corpus: string): Generator<Golden> {
  if (!existsSync(join(corpus, FOLDER))) return
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', join(corpus, FOLDER, 'flows.tar.xz'), '-C', folder])
    for (const file of readdirSync(join(corpus, FOLDER)).filter((name) => /\.pcap(\.gz)?$/.test(name))) {
      const bytes = readFileSync(join(corpus, FOLDER, file))
      const capture = file.endsWith('.gz') ? gunzipSync(bytes) : bytes
      const name = file.replace(/\.pcap(\.gz)?$/, '')
      const framed = framedBytes(capture)
      for (const peer of PEERS) {
        const path = unpacked(join(folder, 'flows'), `${name}.${peer.ending}`)
        if (path === undefined) continue
        const told = [...peer.read(path)]
        const golden = `${FOLDER}/flows/${name}.${peer.ending}`
        const rows = meter(capture, peer.options)
        const readings = [...compare(peer, golden, name, rows, told, framed)]
        yield { path: golden, files: [`${FOLDER}/${file}`], records: told.length, readings }
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The file of that name, which may be gzipped, as it was before. */
function unpacked(folder: string, name: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  if (!existsSync(`${path}.gz`)) return undefined
  execFileSync('gunzip', [`${path}.gz`])
  return path
}

/** The flows that flowkit makes of a capture. */
export function meter(capture: Uint8Array, options: MeterOptions): Row[] {
  const reader = new CaptureReader()
  const meter = new FlowMeter(options)
  const rows: Row[] = []
  function take(): void {
    for (let i = 0; i < meter.finished.length; i++) rows.push(rowOf(meter.finished, i, 0))
    meter.finished.clear()
  }
  reader.window(capture, 0, capture.length)
  while (reader.next()) {
    const { bytes, start, length, originalLength, time, linkType } = reader.packet
    meter.add(bytes, start, start + length, originalLength, time, linkType, 0)
    if (meter.finished.length >= BATCH_SIZE) take()
  }
  while (meter.flush()) take()
  return rows
}

/** Bytes behind the Ethernet header and a tag, by key; of ICMP with type and code in the key, and without. */
function framedBytes(capture: Uint8Array): Map<string, number> {
  const reader = new CaptureReader()
  const headers = new PacketHeaders()
  const sums = new Map<string, number>()
  reader.window(capture, 0, capture.length)
  while (reader.next()) {
    const { bytes, start, length, originalLength, linkType } = reader.packet
    if (linkType !== LINK_ETHERNET || !parsePacket(bytes, start, start + length, linkType, headers)) continue
    const { proto, srcAddr, dstAddr, srcPort, dstPort, ipVersion } = headers
    const address = (at: number): string => {
      return ipVersion === 4 ? formatIpv4(readUint32(bytes, at, false)) : formatIpv6(bytes, at)
    }
    const { icmpType, icmpCode, vlanId } = headers
    const ports = new Set([String(Math.max(0, dstPort))])
    if (icmpType >= 0) ports.add(`${icmpType}.${icmpCode}`)
    const source = String(Math.max(0, srcPort))
    for (const port of ports) {
      const key = keyText(String(proto), address(srcAddr), source, address(dstAddr), port)
      sums.set(key, (sums.get(key) ?? 0) + originalLength - (vlanId < 0 ? 14 : 18))
    }
  }
  return sums
}

/** What is compared of a row: everything that some peer tells of. */
const COMPARED = [
  'bytes', 'packets', 'flow_start', 'flow_end', 'tcp_flags', 'tos', 'vlan_id', 'src_mac', 'dst_mac',
]

function* compare(
  peer: Peer, golden: string, capture: string, rows: readonly Row[], told: readonly Told[],
  framed: ReadonlyMap<string, number>,
): Generator<Reading> {
  const ours = sumUp(rows.flatMap((row) => directionsOf(row, peer.keyOf)))
  const theirs = sumUp(told)
  let record = 0
  for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
    const [flows, records] = [ours.get(key), theirs.get(key)]
    const all: Keyed = { capture, key, framed: framed.get(key) }
    const base = { peer: peer.name, golden, record: record++, all }
    if (flows === undefined || records === undefined) {
      yield { ...base, field: 'record', ours: flows && `flows ${key}`, theirs: records && `records ${key}` }
      continue
    }
    for (const [field, text] of records) {
      const own = flows.get(field)
      const cut = text.endsWith('ms') && own !== undefined ? `${Math.floor(Number(own) / 1000)}ms` : own
      if (cut !== undefined || !/^0?$/.test(text)) yield { ...base, field, ours: cut, theirs: text }
    }
  }
}

/** What a row tells of each direction. */
function directionsOf({ fields, ...rest }: Row, keyOf: (row: Row) => string): Told[] {
  const forward = { key: keyOf({ fields, ...rest }), fields: told(fields) }
  if (!fields.has('rev_packets')) return [forward]
  const reverse = new Map<string, string>()
  for (const [name, text] of fields) {
    if (name === 'icmp_type') reverse.set(name, String(replyTo(Number(text))))
    else if (name.startsWith('rev_')) reverse.set(name.slice(4), text)
    else if (name.startsWith('src_')) reverse.set(name.replace('src_', 'dst_'), text)
    else if (name.startsWith('dst_')) reverse.set(name.replace('dst_', 'src_'), text)
    else if (!fields.has(`rev_${name}`)) reverse.set(name, text)
  }
  return [forward, { key: keyOf({ fields: reverse, ...rest }), fields: told(reverse) }]
}

function told(fields: ReadonlyMap<string, string>): [field: string, text: string][] {
  return COMPARED.flatMap((field) => {
    const text = fields.get(field)
    return text === undefined ? [] : [[field, text]]
  })
}

function sumUp(records: readonly Told[]): ReadonlyMap<string, Sums> {
  const table = new Map<string, Map<string, string>>()
  for (const { key, fields } of records) {
    let sums = table.get(key)
    if (!sums) table.set(key, sums = new Map())
    for (const [field, text] of fields) sums.set(field, merge(field, sums.get(field), text))
  }
  return table
}

function merge(field: string, a: string | undefined, b: string): string {
  if (a === undefined) return b
  if (/(bytes|packets)$/.test(field)) return String(Number(a) + Number(b))
  if (field === 'tcp_flags') return String(Number(a) | Number(b))
  const [x, y] = [Number.parseInt(a), Number.parseInt(b)]
  if (field === 'flow_start') return x <= y ? a : b
  if (field === 'flow_end') return x >= y ? a : b
  return [...new Set([...a.split(','), b])].sort().join(',')
}

/** The key of pmacctd, without ICMP's type and code. */
function plainKey({ fields }: Row): string {
  const of = (name: string): string => fields.get(name) ?? '0'
  return keyText(of('proto'), of('src_addr'), of('src_port'), of('dst_addr'), of('dst_port'))
}

/** softflowd and nfpcapd have type and code in the place of the destination port. */
function icmpKey(row: Row): string {
  const { fields } = row
  if (!fields.has('icmp_type')) return plainKey(row)
  const of = (name: string): string => fields.get(name) ?? '0'
  return keyText(of('proto'), of('src_addr'), '0', of('dst_addr'), `${of('icmp_type')}.${of('icmp_code')}`)
}

/** In v9 softflowd has them of IPv4 only. */
function icmp4Key(row: Row): string {
  return row.fields.get('proto') === '58' ? plainKey(row) : icmpKey(row)
}

function keyText(proto: string, src: string, srcPort: string, dst: string, dstPort: string): string {
  return [proto, src, srcPort, dst, dstPort === '0.0' ? '0' : dstPort].join(' ')
}

/** Lines of JSON. Of fragments behind the first, pmacctd knows the ports as well. */
function* readPmacct(path: string): Generator<Told> {
  for (const text of readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    const line = parseJson(text) as Readonly<Record<string, unknown>>
    const of = (name: string): string => String(line[name] ?? '')
    const named = of('ip_proto')
    const proto = /^\d+$/.test(named) ? named : String(PROTOCOLS[named] ?? protocolNumber(named))
    yield {
      key: keyText(proto, of('ip_src'), of('port_src'), of('ip_dst'), of('port_dst')),
      fields: [
        ['bytes', of('bytes')], ['packets', of('packets')], ['tcp_flags', of('tcp_flags')],
        ['tos', of('tos')], ['vlan_id', of('vlan')], ['src_mac', of('mac_src')], ['dst_mac', of('mac_dst')],
        // a line for each packet: the end is always 0
        ...line.timestamp_start === undefined ? [] : [
          ['flow_start', micros(of('timestamp_start'))], ['flow_end', micros(of('timestamp_start'))],
        ] as const,
      ],
    }
  }
}

/** Names of protocols in /etc/protocols that IANA writes otherwise. */
const PROTOCOLS: Readonly<Record<string, number>> = { 'ipv6-icmp': 58, ipencap: 4, ipv6: 41, sctp: 132 }

/** `2026-11-21 12:00:00.000001` as µs since the epoch. */
function micros(text: string): string {
  const [second, digits] = text.split('.')
  return String(Date.parse(`${second.replace(' ', 'T')}Z`) * 1000 + Number(digits))
}

/** nfdump 1.7.8's CSV: a first line with names. */
function* readCsv(path: string): Generator<ReadonlyMap<string, string>> {
  const [head, ...lines] = readFileSync(path, 'utf8').split('\n').filter(Boolean)
  const names = head.split(',')
  for (const line of lines) {
    const cells = line.split(',')
    yield new Map(names.map((name, i) => [name, cells[i]]))
  }
}

function toldBy(line: ReadonlyMap<string, string>): Told {
  const of = (name: string): string => line.get(name)!
  return {
    key: keyText(of('proto'), of('srcAddr'), of('srcPort'), of('dstAddr'), of('dstPort')),
    fields: [['bytes', of('bytes')], ['packets', of('packets')]],
  }
}

/** The times of softflowd are those of both directions together, and in v9 come round. */
function* readSoftflowd(path: string): Generator<Told> {
  for (const line of readCsv(path)) yield toldBy(line)
}

function* readNfpcapd(path: string): Generator<Told> {
  for (const line of readCsv(path)) {
    const start = Date.parse(`${line.get('firstSeen')!.replace(' ', 'T')}Z`)
    const { key, fields } = toldBy(line)
    const end = start + Math.round(Number(line.get('duration')) * 1000)
    yield { key, fields: [...fields, ['flow_start', `${start}ms`], ['flow_end', `${end}ms`]] }
  }
}

/** The datagrams of softflowd with biflows, as flowkit reads them, each direction for itself. */
function* readBiflows(path: string): Generator<Told> {
  const datagrams = packetsOf(dirname(path), basename(path))
  for (const row of decode(datagrams).rows) {
    for (const { key, fields } of directionsOf(row, plainKey)) {
      const counters = fields.filter(([field]) => field === 'bytes' || field === 'packets')
      // a direction without packets is sent as well
      if (counters.some(([, text]) => text !== '0')) yield { key, fields: counters }
    }
  }
}
