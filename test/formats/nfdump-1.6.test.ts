import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { test } from 'node:test'
import { FIELDS } from '../../core/flow/fields.ts'
import { lossByField, newLoss } from '../../core/flow/loss.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { nfdump16 } from '../../formats/nfdump.ts'
import { FORMER_WRITTEN } from '../../formats/nfdump/former-extensions.ts'
import { readIdent } from '../../formats/nfdump/ident.ts'
import type { Extension } from '../../formats/nfdump/parts.ts'
import type { WritePlan } from '../../formats/nfdump/write-plan.ts'
import { WrittenMaps } from '../../formats/nfdump/written-maps.ts'
import { batchOf } from '../core/netflow/encode/rows.ts'
import { join, pick, text, type Row } from '../core/netflow/messages.ts'
import { block, le, readFile, two64, writeFile } from './nfdump-files.ts'

const ALL = { fields: FIELDS.map(({ id }) => id), extras: true }
const FIRST = 1_795_000_000 // s
/** Bytes of header and statistics, of the header of a block, and where its records begin. */
const HEADER = 140 + 136
const RECORDS = HEADER + 12

/** What every record has. */
const V4: Row = {
  flow_start: FIRST * 1e6 + 123_000, flow_end: (FIRST + 10) * 1e6 + 456_000, packets: 10, bytes: 1500,
  proto: 6, src_port: 50_000, dst_port: 443, tcp_flags: 0x1b, tos: 0xb8, forwarding_status: 64,
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', etype: 0x800,
}
const V6: Row = { ...V4, src_addr: '2001:db8::1', dst_addr: '2001:db8::2', etype: 0x86dd }

async function written(...sources: readonly Row[]) {
  const batch = batchOf(...sources.map((fields) => ({ fields })))
  const { bytes, loss } = await writeFile({ format: nfdump16, compression: 'none', ident: 'a' }, batch)
  const lost = lossByField(loss).map(({ name, leftOut, narrowed }) => `${name} ${leftOut}/${narrowed}`)
  return { bytes, lost }
}

/** Write rows, and read them again. */
async function through(...sources: readonly Row[]) {
  const { bytes, lost } = await written(...sources)
  const { rows, faults, error } = readFile(bytes, ALL)
  assert.deepEqual([faults, error], [[], undefined])
  return { rows, lost }
}

/** The records of a file with one block. */
async function recordsOf(...sources: readonly Row[]): Promise<Buffer> {
  const { bytes } = await written(...sources)
  assert.equal(bytes.readUInt32LE(HEADER + 4), bytes.length - RECORDS)
  return bytes.subarray(RECORDS)
}

/** A record of type 10 of V4 as flags, version, map and number of the exporter differ. */
function record(
  flags: number, addresses: Uint8Array, counters: Uint8Array, ...rest: readonly Uint8Array[]
): Uint8Array {
  const body = join(
    le(1, flags, 0), le(2, 0, 123, 456), le(4, FIRST, FIRST + 10), le(1, 64, 0x1b, 6, 0xb8),
    le(2, 50_000, 443, 0), le(1, 0, 0), addresses, counters, ...rest,
  )
  return join(le(2, 10, body.length + 4), body)
}
const ADDRESSES = le(4, 0x0a010203, 0xc6336407)

test('a file has identifier and statistics before its blocks of type 2', async () => {
  const second = { ...V6, proto: 17, packets: 2, bytes: 300, out_bytes: 5, out_packets: 1 }
  const { bytes } = await written(V4, second)
  const statistics = join(
    le(8, 2, 1805, 13, 1, 1, 0, 0, 1500, 305, 0, 0, 10, 3, 0, 0), le(4, FIRST, FIRST + 10), le(2, 123, 456),
    le(4, 0),
  )
  assert.equal(statistics.length, 136)
  const records = [
    join(le(2, 2, 12, 0, 0), le(2, 0, 0)), record(0, ADDRESSES, le(4, 10, 1500)),
    join(le(2, 2, 16, 1, 16), le(2, 15, 17, 0, 0)),
    record(1, join(two64('2001:db8::1'), two64('2001:db8::2')), le(4, 2, 300), le(8, 1, 5)),
  ]
  records[3].set(le(2, 1), 6)
  records[3].set(le(1, 17), 22)
  assert.deepEqual(Uint8Array.from(bytes), join(
    le(2, 0xa50c, 1), le(4, 0, 1), text('a', 128), statistics, block(records, { type: 2 }),
  ))
})

test('counters have 8 bytes where they need them', async () => {
  const counters = [[10, 2 ** 32 - 1], [2 ** 32, 7], [7, 2 ** 41], [2 ** 40, 2 ** 53]]
  const sources = counters.map(([packets, bytes]) => ({ ...V4, packets, bytes }))
  const { rows, lost } = await through(...sources)
  assert.deepEqual([rows, lost], [sources, []])
  assert.deepEqual(Uint8Array.from(await recordsOf(...sources)), join(
    le(2, 2, 12, 0, 0, 0, 0), record(0, ADDRESSES, le(4, 10, 2 ** 32 - 1)),
    record(2, ADDRESSES, join(le(8, 2 ** 32), le(4, 7))),
    record(4, ADDRESSES, join(le(4, 7), le(8, 2 ** 41))), record(6, ADDRESSES, le(8, 2 ** 40, 2 ** 53)),
  ))
})

/** All fields of one extension each. */
const GROUPS: readonly Row[] = [
  { in_if: 70_000, out_if: 2 }, { src_as: 64_496, dst_as: 4_200_000_001 },
  { src_mask: 24, dst_mask: 16, direction: 1, post_tos: 8 }, { biflow_direction: 2, end_reason: 3 },
  { next_hop: '192.0.2.2' }, { next_hop: '2001:db8::b' }, { bgp_next_hop: '192.0.2.1' },
  { bgp_next_hop: '2001:db8::9' }, { vlan_id: 100, post_vlan_id: 200 }, { out_packets: 9 },
  { out_bytes: 2 ** 53 }, { flows: 3 }, { src_mac: '02:00:00:00:00:01', post_dst_mac: '02:00:00:00:00:04' },
  { dst_mac: '02:00:00:00:00:02', post_src_mac: 'ff:ff:ff:ff:ff:ff' },
  { mpls_label_1: 1000, mpls_label_2: 2000, mpls_label_3: 1_048_575, mpls_exp: 0xf5a },
  { exporter_addr: '192.0.2.3' }, { exporter_addr: '2001:db8::d' }, { next_as: 64_501, prev_as: 64_502 },
  { received: FIRST * 1e6 + 1000 }, { client_latency: 1500, server_latency: 0, app_latency: 2 ** 32 - 1 },
  { event_time: FIRST * 1e6, flow_id: 2 ** 32 - 1, firewall_event: 2, firewall_ext_event: 1001 },
  { post_nat_src_addr: '203.0.113.1', post_nat_dst_addr: '203.0.113.2' },
  { post_nat_src_addr: '2001:db8:3::1', post_nat_dst_addr: '2001:db8:3::2' },
  { post_napt_src_port: 1025, post_napt_dst_port: 8443 },
  { in_acl: '0102030405060708090a0b0c', out_acl: 'ff'.repeat(12) }, { user_name: 'x'.repeat(71) },
  { nat_event: 4, src_vrf: 11, dst_vrf: 12 },
  { port_block_start: 1024, port_block_end: 2047, port_block_step: 1, port_block_size: 1024 },
  { type: FLOW_TYPE.NETFLOW_V5, engine_type: 1, engine_id: 7 },
  { type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 0x12345 },
  { type: FLOW_TYPE.IPFIX, observation_domain_id: 2 ** 32 - 1, exporter_addr: '192.0.2.1' },
  { type: FLOW_TYPE.SFLOW_5, sub_agent_id: 3, exporter_addr: '2001:db8::3' }, { type: FLOW_TYPE.PACKETS },
  {
    type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 1, sampling_rate: 2 ** 32 - 1, sampling_algorithm: 2,
    sampling_source: SAMPLING_SOURCE.options, sampling_applied: 1,
  },
  { proto: 1, dst_port: 0x0301, icmp_type: 3, icmp_code: 1 },
]

test('every field that nfdump 1.6 has a place for comes back, alone and beside others', async () => {
  const sources = GROUPS.flatMap((group) => [{ ...V4, ...group }, { ...V6, ...group }])
  const { rows, lost } = await through(...sources)
  assert.deepEqual(rows, sources)
  assert.deepEqual(lost, [])
  const groups = GROUPS.filter((group) => !('type' in group) && !('proto' in group))
  const one = Object.assign({}, V4, ...groups) as Row
  assert.deepEqual(await through(one), { rows: [one], lost: [] })
})

for (const compression of ['lzo', 'none', 'lz4']) {
  test(`rows of many layouts keep their order over many blocks with compression ${compression}`, async () => {
    const sources = Array.from({ length: 15_000 }, (_, i) => (
      { ...i % 2 ? V4 : V6, ...GROUPS[i % GROUPS.length], packets: i }
    ))
    const batch = batchOf(...sources.map((fields) => ({ fields })))
    const { bytes } = await writeFile({ format: nfdump16, compression }, batch)
    const flags = { lzo: 1, none: 0, lz4: 16 }[compression]
    assert.deepEqual([bytes.readUInt16LE(2), bytes.readUInt32LE(4)], [1, flags])
    assert.ok(bytes.readUInt32LE(8) > 1)
    assert.deepEqual(readFile(bytes, ALL, 100_000).rows, sources)
  })
}

test('a compression that nfdump 1.6 does not have is refused', async () => {
  for (const compression of ['zstd', 'zstd:3', 'bz2', 'lz4:9']) {
    await assert.rejects(writeFile({ format: nfdump16, compression }), {
      code: 'ERR_OPTION',
      message: `Cannot use compression "${compression}": nfdump 1.6 has none, lzo and lz4`,
    })
  }
  assert.deepEqual(nfdump16.compressions, ['lzo', 'none', 'lz4'])
})

test('what has no place is told of, and what is cut', async () => {
  const { rows, lost } = await through(
    {
      ...V4, flow_start: FIRST * 1e6 + 1, flow_end: 2 ** 32 * 1e6, min_ttl: 60, application_id: '0d01',
      sampler_id: 7, in_if: 3, in_if_name: 'eth0', src_vrf: 11, event_time: FIRST * 1e6,
      user_name: 'x'.repeat(80), tun_src_addr: '192.0.2.1', vlan_id: 100, rev_tcp_flags: 2, flow_id: 5,
    },
    { ...V4, flow_start: 999_000, firewall_event: 1, flow_id: 2 ** 33 },
  )
  assert.deepEqual(lost, [
    'sampler_id 1/0', 'flow_start 0/2', 'flow_end 0/1', 'event_time 1/0', 'src_vrf 1/0', 'in_if_name 1/0',
    'min_ttl 1/0', 'rev_tcp_flags 1/0', 'flow_id 1/1', 'user_name 0/1', 'tun_src_addr 1/0',
    'application_id 1/0',
  ])
  assert.deepEqual(pick(rows, 'flow_start', 'flow_end', 'flow_id'), [
    { flow_start: FIRST * 1e6, flow_end: (2 ** 32 - 1) * 1e6 + 999_000 },
    { flow_end: V4['flow_end']!, flow_id: 2 ** 32 - 1 },
  ])
})

test('an event of a firewall has the destination port, or type and code of ICMP, twice', async () => {
  const event = { event_time: FIRST * 1e6, flow_id: 1, firewall_event: 2, firewall_ext_event: 1001 }
  const tcp = await recordsOf({ ...V4, ...event })
  const icmp = await recordsOf({ ...V4, ...event, proto: 1, dst_port: 0, icmp_type: 3, icmp_code: 1 })
  const firewall = (told: number) =>
    join(le(8, FIRST * 1000), le(4, 1), le(2, told), le(1, 2, 0), le(2, 1001, 0))
  const told = record(64, ADDRESSES, le(4, 10, 1500), firewall(443))
  assert.deepEqual(Uint8Array.from(tcp.subarray(12)), told)
  const other = record(64, ADDRESSES, le(4, 10, 1500), firewall(0x0301))
  other.set(le(1, 1), 22)
  other.set(le(2, 0x0301), 26)
  assert.deepEqual(Uint8Array.from(icmp.subarray(12)), other)
})

test('flows of the same extensions share a map, whatever their addresses', async () => {
  const bytes = await recordsOf(
    { ...V4, vlan_id: 1 }, { ...V6, vlan_id: 2 }, { ...V4, flows: 2 }, { ...V4, vlan_id: 3 },
  )
  const found: number[][] = []
  for (let at = 0; at < bytes.length; at += bytes.readUInt16LE(at + 2)) {
    const type = bytes.readUInt16LE(at)
    found.push([type, bytes.readUInt16LE(at + (type === 2 ? 4 : 6))])
  }
  assert.deepEqual(found, [[2, 0], [10, 0], [10, 0], [2, 1], [10, 1], [10, 0]])
})

test('when 65,536 maps are told their numbers begin anew, and all are told again', () => {
  const told: number[][] = []
  const maps = new WrittenMaps((bytes) => {
    const view = new DataView(bytes.buffer)
    told.push([view.getUint16(4, true), view.getUint16(8, true)])
  }, 6)
  const planOf = (...ids: readonly number[]) => ({
    map: ids.map((id): Extension => ({ ...FORMER_WRITTEN[0], id })), template: new Uint8Array(8), mapTurn: -1,
  }) as unknown as WritePlan
  const numberOf = ({ template }: WritePlan) => template[6] + template[7] * 256
  const first = planOf(1)
  for (const plan of [first, first, planOf(1)]) maps.tell(plan)
  for (let i = 2; i <= 65_536; i++) maps.tell(planOf(i & 0xff, i >> 8))
  assert.deepEqual([told.length, told[65_535][0]], [65_536, 65_535])
  const next = planOf(9, 9, 9)
  for (const plan of [next, first, next]) maps.tell(plan)
  assert.deepEqual(told.slice(65_536), [[0, 9], [1, 1]])
  assert.deepEqual([numberOf(next), numberOf(first)], [0, 1])
})

test('exporters and their sampling are told before the flows, and how many there were behind', async () => {
  const exporter = { type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 7, exporter_addr: '192.0.2.3' }
  const sampled = {
    ...V4, ...exporter, sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.options,
  }
  const plain = { ...V4, ...exporter }
  const bytes = Uint8Array.from(await recordsOf(sampled, plain, sampled))
  const known = join(le(2, 7, 32), le(4, 9), le(8, 0), le(8, 0xc0000203), le(2, 2, 1), le(4, 7))
  const sampler = (rate: number, algorithm: number) =>
    join(le(2, 9, 16), le(4, -1, rate), le(2, algorithm, 1))
  const flow = record(0, ADDRESSES, le(4, 10, 1500), le(4, 0xc0000203), le(1, 0, 0, 0, 7))
  flow.set(le(1, 9), 5)
  flow.set(le(2, 1), 28)
  assert.deepEqual(bytes, join(
    join(le(2, 2, 16, 0, 8), le(2, 23, 25, 0, 0)), known, sampler(100, 1), flow, sampler(0, 0), flow,
    sampler(100, 1), flow, join(le(2, 8, 32), le(4, 1, 1, 0), le(8, 0, 3)),
  ))
  assert.deepEqual((await through(sampled, plain, sampled)).rows, [sampled, plain, sampled])
})

test('flows whose version is not told keep their observation domain, as 1.6 itself writes them', async () => {
  const sources = [7, 8].map((domain) => ({
    ...V4, exporter_addr: '192.0.2.3', observation_domain_id: domain, sampling_rate: 3000,
    sampling_source: SAMPLING_SOURCE.options,
  }))
  assert.deepEqual(await through(...sources), { rows: sources, lost: [] })
  assert.deepEqual((await through({ ...V4, sub_agent_id: 3 })).lost, ['sub_agent_id 1/0'])
})

test('flows of no exporter keep their sampling rate', async () => {
  const capture = { type: FLOW_TYPE.PACKETS, sampling_rate: 100, sampling_source: SAMPLING_SOURCE.header }
  const sources = [{ ...V4, ...capture }, V4, { ...V4, sampling_rate: 5, sampling_source: 0 }]
  assert.deepEqual(await through(...sources), { rows: sources, lost: [] })
})

test('the identifier of a file is read without its flows; a long one is cut', async () => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'flowkit-nfdump-'))
  try {
    const path = joinPath(folder, 'nfcapd.1')
    for (const ident of ['upstream', '20261121T130402004Z-0badcafe', 'x'.repeat(200)]) {
      const { bytes } = await writeFile({ format: nfdump16, ident }, batchOf({ fields: V4 }))
      writeFileSync(path, bytes)
      assert.equal(await readIdent(path), ident.slice(0, 127))
      const loss = newLoss()
      readFile(bytes, { loss })
      assert.equal(loss.elements.size, ident.startsWith('2026') ? 0 : 1)
      writeFileSync(path, bytes.subarray(0, HEADER - 1))
      assert.equal(await readIdent(path), undefined)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})
