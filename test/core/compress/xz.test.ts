import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Crc64 } from '../../../core/compress/crc64.ts'
import { unwrap } from '../../../core/compress/unwrap.ts'
import { crc32 } from 'node:zlib'
import { chunksOf, distant, drain, early, lines, malformed, mismatched, noise, saying } from './contents.ts'
import { XZ, XZ_BLOCKS, XZ_STORED } from './vectors.ts'

async function unpack(source: Uint8Array, size: number): Promise<{ bytes: Buffer, said: string }> {
  const { bytes, error } = await drain(unwrap(chunksOf(source, size)))
  if (error === undefined) return { bytes: Buffer.from(bytes), said: '' }
  const { code, message } = error as { code: string, message: string }
  return { bytes: Buffer.from(bytes), said: `${code} ${message}` }
}

test('streams are read one after the other, from chunks of any size, with padding between them', async () => {
  const streams = Buffer.concat([XZ, XZ_BLOCKS, new Uint8Array(8), XZ_STORED, new Uint8Array(4)])
  const content = Buffer.concat([lines(60), distant(), noise(300, 1)])
  for (const size of [1, 3, 100, streams.length]) {
    assert.deepEqual(await unpack(streams, size), { bytes: content, said: '' })
  }
})

test('CRC-64 is that of its specification', () => {
  const crc = new Crc64()
  crc.update(new TextEncoder().encode('1234'))
  crc.update(new TextEncoder().encode('56789'))
  assert.equal(crc.digest().reverse().toHex(), '995dc9bbdf1939fa')
})

test('a byte that differs is found wherever it is, behind good blocks', async () => {
  for (const stream of [XZ, XZ_BLOCKS, XZ_STORED]) {
    for (let at = 6; at < stream.length; at++) {
      const { said } = await unpack(stream.with(at, stream[at] ^ 0x20), stream.length)
      assert.match(said, /^ERR_\w+ Cannot unpack xz at byte \d+: /, `byte ${at}`)
    }
  }
  const second = XZ_BLOCKS.length - 200 // in the second block
  const { bytes } = await unpack(XZ_BLOCKS.with(second, XZ_BLOCKS[second] ^ 1), 100)
  assert.deepEqual(bytes.subarray(0, 16_384), distant().subarray(0, 16_384))
})

test('what comes before a cut is given out', async () => {
  const content = Buffer.from(lines(60))
  let most = 0
  for (let end = 6; end < XZ.length; end++) {
    const { bytes, said } = await unpack(XZ.subarray(0, end), 64)
    assert.match(said, /^ERR_TRUNCATED Cannot unpack xz at byte \d+: it ends too early$/)
    assert.deepEqual(bytes, content.subarray(0, bytes.length))
    assert.ok(bytes.length >= most)
    most = bytes.length
  }
  assert.equal(most, content.length)
})

test('damage is told with its place', async () => {
  const said = async (stream: Uint8Array) => (await unpack(stream, 100)).said
  const { length } = XZ
  const other = (at: number) => XZ.with(at, XZ[at] ^ 1)
  assert.equal(await said(other(7)), mismatched('xz', 8, 'the checksum of a header'))
  assert.equal(await said(other(14)), mismatched('xz', 12, 'the checksum of a header'))
  assert.equal(await said(XZ.with(24, 0xc0)), malformed('xz', 24, 'no such chunk'))
  assert.equal(
    await said(other(length - 1)),
    malformed('xz', length - 12, 'an end that does not match its stream'),
  )
  assert.equal(await said(other(length - 20)), malformed('xz', length - 24, 'an index of other blocks'))
  assert.equal(await said(other(length - 13)), mismatched('xz', length - 16, 'the checksum of the index'))
  assert.equal(await said(Buffer.concat([XZ, lines(1)])), malformed('xz', length, 'no beginning of a stream'))
  assert.equal(await said(Buffer.concat([XZ, new Uint8Array(3)])), early('xz', length))
})

/** The stream with a block that has this header, the checksum of which is made. */
function withHeader(...bytes: readonly number[]): Uint8Array {
  const header = Uint8Array.from([2, ...bytes, ...Array(7 - bytes.length).fill(0)])
  const crc = crc32(header)
  const stored = Uint8Array.of(crc, crc >>> 8, crc >>> 16, crc >>> 24)
  return Buffer.concat([XZ.subarray(0, 12), header, stored, XZ.subarray(24)])
}

test('filters for programs and dictionaries beyond measure are refused', async () => {
  assert.equal((await unpack(withHeader(0, 0x21, 1, 0x16), 100)).said, '')
  const { said: filter } = await unpack(withHeader(1, 0x04, 0, 0x21, 1, 0x16), 100)
  assert.equal(filter, saying('ERR_UNSUPPORTED', 'xz', 12, 'other filters than LZMA2'))
  const { said: large } = await unpack(withHeader(0, 0x21, 1, 0x1f), 100)
  assert.equal(
    large,
    saying('ERR_LIMIT', 'xz', 12, 'a dictionary of at most 134217728 bytes wanted, 201326592 found'),
  )
  const { said: none } = await unpack(withHeader(0, 0x21, 1, 41), 100)
  assert.equal(none, malformed('xz', 12, 'no such properties'))
  const { said: size } = await unpack(withHeader(0x80, 5, 0x21, 1, 0x16), 100)
  assert.equal(size, malformed('xz', 12, 'a block of another size than its header says'))
})
