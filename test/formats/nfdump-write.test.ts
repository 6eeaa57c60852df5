import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { FIELDS } from '../../core/flow/fields.ts'
import { lossByField } from '../../core/flow/loss.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { findInputs, readInputs } from '../../formats/locations.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { nfdump, nfdump178 } from '../../formats/nfdump.ts'
import { rotatedName } from '../../formats/nfdump/names.ts'
import { batchOf, type RowSource } from '../core/netflow/encode/rows.ts'
import { pick, type Row } from '../core/netflow/messages.ts'
import { readFile, writeFile } from './nfdump-files.ts'

const ALL = { fields: FIELDS.map(({ id }) => id), extras: true }
const T = 1_795_000_000_123_000 // µs

/** What every record of nfdump has. */
const BASE: Row = {
  flow_start: T, flow_end: T + 456_000, received: T + 900_000, packets: 10, bytes: 2 ** 53, proto: 6,
  src_port: 50_000,
  dst_port: 443, tcp_flags: 0x1b, tos: 0xb8, forwarding_status: 64,
}
const V4: Row = { ...BASE, src_addr: '10.1.2.3', dst_addr: '198.51.100.7', etype: 0x800 }
const V6: Row = { ...BASE, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', etype: 0x86dd }

/** Write rows with all that nfdump 1.7.8 knows, and read them again. */
function through(...sources: readonly (Row | RowSource)[]) {
  return throughFormat(nfdump178, ...sources)
}

/** Write rows in a format, and read them again. */
async function throughFormat(format: FlowFormat, ...sources: readonly (Row | RowSource)[]) {
  const batch = batchOf(...sources.map((source) => (
    'fields' in source ? source as RowSource : { fields: source as Row }
  )))
  const { bytes, loss } = await writeFile({ format, compression: 'none' }, batch)
  const { rows, faults, error } = readFile(bytes, ALL)
  assert.deepEqual([faults, error], [[], undefined])
  const lost = lossByField(loss).map(({ name, leftOut, narrowed }) => `${name} ${leftOut}/${narrowed}`)
  return { bytes, rows, lost }
}

/** Fields that lie in one extension, all of its fields, so that nothing is added. */
const GROUPS: readonly Row[] = [
  {
    in_if: 70_000, out_if: 2, src_mask: 24, dst_mask: 16, direction: 1, post_tos: 8, biflow_direction: 2,
    end_reason: 3,
    rev_tcp_flags: 0x12,
  },
  { flows: 3, out_packets: 9, out_bytes: 99 }, { vlan_id: 100, post_vlan_id: 200 },
  { src_as: 64_496, dst_as: 4_200_000_001 }, { bgp_next_hop: '192.0.2.1' }, { bgp_next_hop: '2001:db8::9' },
  { next_hop: '192.0.2.2' }, { next_hop: '2001:db8::b' }, { exporter_addr: '192.0.2.3' },
  { exporter_addr: '2001:db8::d' },
  { mpls_label_1: 1000, mpls_label_2: 2000, mpls_label_3: 1_048_575, mpls_exp: 0xf5a },
  {
    src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02', post_src_mac: '02:00:00:00:00:03',
    post_dst_mac: 'ff:ff:ff:ff:ff:ff',
  },
  { next_as: 64_501, prev_as: 64_502 }, { client_latency: 1500, server_latency: 0, app_latency: 2 ** 32 - 1 },
  { sampler_id: 2 ** 40 + 7 },
  { event_time: T, flow_id: 2 ** 32 - 1, firewall_event: 2, firewall_ext_event: 1001 },
  { post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '203.0.113.2' },
  { post_nat_src_addr: '2001:db8:3::1', post_nat_dst_addr: '2001:db8:3::2' },
  { post_napt_src_port: 1025, post_napt_dst_port: 8443 },
  { in_acl: '0102030405060708090a0b0c', out_acl: 'ff'.repeat(12) },
  { user_name: 'ä'.repeat(32) }, { event_time: T, nat_pool_id: 5, nat_event: 4 },
  { port_block_start: 1024, port_block_end: 2047, port_block_step: 1, port_block_size: 1024 },
  { application_id: '0d0001c5' }, { application_id: '0d00' },
  { application_id: '03', application_name: 'dns' },
  { tun_src_addr: '192.0.2.1', tun_dst_addr: '192.0.2.2', tun_proto: 47 },
  { tun_src_addr: '2001:db8::1', tun_dst_addr: '2001:db8::2', tun_proto: 41 },
  { observation_point_id: 2 ** 33 + 1, observation_domain_id: 77 }, { src_vrf: 11, dst_vrf: 12 },
  { src_vrf: 13, dst_vrf: 14, src_vrf_name: 'red', dst_vrf_name: 'blue' },
  { pf_action: 1, pf_reason: 8, pf_direction: 2, pf_rule: 17 },
  { pf_action: 1, pf_reason: 8, pf_direction: 2, pf_rule: 17, in_if_name: 'em0' },
  {
    customer_vlan_id: 20, post_customer_vlan_id: 40, phys_in_if: 7, phys_out_if: 8,
  },
  { flow_id: 2 ** 45 }, { ip_flags: 0x40, min_ttl: 60, max_ttl: 64 },
  { type: FLOW_TYPE.NETFLOW_V5, engine_type: 1, engine_id: 7 },
  { type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 0x1234 },
  { type: FLOW_TYPE.IPFIX, observation_domain_id: 2 ** 32 - 1, exporter_addr: '192.0.2.1' },
  { type: FLOW_TYPE.SFLOW_5, sub_agent_id: 3, exporter_addr: '2001:db8::3' }, { type: FLOW_TYPE.PACKETS },
  {
    type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 1, sampling_rate: 2 ** 32 - 1, sampling_algorithm: 2,
    sampling_source: SAMPLING_SOURCE.options, sampling_applied: 1,
  },
]

test('every field that nfdump has a place for comes back, alone and beside others', async () => {
  const sources = GROUPS.flatMap((group) => [{ ...V4, ...group }, { ...V6, ...group }])
  const { rows, lost } = await through(...sources)
  assert.deepEqual(rows, sources)
  assert.deepEqual(lost, [])
})

test('rows of many layouts keep their order over many blocks', async () => {
  const sources = Array.from({ length: 15_000 }, (_, i) => (
    { ...i % 2 ? V4 : V6, ...GROUPS[i % GROUPS.length], packets: i }
  ))
  const { bytes } = await writeFile({ format: nfdump178 }, batchOf(...sources.map((fields) => ({ fields }))))
  assert.ok(new DataView(bytes.buffer, bytes.byteOffset).getUint32(36, true) > 1)
  const { rows } = readFile(bytes, ALL)
  assert.deepEqual(rows, sources)
})

test('elements without a column that nfdump has extensions for come back', async () => {
  const extras = [
    { pen: 6871, id: 18, hex: '474554', variable: true }, { pen: 637, id: 91, hex: '0001' },
    { pen: 637, id: 92, hex: '0002' }, { pen: 637, id: 93, hex: '737562', variable: true },
    { pen: 0, id: 408, hex: '0001' },
    { pen: 0, id: 315, hex: '0102', variable: true }, { pen: 0, id: 95, hex: '0d' },
  ]
  const { rows, lost } = await through({ fields: { ...V4, frame_length: 1400 }, extras })
  assert.deepEqual(rows, [{
    ...V4, frame_length: 1400,
    extras: ['0/408=0001', '637/91=0001', '637/92=0002', '6871/18=474554', '0/315=0102', '637/93=737562'],
  }]) // those of fixed length first
  assert.deepEqual(lost, ['applicationId 1/0'])
})

test('what has no place is told of, and what is cut', async () => {
  const { rows, lost } = await through({
    ...V4, flow_start: T + 1, sequence_num: 5, agent_addr: '10.0.0.1', ip_ttl: 60, mpls_label_1: 16,
    mpls_ttl: 3,
    tcp_flags: 0x11b, user_name: 'x'.repeat(70), in_acl: '0102', firewall_event: 1, flow_id: 2 ** 33, tag: 7,
    post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '2001:db8::1', in_if_name: 'eth0',
  })
  assert.deepEqual(lost, [
    'agent_addr 1/0', 'sequence_num 1/0', 'tag 1/0', 'flow_start 0/1', 'tcp_flags 0/1', 'in_if_name 1/0',
    'ip_ttl 1/0',
    'mpls_ttl 1/0', 'post_nat_src_addr 0/1', 'in_acl 0/1', 'flow_id 0/1', 'user_name 0/1',
  ])
  assert.deepEqual(pick(rows, 'flow_start', 'tcp_flags', 'flow_id', 'in_acl', 'post_nat_src_addr'), [{
    flow_start: T, tcp_flags: 0x1b, flow_id: 2 ** 32 - 1, in_acl: '010200000000000000000000',
    post_nat_src_addr: '::ffff:203.0.113.1',
  }])
  assert.equal(String(rows[0]['user_name']).length, 65)
})

test('counters of the reverse direction go where nfcapd has them', async () => {
  const { rows, lost } = await through(
    { ...V4, rev_bytes: 99, rev_packets: 9 }, { ...V4, rev_bytes: 99, out_bytes: 7, out_packets: 1 },
  )
  assert.deepEqual(pick(rows, 'out_bytes', 'out_packets'), [
    { out_bytes: 99, out_packets: 9 }, { out_bytes: 7, out_packets: 1 },
  ])
  assert.deepEqual(lost, ['rev_bytes 1/0'])
})

test('type and code of ICMP go into the destination port', async () => {
  const { dst_port: _, ...plain } = V4
  const { rows, lost } = await through(
    { ...plain, proto: 1, icmp_type: 3, icmp_code: 1 },
    { ...V4, proto: 58, dst_port: 5, icmp_type: 128, icmp_code: 0 },
  )
  assert.deepEqual(pick(rows, 'icmp_type', 'icmp_code', 'dst_port'), [
    { icmp_type: 3, icmp_code: 1, dst_port: 0x301 }, { icmp_type: 128, icmp_code: 0, dst_port: 0x8000 },
  ])
  assert.deepEqual(lost, ['dst_port 0/1'])
})

test('the sampling rate of each flow comes back, however it changes', async () => {
  const from = { ...V4, type: FLOW_TYPE.IPFIX, observation_domain_id: 7 }
  const rate = (sampling_rate: number, more: Row = {}): Row => (
    { ...from, sampling_rate, sampling_source: SAMPLING_SOURCE.options, ...more }
  )
  const sources = [
    from, rate(100), rate(100), rate(10), from, rate(10), rate(5, { sampler_id: 3 }), rate(10), from,
    { ...from, sampler_id: 3 }, { ...from, sampler_id: 4 }, rate(10, { observation_domain_id: 8 }), from,
    rate(7, { sampler_id: 2 ** 40 }), { ...from, observation_domain_id: 9 },
    rate(2, { observation_domain_id: 9, sampler_id: 1 }),
    { ...from, observation_domain_id: 9 },
  ]
  const { rows, lost } = await through(...sources)
  assert.deepEqual(rows, sources)
  assert.deepEqual(lost, [])
})

/** Fields that only newer versions than 1.7.1 know, which complains of the extensions that they are in. */
const NEWER = new Set([
  'customer_vlan_id', 'post_customer_vlan_id', 'phys_in_if', 'phys_out_if', 'flow_id', 'sampler_id',
  'ip_flags', 'min_ttl', 'max_ttl',
])

test('without being told, only what nfdump 1.7.1 knows too is written, all of that', async () => {
  const isLost = (name: string, row: Row) => NEWER.has(name) && !(name === 'flow_id' && 'firewall_event' in row)
  const sources = GROUPS.flatMap((group) => [{ ...V4, ...group }, { ...V6, ...group }])
  const { bytes, rows, lost } = await throughFormat(nfdump, ...sources)
  assert.deepEqual(rows, sources.map((row) => (
    Object.fromEntries(Object.entries(row).filter(([name]) => !isLost(name, row)))
  )))
  assert.deepEqual(lost.toSorted(), [...NEWER].map((name) => `${name} 2/0`).sort())
  assert.equal(bytes.readUInt32LE(4), 0x01070100)
  const { bytes: newer } = await throughFormat(nfdump178, V4)
  assert.equal(newer.readUInt32LE(4), 0x01070800)
})

test('without being told, what nfdump 1.7.1 complains of is left out, and told of', async () => {
  const payload = { pen: 6871, id: 18, variable: true }
  const sampled = {
    ...V4, type: FLOW_TYPE.IPFIX, observation_domain_id: 7, sampling_rate: 5,
    sampling_source: SAMPLING_SOURCE.options,
  }
  const { rows, lost } = await throughFormat(
    nfdump,
    { fields: { ...V4, application_id: 'ff'.repeat(15) } },
    { fields: { ...V4, application_id: 'ff'.repeat(16) } },
    { fields: { ...V4, in_if_name: 'em0', pf_action: 1 }, extras: [{ ...payload, hex: '' }] },
    { fields: V4, extras: [{ ...payload, hex: '47' }] },
    {
      fields: { ...V4, frame_length: 1400 },
      extras: [{ pen: 0, id: 408, hex: '0001' }, { pen: 637, id: 91, hex: '0001' }],
    },
    { fields: { ...sampled, sampler_id: 3 } },
  )
  assert.deepEqual(rows, [
    { ...V4, application_id: 'ff'.repeat(15) }, V4,
    { ...V4, in_if_name: 'em0', pf_action: 1, pf_direction: 0, pf_reason: 0, pf_rule: 0 },
    { ...V4, extras: ['6871/18=47'] }, V4,
    sampled,
  ])
  assert.deepEqual(lost, [
    'sampler_id 1/0', 'frame_length 1/0', 'application_id 1/0', 'payload 1/0', 'dataLinkFrameType 1/0',
    'en637id91 1/0',
  ])
})

test('blocks and appendix lie where the header says, as nffileV2.h has it', async () => {
  const { bytes } = await through(V4)
  assert.equal(bytes.toString('hex', 0, 4), '0ca50200')
  const [compression, encryption, appendixBlocks] = bytes.subarray(16)
  assert.deepEqual([compression, encryption, appendixBlocks], [0, 0, 1])
  const appendix = Number(bytes.readBigUInt64LE(24))
  assert.equal(bytes.readUInt32LE(36), 1)
  assert.equal(appendix, 40 + 12 + bytes.readUInt32LE(44))
  assert.deepEqual([bytes.readUInt32LE(appendix), bytes.readUInt16LE(appendix + 8)], [2, 3])
  assert.equal(bytes.toString('latin1', appendix + 16, appendix + 20), 'none')
  const numbers = Array.from({ length: 18 }, (_, i) => Number(bytes.readBigUInt64LE(appendix + 26 + i * 8)))
  assert.deepEqual(numbers, [
    1, 2 ** 53, 10, 1, 0, 0, 0, 2 ** 53, 0, 0, 0, 10, 0, 0, 0, T / 1000, (T + 456_000) / 1000, 0,
  ])
  assert.equal(bytes.length, appendix + 26 + 144)
})

test('a file without flows is whole', async () => {
  const { bytes } = await writeFile({})
  assert.deepEqual(readFile(bytes), { rows: [], faults: [], error: undefined })
  assert.equal(nfdump.probe!(bytes), 95)
})

for (const compression of ['none', 'lzo', 'lz4', 'zstd', 'zstd:19']) {
  test(`a file is written with compression ${compression}`, async () => {
    const sources = Array.from({ length: 500 }, (_, i) => ({ ...V4, packets: i }))
    const { bytes } = await writeFile({ compression }, batchOf(...sources.map((fields) => ({ fields }))))
    assert.equal(bytes[16], { none: 0, lzo: 1, lz4: 3 }[compression] ?? 4)
    assert.deepEqual(readFile(bytes, ALL).rows, sources)
  })
}

test('a folder of nfcapd is read without the files it works on, and a file from standard input', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-nfdump-'))
  try {
    const rotated = rotatedName(T, false, 1)
    mkdirSync(join(folder, dirname(rotated)), { recursive: true })
    const { bytes } = await writeFile({}, batchOf({ fields: V4 }, { fields: V6 }))
    const open = Buffer.concat([bytes.subarray(0, 40), new Uint8Array(9)]).fill(0, 18, 40) // nothing is written yet
    writeFileSync(join(folder, rotated), bytes)
    writeFileSync(join(folder, 'nfcapd.current.4711'), open)
    writeFileSync(join(folder, '.nfstat'), 'first=1\nlast=2\n')
    const count = async (word: string, ...standardInput: Uint8Array[]) => {
      const input = Readable.from(standardInput) as AsyncIterable<Uint8Array>
      let rows = 0
      const inputs = await findInputs([word], undefined, input)
      for await (const batch of readInputs(inputs, {}, ({ reason }) => assert.fail(reason))) rows += batch.length
      return [inputs.length, rows]
    }
    assert.deepEqual(await count(folder), [1, 2])
    assert.deepEqual(await count('-', bytes.subarray(0, 3), bytes.subarray(3, 100), bytes.subarray(100)), [1, 2])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a compression that nfdump does not have is refused', async () => {
  for (const compression of ['gzip', 'bz2', 'lzo:1', 'zstd:0', 'zstd:23', 'zstd:x']) {
    await assert.rejects(writeFile({ compression }), {
      code: 'ERR_OPTION',
      message: `Cannot use compression "${compression}": nfdump has none, lzo, lz4, zstd and zstd:1 to zstd:22`,
    })
  }
})

test('a file has its name once it is whole, and leaves nothing behind when it is given up', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-nfdump-'))
  try {
    const path = join(folder, 'nfcapd.1')
    const given = await nfdump.create!(path, {})
    await given.write(batchOf({ fields: V4 }))
    assert.equal(existsSync(path), false)
    await given.abort()
    assert.deepEqual(readdirSync(folder), [])
    const kept = await nfdump.create!(path, {})
    await kept.write(batchOf({ fields: V4 }))
    await kept.close()
    assert.deepEqual(readdirSync(folder), ['nfcapd.1'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('files are named as nfcapd names them, in the hierarchies of its -S', () => {
  const name = (date: Date, seconds?: boolean, hierarchy?: number) =>
    rotatedName(date.getTime() * 1000, seconds, hierarchy)
  const date = new Date(2026, 10, 21, 13, 5, 9) // a Saturday, the 325th day, in week 46
  assert.equal(name(date), 'nfcapd.202611211305')
  assert.equal(name(date, true), 'nfcapd.20261121130509')
  const folders = Array.from({ length: 9 }, (_, i) => name(date, false, i).replace(/nfcapd\.202611211305$/, ''))
  assert.deepEqual(folders, [
    '', '2026/11/21/', '2026/11/21/13/', '2026/46/6/', '2026/46/6/13/', '2026/325/', '2026/325/13/',
    '2026-11-21/',
    '2026-11-21/13/',
  ])
  const week = (year: number, month: number, day: number) =>
    name(new Date(year, month - 1, day), false, 3).slice(5, 9)
  // before the first Monday it is week 00; Sunday is day 7
  assert.deepEqual([week(2026, 1, 1), week(2026, 1, 4), week(2026, 1, 5), week(2024, 1, 1), week(2024, 12, 31)],
    ['00/4', '00/7', '01/1', '01/1', '53/2'])
  assert.throws(() => rotatedName(0, false, 9), RangeError)
})
