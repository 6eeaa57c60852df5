/** What flowkit prints of a file as nfdump 1.7.1 does, byte for byte beside nfdump 1.7.1 itself. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import type { WriteRequest } from '../../formats/format.ts'
import { findFormat } from '../../formats/locations.ts'
import { EDITION_1_7_1 } from '../../formats/nfdump-text/template.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { batchOf, bytesOf, type Flow } from '../formats/flows.ts'
import { writeFile } from '../formats/nfdump-files.ts'
import { missing, output } from './peers.ts'
import { interopRows, richRows } from './rows.ts'

const skip = missing('nfdump')
  || (!/1\.7\.1/.test(output('nfdump', '-V')) && 'installed, but not of version 1.7.1: nfdump')

const folder = mkdtempSync(join(tmpdir(), 'flowkit-nfdump-'))
after(() => rmSync(folder, { recursive: true }))
const FLOWS_FILE = join(folder, 'nfcapd.202611211300')
const EVENTS_FILE = join(folder, 'nfcapd.202611211305')

process.env.TZ = 'UTC'

const START = Date.parse('2026-11-21T12:00:00.007Z') * 1000
const COMMON: Flow = {
  type: FLOW_TYPE.NETFLOW_V9, received: START + 20e6, exporter_addr: '192.0.2.254',
  flow_start: START, flow_end: START + 1_500_000, src_addr: '192.0.2.1', dst_addr: '198.51.100.17',
  src_port: 1024, dst_port: 443, proto: 6, packets: 7, bytes: 4321,
}

const { flow_start, flow_end, ...UNTIMED } = COMMON

/** Durations in ms: none, short, up to a day, over one. */
const DURATIONS = [
  0, 1, 10, 999, 1000, 59_999, 60_000, 3_599_999, 86_399_999, 86_400_000, 10 * 86_400_000 + 1,
]
/** About where numbers are scaled and rounded. */
const COUNTS = [
  0, 1, 999, 999_999, 1_000_000, 1_049_999, 1_050_000, 1_250_000, 1_350_000, 999_949_999, 999_950_000, 1e9,
  1.05e9, 2 ** 32, 99.95e9, 1e12, 1.25e12, 123_456_789_012_345,
]
const ADDRESSES = [
  ['0.0.0.0', '255.255.255.255'], ['10.0.0.1', '100.200.100.200'], ['::', '::1'],
  ['::ffff:192.0.2.1', '::192.0.2.1'], ['2001:db8::1', 'fe80::1:2:3:4'],
  ['2001:db8:0:1::', '2001:db8:1111:2222:3333:4444:5555:6666'],
]

const FLOWS: readonly Flow[] = [
  ...[...interopRows, ...richRows].map(({ fields }): Flow => ({ ...COMMON, ...fields } as Flow)),
  ...DURATIONS.map((millis): Flow => ({ ...COMMON, flow_end: START + millis * 1000 })),
  ...COUNTS.map((count): Flow => ({
    ...COMMON, bytes: count, packets: Math.ceil(count / 3), out_bytes: count, out_packets: 1,
  })),
  ...ADDRESSES.map(([src_addr, dst_addr]): Flow => ({
    ...COMMON, src_addr, dst_addr, src_mask: 13, dst_mask: src_addr.includes(':') ? 61 : 27,
    next_hop: dst_addr, bgp_next_hop: src_addr, exporter_addr: dst_addr,
  })),
  ...Array.from({ length: 256 }, (_, proto): Flow => ({ ...COMMON, proto, tcp_flags: proto })),
  ...[0, 1, 1001, 1002, 1003, 1004, 1005].map((firewall_ext_event, i): Flow => ({
    ...COMMON, event_time: START + 8000, firewall_event: i, firewall_ext_event, flow_id: 123_456n,
    in_acl: Buffer.from('0102030405060708090a0b0c', 'hex'),
    out_acl: Buffer.from('00000001000000020000000a', 'hex'),
    user_name: i % 2 ? 'alice' : 'someone with a name', post_nat_src_addr: '203.0.113.7',
    post_nat_dst_addr: '198.51.100.17', post_napt_src_port: 60_000 + i, post_napt_dst_port: i,
  })),
  {
    ...COMMON, observation_domain_id: 42, observation_point_id: 77n, client_latency: 1, server_latency: 1234,
    app_latency: 2 ** 32 - 1, end_reason: 5, biflow_direction: 3, direction: 1, forwarding_status: 255,
    post_tos: 255, tos: 1, flows: 123_456, in_if: 2 ** 32 - 1, out_if: 1_000_000, src_as: 4_200_000_001,
    dst_as: 1, next_as: 64_496, prev_as: 4_200_000_002, vlan_id: 4094, post_vlan_id: 1,
    src_mac: '02:00:5e:10:00:ff', dst_mac: 'ff:ff:ff:ff:ff:ff', post_src_mac: '00:00:00:00:00:01',
    post_dst_mac: '02:00:00:00:00:00', application_id: Buffer.from('0d0001bb', 'hex'),
    mpls_label_1: 1_048_575, mpls_label_2: 16, mpls_label_10: 3, mpls_exp: 0x1e,
  },
  ...(['192.0.2.99', '2001:db8::99'] as const).map((tun_src_addr): Flow => ({
    ...COMMON, tun_src_addr, tun_dst_addr: tun_src_addr, tun_proto: 47, tcp_flags: 24, tos: 4,
  })),
]

/** Of a NAT, whose flows have no times of their own. */
const EVENTS: readonly Flow[] = [
  ...[1, 2, 3, 4, 14].map((nat_event): Flow => ({
    ...UNTIMED, event_time: START + nat_event, nat_event, src_vrf: 7, dst_vrf: 4_000_000_000,
    post_nat_src_addr: '2001:db8::7',
    post_nat_dst_addr: '2001:db8:1111:2222:3333:4444:5555:6666',
    post_napt_src_port: 1, post_napt_dst_port: 65_535, port_block_start: 1024, port_block_end: 65_535,
    port_block_step: 1, port_block_size: 512,
  })),
]

before(async () => {
  if (skip !== false) return
  for (const [path, flows] of [[FLOWS_FILE, FLOWS], [EVENTS_FILE, EVENTS]] as const) {
    writeFileSync(path, (await writeFile({}, batchOf(flows))).bytes)
  }
})

/** What flowkit prints of the file. */
function printed(path: string, name: string, request: WriteRequest): string {
  const format = findFormat(name)
  const batch = new FlowBatch()
  const fields = format.printed ?? []
  const decoder = nfdump.decoder!({ fields, onFault: ({ reason }) => assert.fail(reason) })
  const bytes = readFileSync(path)
  assert.equal(decoder.decode(bytes, 0, batch), bytes.length)
  return bytesOf(format, [batch], request).toString()
}

/**
 * Without how long it took, how many bytes were read, and in JSON networks of IPv6, which are other ones, and
 * milliseconds of events, which have no leading zeros.
 */
function comparable(text: string): string {
  return text.replace(/^Sys: .*/m, 'Sys').replace(/Bytes read: \d+/, 'Bytes read')
    .replace(/("(?:src|dst)_net" : ").*:.*/g, '$1').replace(/("t_event" : ".*\.)0*(?=\d)/g, '$1')
}

/** Compare with what nfdump prints of the file of flows, and quietly of that of events. */
function same(name: string, peersName: string, option: string, request: WriteRequest): void {
  for (const path of request.quiet ? [FLOWS_FILE, EVENTS_FILE] : [FLOWS_FILE]) {
    const theirs = output('nfdump', '-r', path, ...option === '' ? [] : [option], '-o', peersName)
    const [ours, expected] = [printed(path, name, request), theirs]
      .map((text) => comparable(text).split('\n'))
    for (const [i, line] of expected.entries()) assert.equal(ours[i], line, `line ${i + 1}`)
    assert.equal(ours.length, expected.length)
  }
}

const OPTIONS = new Map<string, WriteRequest>([
  ['', {}], ['-q', { quiet: true }], ['-N', { plainNumbers: true }], ['-6', { ipv6Full: true }],
])

for (const name of Object.keys(EDITION_1_7_1.lines)) {
  for (const [option, request] of OPTIONS) {
    test(`${name}-1.7.1 is nfdump's ${name} ${option}`, { skip }, () => {
      if (option === '-6') same(`${name}-1.7.1`, `${name}6`, '', request)
      else same(`${name}-1.7.1`, name, option, request)
    })
  }
}

const DATA = [['nfdump-csv-1.7.1', 'csv'], ['nfdump-json-1.7.1', 'json'], ['pipe', 'pipe']] as const

for (const [name, peersName] of DATA) {
  for (const option of ['', '-q']) {
    test(`${name} is nfdump's ${peersName} ${option}`, { skip }, () => {
      same(name, peersName, option, OPTIONS.get(option)!)
    })
  }
}

/**
 * All that 1.7.1 knows, but payloads, %ter, of which it prints other milliseconds, and %mpls10, which it
 * takes for %mpls1.
 */
const TOKENS = `
  nfv cnt tfs ts tsr te tr trr td tds exp pr sa da gsa gda sn dn nh nhb ra sap dap gsap gdap sp dp it ic sas
  das nas pas in inam out onam pkt ipkt opkt byt ibyt obyt fl flg tos stos dtos dir smk dmk fwd bfd end svln
  dvln ismc odmc idmc osmc mpls1 mpls2 mpls3 mpls4 mpls5 mpls6 mpls7 mpls8 mpls9 mpls bps pps bpp eng lbl sc
  dc sloc dloc n nbid ja3 sni nbnam odid opid vrf ivrf ivrfnam evrf evrfnam nfc tevt evt xevt sgt msec iacl
  eacl xsa xda xsp xdp xsap xdap uname nevt nsa nda nsp ndp nsap ndap pbstart pbend pbstep pbsize cl sl al
  line long extended biline bilong nsel nel
`.trim().split(/\s+/)

for (const name of TOKENS) {
  test(`the token %${name} prints what it prints in nfdump`, { skip }, () => {
    for (const [option, request] of OPTIONS) {
      if (option !== '-6') same(`fmt-1.7.1:<%${name}>`, `fmt:<%${name}>`, option, request)
    }
  })
}
