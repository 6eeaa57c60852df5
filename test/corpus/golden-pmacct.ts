/** The goldens of pmacct's tests: JSON a line, flows of one key summed up. */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { protocolNumber } from '../../core/flow/names.ts'
import { readPairs, type Golden, type Pair, type Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import type { Row } from './rows.ts'
import { parseJson } from './values.ts'

const FOLDER = 'real/pmacct/tests'

/** pmacct's names of what makes up a key, and flowkit's. */
const KEY: Readonly<Record<string, string>> = {
  ip_src: 'src_addr', ip_dst: 'dst_addr', port_src: 'src_port', port_dst: 'dst_port', ip_proto: 'proto',
  tos: 'tos', iface_in: 'in_if', iface_out: 'out_if',
}
/** Fields whose values, all that occur under a key, are compared. */
const SETS: Readonly<Record<string, string>> = {
  mask_src: 'src_mask', mask_dst: 'dst_mask', mac_src: 'src_mac', mac_dst: 'dst_mac', vlan_in: 'vlan_id',
  etype: 'etype', vrf_id_ingress: 'src_vrf', vrf_id_egress: 'dst_vrf',
  mpls_tl_ipv4_address: 'mpls_top_label_addr', mpls_tl_type: 'mpls_top_label_type',
  iface_name_in: 'in_if_name', iface_name_out: 'out_if_name',
}
const FLAGS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ECE', 'CWR']
/** Upper two bits of a forwarding status. */
const STATUS = ['UNKNOWN', 'FORWARDED', 'DROPPED', 'CONSUMED']

type Line = Readonly<Record<string, unknown>>

/** pmacct's goldens and the readings of each. */
export function* pmacct(corpus: string): Generator<Golden> {
  for (const name of readdirSync(join(corpus, FOLDER)).sort()) {
    const folder = `${FOLDER}/${name}`
    const inside = readdirSync(join(corpus, folder)).sort()
    const files = inside.filter((file) => file.endsWith('.pcap')).map((file) => `${folder}/${file}`)
    for (const output of inside.filter((file) => file.endsWith('.json'))) {
      const path = `${folder}/${output}`
      const text = readFileSync(join(corpus, path), 'utf8')
      const lines = text.split('\n').filter(Boolean).map((line) => parseJson(line) as Line)
      // each file is a router of its own, which the test gave an address by its number
      const routers = [...new Set(lines.map((line) => String(line.peer_ip_src)))].sort()
      const readings = files.flatMap((file, i) => {
        const pairs = readPairs(packetsOf(corpus, file)).filter(({ row }) => row)
        return compareRouter(path, pairs, lines.filter((line) => line.peer_ip_src === routers[i]))
      })
      yield { path, files, records: lines.length, readings }
    }
  }
}

function compareRouter(golden: string, pairs: readonly Pair[], lines: readonly Line[]): Reading[] {
  const names = Object.keys(KEY)
  const fields = Object.values(KEY)
  const theirs = Map.groupBy(lines.map(outer), (line) =>
    names.map((name) => keyText(name, line[name])).join(' '))
  const ours = Map.groupBy(pairs, ({ row }) => fields.map((field) => row!.fields.get(field) ?? '0').join(' '))
  let record = 0
  const readings: Reading[] = []
  for (const key of new Set([...ours.keys(), ...theirs.keys()])) {
    const group = theirs.get(key)
    const own = ours.get(key)
    const base = { peer: 'pmacct', golden, record: record++, ...own?.[0], all: group?.[0] }
    if (group && own) {
      const values = compareGroup(own.map(({ row }) => row!), group)
      for (const [field, ours, theirs] of values) readings.push({ ...base, field, ours, theirs })
    } else {
      const [ours, theirs] = [own && `a flow ${key}`, group && `a record ${key}`]
      readings.push({ ...base, field: 'record', ours, theirs })
    }
  }
  return readings
}

/** Of a packet in a packet, with the key of the outer one: pmacct's `tunnel_`, and flowkit's flow. */
function outer(line: Line): Line {
  const { tunnel_ip_src: src, tunnel_ip_dst: dst, tunnel_ip_proto: proto } = line
  if (src === undefined || src === '') return line
  const key = { ip_src: src, ip_dst: dst, ip_proto: proto === 'ipencap' ? '4' : proto }
  return { ...line, ...key, port_src: 0, port_dst: 0, tos: 0 }
}

function keyText(name: string, value: unknown): string {
  if (name !== 'ip_proto') return String(value)
  return /^\d+$/.test(String(value)) ? String(value) : String(protocolNumber(String(value)))
}

/** What a key's flows have together: field, flowkit's text, pmacct's. */
function* compareGroup(
  rows: readonly Row[], lines: readonly Line[],
): Generator<[field: string, ours: string | undefined, theirs: string]> {
  for (const field of ['bytes', 'packets']) {
    yield [field, sum(rows.map(({ fields }) => fields.get(field))), sum(lines.map((line) => line[field]))]
  }
  const known = lines.map((line) => ({ ...line, ...line.custom_primitives as Line | undefined }) as Line)
  for (const [name, field] of Object.entries(SETS)) {
    const values = known.map((line) => line[name]).filter((value) => value !== undefined)
    const theirs = unique(values.map((value) => name === 'etype' ? fromHex(value) : String(value)))
    const ours = unique(rows.map(({ fields }) => fields.get(field)).filter((value) => value !== undefined))
    const isNothing = ours === '' && /^(|0|0\.0\.0\.0|::|00:00:00:00:00:00)$/.test(theirs)
    if (values.length > 0 && !isNothing) yield [field, ours, theirs]
  }
  const flags = rows.reduce((all, { fields }) => all | Number(fields.get('tcp_flags')), 0) & 255
  const theirFlags = lines.reduce((all, line) => all | flagsOf(line.tcp_flags as string[]), 0)
  yield ['tcp_flags', String(flags), String(theirFlags)]
  if (rows[0].fields.has('forwarding_status')) {
    const ours = rows.map(({ fields }) => STATUS[Number(fields.get('forwarding_status')) >> 6])
    const theirs = lines.map((line) => String(line.fwd_status).split(' ')[0])
    yield ['forwarding_status', unique(ours), unique(theirs)]
  }
  if (lines[0].mpls_label_stack) {
    const stacks = lines.map((line) => line.mpls_label_stack as string[])
    const theirs = stacks.map((stack) => stack.map((one) => one.split('-')[1]).join(' '))
    yield ['mpls_labels', unique(rows.map(labelsOf)), unique(theirs)]
  }
  if (rows.length > 1 || lines.length > 1) return
  for (const [name, field] of [['timestamp_start', 'flow_start'], ['timestamp_end', 'flow_end']]) {
    const [seconds, micros] = String(lines[0][name]).split('.')
    if (micros !== undefined) yield [field, rows[0].fields.get(field), `${seconds}${micros}`]
  }
}

function fromHex(value: unknown): string {
  return String(Number.parseInt(String(value), 16))
}

function sum(values: readonly unknown[]): string {
  return String(values.reduce((total: number, value) => total + Number(value ?? 0), 0))
}

function unique(values: readonly string[]): string {
  return [...new Set(values)].sort().join(',')
}

function flagsOf(names: readonly string[]): number {
  return names.reduce((all, name) => all | 1 << FLAGS.indexOf(name), 0)
}

/** The labels without the zeros that fill the stack. */
function labelsOf({ fields }: Row): string {
  const labels = Array.from({ length: 10 }, (_, i) => fields.get(`mpls_label_${i + 1}`) ?? '0')
  return labels.filter((label) => label !== '0').join(' ')
}
