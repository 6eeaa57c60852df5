/** Templates, options and data may come in any order: what they say together is the same. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import {
  collector, EXPORTED, ipfix, join, options10, options9, rows, set, template, u16, u32, u8, uint, v9,
  type Collector, type Header, type Row, type TemplateField,
} from './messages.ts'

const SEED = 3954
const SAMPLING = ['sampling_rate', 'sampling_source', 'sampling_algorithm']

/** Who sends, each with templates and options of its own. */
const SENDERS = [
  { version: 9, domain: 0, from: '192.0.2.1' }, { version: 9, domain: 7, from: '192.0.2.1' },
  { version: 10, domain: 0, from: '192.0.2.1' }, { version: 10, domain: 0, from: '2001:db8::1' },
] as const

/** Fields beside the number of the flow: columns of several kinds, an extra, a rate, and a sampler. */
const FIELDS: readonly TemplateField[] = [
  [2, 4], [4, 1], [7, 2], [8, 4], [27, 16], [22, 4], [70, 3], [4711, 3], [34, 2], [48, 2],
]
const SAMPLER = 48
const TEMPLATE_IDS = [256, 257, 258]
const OPTIONS_ID = 300

/** What options tell of a sender's sampling: nothing, a rate, or those of samplers 1 and 2. */
type Told = 'nothing' | 'rate' | 'samplers'

interface Sender {
  readonly layouts: readonly (readonly TemplateField[])[]
  readonly told: Told
}

/** One part of a message: a template, the options template, the options, or records of a template. */
type Part =
  | { readonly kind: 'template' | 'records', readonly id: number }
  | { readonly kind: 'options template' | 'options' }

interface Message {
  readonly sender: number
  readonly parts: readonly Part[]
  readonly header: Header
  readonly bytes: Uint8Array
}

const senders: fc.Arbitrary<Sender[]> = fc.array(fc.record({
  layouts: fc.tuple(...TEMPLATE_IDS.map(() => fc.subarray([...FIELDS]))),
  told: fc.constantFrom<Told>('nothing', 'rate', 'samplers'),
}), { minLength: SENDERS.length, maxLength: SENDERS.length })

const part: fc.Arbitrary<Part> = fc.oneof(
  fc.record({ kind: fc.constant('template' as const), id: fc.constantFrom(...TEMPLATE_IDS) }),
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('records' as const), id: fc.constantFrom(...TEMPLATE_IDS) }),
  },
  fc.record({ kind: fc.constantFrom('options template' as const, 'options' as const) }),
)

const contents = fc.array(fc.record({
  sender: fc.nat(SENDERS.length - 1), parts: fc.array(part, { minLength: 1, maxLength: 4 }),
  age: fc.nat(1000), sequence: fc.nat(1000), records: fc.integer({ min: 1, max: 3 }),
}), { minLength: 1, maxLength: 25 })

/** Messages, in the order they are sent; each flow in them has a number of its own in `bytes`. */
const traffic = fc.tuple(senders, contents).map(([all, list]) => {
  let flow = 0
  return list.map(({ sender, parts, age, sequence, records }): Message => {
    const { version, domain } = SENDERS[sender]
    const header = { domain, sequence, secs: EXPORTED - age, uptime: 600_000 - age * 7 }
    const sets = parts.map((each) => setOf(version, all[sender], each, () => ++flow, records))
    return { sender, parts, header, bytes: messageOf(sender, header, sets) }
  }).concat(SENDERS.map((_, sender) => announcement(all, sender)))
})

/** All templates and options of a sender, so that nothing waits for ever. */
function announcement(all: readonly Sender[], sender: number): Message {
  const parts: Part[] = [
    ...TEMPLATE_IDS.map((id) => ({ kind: 'template' as const, id })), { kind: 'options template' },
    { kind: 'options' },
  ]
  const header = { domain: SENDERS[sender].domain }
  const sets = parts.map((each) => setOf(SENDERS[sender].version, all[sender], each, () => 0, 0))
  return { sender, parts, header, bytes: messageOf(sender, header, sets) }
}

function messageOf(sender: number, header: Header, sets: readonly Uint8Array[]): Uint8Array {
  return SENDERS[sender].version === 9 ? v9(header, ...sets) : ipfix(header, ...sets)
}

function setOf(
  version: 9 | 10, { layouts, told }: Sender, each: Part, next: () => number, count: number,
): Uint8Array {
  const first = version === 9 ? 0 : 2
  switch (each.kind) {
    case 'template': return set(first, template(each.id, [1, 4], ...layouts[each.id - TEMPLATE_IDS[0]]))
    case 'records': {
      const layout = layouts[each.id - TEMPLATE_IDS[0]]
      return set(each.id, ...Array.from({ length: count }, () => recordOf(layout, next())))
    }
    case 'options template': {
      const fields: TemplateField[] = told === 'samplers' ? [[48, 2], [34, 4]] : [[34, 4], [35, 1]]
      return version === 9
        ? set(1, options9(OPTIONS_ID, [[1, 4]], fields))
        : set(3, options10(OPTIONS_ID, [[149, 4]], fields))
    }
    case 'options': switch (told) {
      case 'nothing': return set(OPTIONS_ID, u32(0, 0), u8(0))
      case 'rate': return set(OPTIONS_ID, u32(0, 100), u8(2))
      case 'samplers': return set(OPTIONS_ID, u32(0), u16(1), u32(10), u32(0), u16(2), u32(20))
    }
  }
}

/** The record of a flow: its values follow from its number; samplers are 0 to 3. */
function recordOf(layout: readonly TemplateField[], flow: number): Uint8Array {
  const values = layout.map(([id, length]) => uint(id === SAMPLER ? flow % 4 : flow * (id + 1), length))
  return join(u32(flow), ...values)
}

/** The flows by number, decoded in this order; behind messages in `leave` the batch is emptied. */
function decode(messages: readonly Message[], leave: ReadonlySet<number> = new Set()): Map<number, Row> {
  const it = collector({ extras: true })
  const flows = new Map<number, Row>()
  for (const [i, { sender, bytes }] of messages.entries()) {
    it.send(bytes, SENDERS[sender].from)
    if (leave.has(i)) takeRows(it, flows)
  }
  takeRows(it, flows)
  assert.equal(it.decoder.exporters.waitingBytes, 0)
  return flows
}

function takeRows({ batch }: Collector, flows: Map<number, Row>): void {
  for (const row of rows(batch)) {
    assert.ok(!flows.has(Number(row['bytes'])), 'a flow comes twice')
    flows.set(Number(row['bytes']), row)
  }
  batch.clear()
}

/** The flows when all templates and options come first. */
function decodeInOrder(messages: readonly Message[]): Map<number, Row> {
  const announcements = messages.slice(-SENDERS.length)
  return decode([...announcements, ...messages])
}

const shuffled = traffic.chain((messages) => fc.record({
  messages: fc.constant(messages),
  order: fc.shuffledSubarray([...messages.keys()], { minLength: messages.length }),
  leave: fc.subarray([...messages.keys()]),
}))

function byNumber(flows: ReadonlyMap<number, Row>): [number, Row][] {
  return [...flows].sort(([a], [b]) => a - b)
}

test('templates, options and data in any order give the flows they give in order', () => {
  fc.assert(fc.property(shuffled, ({ messages, order }) => {
    const mixed = decode(order.map((i) => messages[i]))
    assert.deepEqual(byNumber(mixed), byNumber(decodeInOrder(messages)))
  }), { seed: SEED, numRuns: 500 })
})

test('flows that have left before the options came lack their sampling, and nothing else', () => {
  fc.assert(fc.property(shuffled, ({ messages, order, leave }) => {
    const mixed = decode(order.map((i) => messages[i]), new Set(leave))
    const wanted = decodeInOrder(messages)
    assert.equal(mixed.size, wanted.size)
    for (const [flow, row] of mixed) {
      const whole = wanted.get(flow)!
      if (row['sampling_rate'] === undefined) assert.deepEqual(row, without(whole, SAMPLING))
      else assert.deepEqual(row, whole)
    }
  }), { seed: SEED + 1, numRuns: 500 })
})

function without(row: Row, names: readonly string[]): Row {
  return Object.fromEntries(Object.entries(row).filter(([name]) => !names.includes(name)))
}
