import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressLzo, decompressLzo, lzoBound } from '../../../core/compress/lzo.ts'
import { distant, lines, noise } from './contents.ts'
import { LZO_DISTANT, LZO_DISTANT_9, LZO_LINES, LZO_LINES_9 } from './vectors.ts'

function unpack(block: Uint8Array, size: number): Uint8Array {
  const target = new Uint8Array(size)
  return target.subarray(0, decompressLzo(block, target))
}

function pack(content: Uint8Array): Uint8Array {
  const target = new Uint8Array(lzoBound(content.length))
  return target.slice(0, compressLzo(content, target))
}

function refuse(block: readonly number[], size: number, reason: RegExp): void {
  assert.throws(() => unpack(Uint8Array.from(block), size), { code: 'ERR_MALFORMED', message: reason })
}

test('blocks of the LZO library are read, fast ones and small ones', () => {
  const text = lines(60)
  assert.deepEqual(unpack(LZO_LINES, text.length), text)
  assert.deepEqual(unpack(LZO_LINES_9, text.length), text)
  const far = new Uint8Array(distant())
  assert.deepEqual(unpack(LZO_DISTANT, far.length), far)
  assert.deepEqual(unpack(LZO_DISTANT_9, far.length), far)
})

test('each kind of instruction is read', () => {
  // 4 literals; 3 bytes from 4 back; 2 literals; 2 bytes from 1 back, 1 literal; the end
  const first = [21, 1, 2, 3, 4, 0x4e, 0, 5, 6, 0x01, 0, 7, 17, 0, 0]
  assert.deepEqual([...unpack(Uint8Array.from(first), 99)], [1, 2, 3, 4, 1, 2, 3, 5, 6, 6, 6, 7])
  // 4 literals; 300 bytes from 1 back: 31 + 255 + 12 + 2
  const long = unpack(Uint8Array.from([21, 1, 2, 3, 4, 32, 0, 12, 0, 0, 17, 0, 0]), 999)
  assert.deepEqual([...long], [1, 2, 3, ...Array(301).fill(4)])
  // 18 and 1 literals in a run; 3 bytes from 2049 + 3 back want more than there is
  refuse([0, 1, ...Array(19).fill(9), 0x0c, 0, 17, 0, 0], 99, /a match before the beginning/)
})

test('a target that is larger than the block stays as it is behind it', () => {
  const target = new Uint8Array(8).fill(7)
  assert.equal(decompressLzo(Uint8Array.of(20, 1, 2, 3, 17, 0, 0), target), 3)
  assert.deepEqual([...target], [1, 2, 3, 7, 7, 7, 7, 7])
})

test('damage is told with its place', () => {
  refuse([], 9, /^Cannot unpack LZO at byte 0: no end$/)
  refuse([20, 1, 2, 3], 9, /^Cannot unpack LZO at byte 1: literals beyond the end$/)
  refuse([20, 1, 2, 3, 17, 0], 9, /^Cannot unpack LZO at byte 1: literals beyond the end$/)
  refuse([20, 1, 2, 3, 64, 0], 9, /^Cannot unpack LZO at byte 1: literals/)
  refuse([17, 0], 9, /^Cannot unpack LZO at byte 2: no end$/)
  refuse([21, 1, 2, 3, 4, 64, 0, 17, 0], 9, /^Cannot unpack LZO at byte 5: a match beyond the end$/)
  refuse([21, 1, 2, 3, 4, 17, 0, 0, 0], 9, /^Cannot unpack LZO at byte 5: an end too early$/)
  refuse([21, 1, 2, 3, 4, 64, 9, 17, 0, 0], 9, /^Cannot unpack LZO at byte 5: a match before the beginning$/)
  refuse([21, 1, 2, 3, 4, 32, 0, 0, 0, 0, 0], 99, /^Cannot unpack LZO at byte 5: a length beyond the end$/)
  refuse([21, 1, 2, 3, 4, 0xe0, 0, 17, 0, 0], 11, /^Cannot unpack LZO at byte 5: a match beyond the end$/)
  refuse([21, 1, 2, 3, 4, 17, 0, 0], 3, /literals beyond the end$/)
})

test('a block that is cut or has another byte never yields more than its target', () => {
  const size = distant().length
  for (let end = 0; end < LZO_DISTANT.length; end++) {
    assert.throws(() => unpack(LZO_DISTANT.subarray(0, end), size), { code: 'ERR_MALFORMED' })
  }
  for (let at = 0; at < LZO_LINES.length; at++) {
    const block = LZO_LINES.with(at, LZO_LINES[at] ^ 0x55)
    const around = new Uint8Array(lines(60).length + 20).fill(0xaa)
    try {
      decompressLzo(block, around.subarray(10, -10))
    } catch (error) {
      assert.equal((error as { code: string }).code, 'ERR_MALFORMED')
    }
    assert.deepEqual([...around.subarray(0, 10), ...around.subarray(-10)], Array(20).fill(0xaa))
  }
})

test('what is packed comes back, and repetitions are found', () => {
  const contents = [
    new Uint8Array(0), Uint8Array.of(1), noise(3, 1), noise(4, 1), noise(238, 1), noise(239, 1),
    noise(5000, 1), new Uint8Array(100_000), lines(60), lines(3000), distant(),
    Buffer.concat([noise(300, 1), new Uint8Array(49_000), noise(300, 1)]), // further than a match can reach
  ]
  for (const content of contents) {
    assert.deepEqual(unpack(pack(content), content.length), new Uint8Array(content))
  }
  assert.deepEqual([...pack(new Uint8Array(0))], [17, 0, 0])
  assert.ok(pack(lines(3000)).length < lines(3000).length / 3)
  assert.ok(pack(noise(5000, 1)).length < 5000 + 30)
})

test('a target below the bound is refused', () => {
  assert.equal(lzoBound(1000), 1000 + 62 + 64 + 3)
  assert.throws(() => compressLzo(new Uint8Array(1000), new Uint8Array(1128)), RangeError)
})
