import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { messageCutter } from '../../../core/net/ipfix-messages.ts'

/** A message of `length` bytes that is filled with `fill`. */
function message(length: number, fill: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(fill)
  bytes.set([0, 10, length >> 8, length & 255])
  return bytes
}

/** What a cutter hands over, copied, and where it lay. */
function collect(): { cut: ReturnType<typeof messageCutter>, got: Buffer[], memory: Set<ArrayBufferLike> } {
  const got: Buffer[] = []
  const memory = new Set<ArrayBufferLike>()
  const cut = messageCutter((bytes, start, end) => {
    memory.add(bytes.buffer)
    got.push(Buffer.from(bytes.subarray(start, end)))
  })
  return { cut, got, memory }
}

const lengths = fc.oneof(fc.integer({ min: 16, max: 60 }), fc.integer({ min: 16, max: 65_535 }))

test('messages come out whole and in order wherever the stream is cut', () => {
  const step = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 70_000 }))
  const steps = fc.infiniteStream(step)
  fc.assert(fc.property(fc.array(lengths, { maxLength: 12 }), steps, (sizes, chunks) => {
    const messages = sizes.map((size, i) => message(size, i + 1))
    const stream = Buffer.concat(messages)
    const { cut, got } = collect()
    let at = 0
    while (at < stream.length) {
      const next = Math.min(at + chunks.next().value, stream.length)
      cut.push(stream.subarray(at, next))
      at = next
      const whole = Buffer.concat(got).length
      assert.equal(cut.held, at - whole)
      assert.equal(cut.wanted, cut.held === 0 ? 0 : cut.held < 4 ? 4 : messages[got.length].length)
    }
    assert.ok(Buffer.concat(got).equals(stream))
    assert.deepEqual(got.map(({ length }) => length), sizes)
  }), { numRuns: 60 })
})

test('messages that lie whole in a chunk are not copied', () => {
  const cut39 = message(40, 4).subarray(0, 39)
  const chunk = Buffer.concat([message(100, 1), message(16, 2), message(65_535, 3), cut39])
  const { cut, got, memory } = collect()
  cut.push(chunk)
  assert.deepEqual(got.map(({ length }) => length), [100, 16, 65_535])
  assert.deepEqual([...memory], [chunk.buffer])
  assert.deepEqual([cut.held, cut.wanted], [39, 40])
})

test('what is kept of a message is not the memory of its chunk', () => {
  const { cut, got } = collect()
  const chunk = Buffer.from(message(20, 9))
  cut.push(chunk.subarray(0, 10))
  chunk.fill(0, 0, 10)
  cut.push(chunk.subarray(10))
  assert.deepEqual(new Uint8Array(got[0]), message(20, 9))
})

const wanted = 'version 10 and a length of 16 or more expected'

for (const [name, bytes, found] of [
  ['NetFlow v9', [0, 9, 0, 1, 0, 0, 0, 0], 'version 9 and length 1 found'],
  ['a length that is shorter than the header', [0, 10, 0, 15], 'version 10 and length 15 found'],
  ['text', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'version 18245 and length 21536 found'],
] as const) {
  const error = { code: 'ERR_MALFORMED', message: `Cannot read IPFIX message: ${wanted}, ${found}` }

  test(`${name} is refused, after the messages before it`, () => {
    const { cut, got } = collect()
    assert.throws(() => cut.push(Buffer.concat([message(16, 1), Uint8Array.from(bytes)])), error)
    assert.equal(got.length, 1)
  })

  test(`${name} is refused as soon as version and length are there`, () => {
    const { cut } = collect()
    for (const byte of bytes.slice(0, 3)) cut.push(Uint8Array.of(byte))
    assert.throws(() => cut.push(Uint8Array.of(bytes[3])), error)
  })
}
