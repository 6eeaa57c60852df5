import { test } from 'node:test'
import assert from 'node:assert/strict'
import { parseTraffic } from '../../../../core/netflow/generate/options.ts'
import { generateFlows } from '../../../../core/netflow/generate/generate.ts'
import { rows, type Row } from '../messages.ts'
import { EVERYTHING, flows, number, START, within } from './traffic.ts'

function share(list: readonly Row[], of: (row: Row) => boolean): number {
  return list.filter(of).length / list.length
}

test('traffic does not depend on other traffic that is generated at the same time', () => {
  const one = generateFlows(parseTraffic('flows=30K'))
  const other = generateFlows(parseTraffic('flows=30K,seed=2'))
  const list: Row[] = []
  for (const batch of one) {
    list.push(...rows(batch))
    other.next()
  }
  assert.deepEqual(list, flows('flows=30K'))
})

test('as many rows as asked for, in the order they are received, within the span', () => {
  const list = flows(EVERYTHING)
  assert.equal(list.length, 4000)
  let last = START
  for (const row of list) {
    assert.ok(number(row, 'received') >= last)
    last = number(row, 'received')
  }
  within(last, START + 590e6, START + 601e6)
})

test('flows have the fields that collectors learn of each version', () => {
  const common = ['type', 'received', 'exporter_addr']
  const key = ['proto', 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'tos', 'etype', 'in_if', 'out_if']
  const counters = ['flow_start', 'flow_end', 'bytes', 'packets', 'tcp_flags']
  const routes = ['src_as', 'dst_as', 'src_mask', 'dst_mask', 'next_hop']
  const sampled = ['sampling_rate', 'sampling_source']
  for (const [version, more] of [
    [1, ['next_hop']],
    [5, ['sequence_num', 'engine_type', 'engine_id', ...routes, ...sampled, 'sampling_algorithm']],
    [6, ['sequence_num', 'engine_type', 'engine_id', ...routes, 'in_encaps', 'out_encaps', 'peer_next_hop']],
    [7, ['sequence_num', ...routes, 'shortcut_mode', 'valid_flags', 'router_sc']],
    [9, [
      'sequence_num', 'observation_domain_id', ...routes, ...sampled, 'sampling_algorithm', 'direction',
    ]],
    [10, ['sequence_num', 'observation_domain_id', ...routes, ...sampled, 'direction']],
  ] as const) {
    const [row] = flows(`flows=1,versions=${version},sampling=50`)
    assert.deepEqual(Object.keys(row).sort(), [...common, ...key, ...counters, ...more].sort())
    if ('sampling_rate' in row) assert.equal(row['sampling_rate'], 50)
  }
})

test('exporters have their own address, interfaces and AS, and the first has the most flows', () => {
  const list = flows('flows=8000,exporters=4')
  const counts = new Map<unknown, number>()
  for (const row of list) counts.set(row['exporter_addr'], (counts.get(row['exporter_addr']) ?? 0) + 1)
  // 1, 1/2, 1/3 and 1/4 of 25/12, the remainder to the first
  assert.deepEqual(Object.fromEntries(counts), {
    '198.18.0.1': 3840, '198.18.0.2': 1920, '198.18.0.3': 1280, '2001:db8:ffff::3': 960,
  })
  const asked = list.filter((row) => row['direction'] === 0)
  const own = new Set(asked.map((row) => `${row['exporter_addr']} ${row['src_as']}`))
  assert.deepEqual([...own].sort(), [
    '198.18.0.1 64512', '198.18.0.2 64513', '198.18.0.3 64514', '2001:db8:ffff::3 64515',
  ])
})

test('shares of IPv6, NAT events and protocols are those asked for and usual', () => {
  const list = flows('flows=40K,v6=25%,nat=10%')
  const events = share(list, (row) => 'nat_event' in row)
  within(events, 0.094, 0.106)
  const told = list.filter((row) => !('nat_event' in row))
  within(share(told, (row) => row['etype'] === 0x86dd), 0.24, 0.26)
  within(share(told, (row) => row['proto'] === 6), 0.5, 0.7)
  within(share(told, (row) => row['proto'] === 17), 0.3, 0.5)
  within(share(told, (row) => 'icmp_type' in row), 0.01, 0.02)
  assert.equal(share(flows('flows=2000,v6=0%'), (row) => row['etype'] === 0x0800), 1)
  assert.equal(share(flows('flows=2000,v6=50%,versions=5'), (row) => row['etype'] === 0x0800), 1)
})

test('few hosts have most of the flows, and few flows most of the bytes', () => {
  const list = flows('flows=40K')
  const clients = new Map<unknown, number>()
  for (const { direction, src_addr } of list) {
    if (direction === 0) clients.set(src_addr, (clients.get(src_addr) ?? 0) + 1)
  }
  const byClient = [...clients.values()].sort((a, b) => b - a)
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0)
  assert.ok(byClient.length > 2000)
  assert.ok(sum(byClient.slice(0, byClient.length / 10)) > sum(byClient) / 2)
  const bytes = list.map((row) => number(row, 'bytes')).sort((a, b) => b - a)
  assert.ok(sum(bytes.slice(0, 400)) > sum(bytes) / 2)
})

test('an answer follows its question, with hosts, ports and interfaces changed over', () => {
  const swap = [
    ['src_addr', 'dst_addr'], ['src_port', 'dst_port'], ['in_if', 'out_if'], ['src_as', 'dst_as'],
    ['src_mask', 'dst_mask'],
  ]
  let answers = 0
  const list = flows('flows=5000,v6=0%')
  for (const [at, row] of list.entries()) {
    if (at === 0 || row['direction'] === 0 || 'icmp_type' in row) continue
    const question = list[at - 1]
    // the question may be in the datagram before
    if (row['received'] !== question['received'] || 'icmp_type' in question) continue
    answers++
    for (const [a, b] of swap) assert.deepEqual([row[a], row[b]], [question[b], question[a]])
    for (const name of ['proto', 'tos']) assert.equal(row[name], question[name])
    assert.ok(number(row, 'flow_start') > number(question, 'flow_start'))
  }
  within(answers, 1800, 2500)
})

test('TCP flows have flags that go together, other flows none', () => {
  const list = flows('flows=5000')
  const seen = new Set(list.map((row) => `${row['proto'] === 6 ? 'TCP' : 'other'} ${row['tcp_flags']}`))
  // SYN, RST ACK; SYN ACK PSH FIN whole, begun, going on, ended; with RST in place of FIN, whole and ended
  const flags = [0x02, 0x14, 0x1b, 0x1a, 0x18, 0x19, 0x1e, 0x1c].map((value) => `TCP ${value}`)
  assert.deepEqual([...seen].filter((text) => !flags.includes(text)), ['other 0'])
  for (const common of flags.slice(0, 4)) assert.ok(seen.has(common))
})

test('flows begin, end, and are exported in this order, none longer than the active timeout', () => {
  for (const row of flows('flows=20K,span=10m')) {
    const [start, end, received] = ['flow_start', 'flow_end', 'received'].map((name) => number(row, name))
    assert.ok(start <= end && end < received)
    assert.ok(end - start <= 60e6)
    assert.ok(received - end <= 80e6)
    assert.equal(start % 1000 + end % 1000, 0)
  }
})

test('a flow longer than the active timeout is told of in parts that do not overlap', () => {
  const parts = new Map<string, Row[]>()
  for (const row of flows('flows=20K,span=20m')) {
    const key = ['src_addr', 'dst_addr', 'src_port', 'dst_port', 'proto'].map((name) => row[name]).join()
    if (row['proto'] === 6) parts.set(key, [...parts.get(key) ?? [], row])
  }
  const long = [...parts.values()].filter((list) => list.length > 5)
  assert.ok(long.length > 20)
  for (const list of long) {
    for (const [i, row] of list.slice(1).entries()) {
      assert.ok(number(row, 'flow_start') > number(list[i], 'flow_end'))
      within(number(row, 'flow_start') - number(list[i], 'flow_start'), 59e6, 61e6)
      assert.equal(number(row, 'tcp_flags') & 2, 0) // SYN is in the first
      assert.equal(number(list[i], 'tcp_flags') & 1, 0) // FIN in the last
    }
  }
})

test('NAT sessions have a record when they begin and one when they end, of the same addresses', () => {
  const key = ['src_addr', 'src_port', 'dst_addr', 'dst_port', 'post_nat_src_addr', 'post_napt_src_port']
  const begun = new Map<string, number>()
  let ended = 0
  for (const row of flows('flows=3000,nat=100%,span=5m,versions=10')) {
    const session = key.map((name) => row[name]).join()
    assert.equal(row['post_nat_dst_addr'], row['dst_addr'])
    assert.equal(row['post_napt_dst_port'], row['dst_port'])
    if (row['nat_event'] === 4) begun.set(session, number(row, 'event_time'))
    else {
      ended++
      assert.equal(row['nat_event'], 5)
      assert.equal(number(row, 'event_time') - begun.get(session)!, 60e6)
    }
  }
  within(ended, 1000, 1500)
})
