/** Senders that share an address and a domain, and templates that are not heard of any more. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { LIMITS } from '../../../core/netflow/limits.ts'
import {
  collector, ipfix, options9, pick, RECEIVED, set, template, u32, v9, type Collector, type Row,
} from './messages.ts'

const BYTES = set(0, template(256, [1, 4]))
const PACKETS = set(0, template(256, [2, 4]))
const DATA = set(256, u32(7))

/** A sender of v9 at a source port. */
function sender({ send }: Collector, port: number): (...sets: Uint8Array[]) => Row[] {
  let sequence = port
  return (...sets) => {
    const rows = send(v9({ sequence: sequence++ }, ...sets), undefined, { port })
    return pick(rows, 'bytes', 'packets')
  }
}

test('senders whose templates conflict are told apart by their source ports', () => {
  const it = collector()
  const [a, b] = [sender(it, 1000), sender(it, 2000)]
  assert.deepEqual(a(BYTES, DATA), [{ bytes: 7 }])
  assert.deepEqual(b(PACKETS, DATA), [{ packets: 7 }])
  for (let i = 0; i < 3; i++) {
    assert.deepEqual(a(DATA), [{ bytes: 7 }])
    assert.deepEqual(b(DATA), [{ packets: 7 }])
  }
  assert.deepEqual(a(BYTES, DATA), [{ bytes: 7 }])
  assert.deepEqual(b(PACKETS, DATA), [{ packets: 7 }])
  const { templateConflicts } = it.exporter().counters
  assert.equal(templateConflicts, 1)
  for (const { sequence } of it.exporter().domains.values()) {
    assert.deepEqual([sequence.missing, sequence.reordered, sequence.restarts], [0, 0, 0])
  }
})

test('IPFIX senders are told apart likewise', () => {
  const { send } = collector()
  const [bytes, packets] = [set(2, template(256, [1, 4])), set(2, template(256, [2, 4]))]
  send(ipfix({}, bytes), undefined, { port: 1 })
  send(ipfix({}, packets), undefined, { port: 2 })
  assert.deepEqual(pick(send(ipfix({}, DATA), undefined, { port: 1 }), 'bytes', 'packets'), [{ bytes: 7 }])
  assert.deepEqual(pick(send(ipfix({}, DATA), undefined, { port: 2 }), 'bytes', 'packets'), [{ packets: 7 }])
})

test('a template that changes at one port is no conflict: the exporter was configured anew', () => {
  const it = collector()
  const a = sender(it, 1000)
  a(BYTES)
  a(PACKETS)
  assert.deepEqual(a(DATA), [{ packets: 7 }])
  assert.deepEqual([it.exporter().counters.templateConflicts, it.exporter().domains.size], [0, 1])
})

test('the same templates from several ports are no conflict', () => {
  const it = collector()
  for (const port of [1, 2, 3]) sender(it, port)(BYTES, DATA)
  assert.deepEqual(sender(it, 4)(DATA), [{ bytes: 7 }])
  assert.deepEqual([it.exporter().counters.templateConflicts, it.exporter().domains.size], [0, 1])
})

test('an exporter that changes its templates and its port at a restart is understood, from any port', () => {
  const it = collector()
  const options = [set(1, options9(300, [[1, 4]], [[34, 4]])), set(300, u32(0, 100))]
  sender(it, 1000)(BYTES, ...options)
  sender(it, 2000)(PACKETS)
  // from a third port, as behind an address translation: it is the latest that sends
  const rows = it.send(v9({}, DATA), undefined, { port: 3000 })
  assert.deepEqual(pick(rows, 'packets', 'sampling_rate'), [{ packets: 7, sampling_rate: 100 }])
})

test('a sender keeps its other templates when one of them conflicts', () => {
  const it = collector()
  const [a, b] = [sender(it, 1000), sender(it, 2000)]
  a(BYTES)
  b(set(0, template(257, [2, 4])))
  b(PACKETS) // 256: conflict
  assert.deepEqual(b(set(257, u32(9))), [{ packets: 9 }])
  assert.deepEqual(a(DATA), [{ bytes: 7 }])
})

test('senders that are told apart are bounded', () => {
  const it = collector()
  for (let port = 1; port <= 60_000; port++) {
    it.decoder.decode({ ...DATAGRAMS[port & 1], port }, it.batch)
  }
  assert.ok(it.exporter().domains.size <= 8)
  assert.equal(it.exporter().counters.templateConflicts, 59_999)
  const { domains, templates } = it.decoder.exporters
  assert.deepEqual([domains, templates], [it.exporter().domains.size, it.exporter().templates])
  assert.ok(templates <= 8)
})

const DATAGRAMS = [BYTES, PACKETS].map((layout) => {
  const bytes = v9({}, layout)
  return {
    bytes, view: new DataView(bytes.buffer), start: 0, end: bytes.length, family: 4, v4: 0xc0000201,
    v6: new Uint8Array(16), port: 0, received: RECEIVED,
  }
})

const DAY = LIMITS.templateLifetime

test('a template neither announced nor used for a day is forgotten: data waits for it again', () => {
  const it = collector()
  const send = (at: number, ...sets: Uint8Array[]) =>
    pick(it.send(v9({}, ...sets), undefined, { received: RECEIVED + at }), 'bytes')
  send(0, BYTES)
  assert.deepEqual(send(DAY, DATA), [{ bytes: 7 }]) // used
  assert.deepEqual(send(2 * DAY, DATA), [{ bytes: 7 }])
  assert.deepEqual(send(3 * DAY + 1, DATA), [])
  assert.deepEqual([it.exporter().counters.expiredTemplates, it.exporter().counters.heldSets], [1, 1])
  assert.deepEqual(send(3 * DAY + 2, BYTES), [{ bytes: 7 }])
})

test('announcing a template again keeps it', () => {
  const it = collector()
  for (const at of [0, DAY, 2 * DAY]) it.send(v9({}, BYTES), undefined, { received: RECEIVED + at })
  const rows = it.send(v9({}, DATA), undefined, { received: RECEIVED + 3 * DAY })
  assert.deepEqual(pick(rows, 'bytes'), [{ bytes: 7 }])
  assert.equal(it.exporter().counters.expiredTemplates, 0)
})
