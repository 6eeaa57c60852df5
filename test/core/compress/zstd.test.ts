import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unwrap } from '../../../core/compress/unwrap.ts'
import { compressZstd, decompressZstd } from '../../../core/compress/zstd.ts'
import { chunksOf, distant, drain, early, lines, malformed, mismatched, noise } from './contents.ts'
import { ZSTD, ZSTD_PLAIN } from './vectors.ts'

function unpack(source: Uint8Array, size: number): Uint8Array {
  const target = new Uint8Array(size)
  return target.subarray(0, decompressZstd(source, target))
}

test('what zstd wrote is read, and what is packed comes back', () => {
  assert.deepEqual(unpack(ZSTD, lines(60).length), lines(60))
  assert.deepEqual(unpack(ZSTD_PLAIN, 50_000), new Uint8Array(distant()))
  for (const content of [new Uint8Array(0), noise(1, 1), lines(3000)]) {
    for (const level of [-5, 1, 9, 19]) {
      assert.deepEqual(unpack(compressZstd(content, level), content.length), content)
    }
  }
  assert.ok(compressZstd(lines(3000), 19).length < compressZstd(lines(3000), -5).length / 2)
})

test('what does not fit, is cut or damaged is refused', () => {
  const { length } = lines(60)
  const refuse = (source: Uint8Array, size: number, message: RegExp) => {
    assert.throws(() => unpack(source, size), { name: 'FlowkitError', code: 'ERR_MALFORMED', message })
  }
  refuse(ZSTD, length - 1, /^Cannot unpack zstd at byte 0: more than 2666 bytes come of it$/)
  refuse(ZSTD, 10, /more than 10 bytes come of it$/)
  refuse(ZSTD.with(100, ZSTD[100] ^ 1), length, /^Cannot unpack zstd at byte 0: /)
  refuse(Buffer.concat([ZSTD, lines(1)]), length, /^Cannot unpack zstd/)
  for (let end = 0; end < ZSTD.length; end++) refuse(ZSTD.subarray(0, end), length, /^Cannot unpack zstd/)
})

test('as a stream it is read from chunks of any size, frame after frame', async () => {
  const skippable = Uint8Array.fromHex('502a4d1802000000aabb')
  const empty = compressZstd(new Uint8Array(0), 1)
  const frames = Buffer.concat([skippable, ZSTD, ZSTD_PLAIN, skippable, empty, ZSTD])
  const content = Buffer.concat([lines(60), distant(), lines(60)])
  for (const size of [1, 3, 100, 2000]) {
    const { bytes, error } = await drain(unwrap(chunksOf(frames, size)))
    assert.equal(error, undefined)
    assert.deepEqual(bytes, content)
  }
})

test('large frames come in chunks of their blocks', async () => {
  const content = lines(20_000)
  const { bytes, sizes } = await drain(unwrap(chunksOf(compressZstd(content, 1), 10_000)))
  assert.deepEqual(bytes, Buffer.from(content))
  assert.ok(sizes.length > 7 && Math.max(...sizes) <= 131_072)
})

test('damage is told behind the blocks that are whole', async () => {
  const packed = compressZstd(lines(20_000), 1)
  const said = async (frames: Uint8Array, count: number, wanted: RegExp) => {
    const { bytes, error } = await drain(unwrap(chunksOf(frames, 1000)))
    assert.deepEqual(bytes, Buffer.from(lines(20_000)).subarray(0, count))
    const { code, message } = error as { code: string, message: string }
    assert.match(`${code} ${message}`, wanted)
  }
  const first = 131_072
  const half = packed.length >> 1
  await said(packed.subarray(0, half), first * 3, /^ERR_TRUNCATED Cannot unpack zstd at byte \d+: it ends/)
  await said(packed.subarray(0, 5), 0, /^ERR_TRUNCATED Cannot unpack zstd at byte 0: it ends too early$/)
  const { length } = lines(60)
  const broken = async (frames: Uint8Array) => {
    const { bytes, error } = await drain(unwrap(chunksOf(frames, 1000)))
    const { code, message } = error as { code: string, message: string }
    return [bytes.length, `${code} ${message}`]
  }
  const end = ZSTD.length
  assert.deepEqual(await broken(ZSTD.with(end - 1, ZSTD[end - 1] ^ 1)), [
    length, mismatched('zstd', end - 4, 'the checksum'),
  ])
  assert.deepEqual(await broken(ZSTD.subarray(0, -1)), [
    length, early('zstd', end - 4),
  ])
  assert.deepEqual(await broken(Buffer.concat([ZSTD, lines(1)])), [
    length, malformed('a frame', end, 'no beginning of one'),
  ])
  assert.deepEqual(await broken(Buffer.concat([ZSTD, Uint8Array.fromHex('502a4d1802000000aa')])), [
    length, early('a frame', end),
  ])
  assert.deepEqual(await broken(Uint8Array.fromHex('28b52ffd2000ffffff00')), [
    0, malformed('zstd', 0, 'no such block'),
  ])
})
