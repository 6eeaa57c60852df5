import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressLz4Block, decompressLz4Block, lz4Bound } from '../../../core/compress/lz4.ts'
import { unwrap } from '../../../core/compress/unwrap.ts'
import { XxHash32, xxHash32 } from '../../../core/compress/xxhash32.ts'
import { chunksOf, distant, drain, early, lines, malformed, mismatched, noise, saying } from './contents.ts'
import { LZ4_CHAIN, LZ4_DISTANT, LZ4_FRAME, LZ4_LEGACY, LZ4_LINES } from './vectors.ts'

function unpack(block: Uint8Array, size: number): Uint8Array {
  const target = new Uint8Array(size)
  return target.subarray(0, decompressLz4Block(block, target))
}

function pack(content: Uint8Array): Uint8Array {
  const target = new Uint8Array(lz4Bound(content.length))
  return target.slice(0, compressLz4Block(content, target))
}

function refuse(block: readonly number[], size: number, reason: RegExp): void {
  assert.throws(() => unpack(Uint8Array.from(block), size), { code: 'ERR_MALFORMED', message: reason })
}

test('blocks of the LZ4 library are read', () => {
  const text = lines(60)
  assert.deepEqual(unpack(LZ4_LINES, text.length), text)
  const far = new Uint8Array(distant())
  assert.deepEqual(unpack(LZ4_DISTANT, far.length + 9), far)
})

test('literals and matches of every length are read', () => {
  assert.deepEqual([...unpack(Uint8Array.of(0), 9)], [])
  const short = unpack(Uint8Array.of(0x32, 1, 2, 3, 1, 0, 0x10, 9), 99)
  assert.deepEqual([...short], [1, 2, 3, 3, 3, 3, 3, 3, 3, 9])
  const long = unpack(Uint8Array.of(0x1f, 7, 1, 0, 255, 6, 0x10, 9), 999) // 4 + 15 + 255 + 6
  assert.deepEqual([...long], [...Array(281).fill(7), 9])
  const many = unpack(Uint8Array.of(0xf0, 255, 0, ...Array(270).fill(5)), 999)
  assert.deepEqual([...many], Array(270).fill(5))
})

test('damage of a block is told with its place', () => {
  refuse([], 9, /^Cannot unpack LZ4 at byte 0: literals beyond the end$/)
  refuse([0x30, 1, 2], 9, /^Cannot unpack LZ4 at byte 0: literals beyond the end$/)
  refuse([0x30, 1, 2, 3], 2, /^Cannot unpack LZ4 at byte 0: literals beyond the end$/)
  refuse([0xf0, 255, 255], 9, /^Cannot unpack LZ4 at byte 0: literals beyond the end$/)
  refuse([0x30, 1, 2, 3, 1], 9, /^Cannot unpack LZ4 at byte 5: no end$/)
  refuse([0x30, 1, 2, 3, 0, 0, 0], 9, /^Cannot unpack LZ4 at byte 0: a match before the beginning$/)
  refuse([0x30, 1, 2, 3, 4, 0, 0], 9, /^Cannot unpack LZ4 at byte 0: a match before the beginning$/)
  refuse([0x30, 1, 2, 3, 1, 0, 0], 6, /^Cannot unpack LZ4 at byte 0: a match beyond the end$/)
  refuse([0x30, 1, 2, 3, 1, 0], 99, /^Cannot unpack LZ4 at byte 0: a match beyond the end$/)
})

test('a block that is cut or has another byte never yields more than its target', () => {
  const content = lines(60)
  const damages = Array.from({ length: LZ4_LINES.length }, (_, at) => [
    LZ4_LINES.subarray(0, at), LZ4_LINES.with(at, LZ4_LINES[at] ^ 0x55),
  ]).flat()
  for (const block of damages) {
    const around = new Uint8Array(content.length + 20).fill(0xaa)
    try {
      assert.ok(decompressLz4Block(block, around.subarray(10, -10)) <= content.length)
    } catch (error) {
      assert.equal((error as { code: string }).code, 'ERR_MALFORMED')
    }
    assert.deepEqual([...around.subarray(0, 10), ...around.subarray(-10)], Array(20).fill(0xaa))
  }
})

test('what is packed comes back, ends as a block has to, and repetitions are found', () => {
  const contents = [
    new Uint8Array(0), Uint8Array.of(1), new Uint8Array(12), new Uint8Array(13), noise(14, 1), noise(15, 1),
    noise(270, 1), noise(5000, 1), new Uint8Array(100_000), lines(60), lines(3000), distant(),
    Buffer.concat([noise(300, 1), new Uint8Array(66_000), noise(300, 1)]), // further than a match can reach
  ]
  for (const content of contents) {
    assert.deepEqual(unpack(pack(content), content.length), new Uint8Array(content))
  }
  // the last 5 bytes are literals
  assert.deepEqual([...pack(new Uint8Array(30))], [0x1f, 0, 1, 0, 5, 0x50, 0, 0, 0, 0, 0])
  assert.deepEqual([...pack(new Uint8Array(12))], [0xc0, ...Array(12).fill(0)])
  assert.ok(pack(lines(3000)).length < lines(3000).length / 3)
  assert.equal(lz4Bound(1000), 1000 + 3 + 16)
  assert.throws(() => compressLz4Block(new Uint8Array(1000), new Uint8Array(1018)), RangeError)
})

test('XXH32 is that of its specification, in pieces too', () => {
  const ascii = (text: string) => new TextEncoder().encode(text)
  assert.equal(xxHash32(new Uint8Array(0)), 0x02cc5d05)
  assert.equal(xxHash32(ascii('a')), 0x550d7456)
  assert.equal(xxHash32(ascii('abc')), 0x32d153ff)
  assert.equal(xxHash32(ascii('Nobody inspects the spammish repetition')), 0xe2293b2f)
  const bytes = noise(1000, 3)
  for (const size of [1, 7, 16, 17, 100]) {
    const hash = new XxHash32()
    for (let at = 0; at < bytes.length; at += size) hash.update(bytes.subarray(at, at + size))
    assert.equal(hash.digest(), xxHash32(bytes))
  }
})

test('frames are read, with every checksum, their size, and blocks that repeat those before', async () => {
  const chain = Buffer.concat([noise(300, 1), new Uint8Array(70_000), noise(300, 1)])
  for (const size of [1, 5, 1000]) {
    const frame = await drain(unwrap(chunksOf(LZ4_FRAME, size)))
    assert.deepEqual(frame, { bytes: Buffer.from(lines(60)), sizes: [lines(60).length], error: undefined })
    assert.deepEqual((await drain(unwrap(chunksOf(LZ4_CHAIN, size)))).bytes, chain)
    assert.deepEqual((await drain(unwrap(chunksOf(LZ4_LEGACY, size)))).bytes, Buffer.from(lines(60)))
  }
})

test('frames follow each other, also legacy ones and those to be skipped', async () => {
  const skippable = Buffer.from('5a2a4d1803000000aabbcc', 'hex')
  const frames = Buffer.concat([LZ4_LEGACY, LZ4_FRAME, skippable, LZ4_FRAME, LZ4_LEGACY, LZ4_LEGACY])
  const { bytes, error } = await drain(unwrap(chunksOf(frames, 100)))
  assert.equal(error, undefined)
  assert.deepEqual(bytes, Buffer.concat(Array(5).fill(lines(60))))
})

async function broken(frame: Uint8Array): Promise<{ count: number, said: string }> {
  const { bytes, error } = await drain(unwrap(chunksOf(frame, 99)))
  const { code, message } = error as { code: string, message: string }
  return { count: bytes.length, said: `${code} ${message}` }
}

function damaged(frame: Uint8Array, at: number, bits: number): Uint8Array {
  return frame.with(at, frame[at] ^ bits)
}

test('damage of a frame is told behind the blocks that are whole', async () => {
  const { length } = LZ4_CHAIN
  const first = 65_536
  const said = async (frame: Uint8Array, count: number, wanted: string) => {
    assert.deepEqual(await broken(frame), { count, said: wanted })
  }
  await said(damaged(LZ4_CHAIN, 5, 0x80), 0, mismatched('LZ4', 6, 'the checksum of a header'))
  await said(damaged(LZ4_CHAIN, 4, 0x80), 0,
    saying('ERR_UNSUPPORTED', 'LZ4', 4, 'a frame of another version'))
  await said(damaged(LZ4_CHAIN, 20, 1), 0, mismatched('LZ4', 579, 'the checksum of a block'))
  await said(damaged(LZ4_CHAIN, 10, 0x40), 0, malformed('LZ4', 7, 'a block that is too large'))
  await said(damaged(LZ4_CHAIN, length - 1, 1), 70_600, mismatched('LZ4', 920, 'the checksum of the content'))
  await said(LZ4_CHAIN.subarray(0, length - 20), first, early('LZ4', 587))
  await said(LZ4_CHAIN.subarray(0, length - 1), 70_600, early('LZ4', 920))
  await said(Buffer.concat([LZ4_CHAIN, Buffer.from('more')]), 70_600,
    malformed('a frame', length, 'no beginning of one'))
  await said(LZ4_LEGACY.subarray(0, 100), 0, early('LZ4', 8))
  await said(damaged(LZ4_LEGACY, 7, 0x7f), 0, malformed('a frame', 4, 'no beginning of one'))
})

test('a frame that needs a dictionary, and one of another size than it says, are refused', async () => {
  const header = Uint8Array.of(0x61, 0x40, 1, 2, 3, 4)
  const frame = [0x04, 0x22, 0x4d, 0x18, ...header, xxHash32(header) >>> 8 & 255]
  assert.match((await broken(Uint8Array.from(frame))).said, /^ERR_UNSUPPORTED .* it needs a dictionary$/)
  const sized = Uint8Array.of(0x68, 0x40, 9, 0, 0, 0, 0, 0, 0, 0)
  const other = [0x04, 0x22, 0x4d, 0x18, ...sized, xxHash32(sized) >>> 8 & 255, 1, 0, 0, 0x80, 65, 0, 0, 0, 0]
  const wanted = malformed('LZ4', 24, '9 bytes wanted, 1 found')
  assert.deepEqual(await broken(Uint8Array.from(other)), { count: 1, said: wanted })
})
