import { createHash } from 'node:crypto'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowBatch } from '../../../../core/flow/batch.ts'
import { datagramDecoder, type DatagramDecoder } from '../../../../core/netflow/datagram.ts'
import { generateDatagrams, type ExpectedCounts } from '../../../../core/netflow/generate/datagrams.ts'
import { parseTraffic } from '../../../../core/netflow/generate/options.ts'
import { hex, rows, type Row } from '../messages.ts'
import { EVERYTHING, flows, START, within } from './traffic.ts'

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
function countsOf({ decoders }: Collected, expected: ExpectedCounts): Partial<ExpectedCounts> {
  const { family, v4, v6, port, version } = expected
  const exporter = decoders.get(port)!.exporters.byKey.get(family === 4 ? v4 : String.fromCharCode(...v6))!
  const [domain] = exporter.domains.values()
  const { datagrams, records, optionsRecords } = exporter.counters
  const { missing, reordered } = version === 1 ? { missing: 0, reordered: 0 } : domain.sequence
  return { datagrams, records, optionsRecords, missing, reordered }
}

function assertCounts(collected: Collected, expected: ExpectedCounts): void {
  const { datagrams, records, optionsRecords, missing, reordered } = expected
  assert.deepEqual(countsOf(collected, expected), { datagrams, records, optionsRecords, missing, reordered })
}

function digest(text: string): string {
  const hash = createHash('sha256')
  for (const { bytes, start, end, port, received } of generateDatagrams(parseTraffic(text))) {
    hash.update(`${port} ${received} `).update(bytes.subarray(start, end))
  }
  return hash.digest('hex')
}

test('equal options give equal datagrams, another seed others', () => {
  assert.equal(digest(FAULTS), digest(FAULTS))
  assert.notEqual(digest(FAULTS), digest(`${FAULTS},seed=2`))
})

test('datagrams decode to the rows of generateFlows()', () => {
  for (const text of [
    EVERYTHING, `${EVERYTHING},wrap=yes,mtu=600`, 'flows=3000,v6=100%,versions=9/10,exporters=4',
    'flows=3000,versions=10/9,exporters=3,sampling=10,nat=50%,mtu=65507', 'flows=1', 'flows=20,exporters=50',
  ]) {
    const collected = collect(text)
    assert.deepEqual(collected.rows, flows(text))
    for (const counts of collected.expected) {
      assertCounts(collected, counts)
      assert.deepEqual([counts.lost, counts.missing, counts.reordered, counts.late], [0, 0, 0, 0])
    }
  }
})

test('datagrams are not larger than asked for, and full', () => {
  for (const mtu of [512, 1400, 9000]) {
    const { sent } = collect(`flows=5000,versions=9/10/5,exporters=3,nat=10%,mtu=${mtu}`)
    const sizes = sent.map(({ bytes }) => bytes.length)
    assert.ok(Math.max(...sizes) <= mtu)
    within(Math.max(...sizes), mtu - 100, mtu)
  }
})

test('sampling is told by the header of v5, by options in v9, by records in IPFIX', () => {
  const v5 = collect('flows=10,versions=5,sampling=100').sent
  assert.deepEqual(v5.map(({ view }) => view.getUint16(22)), [2 << 14 | 100])
  const [options] = collect('flows=10,versions=9,sampling=100,v6=0%').sent
  assert.deepEqual(options.bytes.slice(-40), hex(`
    0001 0018 03e8 0004 0008 # set 1: template 1000, 4 bytes of scopes, 8 of options
    0001 0004 0022 0004 0023 0001 0000 # the system; interval, algorithm; padding
    03e8 0010 00000000 00000064 02 000000 # one in 100, at random
  `))
  for (const [version, source] of [[5, 1], [9, 3], [10, 2]]) {
    const [row] = collect(`flows=10,versions=${version},sampling=100`).rows
    assert.deepEqual([row['sampling_rate'], row['sampling_source']], [100, source])
  }
})

test('what is left out is what sequence numbers show to be missing', () => {
  const collected = collect('flows=30K,exporters=6,versions=1/5/6/7/9/10,loss=5%')
  for (const counts of collected.expected) {
    const { missing, lost, version } = counts
    assertCounts(collected, counts)
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
    assertCounts(collected, counts)
    assert.ok(counts.reordered > 0)
    assert.equal(counts.missing, 0)
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
  const records = collected.expected.map(({ version, domain, port, records }) => [version, domain, port, records])
  assert.deepEqual(records.sort(), [
    [10, 2, 50_000, 500], [10, 2, 50_001, 166], [9, 1, 50_000, 1001], [9, 1, 50_001, 333],
  ])
  for (const [version, domain] of [[9, 1], [10, 2]]) {
    const [one, other] = [50_000, 50_001].map((port) => {
      const [exporter] = [...collected.decoders.get(port)!.exporters.byKey.values()].filter(({ domains }) =>
        domains.has(version * 2 ** 32 + domain))
      return exporter.domains.get(version * 2 ** 32 + domain)!.templates
    })
    assert.deepEqual([...one.keys()], [...other.keys()])
    for (const [id, { fields }] of one) assert.notEqual(fields, other.get(id)!.fields)
  }
})

test('a decoder of all ports tells the senders of a conflict apart', () => {
  const text = 'flows=2000,exporters=2,versions=9/10,conflicts=2,v6=0%'
  const decoder = datagramDecoder()
  const batch = new FlowBatch()
  for (const datagram of generateDatagrams(parseTraffic(text))) decoder.decode(datagram, batch)
  assert.deepEqual(rows(batch), flows(text))
  for (const { counters, domains } of decoder.exporters.byKey.values()) {
    assert.ok(counters.templateConflicts > 0)
    assert.equal(domains.size, 2)
    for (const { sequence: { missing, reordered } } of domains.values()) {
      assert.deepEqual([missing, reordered], [0, 0])
    }
  }
})

test('uptimes wrap halfway through the span if asked for', () => {
  for (const [version, at] of [[1, 4], [5, 4], [9, 4]]) {
    const text = `flows=3000,versions=${version},wrap=yes,span=10m`
    const collected = collect(text)
    const uptimes = collected.sent.map(({ view }) => view.getUint32(at))
    const wraps = [...uptimes.keys()].filter((i) => i > 0 && uptimes[i] < uptimes[i - 1])
    assert.equal(wraps.length, 1)
    within(collected.sent[wraps[0]].received, START + 299e6, START + 306e6)
    assert.deepEqual(collected.rows, flows(text))
  }
})
