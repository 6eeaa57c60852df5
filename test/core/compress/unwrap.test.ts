import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { unwrap, wrappingOf } from '../../../core/compress/unwrap.ts'
import { chunksOf, drain, lines, noise } from './contents.ts'
import { BZIP2, GZIP, LZ4_FRAME, LZ4_LEGACY, XZ, ZSTD } from './vectors.ts'

test('what input is compressed with is told from its first bytes', () => {
  assert.deepEqual([GZIP, ZSTD, BZIP2, LZ4_FRAME, LZ4_LEGACY, XZ].map(wrappingOf), [
    'gzip', 'zstd', 'bzip2', 'lz4', 'lz4', 'xz',
  ])
  assert.equal(wrappingOf(Uint8Array.fromHex('502a4d1804000000')), 'zstd') // skippable, as pzstd begins
  assert.equal(wrappingOf(Uint8Array.fromHex('28b52ffd')), 'zstd')
  for (const other of ['', '1f', '1f8b', '1f8b07', 'BZh9 is no magic', 'BZh91AY&SX', '{"a":1}']) {
    const bytes = /^[0-9a-f]*$/.test(other) ? Uint8Array.fromHex(other) : new TextEncoder().encode(other)
    assert.equal(wrappingOf(bytes), undefined, other)
  }
})

test('anything else comes through in the chunks in which it came', async () => {
  const text = lines(60)
  const { bytes, sizes, error } = await drain(unwrap(chunksOf(text, 1000)))
  assert.deepEqual(bytes, Buffer.from(text))
  assert.deepEqual(sizes, [1000, 1000, 667])
  assert.equal(error, undefined)
  assert.deepEqual((await drain(unwrap(chunksOf(text, 3)))).bytes, Buffer.from(text))
  assert.deepEqual((await drain(unwrap(chunksOf(new Uint8Array(0), 1)))).sizes, [])
})

test('one compression may lie in another, but no third', async () => {
  const two = gzipSync(XZ)
  assert.deepEqual((await drain(unwrap(chunksOf(two, 50)))).bytes, Buffer.from(lines(60)))
  const { bytes, error } = await drain(unwrap(chunksOf(zstdCompressSync(two), 50)))
  assert.equal(bytes.length, 0)
  assert.equal((error as FlowkitError).code, 'ERR_LIMIT')
  const wanted = 'at most 2 layers of compression wanted, xz found in them'
  assert.equal((error as Error).message, `Cannot unpack the input: ${wanted}`)
})

test('damage of the outer compression is what is told, behind what the inner makes of the rest', async () => {
  const inner = gzipSync(noise(50_000, 1), { level: 0 })
  const outer = gzipSync(inner)
  const { bytes, error } = await drain(unwrap(chunksOf(outer.subarray(0, 30_000), 1000)))
  assert.ok(bytes.length > 29_000)
  assert.deepEqual(bytes, Buffer.from(noise(50_000, 1)).subarray(0, bytes.length))
  assert.match((error as Error).message, /^Cannot unpack gzip at byte (29\d\d\d|30000): it ends too early$/)
})

test('what the source throws comes behind what could be unpacked, and it is let go', async () => {
  const failure = new Error('EIO')
  let isClosed = false
  async function* source(bytes: Uint8Array, fails: boolean): AsyncGenerator<Uint8Array> {
    try {
      yield bytes
      if (fails) throw failure
      yield bytes
    } finally {
      isClosed = true
    }
  }
  for (const bytes of [lines(60), GZIP, ZSTD, BZIP2, LZ4_FRAME, XZ]) {
    const drained = await drain(unwrap(source(bytes, true)))
    assert.equal(drained.error, failure)
    assert.deepEqual(drained.bytes, Buffer.from(lines(60)))
    isClosed = false
    for await (const chunk of unwrap(source(bytes, false))) {
      assert.ok(chunk.length > 0)
      break
    }
    assert.ok(isClosed)
  }
})

test('chunks have at most 1 MiB, and are not overwritten by the next', async () => {
  const content = Buffer.concat([lines(60_000), noise(100_000, 1)])
  const { bytes, sizes } = await drain(unwrap(chunksOf(gzipSync(content), 100_000)))
  assert.deepEqual(bytes, content)
  assert.ok(Math.max(...sizes) <= 0x100000)
})
