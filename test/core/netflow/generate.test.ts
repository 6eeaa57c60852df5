import { createHash } from 'node:crypto'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { datagramDecoder, type DatagramDecoder } from '../../../core/netflow/datagram.ts'
import { generateDatagrams, type ExpectedCounts } from '../../../core/netflow/generate-datagrams.ts'
import { parseTraffic, TRAFFIC_KEYS } from '../../../core/netflow/generate-options.ts'
import { generateFlows } from '../../../core/netflow/generate.ts'
import { micros, rows, type Row } from './messages.ts'

const START = micros('2026-11-21T13:00:00Z')
const EVERYTHING = 'flows=4000,exporters=7,versions=1/5/6/7/9/10,sampling=1/100,nat=5%,span=10m'
const FAULTS = `${EVERYTHING},loss=5%,reorder=5%,late-templates=2,conflicts=1,wrap=yes`

/** A datagram of generated traffic. */
interface Sent {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly port: number
  readonly received: number
}

/** What a collector makes of generated datagrams. */
interface Collected {
  readonly sent: readonly Sent[]
  readonly rows: readonly Row[]
  readonly expected: readonly ExpectedCounts[]
  /** By port, so that conflicting templates do not meet. */
  readonly decoders: ReadonlyMap<number, DatagramDecoder>
}

function flows(text: string): Row[] {
  const list: Row[] = []
  for (const batch of generateFlows(parseTraffic(text))) list.push(...rows(batch))
  return list
}

function collect(text: string): Collected {
  const traffic = generateDatagrams(parseTraffic(text))
  const decoders = new Map<number, DatagramDecoder>()
  const sent: Sent[] = []
  const list: Row[] = []
  const batch = new FlowBatch()
  for (const datagram of traffic) {
    const bytes = datagram.bytes.slice(datagram.start, datagram.end)
    sent.push({ bytes, view: new DataView(bytes.buffer), port: datagram.port, received: datagram.received })
    const decoder = decoders.get(datagram.port) ?? datagramDecoder()
    decoders.set(datagram.port, decoder)
    batch.clear()
    decoder.decode(datagram, batch)
    list.push(...rows(batch))
  }
  return { sent, rows: list, expected: traffic.expected, decoders }
}

/** What a decoder counted of the exporter and port of `counts`. */
function countsOf({ decoders }: Collected, { family, v4, v6, port, version }: ExpectedCounts): Partial<ExpectedCounts> {
  const exporter = decoders.get(port)!.exporters.byKey.get(family === 4 ? v4 : String.fromCharCode(...v6))!
  const [domain] = exporter.domains.values()
  const { datagrams, records, optionsRecords } = exporter.counters
  const { missing, reordered } = version === 1 ? { missing: 0, reordered: 0 } : domain.sequence
  return { datagrams, records, optionsRecords, missing, reordered }
}

function digest(text: string): string {
  const hash = createHash('sha256')
  for (const { bytes, start, end, port, received } of generateDatagrams(parseTraffic(text))) {
    hash.update(`${port} ${received} `).update(bytes.subarray(start, end))
  }
  return hash.digest('hex')
}

function share(list: readonly Row[], of: (row: Row) => boolean): number {
  return list.filter(of).length / list.length
}

function within(value: number, low: number, high: number): void {
  assert.ok(value >= low && value <= high, `${value} is not of ${low} to ${high}`)
}

const number = (row: Row, name: string) => row[name] as number

test('parseTraffic() gives the defaults of its table for what is not told', () => {
  const defaults = {
    flows: 1_000_000, exporters: 1, v6: 0.1, seed: 1, from: START, span: 3600e6, versions: [9], sampling: [1],
    nat: 0, loss: 0, reorder: 0, lateTemplates: 0, conflicts: 0, wrap: false, mtu: 1400,
  }
  assert.deepEqual(parseTraffic(''), defaults)
  assert.deepEqual(parseTraffic(TRAFFIC_KEYS.map(({ name, value }) => `${name}=${value}`).join()), defaults)
})

test('parseTraffic() reads counts, shares, times, durations, lists and answers', () => {
  const text = 'flows=1.5M, exporters=12 ,v6=2.5%,seed=4294967295,from=2026-02-28,span=30s,versions=5/9/10,' +
    'sampling=1/100/16383,nat=100%,loss=0%,reorder=0.1%,late-templates=2K,conflicts=8,wrap=yes,mtu=9000'
  assert.deepEqual(parseTraffic(text), {
    flows: 1_500_000, exporters: 12, v6: 0.025, seed: 4_294_967_295, from: micros('2026-02-28T00:00:00Z'), span: 30e6,
    versions: [5, 9, 10], sampling: [1, 100, 16_383], nat: 1, loss: 0, reorder: 0.001, lateTemplates: 2000,
    conflicts: 8, wrap: true, mtu: 9000,
  })
})

test('parseTraffic() says what it expected in place of what it found', () => {
  const names = TRAFFIC_KEYS.map(({ name }) => name).join(' ')
  for (const [text, reason] of [
    ['flow=1', `one of ${names}, found "flow"`],
    ['flows=1,', `one of ${names}, found ""`],
    ['flows', 'flows=VALUE, found "flows"'],
    ['seed=1,seed=1', 'seed once, found it twice'],
    ['flows=0', 'flows to be a count of 1 to 1000000000000, found "0"'],
    ['flows=-1', 'flows to be a count of 1 to 1000000000000, found "-1"'],
    ['exporters=1e3', 'exporters to be a count of 1 to 10000, found "1e3"'],
    ['v6=10', 'v6 to be a share of 0% to 100%, found "10"'],
    ['loss=101%', 'loss to be a share of 0% to 100%, found "101%"'],
    ['span=5', 'span to be a duration such as 30s, found "5"'],
    ['span=0s', 'span to be a duration such as 30s, found "0s"'],
    ['from=2026-02-29', 'from to be a time such as 2026-11-21T13:00:00Z, found "2026-02-29"'],
    ['from=2026-02-28T10:00:00', 'from to be a time such as 2026-11-21T13:00:00Z, found "2026-02-28T10:00:00"'],
    ['versions=5/8', 'versions to be versions of 1 5 6 7 9 10 such as 5/9, found "5/8"'],
    ['sampling=100/', 'sampling to be rates of 1 to 16383 such as 1/100, found "100/"'],
    ['late-templates=x', 'late-templates to be a count of 0 to 1000000, found "x"'],
    ['wrap=1', 'wrap to be yes or no, found "1"'],
    ['mtu=100', 'mtu to be a count of 512 to 65507, found "100"'],
    ['exporters=4,versions=5/9,conflicts=3', 'at most 2 conflicts, one an exporter of v9 and IPFIX, found 3'],
  ]) {
    assert.throws(() => parseTraffic(text), {
      code: 'ERR_OPTION', message: `Cannot generate "${text}": expected ${reason}`,
    })
  }
})

test('equal options give equal datagrams, another seed others', () => {
  assert.equal(digest(FAULTS), digest(FAULTS))
  assert.notEqual(digest(FAULTS), digest(`${FAULTS},seed=2`))
})

test('traffic does not depend on other traffic that is generated at the same time', () => {
  const [one, other] = [generateFlows(parseTraffic('flows=30K')), generateFlows(parseTraffic('flows=30K,seed=2'))]
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
  const key = ['proto', 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'tcp_flags', 'tos', 'etype', 'in_if', 'out_if']
  const counters = ['flow_start', 'flow_end', 'bytes', 'packets']
  const routes = ['src_as', 'dst_as', 'src_mask', 'dst_mask', 'next_hop']
  const sampled = ['sampling_rate', 'sampling_source']
  for (const [version, more] of [
    [1, ['next_hop']],
    [5, ['sequence_num', 'engine_type', 'engine_id', ...routes, ...sampled, 'sampling_algorithm']],
    [6, ['sequence_num', 'engine_type', 'engine_id', ...routes, 'in_encaps', 'out_encaps', 'peer_next_hop']],
    [7, ['sequence_num', ...routes, 'valid_flags', 'router_sc']],
    [9, ['sequence_num', 'observation_domain_id', ...routes, ...sampled, 'direction']],
    [10, ['sequence_num', 'observation_domain_id', ...routes, ...sampled, 'direction']],
  ] as const) {
    const [row] = flows(`flows=1,versions=${version},sampling=50`)
    assert.deepEqual(Object.keys(row).sort(), [...common, ...key, ...counters, ...more].sort())
    if ('sampling_rate' in row) assert.equal(row['sampling_rate'], 50)
  }
})

test('datagrams decode to the rows of generateFlows()', () => {
  for (const text of [
    EVERYTHING, `${EVERYTHING},wrap=yes,mtu=600`, 'flows=3000,v6=100%,versions=9/10,exporters=4',
    'flows=3000,versions=10/9,exporters=3,sampling=10,nat=50%,mtu=65507', 'flows=1', 'flows=20,exporters=50',
  ]) {
    const collected = collect(text)
    assert.deepEqual(collected.rows, flows(text))
    for (const counts of collected.expected) {
      const { datagrams, records, optionsRecords, missing, reordered } = counts
      assert.deepEqual({ datagrams, records, optionsRecords, missing, reordered }, countsOf(collected, counts))
      assert.deepEqual([counts.lost, missing, reordered, counts.late], [0, 0, 0, 0])
    }
  }
})

test('datagrams are not larger than asked for, and full', () => {
  for (const mtu of [512, 1400, 9000]) {
    const sizes = collect(`flows=5000,versions=9/10/5,exporters=3,nat=10%,mtu=${mtu}`).sent.map(({ bytes }) => bytes.length)
    assert.ok(Math.max(...sizes) <= mtu)
    within(Math.max(...sizes), mtu - 100, mtu)
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
  const own = new Set(list.filter((row) => row['direction'] === 0).map((row) => `${row['exporter_addr']} ${row['src_as']}`))
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
  for (const row of list) if (row['direction'] === 0) clients.set(row['src_addr'], (clients.get(row['src_addr']) ?? 0) + 1)
  const byClient = [...clients.values()].sort((a, b) => b - a)
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0)
  assert.ok(byClient.length > 2000)
  assert.ok(sum(byClient.slice(0, byClient.length / 10)) > sum(byClient) / 2)
  const bytes = list.map((row) => number(row, 'bytes')).sort((a, b) => b - a)
  assert.ok(sum(bytes.slice(0, 400)) > sum(bytes) / 2)
})

test('an answer follows its question, with hosts, ports and interfaces changed over', () => {
  const swap = [
    ['src_addr', 'dst_addr'], ['src_port', 'dst_port'], ['in_if', 'out_if'], ['src_as', 'dst_as'], ['src_mask', 'dst_mask'],
  ]
  let answers = 0
  const list = flows('flows=5000,v6=0%')
  for (const [at, row] of list.entries()) {
    if (at === 0 || row['direction'] === 0 || 'icmp_type' in row) continue
    const question = list[at - 1]
    if (row['received'] !== question['received'] || 'icmp_type' in question) continue // in the datagram before
    answers++
    for (const [a, b] of swap) assert.deepEqual([row[a], row[b]], [question[b], question[a]])
    for (const name of ['proto', 'tos']) assert.equal(row[name], question[name])
    assert.ok(number(row, 'flow_start') > number(question, 'flow_start'))
  }
  within(answers, 1800, 2500)
})

test('TCP flows have flags that go together, other flows none', () => {
  const seen = new Set(flows('flows=5000').map((row) => `${row['proto'] === 6 ? 'TCP' : 'other'} ${row['tcp_flags']}`))
  // SYN, RST ACK; SYN ACK PSH FIN whole, begun, going on, ended; with RST in place of FIN, and from the other side
  const flags = [0x02, 0x14, 0x1b, 0x1a, 0x18, 0x19, 0x1e, 0x1c].map((value) => `TCP ${value}`)
  assert.deepEqual([...seen].filter((text) => !flags.includes(text)), ['other 0'])
  for (const common of flags.slice(0, 4)) assert.ok(seen.has(common))
})

test('flows begin before they end and end before they are exported, none longer than the active timeout', () => {
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
    assert.deepEqual([row['post_nat_dst_addr'], row['post_napt_dst_port']], [row['dst_addr'], row['dst_port']])
    if (row['nat_event'] === 4) begun.set(session, number(row, 'event_time'))
    else {
      ended++
      assert.equal(row['nat_event'], 5)
      assert.equal(number(row, 'event_time') - begun.get(session)!, 60e6)
    }
  }
  within(ended, 1000, 1500)
})

test('sampling is told by the header of v5, by options in v9, by records in IPFIX', () => {
  const v5 = collect('flows=10,versions=5,sampling=100').sent
  assert.deepEqual(v5.map(({ view }) => view.getUint16(22)), [2 << 14 | 100])
  const [options] = collect('flows=10,versions=9,sampling=100,v6=0%').sent
  const text = Buffer.from(options.bytes).toString('hex')
  // set 1; template 1000, 4 bytes of scopes and 8 of options; system, then 34 and 35; set 1000: 0, 100, 2
  assert.ok(text.endsWith('0001001803e80004000800010004002200040023000100' + '00' + '03e800100000000000000064' + '02000000'))
  assert.deepEqual(flows('flows=1,versions=10,sampling=100').map((row) => row['sampling_source']), [2])
  assert.deepEqual(collect('flows=10,versions=10,sampling=100').rows.map((row) => row['sampling_rate']), new Array(10).fill(100))
})

test('what is left out is what sequence numbers show to be missing', () => {
  const collected = collect('flows=30K,exporters=6,versions=1/5/6/7/9/10,loss=5%')
  for (const counts of collected.expected) {
    const { datagrams, records, optionsRecords, missing, reordered, lost, version } = counts
    assert.deepEqual({ datagrams, records, optionsRecords, missing, reordered }, countsOf(collected, counts))
    assert.ok(lost > 0)
    if (version === 9) assert.equal(missing, lost)
    if (version === 5) assert.ok(missing <= lost * 30 && missing > lost * 20)
  }
  const lost = collected.expected.reduce((sum, counts) => sum + counts.lost, 0)
  within(lost / (lost + collected.sent.length), 0.03, 0.07)
  assert.equal(collected.rows.length, collected.expected.reduce((sum, counts) => sum + counts.records, 0))
})

test('datagrams left out are missing from the rows, and the others are as without loss', () => {
  const whole = new Set(flows('flows=5000').map((row) => JSON.stringify(row)))
  const left = collect('flows=5000,loss=10%').rows
  assert.ok(left.length > 4200 && left.length < 4900)
  for (const row of left) assert.ok(whole.has(JSON.stringify(row)))
})

test('reordered datagrams come after the next one, and none is missing', () => {
  const text = 'flows=30K,exporters=5,versions=5/6/7/9/10'
  const collected = collect(`${text},reorder=5%`)
  for (const counts of collected.expected) {
    const { datagrams, records, optionsRecords, missing, reordered } = counts
    assert.deepEqual({ datagrams, records, optionsRecords, missing, reordered }, countsOf(collected, counts))
    assert.ok(reordered > 0)
    assert.equal(missing, 0)
  }
  const bare = (list: readonly Row[]) => list.map((row) => JSON.stringify({ ...row, received: 0 })).sort()
  assert.deepEqual(bare(collected.rows), bare(flows(text)))
  const times = collected.sent.map(({ received }) => received)
  assert.deepEqual(times, [...times].sort((a, b) => a - b))
})

test('data before its template is all decoded late', () => {
  for (const version of [9, 10]) {
    const text = `flows=3000,versions=${version},sampling=100`
    const collected = collect(`${text},late-templates=7`)
    const [counts] = collected.expected
    assert.equal(counts.late, 7)
    const sets = collected.sent.slice(0, 7).map(({ view }) => view.getUint16(version === 9 ? 20 : 16))
    assert.ok(sets.every((id) => id >= 256))
    assert.equal(collected.sent[7].view.getUint16(version === 9 ? 20 : 16), version === 9 ? 0 : 2)
    const [exporter] = collected.decoders.get(50_000)!.exporters.byKey.values()
    const { heldSets, lateSets, abandonedSets, records } = exporter.counters
    assert.ok(heldSets >= 7)
    assert.deepEqual([lateSets, abandonedSets, records], [heldSets, 0, 3000])
    const key = ({ sequence_num: _, ...row }: Row) => JSON.stringify(row)
    assert.deepEqual(collected.rows.map(key).sort(), flows(text).map(key).sort())
  }
})

test('in a conflict two ports use the same template ids of one domain for other layouts', () => {
  const text = 'flows=2000,exporters=2,versions=9/10,conflicts=2,v6=0%'
  const collected = collect(text)
  assert.deepEqual(collected.rows, flows(text))
  assert.deepEqual(collected.expected.map(({ version, domain, port, records }) => [version, domain, port, records]).sort(), [
    [10, 2, 50_000, 500], [10, 2, 50_001, 166], [9, 1, 50_000, 1001], [9, 1, 50_001, 333],
  ])
  for (const [version, domain] of [[9, 1], [10, 2]]) {
    const [one, other] = [50_000, 50_001].map((port) => {
      const [exporter] = [...collected.decoders.get(port)!.exporters.byKey.values()].filter(({ domains }) =>
        domains.has(version * 2 ** 32 + domain))
      return exporter.domains.get(version * 2 ** 32 + domain)!.templates
    })
    assert.deepEqual([...one.keys()], [...other.keys()])
    for (const [id, { layout }] of one) assert.notDeepEqual(layout, other.get(id)!.layout)
  }
})

test('uptimes wrap halfway through the span if asked for', () => {
  for (const [version, at] of [[1, 4], [5, 4], [9, 4]]) {
    const text = `flows=3000,versions=${version},wrap=yes,span=10m`
    const collected = collect(text)
    const uptimes = collected.sent.map(({ view }) => view.getUint32(at))
    const wraps = uptimes.slice(1).map((uptime, i) => uptime < uptimes[i]).flatMap((wrap, i) => wrap ? [i + 1] : [])
    assert.equal(wraps.length, 1)
    within(collected.sent[wraps[0]].received, START + 299e6, START + 306e6)
    assert.deepEqual(collected.rows, flows(text))
  }
})
