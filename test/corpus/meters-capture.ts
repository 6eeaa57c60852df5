/** What other meters tell of the flows in a capture, by key: how each writes it, and names the key. */
import { readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { protocolNumber } from '../../core/flow/names.ts'
import type { MeterOptions } from '../../core/meter/options.ts'
import { replyTo } from '../../core/meter/packet-key.ts'
import { packetsOf } from './corpus.ts'
import { keyText, type Told } from './flow-sums.ts'
import { decode, type Row } from './rows.ts'
import { parseJson } from './values.ts'

/** Another meter, and what flowkit must do to be compared with it. */
export interface Peer {
  /** Of the names of its files. */
  readonly ending: string
  readonly name: string
  /** How flowkit is to meter. */
  readonly options: MeterOptions
  read(path: string): Iterable<Told>
  /** What a row of flowkit's is in the peer's terms. */
  told(row: Row): readonly Told[]
}

const SOFTFLOWD = { name: 'softflowd', options: {}, read: readSoftflowd, told: withIcmp } as const
const NFPCAPD = { name: 'nfpcapd', options: { inner: true }, read: readNfpcapd, told: withTunnel } as const
const PMACCTD = { name: 'pmacctd', options: {}, read: readPmacct, told: plain } as const

/** The peers of peers/capture. */
export const PEERS: readonly Peer[] = [
  { ...PMACCTD, ending: 'pmacctd.json.json' },
  { ...PMACCTD, ending: 'pmacctd.times.json' },
  { ...SOFTFLOWD, ending: 'softflowd10ms.csv' },
  { ...SOFTFLOWD, ending: 'softflowd9-short.csv', told: withIcmp4 },
  {
    ...SOFTFLOWD, ending: 'softflowd10bi.pcap', options: { biflow: true }, read: readBiflows,
    told: directions,
  },
  { ...NFPCAPD, ending: 'nfpcapd.csv' },
  { ...NFPCAPD, ending: 'nfpcapd-e30-10.csv' },
]

/** What is compared of a row: everything that some peer tells of. */
const COMPARED = [
  'bytes', 'packets', 'flow_start', 'flow_end', 'tcp_flags', 'tos', 'vlan_id', 'src_mac', 'dst_mac',
]

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

function plain(row: Row): Told[] {
  return [{ key: plainKey(row), fields: compared(row.fields) }]
}

function withIcmp(row: Row): Told[] {
  return [{ key: icmpKey(row), fields: compared(row.fields) }]
}

/** In v9 softflowd has ICMP's type and code of IPv4 only. */
function withIcmp4(row: Row): Told[] {
  return row.fields.get('proto') === '58' ? plain(row) : withIcmp(row)
}

/** nfpcapd has a flow in a tunnel twice: again with the tunnel's protocol and addresses. */
function withTunnel(row: Row): Told[] {
  const inner = withIcmp(row)
  const { fields } = row
  const of = (name: string): string => fields.get(name) ?? '0'
  if (!fields.has('tun_proto')) return inner
  const port = fields.has('icmp_type') ? String(Number(of('icmp_type')) * 256 + Number(of('icmp_code')))
    : of('dst_port')
  const key = keyText(of('tun_proto'), of('tun_src_addr'), of('src_port'), of('tun_dst_addr'), port)
  return [...inner, { key, fields: inner[0].fields }]
}

/** What a row tells of each direction. */
function directions(row: Row): Told[] {
  const { fields } = row
  if (!fields.has('rev_packets')) return plain(row)
  const reverse = new Map<string, string>()
  for (const [name, text] of fields) {
    if (name === 'icmp_type') reverse.set(name, String(replyTo(Number(text))))
    else if (name.startsWith('rev_')) reverse.set(name.slice(4), text)
    else if (name.startsWith('src_')) reverse.set(name.replace('src_', 'dst_'), text)
    else if (name.startsWith('dst_')) reverse.set(name.replace('dst_', 'src_'), text)
    else if (!fields.has(`rev_${name}`)) reverse.set(name, text)
  }
  return [...plain(row), ...plain({ ...row, fields: reverse })]
}

function compared(fields: ReadonlyMap<string, string>): [field: string, text: string][] {
  return COMPARED.flatMap((field) => {
    const text = fields.get(field)
    return text === undefined ? [] : [[field, text]]
  })
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
    for (const { key, fields } of directions(row)) {
      const counters = fields.filter(([field]) => field === 'bytes' || field === 'packets')
      // a direction without packets is sent as well
      if (counters.some(([, text]) => text !== '0')) yield { key, fields: counters }
    }
  }
}
