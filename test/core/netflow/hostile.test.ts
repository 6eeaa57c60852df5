import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { LIMITS, SET_OVERHEAD } from '../../../core/netflow/limits.ts'
import {
  collector, datagram, hex, ip4, ipfix, join, options10, options9, pick, rows, set, template, text, u16, u32,
  u64, v9, variable, type Collector, type Row,
} from './messages.ts'

const MALFORMED = { name: 'FlowkitError', code: 'ERR_MALFORMED' }
const BYTES = template(256, [1, 4])
const LONG = template(257, [371, 65535], [7, 2])

/** Send what may be damaged. @returns the rows it gave, or undefined if it was refused, adding nothing */
function attempt({ send, batch }: Collector, bytes: Uint8Array): Row[] | undefined {
  const before = rows(batch)
  try {
    return send(bytes)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    assert.deepEqual(rows(batch), before)
    return undefined
  }
}

function repeat(count: number, make: (i: number) => Uint8Array): Uint8Array {
  return join(...Array.from({ length: count }, (_, i) => make(i)))
}

test('a v5 datagram cut anywhere adds nothing', () => {
  const whole = join(u16(5, 2), new Uint8Array(20 + 96))
  for (let length = 0; length < whole.length; length++) {
    const it = collector()
    assert.equal(attempt(it, whole.subarray(0, length)), undefined, `${length} bytes`)
    assert.equal(attempt(it, whole)!.length, 2)
  }
})

test('an IPFIX message cut anywhere adds nothing, whatever its header says of its length', () => {
  const whole = ipfix({}, set(2, BYTES, LONG), set(256, u32(1), u32(2)),
    set(257, variable(text('name')), u16(443)))
  const ends = [16, 16 + 4 + 8 + 12, 16 + 4 + 8 + 12 + 12, whole.length] // of sets
  for (let length = 0; length < whole.length; length++) {
    assert.equal(attempt(collector(), whole.subarray(0, length)), undefined, `${length} bytes`)
    if (length < 16) continue
    const honest = whole.slice(0, length)
    honest.set(u16(length), 2)
    const complete = ends.filter((end) => end <= length).length - 1
    const sent = attempt(collector(), honest)
    // up to 3 bytes behind a set are padding; more do not make a set
    if (length - ends[complete] > 3) assert.equal(sent, undefined, `${length} bytes`)
    else assert.equal(sent?.length, complete > 1 ? 2 : 0, `${length} bytes`)
  }
})

test('a v9 message cut anywhere gives the records of its whole sets, or nothing', () => {
  const data = [set(256, u32(1), u32(2)), set(256, u32(3))]
  const whole = v9({}, set(0, BYTES), ...data)
  const ends = [20, 32, 44, 52]
  for (let length = 0; length < whole.length; length++) {
    const complete = ends.filter((end) => end <= length).length - 1
    const sent = attempt(collector(), whole.subarray(0, length))
    if (complete < 0 || length - ends[complete] > 3) assert.equal(sent, undefined, `${length} bytes`)
    else assert.equal(sent!.length, [0, 0, 2, 3][complete], `${length} bytes`)
  }
})

test('templates cut anywhere in their set are refused', () => {
  for (const [id, record] of [
    [2, template(256, [1, 4], [2, 4, 9], [3, 65535])], [3, options10(256, [[149, 4]], [[34, 4, 9]])],
  ] as const) {
    for (let length = 4; length < record.length; length++) {
      assert.throws(() => collector().send(ipfix({}, set(id, record.subarray(0, length)))), MALFORMED,
        `${length} bytes`)
    }
  }
  const record = options9(256, [[1, 4]], [[34, 4], [35, 1]])
  for (let length = 4; length < record.length; length++) {
    assert.throws(() => collector().send(v9({}, set(1, record.subarray(0, length)))), MALFORMED,
      `${length} bytes`)
  }
})

test('sets that lie about their length are refused, with what came before them', () => {
  for (const length of [0, 1, 2, 3, 9, 13, 100, 65535]) {
    const bad = set(256, u32(2))
    bad.set(u16(length), 2)
    const it = collector()
    it.send(ipfix({}, set(2, BYTES)))
    assert.equal(attempt(it, ipfix({}, set(256, u32(1)), bad)), undefined, `${length}`)
    assert.equal(attempt(it, v9({}, set(0, BYTES), set(256, u32(1)), bad)), undefined, `${length}`)
    assert.deepEqual(pick(it.send(ipfix({}, set(256, u32(7)))), 'bytes'), [{ bytes: 7 }])
  }
})

test('a set that reaches over the next one swallows it as data', () => {
  const over = set(256, u32(1))
  over.set(u16(16), 2)
  const sent = collector().send(ipfix({}, set(2, BYTES), over, set(256, u32(2))))
  assert.deepEqual(pick(sent, 'bytes'), [{ bytes: 1 }, { bytes: 0x01000008 }, { bytes: 2 }])
})

test('templates that count more fields than there are', () => {
  for (const count of [2, 3, 1000, 65535]) {
    const lying = BYTES.slice()
    lying.set(u16(count), 2)
    for (const message of [ipfix({}, set(2, lying)), v9({}, set(0, lying))]) {
      assert.throws(() => collector().send(message), MALFORMED)
    }
  }
})

test('options templates of more scopes than fields', () => {
  assert.throws(() => collector().send(ipfix({}, set(3, u16(300, 1, 2, 149, 4)))), MALFORMED)
  assert.throws(() => collector().send(v9({}, set(1, u16(300, 65535, 65535, 1, 4)))), MALFORMED)
})

test('templates with an id of sets are refused', () => {
  for (const id of [1, 2, 3, 255]) {
    assert.throws(() => collector().send(v9({}, set(0, template(id, [1, 4])))), MALFORMED)
  }
})

test('data of a template without fields, or whose fields have no bytes, is refused', () => {
  const it = collector()
  it.send(v9({}, set(0, template(256), template(257, [1, 0], [2, 0]))))
  for (const id of [256, 257]) {
    assert.throws(() => it.send(v9({}, set(id, u32(1)))), MALFORMED)
    assert.throws(() => it.send(v9({}, set(id))), MALFORMED)
  }
  assert.equal(it.batch.length, 0)
})

test('options records of no bytes are none', () => {
  const { send, exporter } = collector()
  send(v9({}, set(1, options9(300, [], [[34, 0]])), set(300, u32(1))))
  assert.equal(exporter().counters.optionsRecords, 0)
})

test('a field of 65535 bytes is refused in v9, and of variable length in IPFIX', () => {
  assert.throws(() => collector().send(v9({}, set(0, template(256, [82, 65535])))), MALFORMED)
  const sent = collector().send(ipfix({}, set(2, template(256, [82, 65535])), set(256, variable(text('a')))))
  assert.deepEqual(pick(sent, 'in_if_name'), [{ in_if_name: 'a' }])
})

test('records longer than any set give no rows', () => {
  const { send } = collector({ extras: true })
  const layout = template(256, ...Array.from({ length: 1000 }, () => [4711, 65534] as const))
  assert.deepEqual(send(ipfix({}, set(2, layout), set(256, new Uint8Array(50_000)))), [])
})

test('a template of as many fields as a datagram holds', () => {
  const fields = Array.from({ length: 16_000 }, (_, i) => [i, 1] as const)
  const { send } = collector({ extras: true })
  send(v9({}, set(0, template(256, ...fields))))
  const values = Uint8Array.from(fields, (_, i) => i & 255)
  const [row] = send(v9({}, set(256, values, values)))
  assert.deepEqual([row['bytes'], row['proto'], (row['extras'] as string[]).at(-1)], [1, 4, '0/15999=7f'])
})

test('variable lengths that pass the end of their set are refused, zeros behind the records are not', () => {
  const send = (end: string) =>
    attempt(collector(), ipfix({}, set(2, LONG), set(257, variable(text('ok')), u16(1), hex(end))))
  for (const end of ['05 61 00', 'ff ff ff', 'ff 0001 61 00', 'fe ff fe', 'ff ffff 00 0000', '02 61 62 01']) {
    assert.equal(send(end), undefined, end)
  }
  for (const end of ['', '00', '00 00']) assert.equal(send(end)!.length, 1, end)
})

test('one damaged message of several in a datagram takes back the others', () => {
  const good = ipfix({ domain: 1 }, set(2, BYTES), set(256, u32(1)))
  const it = collector()
  for (const bad of [hex('000a'), ipfix({}, u16(256, 3)), v9({}), good.subarray(0, 20),
    hex('000a000f 00000000 00000000 00000000')]) {
    assert.equal(attempt(it, join(good, good, bad)), undefined)
  }
  assert.equal(it.batch.length, 0)
  assert.equal(it.exporter().counters.records, 0)
  assert.equal(it.send(join(good, good)).length, 2)
})

test('a refused datagram leaves the next to be decoded as if it had not been', () => {
  const good = ipfix({}, set(2, BYTES, LONG), set(256, u32(1)), set(257, variable(text('a')), u16(1)))
  const it = collector()
  const wanted = it.send(good)
  for (let at = 0; at < good.length; at++) {
    const bad = good.slice()
    bad[at] ^= 0xff
    attempt(it, bad)
    assert.deepEqual(it.send(good), wanted, `byte ${at}`)
  }
})

test('bytes around a datagram are not read', () => {
  const { decoder, batch } = collector()
  const message = v9({}, set(0, BYTES), set(256, u32(1)), hex('0100'))
  const given = datagram(message)
  assert.equal(decoder.decode(given, batch), 1)
  assert.throws(() => decoder.decode({ ...given, end: given.end - 4 }, batch), MALFORMED)
  assert.throws(() => decoder.decode({ ...given, end: given.end + 4 }, batch), MALFORMED)
})

// What may be kept is bounded

test('65,536 templates from one exporter: the last of them are kept', () => {
  const { send, decoder, domain } = collector()
  for (let id = 256; id < 65_536; id += 1000) {
    send(v9({}, set(0, repeat(Math.min(1000, 65_536 - id), (i) => template(id + i, [1, 4])))))
  }
  assert.equal(domain(9).templates.size, LIMITS.templatesPerExporter)
  assert.deepEqual([decoder.exporters.templates, decoder.exporters.templateBytes], [8192, 8192 * 4])
  assert.deepEqual(pick(send(v9({}, set(65_535, u32(5)))), 'bytes'), [{ bytes: 5 }])
})

test('domains of one exporter: the oldest gives way, with its templates and what waits', () => {
  const { send, decoder, exporter } = collector()
  for (let domain = 0; domain < 1000; domain++) send(ipfix({ domain }, set(2, BYTES), set(300, u32(1))))
  assert.equal(exporter().domains.size, LIMITS.domainsPerExporter)
  const { templates, waitingBytes } = decoder.exporters
  assert.deepEqual([templates, waitingBytes], [256, 256 * (4 + SET_OVERHEAD)])
  assert.equal(exporter().counters.abandonedSets, 1000 - 256)
})

test('100,000 spoofed exporters: those heard last are kept, and counts stay right', () => {
  const { decoder, batch, send } = collector()
  const message = datagram(v9({}, set(0, BYTES), set(300, u32(1))))
  const plain = datagram(join(u16(5, 1), new Uint8Array(20 + 48)))
  for (let i = 0; i < 100_000; i++) {
    decoder.decode({ ...i % 2 === 0 ? message : plain, v4: 0x0a000000 + i }, batch)
    if (batch.length > 1000) batch.clear()
  }
  const { exporters } = decoder
  assert.equal(exporters.byKey.size, LIMITS.exporters)
  assert.equal(exporters.forgotten.exporters, 100_000 - LIMITS.exporters)
  const domains = [...exporters.byKey.values()].flatMap((exporter) => [...exporter.domains.values()])
  assert.equal(exporters.templates, domains.reduce((sum, { templates }) => sum + templates.size, 0))
  assert.equal(exporters.waitingBytes, domains.reduce((sum, { waiting }) => sum + (waiting?.bytes ?? 0), 0))
  assert.ok(exporters.templates <= LIMITS.templates)
  batch.clear()
  decoder.decode({ ...datagram(v9({}, set(256, u32(9)))), v4: 0x0a000000 + 99_998 }, batch)
  assert.deepEqual(pick(rows(batch), 'bytes'), [{ bytes: 9 }])
  assert.deepEqual(send(v9({}, set(256, u32(9))), '10.0.0.0'), [])
})

test('templates of many exporters: those of the ones heard longest ago give way', () => {
  const { decoder, batch } = collector()
  const given = datagram(v9({}, set(0, repeat(100, (i) => template(256 + i, [1, 4])))))
  for (let i = 0; i < 1000; i++) decoder.decode({ ...given, v4: i }, batch)
  const { templates, templateBytes, byKey } = decoder.exporters
  assert.deepEqual([templates, templateBytes, byKey.size], [32_700, 32_700 * 4, 327])
  assert.deepEqual([...byKey.keys()].slice(0, 2), [673, 674])
})

test('large templates are bounded by their bytes', () => {
  const { decoder, batch } = collector()
  const fields = Array.from({ length: 16_000 }, (_, i) => [i, 1] as const)
  const given = datagram(v9({}, set(0, template(256, ...fields))))
  for (let i = 0; i < 400; i++) decoder.decode({ ...given, v4: i }, batch)
  assert.equal(decoder.exporters.templates, 262)
  assert.ok(decoder.exporters.templateBytes <= LIMITS.templateBytes)
})

test('data that waits is bounded for a domain: the oldest gives way', () => {
  const { send, decoder, domain, exporter } = collector()
  for (let i = 0; i < 100; i++) send(v9({ sequence: i }, set(300, u32(i), new Uint8Array(59_996))))
  assert.equal(domain(9).waiting!.bytes, 17 * (60_000 + SET_OVERHEAD))
  assert.equal(decoder.exporters.waitingBytes, 17 * (60_000 + SET_OVERHEAD))
  assert.deepEqual([exporter().counters.heldSets, exporter().counters.abandonedSets], [100, 83])
  const sent = send(v9({}, set(0, template(300, [1, 4], [99, 59_996]))))
  assert.deepEqual(sent.map((row) => row['bytes']), Array.from({ length: 17 }, (_, i) => 83 + i))
})

test('data that waits is bounded for all: what comes then is given up', () => {
  const { decoder, batch } = collector()
  const given = datagram(v9({}, set(300, new Uint8Array(60_000))))
  for (let i = 0; i < 1000; i++) decoder.decode({ ...given, v4: i }, batch)
  assert.ok(decoder.exporters.waitingBytes <= LIMITS.waitingBytes)
  assert.ok(decoder.exporters.waitingBytes > LIMITS.waitingBytes - 60_000 - SET_OVERHEAD)
  const counters = [...decoder.exporters.byKey.values()].map((exporter) => exporter.counters)
  const waiting = Math.floor(LIMITS.waitingBytes / (60_000 + SET_OVERHEAD))
  assert.equal(counters.reduce((sum, { abandonedSets }) => sum + abandonedSets, 0), 1000 - waiting)
})

test('samplers are bounded, and those known are still updated', () => {
  const { send, domain } = collector()
  send(v9({}, set(1, options9(300, [[1, 4]], [[48, 4], [34, 4]]))))
  for (let id = 0; id < 80_000; id += 1000) send(v9({}, set(300, repeat(1000, (i) => u32(0, id + i, 2)))))
  assert.equal(domain(9).sampling!.byId.size, LIMITS.samplers)
  send(v9({}, set(300, u32(0, 7, 77))))
  assert.equal(send(v9({}, set(0, template(256, [48, 4])), set(256, u32(7))))[0]['sampling_rate'], 77)
})

test('rows of one byte: a datagram of 65,000 of them', () => {
  const { send } = collector()
  const sent = send(v9({}, set(0, template(256, [4, 1])), set(256, new Uint8Array(65_000).fill(17))))
  assert.deepEqual([sent.length, sent[0]['proto'], sent[64_999]['proto']], [65_000, 17, 17])
})

test('exporters forgotten while their data waits are not missed', () => {
  const { decoder, batch } = collector()
  for (let i = 0; i <= LIMITS.exporters; i++) {
    decoder.decode({ ...datagram(v9({}, set(300, ip4('10.0.0.1'), u64(1)))), v4: i }, batch)
  }
  assert.equal(decoder.exporters.waitingBytes, LIMITS.exporters * (12 + SET_OVERHEAD))
})
