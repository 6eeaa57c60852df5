import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { BATCH_SIZE } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { readFlows, type Fault } from '../../core/flow/stream.ts'
import { netflowPcap } from '../../formats/netflow-pcap.ts'
import type { ReadRequest } from '../../formats/format.ts'
import {
  hex, ipfix, join, micros, pick, rows, set, template, u16, u32, u8, v9, type Row,
} from '../core/netflow/messages.ts'
import { batchOf, bytesOf as bytesWritten } from './flows.ts'

const FIXTURES = new URL('../fixtures/netflow/', import.meta.url)

function bytesOf(name: string): Uint8Array {
  return readFileSync(new URL(name, FIXTURES))
}

function jsonOf<T>(name: string): T[] {
  return JSON.parse(readFileSync(new URL(name, FIXTURES), 'utf8')) as T[]
}

async function* chunks(bytes: Uint8Array, sizes: () => number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length;) {
    const end = at + sizes()
    yield bytes.slice(at, end)
    at = end
  }
}

interface Reading {
  readonly rows: readonly Row[]
  readonly faults: readonly Fault[]
  readonly error?: unknown
  readonly batches: number
}

async function read(
  bytes: Uint8Array, request: Partial<ReadRequest> = {}, sizes = () => bytes.length,
): Promise<Reading> {
  const list: Row[] = []
  const faults: Fault[] = []
  let batches = 0
  try {
    const decoder = netflowPcap.decoder!({ ...request, onFault: (fault) => faults.push(fault) })
    for await (const batch of readFlows(chunks(bytes, sizes), decoder)) {
      list.push(...rows(batch))
      batches++
    }
  } catch (error) {
    return { rows: list, faults, error, batches }
  }
  return { rows: list, faults, batches }
}

/** What nfdump -o json says of a flow. */
interface Nfdump extends Record<string, string | number | undefined> {
  first: string
  last: string
  tcp_flags?: string
}

/** A flow of nfdump with the names and values of flowkit's. */
function fromNfdump({ first, last, tcp_flags, ...flow }: Nfdump): Row {
  const flags = tcp_flags && Number.parseInt([...tcp_flags].map((c) => c === '.' ? 0 : 1).join(''), 2)
  const names = {
    in_packets: 'packets', in_bytes: 'bytes', src_tos: 'tos', src4_addr: 'src_addr', dst4_addr: 'dst_addr',
    src6_addr: 'src_addr', dst6_addr: 'dst_addr', input_snmp: 'in_if', output_snmp: 'out_if',
  } as const
  const renamed = Object.entries(flow).map(([name, value]) =>
    [names[name as keyof typeof names] ?? name, value])
  return {
    ...Object.fromEntries(renamed), flow_start: micros(`${first}Z`), flow_end: micros(`${last}Z`),
    ...flags !== undefined && { tcp_flags: flags },
  }
}

/** Compare what nfdump says, but for some fields, with the same fields of rows. */
function sameAsNfdump(actual: readonly Row[], name: string, ...without: string[]): void {
  const flows = jsonOf<Nfdump>(name).map(fromNfdump)
  assert.equal(actual.length, flows.length)
  for (const [i, flow] of flows.entries()) {
    const names = Object.keys(flow).filter((field) => !without.includes(field) && field in actual[i])
    assert.deepEqual(pick([actual[i]], ...names), pick([flow], ...names), `flow ${i}`)
    for (const field of ['bytes', 'packets', 'proto', 'src_addr', 'dst_addr']) {
      assert.ok(names.includes(field))
    }
  }
}

test('NetFlow v5 of softflowd: the flows that nfdump reads', async () => {
  const { rows: flows, faults } = await read(bytesOf('softflowd-v5.pcap'))
  sameAsNfdump(flows, 'softflowd-v5.json')
  assert.deepEqual(faults, [])
})

test('NetFlow v9 of softflowd: the flows that nfdump reads, and the sampling of the options', async () => {
  const { rows: flows, faults } = await read(bytesOf('softflowd-v9.pcap'))
  // nfdump takes uptime 0 for no time, and does not read ICMPv6 types
  sameAsNfdump(flows, 'softflowd-v9.json', 'icmp_type', 'icmp_code', 'flow_start', 'flow_end')
  const wanted = jsonOf<Nfdump>('softflowd-v9.json').map(fromNfdump)
  assert.deepEqual(pick(flows.slice(1), 'flow_start', 'flow_end'),
    pick(wanted.slice(1), 'flow_start', 'flow_end'))
  for (const row of flows) {
    assert.deepEqual([row['sampling_rate'], row['sampling_source']], [1, SAMPLING_SOURCE.options])
  }
  assert.deepEqual(faults, [])
})

test('NetFlow v9 of nfreplay: the flows that nfdump reads', async () => {
  const { rows: flows, faults } = await read(bytesOf('nfreplay-v9.pcap'))
  sameAsNfdump(flows, 'nfreplay-v9.json')
  assert.deepEqual(faults, [])
})

test('IPFIX of softflowd: the flows that nfdump reads, with the times that v5 tells of them', async () => {
  const { rows: flows, faults } = await read(bytesOf('softflowd-v10.pcap'))
  sameAsNfdump(flows, 'softflowd-v10.json', 'flow_start', 'flow_end')
  const { rows: five } = await read(bytesOf('softflowd-v5.pcap'))
  const names = [
    'src_addr', 'dst_addr', 'src_port', 'dst_port', 'proto', 'bytes', 'packets', 'flow_start', 'flow_end',
    'tcp_flags',
  ]
  const udpAndTcp = (list: readonly Row[]) =>
    pick(list.filter((row) => row['etype'] === 0x800 && row['proto'] !== 1), ...names)
  assert.deepEqual(udpAndTcp(flows), udpAndTcp(five))
  assert.ok(udpAndTcp(five).length > 10)
  assert.deepEqual(faults, [])
})

test('pcapng with times in nanoseconds: the rows of the pcap', async () => {
  const { rows: flows } = await read(bytesOf('softflowd-v10.pcapng'))
  assert.deepEqual(flows, (await read(bytesOf('softflowd-v10.pcap'))).rows)
})

/** µs of tshark's `Nov 20, 2026 09:00:00.025194999 UTC`, which floors the nanoseconds. */
function fromTshark(time: string): number {
  const [, month, day, year, clock, nanos] = /^(\w+) (\d+), (\d+) ([\d:]+)\.(\d+) UTC$/.exec(time)!
  return Date.parse(`${month} ${day} ${year} ${clock} UTC`) * 1000 + Math.round(Number(nanos) / 1000)
}

test('IPFIX biflows, in nanoseconds, with MAC addresses, over IPv6: what tshark reads', async () => {
  const { rows: flows, faults } = await read(bytesOf('softflowd-v10-biflow.pcap'))
  const dissected = jsonOf<Record<string, string>>('softflowd-v10-biflow.json')
  const wanted = dissected.filter((flow) => 'octets' in flow)
  // ICMP flows have neither flags nor ports
  const found = flows.map((row) =>
    ({ ...row, received: 0, tcp_flags: row['tcp_flags'] ?? -1, src_port: row['src_port'] ?? -1 }))
  assert.deepEqual(found, wanted.map((flow, i) => ({
    ...flows[i], received: 0, exporter_addr: '2001:db8:ff::1', type: FLOW_TYPE.IPFIX,
    src_addr: flow['srcaddr'] ?? flow['srcaddrv6'],
    dst_addr: flow['dstaddr'] ?? flow['dstaddrv6'], flow_start: fromTshark(flow['abstimestart']),
    flow_end: fromTshark(flow['abstimeend']), bytes: Number(flow['octets']),
    packets: Number(flow['packets']), proto: Number(flow['protocol']),
    rev_bytes: Number(flow['rev_octets']), rev_packets: Number(flow['rev_packets']),
    rev_tos: Number(flow['rev_tos']), src_port: Number(flow['srcport'] ?? -1),
    tcp_flags: Number(flow['tcpflags'] ?? -1), end_reason: Number(flow['flow_end_reason']),
    src_mac: flow['srcmac'], post_dst_mac: flow['post_dstmac'], direction: Number(flow['direction']),
  })))
  assert.ok(flows.some((row) => Number(row['rev_bytes']) > 0))
  assert.deepEqual(faults, [])
})

test('IPFIX in IP fragments, IPv4 and IPv6, the last first: the flows that tshark reads', async () => {
  const { rows: flows, faults } = await read(bytesOf('fragments.pcap'))
  const wanted = jsonOf<Record<string, string>>('fragments.json').map((flow) => ({
    src_addr: flow['srcaddr'], dst_addr: flow['dstaddr'], src_port: Number(flow['srcport']),
    dst_port: Number(flow['dstport']), proto: Number(flow['protocol']), bytes: Number(flow['octets']),
    packets: Number(flow['packets']), flow_start: fromTshark(flow['abstimestart']),
    flow_end: fromTshark(flow['abstimeend']), user_name: flow['user_name'], in_if_name: flow['if_name'],
  }))
  assert.deepEqual(pick(flows, ...Object.keys(wanted[0])), wanted)
  const exporters = flows.map((row) => row['exporter_addr'])
  assert.deepEqual(exporters, exporters.map((_, i) => i < 60 ? '192.0.2.3' : '2001:db8:ff::3'))
  assert.deepEqual(faults, [])
})

test('the demo: sums and busiest sources of each exporter are those of nfdump and tshark', async () => {
  const { rows: flows, faults } = await read(bytesOf('demo.pcap'))
  const found = jsonOf<{ exporter: string }>('demo.json').map(({ exporter }) => {
    const own = flows.filter((row) => row['exporter_addr'] === exporter)
    const sum = (list: readonly Row[], name: string) =>
      list.reduce((total, row) => total + Number(row[name]), 0)
    const talkers = Map.groupBy(own, (row) => String(row['src_addr']))
    const top = [...talkers].map(([source, list]) => [source, sum(list, 'bytes')] as const)
      .sort((a, b) => b[1] - a[1])
    return {
      exporter, flows: own.length, packets: sum(own, 'packets'), bytes: sum(own, 'bytes'),
      top_sources: Object.fromEntries(top.slice(0, 5)),
    }
  })
  assert.deepEqual(found, jsonOf('demo.json'))
  assert.equal(flows.length, found.reduce((total, { flows: count }) => total + count, 0))
  const types = new Map(flows.map((row) => [row['exporter_addr'], row['type']]))
  assert.deepEqual(Object.fromEntries(types), {
    '192.0.2.1': FLOW_TYPE.NETFLOW_V5, '192.0.2.2': FLOW_TYPE.NETFLOW_V9, '2001:db8:ff::3': FLOW_TYPE.IPFIX,
    '192.0.2.4': FLOW_TYPE.NETFLOW_V9, '203.0.113.254': FLOW_TYPE.NETFLOW_V9,
    '192.0.2.5': FLOW_TYPE.NETFLOW_V1, '192.0.2.6': FLOW_TYPE.NETFLOW_V7,
  })
  const rates = new Map(flows.map((row) => [row['exporter_addr'], row['sampling_rate']]))
  assert.deepEqual([rates.get('192.0.2.4'), rates.get('192.0.2.2'), rates.get('192.0.2.1')],
    [10, 1, undefined])
  for (const row of flows) {
    const times = ['flow_start', 'flow_end', 'received'].map((name) => Number(row[name]))
    const all = [micros('2026-11-20T08:59:59Z'), ...times, micros('2026-11-20T09:31:00Z')]
    assert.deepEqual(all, all.toSorted((a, b) => a - b))
  }
  assert.deepEqual(faults, [])
})

for (const name of ['softflowd-v5.pcap', 'softflowd-v9.pcap', 'softflowd-v10.pcapng', 'fragments.pcap']) {
  test(`${name} read in chunks of any size gives the same rows`, async () => {
    const bytes = bytesOf(name)
    const { rows: wanted } = await read(bytes, { extras: true })
    for (const size of [1, 2, 3, 15, 16, 17, 1000, 1400, 4096]) {
      const { rows: found, faults, error } = await read(bytes, { extras: true }, () => size)
      assert.deepEqual([found, faults, error], [wanted, [], undefined], `${size}`)
    }
    const manySizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 9 })
    await fc.assert(fc.asyncProperty(manySizes, async (sizes) => {
      let i = 0
      const { rows: found } = await read(bytes, { extras: true }, () => sizes[i++ % sizes.length])
      assert.deepEqual(found, wanted)
    }), { seed: 5101, numRuns: 30 })
  })
}

type Sent = readonly [payload: Uint8Array, port: number]

/** A pcap of UDP datagrams over IPv4 and Ethernet, a second apart, cut to `snap` bytes. */
function pcap(datagrams: readonly Sent[], snap = 65535): Uint8Array {
  const packets = datagrams.map(([payload, port], i) => {
    const udp = join(u16(50_000, port, 8 + payload.length, 0), payload)
    const ip = join(hex('4500'), u16(20 + udp.length, i, 0), u8(64, 17, 0, 0), hex('c0000201 c00002c8'))
    const frame = join(hex('020000000200 020000000001 0800'), ip, udp)
    const kept = Math.min(frame.length, snap)
    return join(u32(1_795_165_200 + i, 0, kept, frame.length), frame.subarray(0, kept))
  })
  return join(u32(0xa1b2c3d4), u16(2, 4), u32(0, 0, 65535, 1), ...packets)
}

const FLOWS = v9({}, set(0, template(256, [1, 4])), set(256, u32(1), u32(2)))

test('export datagrams are found on any port, and other traffic is passed over', async () => {
  const dns = hex('1234 0100 0001 0000 0000 0000 07 6578616d706c65 03 636f6d 00 0001 0001')
  const { rows: flows, faults } = await read(pcap([[dns, 53], [FLOWS, 31337], [dns, 40000]]))
  const received = 1_795_165_201e6
  assert.deepEqual(pick(flows, 'bytes', 'received'), [{ bytes: 1, received }, { bytes: 2, received }])
  assert.deepEqual(faults, [])
})

test('a damaged datagram is told of with its place, and the others are read', async () => {
  const late = v9({ sequence: 1 }, set(256, u32(3)))
  const bytes = pcap([
    [FLOWS, 2055], [FLOWS.subarray(0, 30), 2055], [hex('0005 0001 00000000'), 9996], [late, 2055],
  ])
  const { rows: flows, faults } = await read(bytes, {}, () => 7)
  assert.deepEqual(flows.map((row) => row['bytes']), [1, 2, 3])
  const second = 24 + 16 + 42 + FLOWS.length // behind the headers of the file, of a record and of a packet
  assert.deepEqual(faults.map(({ code, offset }) => [code, offset]), [
    ['ERR_MALFORMED', second], ['ERR_TRUNCATED', second + 16 + 42 + 30],
  ])
})

test('datagrams that the capture has cut short are counted', async () => {
  const longer = join(FLOWS, new Uint8Array(90))
  const { rows: flows, faults } = await read(pcap([[FLOWS, 2055], [longer, 2055]], 42 + FLOWS.length))
  assert.equal(flows.length, 2)
  assert.deepEqual(faults, [
    { code: 'ERR_TRUNCATED', reason: 'Cannot decode 1 datagrams: the capture holds only their beginning' },
  ])
})

test('a capture that ends inside a packet gives the flows before it, and ERR_TRUNCATED', async () => {
  const bytes = pcap([[FLOWS, 2055], [FLOWS, 2055]])
  const { rows: flows, error } = await read(bytes.subarray(0, -5))
  assert.equal(flows.length, 2)
  assert.equal((error as { code?: string }).code, 'ERR_TRUNCATED')
})

test('damage that ends a capture is told with its place, behind packets that are no flows too', async () => {
  const bytes = pcap([[FLOWS, 2055], [hex('00112233445566778899'), 53], [FLOWS, 2055]])
  const third = 24 + 2 * (16 + 42) + FLOWS.length + 10
  bytes.fill(0xff, third + 8, third + 12) // its length
  const found = 'length up to 16777216 wanted, 4294967295 found'
  for (const size of [bytes.length, 7]) {
    const { rows: flows, faults, error } = await read(bytes, {}, () => size)
    assert.deepEqual([flows.length, faults], [2, []])
    assert.equal((error as Error).message, `Cannot read pcap record at byte ${third}: ${found}`)
  }
})

test('a datagram whose fragments are not all there is told of', async () => {
  const bytes = bytesOf('fragments.pcap')
  const first = 24 + 16 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(24 + 8, true)
  const { rows: flows, faults } = await read(join(bytes.subarray(0, 24), bytes.subarray(first)))
  assert.equal(flows.length, 60)
  assert.deepEqual(faults, [
    { code: 'ERR_TRUNCATED', reason: 'Cannot join 1 datagrams: fragments are missing' },
  ])
})

test('a capture without export datagrams is refused', async () => {
  const { rows: flows, error } = await read(pcap([[hex('00112233445566778899'), 53]]))
  assert.equal(flows.length, 0)
  assert.equal((error as { code?: string }).code, 'ERR_INPUT')
})

test('a capture without packets has no flows, and is none where there is not even a header', async () => {
  const { rows: flows, error } = await read(pcap([]))
  assert.deepEqual([flows, error], [[], undefined])
  const none = await read(new Uint8Array(0))
  assert.equal((none.error as { code?: string }).code, 'ERR_INPUT')
})

test('more flows than a batch holds come in several', async () => {
  const five = join(u16(5, 30), new Uint8Array(20 + 30 * 48))
  const bytes = pcap(Array.from({ length: 600 }, () => [five, 2055]))
  const { rows: flows, batches } = await read(bytes, {}, () => 65_536)
  assert.equal(flows.length, 18_000)
  assert.equal(batches, Math.ceil(18_000 / (BATCH_SIZE + 30)))
  assert.deepEqual(flows.map((row) => row['received']),
    flows.map((_, i) => (1_795_165_200 + Math.floor(i / 30)) * 1e6))
})

test('only the wanted fields are read', async () => {
  const { rows: flows } = await read(bytesOf('softflowd-v9.pcap'), { fields: [ID.bytes, ID.dstPort] })
  assert.deepEqual([...new Set(flows.flatMap((row) => Object.keys(row)))].sort(), ['bytes', 'dst_port'])
})

test('captures are known by their first bytes', () => {
  for (const name of ['softflowd-v5.pcap', 'softflowd-v10.pcapng']) {
    assert.ok(netflowPcap.probe!(bytesOf(name).subarray(0, 16)) > 50)
  }
  for (const other of [FLOWS, ipfix({}), new Uint8Array(0), hex('a1b2')]) {
    assert.equal(netflowPcap.probe!(other), 0)
  }
})

test('flows are written with the exporters and observation domains that they have', async () => {
  const flow = { src_addr: '10.0.0.1', dst_addr: '10.0.0.2', bytes: 1, packets: 1 }
  const flows = [
    { ...flow, exporter_addr: '192.0.2.1', observation_domain_id: 1 },
    { ...flow, exporter_addr: '192.0.2.1', observation_domain_id: 2 },
    { ...flow, exporter_addr: '2001:db8::1', observation_domain_id: 2 },
  ]
  const { rows: found } = await read(bytesWritten(netflowPcap, [batchOf(flows)]))
  const keys = found.map((row) => [row['exporter_addr'], row['observation_domain_id']])
  assert.deepEqual(keys, flows.map((each) => [each.exporter_addr, each.observation_domain_id]))
})
