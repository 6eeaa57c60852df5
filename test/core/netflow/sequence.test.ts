import { test } from 'node:test'
import assert from 'node:assert/strict'
import { newSequence, type Sequence } from '../../../core/netflow/sequence.ts'
import { collector, ipfix, join, set, template, u16, u32, u8, v9, type Collector } from './messages.ts'

const FIXED = { 5: 48, 6: 52, 7: 52 } as const
const DATA = set(256, u32(1))

/** A v5, v6 or v7 datagram of `count` records that begins at flow `sequence`. */
function fixed(version: 5 | 6 | 7, sequence: number, count: number, engine = 0): Uint8Array {
  return join(u16(version, count), new Uint8Array(12), u32(sequence >>> 0), u8(0, engine, 0, 0),
    new Uint8Array(count * FIXED[version]))
}

/** What was told of a version's sequence, after messages of (sequence number, units). */
function after(
  version: 5 | 6 | 7 | 9 | 10, ...messages: readonly (readonly [number, number])[]
): Pick<Sequence, 'missing' | 'reordered' | 'restarts'> {
  const it = collector()
  if (version === 9 || version === 10) learn(it, messages[0][0])
  for (const [sequence, units] of messages) {
    if (version === 9) it.send(v9({ sequence: sequence >>> 0 }, DATA))
    else if (version === 10) it.send(ipfix({ sequence: sequence >>> 0 }, set(256, new Uint8Array(units * 4))))
    else it.send(fixed(version, sequence, units))
  }
  const { missing, reordered, restarts } = it.domain(version).sequence
  return { missing, reordered, restarts }
}

/** Teach a template, in messages whose numbers end where those of the test begin. */
function learn({ send }: Collector, sequence: number): void {
  send(v9({ sequence: sequence - 1 >>> 0 }, set(0, template(256, [1, 4]))))
  send(ipfix({ sequence: sequence >>> 0 }, set(2, template(256, [1, 4]))))
}

for (const [version, unit, step] of [
  [5, 'flows', 30], [6, 'flows', 20], [7, 'flows', 27], [9, 'messages', 1], [10, 'data records', 40],
] as const) {
  test(`v${version} numbers ${unit}: in order nothing is missing, whatever the first number`, () => {
    for (const first of [1, 1_000_000, 2 ** 31 - step, 2 ** 32 - step]) {
      assert.deepEqual(after(version, [first, step], [first + step, step], [first + 2 * step, step]),
        { missing: 0, reordered: 0, restarts: 0 }, `from ${first}`)
    }
  })

  test(`v${version}: a gap is what is missing, in ${unit}`, () => {
    assert.deepEqual(after(version, [10, step], [10 + 3 * step, step]),
      { missing: 2 * step, reordered: 0, restarts: 0 })
    assert.deepEqual(after(version, [10, step], [10 + step + 77, step], [10 + 2 * step + 77 + 5, step]),
      { missing: 82, reordered: 0, restarts: 0 })
  })

  test(`v${version}: a gap over the 32-bit wrap is what is missing`, () => {
    const last = 2 ** 32 - step
    assert.deepEqual(after(version, [last, step], [5 * step, step]),
      { missing: 5 * step, reordered: 0, restarts: 0 })
  })

  test(`v${version}: a late message takes back what was missing`, () => {
    const at = (n: number) => [10 + n * step, step] as const
    assert.deepEqual(after(version, at(0), at(2), at(1), at(3)), { missing: 0, reordered: 1, restarts: 0 })
    assert.deepEqual(after(version, at(0), at(4), at(2), at(5)),
      { missing: 2 * step, reordered: 1, restarts: 0 })
  })

  test(`v${version}: a message sent twice is reordered and never makes less than nothing missing`, () => {
    assert.deepEqual(after(version, [10, step], [10 + step, step], [10 + step, step]),
      { missing: 0, reordered: 1, restarts: 0 })
  })

  test(`v${version}: numbers that begin anew are a restart, not a gap`, () => {
    assert.deepEqual(after(version, [5_000_000, step], [1, step], [1 + step, step]),
      { missing: 0, reordered: 0, restarts: 1 })
    assert.deepEqual(after(version, [1, step], [3_000_000_000, step], [3_000_000_000 + step, step]),
      { missing: 0, reordered: 0, restarts: 1 })
  })
}

test('v1 has no numbers, and no state is made for it', () => {
  const { send, exporter } = collector()
  send(join(u16(1, 1), new Uint8Array(12 + 48)))
  assert.equal(exporter().domains.size, 0)
})

test('a long gap is a gap, numbers that begin anew are a restart', () => {
  assert.deepEqual(after(5, [10, 30], [5_000_040, 30]), { missing: 5_000_000, reordered: 0, restarts: 0 })
  assert.deepEqual(after(5, [5_000_000, 30], [0, 30], [30, 30]), { missing: 0, reordered: 0, restarts: 1 })
  assert.deepEqual(after(5, [3_000_000_000, 30], [0, 30]), { missing: 0, reordered: 0, restarts: 1 })
})

test('engines of v5 number their flows apart', () => {
  const { send, domain } = collector()
  for (const engine of [1, 2, 1, 2]) send(fixed(5, engine * 1000, 30, engine))
  assert.deepEqual([domain(5, 1).sequence.next, domain(5, 2).sequence.next], [1030, 2030])
})

test('domains and exporters of v9 and IPFIX number apart', () => {
  const { send, domain } = collector()
  const layout = set(2, template(256, [1, 4]))
  for (let i = 0; i < 3; i++) {
    send(ipfix({ domain: 1, sequence: i }, layout, DATA))
    send(ipfix({ domain: 2, sequence: 100 + i }, layout, DATA))
    send(ipfix({ domain: 1, sequence: 200 + i }, layout, DATA), '198.51.100.1')
  }
  for (const state of [domain(10, 1), domain(10, 2), domain(10, 1, '198.51.100.1')]) {
    const { missing, reordered, restarts } = state.sequence
    assert.deepEqual([missing, reordered, restarts], [0, 0, 0])
  }
})

test('IPFIX counts data records of flows and options, not template records (RFC 7011 §3.1)', () => {
  const { send, domain } = collector()
  const options = join(u16(300, 2, 1), u16(149, 4, 34, 4))
  send(ipfix({ sequence: 50 }, set(2, template(256, [1, 4]), template(257, [2, 4])), set(3, options),
    set(300, u32(0, 10)),
    set(256, u32(1, 2, 3))))
  assert.equal(domain(10).sequence.next, 54)
})

test('messages in one datagram are counted one by one', () => {
  const { send, domain } = collector()
  const layout = set(2, template(256, [1, 4]))
  const sent = send(join(ipfix({ sequence: 1, domain: 1 }, layout, DATA),
    ipfix({ sequence: 2, domain: 1 }, DATA, DATA),
    ipfix({ sequence: 9, domain: 2 }, layout, DATA)))
  assert.deepEqual(sent.map((row) => [row['observation_domain_id'], row['sequence_num']]),
    [[1, 1], [1, 2], [1, 2], [2, 9]])
  assert.deepEqual([domain(10, 1).sequence.next, domain(10, 2).sequence.next], [4, 10])
})

test('records that wait for their template are told from lost ones once they are decoded', () => {
  const { send, domain } = collector()
  send(ipfix({ sequence: 0 }, set(256, u32(1, 2, 3)))) // waits
  send(ipfix({ sequence: 3 + 5 }, set(256, u32(4)))) // waits; 5 records before it are lost
  assert.equal(domain(10).sequence.missing, 0)
  send(ipfix({ sequence: 9 }, set(2, template(256, [1, 4]))))
  assert.equal(domain(10).sequence.missing, 5)
  send(ipfix({ sequence: 9 + 2 }, DATA))
  assert.equal(domain(10).sequence.missing, 7)
})

test('where waiting records were given up, it cannot be told how many are missing', () => {
  const { send, domain, exporter } = collector()
  send(ipfix({ sequence: 0 }, set(256, u32(1, 2, 3)), set(257, u8(1, 2, 3, 4, 5))))
  send(ipfix({ sequence: 4 }, set(2, template(256, [1, 4]), template(257, [1, 65535]))))
  assert.equal(exporter().counters.abandonedSets, 1)
  assert.equal(domain(10).sequence.missing, 0)
  send(ipfix({ sequence: 4 + 10 }, DATA))
  assert.equal(domain(10).sequence.missing, 10)
})

test('a damaged message is not counted: what it held is missing when the next comes', () => {
  const { send, domain } = collector()
  send(fixed(5, 100, 30))
  assert.throws(() => send(fixed(5, 130, 30).subarray(1)))
  assert.throws(() => send(fixed(5, 130, 30).subarray(0, 1000)))
  send(fixed(5, 160, 30))
  assert.deepEqual(domain(5).sequence, { ...newSequence(), next: 190, missing: 30, breaks: 1 })
})

/** What an exporter that numbers its IPFIX messages in some way is taken to have lost, of 40 with one missing. */
function habitual(inclusive: boolean, countsOptions: boolean): { missing: number, reordered: number } {
  const { send, domain } = collector()
  let sequence = 1000
  const options = join(u16(300, 2, 1), u16(149, 4, 34, 4))
  for (let i = 0; i < 40; i++) {
    const flows = 5 + i * 7 % 13
    const hasOptions = i % 5 === 0
    const counted = flows + (hasOptions && countsOptions ? 1 : 0)
    const number = inclusive ? sequence + counted : sequence
    sequence += counted
    if (i === 30) continue // 10 flows and, where they count, an option: lost
    const sets = [set(256, new Uint8Array(flows * 4)), ...hasOptions ? [set(3, options), set(300, u32(0, 10))] : []]
    send(ipfix({ sequence: number }, set(2, template(256, [1, 4])), ...sets))
  }
  const { missing, reordered } = domain(10).sequence
  return { missing, reordered }
}

test('IPFIX exporters have several habits of counting: only what is lost is missing', () => {
  const lost = 5 + 30 * 7 % 13
  assert.deepEqual(habitual(false, true), { missing: lost + 1, reordered: 0 }) // RFC 7011
  assert.deepEqual(habitual(false, false), { missing: lost, reordered: 0 })
  assert.deepEqual(habitual(true, true), { missing: lost + 1, reordered: 0 })
  assert.deepEqual(habitual(true, false), { missing: lost, reordered: 0 }) // softflowd
})
