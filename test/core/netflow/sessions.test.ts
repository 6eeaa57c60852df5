/** Messages that came by connections: templates belong to the transport session (RFC 7011 §8). */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import {
  domainOf, exporterOf, forgetSession, forgetSessions, versionOf,
} from '../../../core/netflow/exporters.ts'
import { LIMITS } from '../../../core/netflow/limits.ts'
import {
  collector, FROM, ip6, ipfix, options10, pick, RECEIVED, set, template, u32, type Collector, type Row,
} from './messages.ts'

const BYTES = set(2, template(256, [1, 4]))
const PACKETS = set(2, template(256, [2, 4]))
const DATA = set(256, u32(7))
const V4 = 0xc0000201 // FROM
const NO_V6 = new Uint8Array(16)

/** What a message of a session at `port`, or else of a datagram, adds. */
function send({ send }: Collector, port: number, session: boolean, ...sets: Uint8Array[]): Row[] {
  return pick(send(ipfix({}, ...sets), undefined, { port, session }), 'bytes', 'packets', 'sampling_rate')
}

test('each session has templates and options of its own from the beginning, and so have datagrams', () => {
  const it = collector()
  const options = [set(3, options10(300, [[149, 4]], [[34, 4]])), set(300, u32(0, 100))]
  assert.deepEqual(send(it, 1, true, BYTES, ...options, DATA), [{ bytes: 7, sampling_rate: 100 }])
  assert.deepEqual(send(it, 2, true, DATA), []) // it has announced nothing
  assert.deepEqual(send(it, 1, false, DATA), [])
  assert.deepEqual(send(it, 2, true, PACKETS), [{ packets: 7 }]) // what waited
  assert.deepEqual(send(it, 1, false, PACKETS), [{ packets: 7 }])
  assert.deepEqual(send(it, 1, true, DATA), [{ bytes: 7, sampling_rate: 100 }])
  const { counters, domains } = it.exporter()
  assert.equal(counters.templateConflicts, 0)
  assert.deepEqual([...domains.keys()].map(versionOf), [10, 10, 10])
})

test('sequence numbers are followed by session', () => {
  const it = collector()
  for (const [port, sequence] of [[1, 0], [2, 5000], [1, 1], [2, 5001], [1, 5]] as const) {
    it.send(ipfix({ sequence }, BYTES, DATA), undefined, { port, session: true })
  }
  const [one, two] = [...it.exporter().domains.values()].map(({ sequence }) => sequence)
  assert.deepEqual([one.missing, one.reordered, one.restarts], [3, 0, 0])
  assert.deepEqual([two.missing, two.reordered, two.restarts], [0, 0, 0])
})

test('forgetSession() forgets the templates of one session in all its domains, and nothing else', () => {
  const it = collector()
  const { exporters } = it.decoder
  for (const domain of [0, 1, 0xffffffff]) {
    it.send(ipfix({ domain }, BYTES), undefined, { port: 65_535, session: true })
  }
  send(it, 65_534, true, BYTES)
  send(it, 65_535, false, BYTES)
  assert.deepEqual([exporters.domains, exporters.templates], [5, 5])
  forgetSession(exporters, 4, V4, NO_V6, 65_535)
  assert.deepEqual([exporters.domains, exporters.templates, it.exporter().templates], [2, 2, 2])
  assert.deepEqual(send(it, 65_535, true, DATA), [])
  assert.deepEqual(send(it, 65_534, true, DATA), [{ bytes: 7 }])
  assert.deepEqual(send(it, 65_535, false, DATA), [{ bytes: 7 }])
  assert.equal(it.exporter().counters.heldSets, 1)
})

test('what a session had waiting is given up with it, and what it was missing stays counted', () => {
  const it = collector()
  const { exporters } = it.decoder
  it.send(ipfix({ sequence: 0 }, BYTES, DATA), undefined, { port: 9, session: true })
  it.send(ipfix({ sequence: 4 }, DATA), undefined, { port: 9, session: true })
  it.send(ipfix({ sequence: 5 }, set(999, u32(1))), undefined, { port: 9, session: true })
  assert.ok(exporters.waitingBytes > 0)
  forgetSession(exporters, 4, V4, NO_V6, 9)
  const { counters } = it.exporter()
  assert.deepEqual([exporters.waitingBytes, exporters.domains, counters.abandonedSets], [0, 0, 1])
  assert.deepEqual(it.exporter().ended, {
    flows: 0, messages: 0, records: 3, reordered: 0, restarts: 0,
  })
  assert.equal(it.exporter().sessionDomains, 0)
})

test('forgetSession() of an exporter that is not known, or has no sessions, does nothing', () => {
  const it = collector()
  send(it, 9, false, BYTES)
  forgetSession(it.decoder.exporters, 4, V4, NO_V6, 9)
  forgetSession(it.decoder.exporters, 6, 0, ip6('2001:db8::1'), 9)
  assert.deepEqual(send(it, 9, false, DATA), [{ bytes: 7 }])
})

test('sessions of IPv6 exporters are forgotten by their address', () => {
  const it = collector()
  const from = '2001:db8::1'
  it.send(ipfix({}, BYTES), from, { port: 9, session: true })
  forgetSession(it.decoder.exporters, 6, 0, ip6('2001:db8::2'), 9)
  assert.equal(it.decoder.exporters.templates, 1)
  forgetSession(it.decoder.exporters, 6, 0, ip6(from), 9)
  assert.equal(it.decoder.exporters.templates, 0)
})

test('forgetSessions() forgets those of all exporters, but not the state of datagrams', () => {
  const it = collector()
  for (const from of [FROM, '192.0.2.2', '2001:db8::1']) {
    it.send(ipfix({}, BYTES), from, { port: 9, session: true })
    it.send(ipfix({}, BYTES), from, { port: 9 })
  }
  forgetSessions(it.decoder.exporters)
  assert.deepEqual([it.decoder.exporters.domains, it.decoder.exporters.templates], [3, 3])
  assert.deepEqual(send(it, 9, false, DATA), [{ bytes: 7 }])
})

test('a template holds as long as its session, however long it is not used', () => {
  const it = collector()
  const later = RECEIVED + 2 * LIMITS.templateLifetime
  send(it, 9, true, BYTES)
  const rows = it.send(ipfix({}, DATA), undefined, { port: 9, session: true, received: later })
  assert.deepEqual(pick(rows, 'bytes'), [{ bytes: 7 }])
})

test('a session withdraws and redefines its templates', () => {
  const it = collector()
  send(it, 9, true, BYTES)
  assert.deepEqual(send(it, 9, true, set(2, u32(256 * 65536)), PACKETS, DATA), [{ packets: 7 }])
})

test('domains of an exporter are bounded; datagrams do not push out the state of sessions', () => {
  const it = collector()
  send(it, 9, true, BYTES)
  for (let domain = 0; domain < 300; domain++) it.send(ipfix({ domain }, BYTES))
  assert.equal(it.exporter().domains.size, LIMITS.domainsPerExporter)
  assert.deepEqual(send(it, 9, true, DATA), [{ bytes: 7 }])
  for (let port = 10; port < 310; port++) send(it, port, true, BYTES)
  const { domains, sessionDomains, templates } = it.exporter()
  assert.deepEqual([domains.size, sessionDomains, templates], Array(3).fill(LIMITS.domainsPerExporter))
  assert.deepEqual(send(it, 309, true, DATA), [{ bytes: 7 }])
})

test('exporters are bounded; those of datagrams do not push out one with sessions', () => {
  const it = collector()
  const { exporters } = it.decoder
  send(it, 9, true, BYTES)
  const from = (v4: number) => ({ ...NOBODY, v4 })
  for (let n = 0; n < LIMITS.exporters + 5; n++) {
    const exporter = exporterOf(exporters, from(n))
    domainOf(exporters, exporter, 9, 0, 0)
  }
  assert.deepEqual([exporters.byKey.size, exporters.forgotten.exporters], [LIMITS.exporters, 6])
  assert.ok(!exporters.byKey.has(0) && exporters.byKey.has(6))
  assert.deepEqual(send(it, 9, true, DATA), [{ bytes: 7 }])
})

test('where all exporters have sessions, the one not heard for longest is forgotten', () => {
  const { decoder: { exporters } } = collector()
  for (let v4 = 0; v4 <= LIMITS.exporters; v4++) {
    domainOf(exporters, exporterOf(exporters, { ...NOBODY, v4 }), 10, 0, 1, true)
  }
  assert.deepEqual([exporters.byKey.size, exporters.domains], [LIMITS.exporters, LIMITS.exporters])
  assert.ok(!exporters.byKey.has(0) && exporters.byKey.has(1))
})

const NOBODY = {
  bytes: NO_V6, view: new DataView(NO_V6.buffer), start: 0, end: 0, family: 4, v4: 0, v6: NO_V6, port: 0,
  received: 0,
}
