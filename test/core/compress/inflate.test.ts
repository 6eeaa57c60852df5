import { test } from 'node:test'
import assert from 'node:assert/strict'
import { constants, deflateRawSync, deflateSync } from 'node:zlib'
import fc from 'fast-check'
import { adler32 } from '../../../core/compress/adler32.ts'
import { Inflater } from '../../../core/compress/inflate.ts'
import { noise } from './contents.ts'

/** What an inflater makes of a stream that comes in pieces of `size` bytes. */
function unpack(
  packed: Uint8Array, size: number = packed.length, inflater: Inflater = new Inflater(),
): { bytes: Buffer, done: boolean, rest: number, error: unknown } {
  const parts: Buffer[] = []
  let at = 0
  let error: unknown
  for (let end = 0; error === undefined;) {
    end = Math.min(end + size, packed.length)
    for (;;) {
      const before = at
      try {
        at = inflater.inflate(packed.subarray(0, end), at)
      } catch (cause) {
        error = cause
      }
      const { bytes, start, end: stop } = inflater
      parts.push(Buffer.from(bytes.subarray(start, stop)))
      inflater.start = stop
      if (error !== undefined || (at === before && start === stop)) break
    }
    if (end === packed.length) break
  }
  return { bytes: Buffer.concat(parts), done: inflater.done, rest: packed.length - at, error }
}

function told(error: unknown): string {
  const { code, message } = error as { code: string, message: string }
  return `${code} ${message}`
}

/** A value and how many bits of it, from the lowest up; a code is text, from its highest bit down. */
type Bits = readonly [value: number, bits: number] | string

/** Bytes of bits. */
function bitsOf(...parts: readonly Bits[]): Uint8Array {
  const bits = parts.flatMap((part) => typeof part === 'string'
    ? [...part].map(Number)
    : Array.from({ length: part[1] }, (_, i) => part[0] >> i & 1))
  return Uint8Array.from({ length: Math.ceil(bits.length / 8) }, (_, i) => (
    bits.slice(i * 8, i * 8 + 8).reduce((sum, bit, place) => sum | bit << place, 0)
  ))
}

test('streams of every level, strategy and window are unpacked, from pieces of any size', () => {
  const repeated = Array.from({ length: 40 }, (_, i) => `${i} packets of ${i * 7} bytes\n`).join('')
  const { Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED } = constants
  for (const each of ['', 'a', repeated, noise(3000, 5), Buffer.alloc(5000, 7)]) {
    const content = Buffer.from(each)
    for (const level of [0, 1, 6, 9]) {
      for (const strategy of [Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY, Z_RLE, Z_FIXED]) {
        const packed = deflateSync(content, { level, strategy, windowBits: 9 + level % 7 })
        for (const size of [1, 7, packed.length]) {
          assert.deepEqual(unpack(packed, size), { bytes: content, done: true, rest: 0, error: undefined })
        }
      }
    }
  }
})

test('more than there is room for comes piece by piece', () => {
  const content = Buffer.concat([noise(300_000, 9), Buffer.alloc(2_000_000, 'flow'), noise(100_000, 10)])
  for (const level of [0, 6]) {
    const { bytes, done } = unpack(deflateSync(content, { level }))
    assert.ok(done && bytes.equals(content))
  }
})

test('a block of fixed codes is read as RFC 1951 has them', () => {
  // 'a', then a match of 4 one byte back, then the end; 'a' is 0x30 + 97 in 8 bits, 258 is 2 in 7, 256 is 0
  const a = (0x30 + 97).toString(2).padStart(8, '0')
  const block = bitsOf([1, 1], [1, 2], a, '0000010', '00000', '0000000')
  for (const size of [1, block.length]) {
    const { bytes, done } = unpack(block, size, new Inflater(0, 'deflate'))
    assert.deepEqual([bytes.toString(), done], ['aaaaa', true])
  }
})

test('damage is told with its place', () => {
  const stream = (...parts: readonly Bits[]) => (
    Buffer.concat([Uint8Array.of(0x78, 0x9c), bitsOf(...parts), Buffer.alloc(16)])
  )
  const cases: [Uint8Array, string][] = [
    [Buffer.from('no stream'), 'no zlib stream found at byte 1000'],
    [Uint8Array.of(0x78, 0xbb), 'a dictionary that is not there found at byte 1000'],
    [stream([1, 1], [3, 2]), 'a block of an unknown kind found at byte 1002'],
    [stream([1, 1], [0, 2], [0, 5], [5, 16], [5, 16]),
      'lengths that contradict each other found at byte 1003'],
    [stream([1, 1], [1, 2], '0000001', '00000'), 'a distance beyond the beginning found at byte 1002'],
    [stream([1, 1], [1, 2], '11000110', '0000000'), 'a code that stands for nothing found at byte 1002'],
    [stream([1, 1], [2, 2], [31, 5], [0, 5], [0, 4]), 'too many codes found'],
    [stream([1, 1], [2, 2], [0, 5], [0, 5], [0, 4]), 'codes that do not make a tree found'],
    [stream([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [1, 3], [1, 3], [1, 3]),
      'codes that do not make a tree found'],
    // only the codes 16 and 18, in that order: a repetition of nothing
    [stream([1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [1, 3], [0, 3], [1, 3], [0, 3], '0'),
      'a length repeated before the first found'],
    // 138 zeros twice, which is more than there are lengths
    [stream(
      [1, 1], [2, 2], [0, 5], [0, 5], [0, 4], [1, 3], [0, 3], [1, 3], [0, 3], '1', [127, 7], '1', [127, 7],
    ), 'too many lengths found'],
  ]
  for (const [bytes, message] of cases) {
    const { error, done } = unpack(bytes, bytes.length, new Inflater(1000))
    assert.equal(done, false)
    assert.ok(told(error).startsWith(`ERR_MALFORMED Cannot unpack zlib stream: ${message}`), told(error))
  }
})

test('what was unpacked before the damage can be taken', () => {
  const packed = Buffer.concat([
    deflateSync('what is good', { finishFlush: constants.Z_SYNC_FLUSH }), Uint8Array.of(7),
  ])
  const { bytes, error } = unpack(packed)
  assert.equal(bytes.toString(), 'what is good')
  assert.match(told(error), /a block of an unknown kind found at byte/)
})

test('a checksum that does not match is told', () => {
  const packed = deflateSync('flows')
  packed[packed.length - 1] ^= 1
  const { bytes, error } = unpack(packed)
  assert.equal(bytes.toString(), 'flows')
  const found = 'checksum 0661022d for bytes of 0661022c found'
  assert.equal(told(error), `ERR_CHECKSUM Cannot unpack zlib stream: ${found} at byte ${packed.length - 4}`)
})

test('a stream that is cut off is not done, and gives all that it holds', () => {
  const content = Buffer.from('packets and bytes, packets and bytes, packets and bytes')
  const packed = deflateSync(content)
  for (let end = 0; end < packed.length; end++) {
    const { bytes, done, error } = unpack(packed.subarray(0, end), 3)
    assert.deepEqual([done, error], [false, undefined])
    assert.ok(content.subarray(0, bytes.length).equals(bytes))
    assert.ok(bytes.length === content.length || end < packed.length - 4)
  }
})

test('what follows a stream is left alone', () => {
  const packed = deflateSync('flows')
  const { bytes, done, rest } = unpack(Buffer.concat([packed, Buffer.from('more')]))
  assert.deepEqual([bytes.toString(), done, rest], ['flows', true, 4])
})

test('whatever Node packs is unpacked, and bytes changed in it never go unnoticed', () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 400 }), fc.nat({ max: 9 }), fc.nat(), fc.integer({ min: 1, max: 255 }),
    fc.nat({ max: 9 }),
    (content, level, place, change, size) => {
      const packed = deflateSync(Buffer.concat([content, content]), { level })
      const { bytes, done } = unpack(packed, size + 1)
      assert.ok(done && bytes.equals(Buffer.concat([content, content])))
      packed[2 + place % (packed.length - 2)] ^= change
      const damaged = unpack(packed, size + 1)
      assert.ok(!damaged.done || damaged.bytes.equals(bytes))
      const raw = unpack(deflateRawSync(content, { level }), size + 1, new Inflater(0, 'deflate'))
      assert.ok(raw.bytes.equals(content))
    },
  ), { numRuns: 500 })
})

test('Adler-32 is that of RFC 1950, in one piece or several', () => {
  const text = Buffer.from('Wikipedia')
  assert.equal(adler32(text, 0, 9, 1), 0x11e60398)
  assert.equal(adler32(text, 4, 9, adler32(text, 0, 4, 1)), 0x11e60398)
  assert.equal(adler32(text, 3, 3, 1), 1)
  const large = Buffer.alloc(1_000_000, 255)
  assert.equal(adler32(large, 0, large.length, 1), deflateSync(large).subarray(-4).readUInt32BE())
})
