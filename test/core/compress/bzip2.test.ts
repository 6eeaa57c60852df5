import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decompressBzip2 } from '../../../core/compress/bzip2.ts'
import { unwrap } from '../../../core/compress/unwrap.ts'
import { chunksOf, distant, drain, lines } from './contents.ts'
import { BZIP2, BZIP2_RUNS } from './vectors.ts'

const EMPTY = Uint8Array.fromHex('425a683917724538509000000000') // what bzip2 makes of nothing

function unpack(source: Uint8Array, size: number): Uint8Array {
  const target = new Uint8Array(size)
  return target.subarray(0, decompressBzip2(source, target))
}

function damaged(source: Uint8Array, at: number, bits: number): Uint8Array {
  return source.with(at, source[at] ^ bits)
}

test('what bzip2 wrote is read, also long runs and streams one behind the other', () => {
  const text = lines(60)
  assert.deepEqual(unpack(BZIP2, text.length), text)
  assert.deepEqual(unpack(BZIP2_RUNS, distant().length + 9), new Uint8Array(distant()))
  assert.deepEqual(unpack(EMPTY, 9), new Uint8Array(0))
  const two = unpack(Buffer.concat([BZIP2, EMPTY, BZIP2]), text.length * 2)
  assert.deepEqual(Buffer.from(two), Buffer.concat([text, text]))
})

test('what does not fit, ends early or is no bzip2 is refused', () => {
  const refuse = (source: Uint8Array, size: number, code: string, message: RegExp) => {
    assert.throws(() => unpack(source, size), { code, message })
  }
  const { length } = lines(60)
  const malformed = 'ERR_MALFORMED'
  refuse(BZIP2, length - 1, malformed, new RegExp(`more than ${length - 1} bytes come of it$`))
  refuse(BZIP2_RUNS, 5000, malformed, /more than 5000 bytes come of it$/)
  for (let end = 0; end < BZIP2.length; end++) {
    refuse(BZIP2.subarray(0, end), length, malformed, /^Cannot unpack bzip2 at byte \d+: it ends too early$/)
  }
  refuse(lines(1), length, malformed, /^Cannot unpack bzip2 at byte 0: no beginning of a stream$/)
  refuse(Buffer.concat([BZIP2, lines(1)]), length, malformed, /at byte 480: no beginning of a stream$/)
  refuse(damaged(BZIP2, 4, 1), length, malformed, /at byte 4: neither a block nor the end of a stream$/)
  refuse(damaged(BZIP2, 10, 1), length, 'ERR_CHECKSUM', /at byte 4: the checksum of a block does not match$/)
  refuse(damaged(BZIP2, 14, 0x80), length, malformed, /at byte 4: a randomised block, of bzip2 before 0.9.5$/)
  refuse(damaged(BZIP2, 14, 0x40), length, malformed, /at byte 4: the beginning lies beyond the end$/)
  refuse(damaged(EMPTY, 11, 1), length, 'ERR_CHECKSUM', /at byte 4: the checksum of a stream does not match$/)
})

test('a byte that differs is found, or makes no difference', () => {
  const text = lines(60)
  for (let at = 0; at < BZIP2.length; at++) {
    for (const bits of [1, 0x80, 0xff]) {
      let found: Uint8Array
      try {
        found = unpack(damaged(BZIP2, at, bits), text.length + 1000)
      } catch (error) {
        assert.equal((error as Error).name, 'FlowkitError')
        continue
      }
      assert.deepEqual(found, text)
    }
  }
})

test('as a stream it is read from chunks of any size, and whole blocks come before damage', async () => {
  const text = lines(60)
  const two = Buffer.concat([BZIP2, BZIP2])
  for (const size of [1, 2, 3, 7, 100, two.length]) {
    const { bytes, error } = await drain(unwrap(chunksOf(two, size)))
    assert.equal(error, undefined)
    assert.deepEqual(bytes, Buffer.concat([text, text]))
  }
  const cut = await drain(unwrap(chunksOf(two.subarray(0, -1), 100)))
  assert.equal(cut.bytes.length, text.length * 2)
  assert.equal((cut.error as { code: string }).code, 'ERR_TRUNCATED')
  const short = await drain(unwrap(chunksOf(two.subarray(0, BZIP2.length + 100), 64)))
  assert.deepEqual(short.bytes, Buffer.from(text))
  assert.equal((short.error as Error).message, 'Cannot unpack bzip2 at byte 484: it ends too early')
  const other = await drain(unwrap(chunksOf(damaged(two, BZIP2.length + 20, 8), 64)))
  assert.deepEqual(other.bytes.subarray(0, text.length), Buffer.from(text))
  assert.match((other.error as Error).message, /^Cannot unpack bzip2 at byte 484: /)
})
