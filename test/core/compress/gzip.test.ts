import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { unwrap } from '../../../core/compress/unwrap.ts'
import { chunksOf, drain, lines, malformed, mismatched, noise } from './contents.ts'
import { GZIP, GZIP_STORED } from './vectors.ts'

async function unpack(source: Uint8Array, size: number): Promise<{ bytes: Buffer, said: string }> {
  const { bytes, error } = await drain(unwrap(chunksOf(source, size)))
  if (error === undefined) return { bytes: Buffer.from(bytes), said: '' }
  const { code, message } = error as { code: string, message: string }
  return { bytes: Buffer.from(bytes), said: `${code} ${message}` }
}

test('members are read one after the other, from chunks of any size, with zeros behind them', async () => {
  const members = Buffer.concat([GZIP, GZIP_STORED, gzipSync(''), GZIP, new Uint8Array(700)])
  const content = Buffer.concat([lines(60), noise(300, 1), lines(60)])
  for (const size of [1, 2, 5, 100, members.length]) {
    assert.deepEqual(await unpack(members, size), { bytes: content, said: '' })
  }
})

test('every part of a header is stepped over', async () => {
  // extra field of 3 bytes, name, comment, checksum of the header
  const parts = ['1f8b081e000000000003', '0300aabbcc', '6e616d6500', '68690a00', '1234']
  const header = Uint8Array.fromHex(parts.join(''))
  const member = Buffer.concat([header, gzipSync('text').subarray(10)])
  const bytes = Buffer.from('text')
  for (const size of [1, 4, 100]) assert.deepEqual(await unpack(member, size), { bytes, said: '' })
  for (let end = 11; end < header.length; end++) {
    const { said } = await unpack(member.subarray(0, end), 100)
    assert.match(said, /^ERR_TRUNCATED Cannot unpack gzip at byte \d+: it ends too early$/)
  }
})

test('what comes before damage is given out, to the byte', async () => {
  const content = Buffer.from(lines(60))
  const { length } = GZIP
  for (let end = 40; end < length; end++) {
    const { bytes, said } = await unpack(GZIP.subarray(0, end), 64)
    assert.match(said, /^ERR_TRUNCATED Cannot unpack gzip at byte \d+: it ends too early$/)
    assert.deepEqual(bytes, content.subarray(0, bytes.length))
    if (end > length - 9) assert.equal(bytes.length, content.length)
  }
  const { bytes } = await unpack(GZIP.subarray(0, length >> 1), 64)
  assert.ok(bytes.length > content.length / 4)

  const damaged = async (at: number, bits: number) => {
    return unpack(Buffer.concat([GZIP, GZIP.with(at, GZIP[at] ^ bits)]), 99)
  }
  const twice = Buffer.concat([content, content])
  assert.deepEqual(await damaged(length - 8, 1), {
    bytes: twice, said: mismatched('gzip', length * 2 - 8, 'the checksum'),
  })
  assert.deepEqual(await damaged(length - 1, 1), {
    bytes: twice, said: mismatched('gzip', length * 2 - 4, 'the size'),
  })
  assert.deepEqual(await damaged(0, 1), {
    bytes: content, said: malformed('gzip', length, 'no beginning of a member'),
  })
  assert.deepEqual(await damaged(3, 0x80), {
    bytes: content, said: malformed('gzip', length, 'a method that is not in use'),
  })
  const start = length + 10 + 'lines.txt'.length + 1
  const block = await damaged(start - length, 2) // a block of the kind that there is not
  assert.equal(block.bytes.length, content.length)
  assert.match(block.said, new RegExp(`^ERR_MALFORMED Cannot unpack gzip at byte ${start}: `))
})

test('something else behind the members, or behind padding, is a fault', async () => {
  const { length } = GZIP
  assert.deepEqual(await unpack(Buffer.concat([GZIP, lines(1)]), 64), {
    bytes: Buffer.from(lines(60)), said: malformed('gzip', length, 'no beginning of a member'),
  })
  assert.deepEqual(await unpack(Buffer.concat([GZIP, new Uint8Array(9), lines(1)]), 64), {
    bytes: Buffer.from(lines(60)), said: malformed('gzip', length + 9, 'something behind the padding'),
  })
})

test('many small members and one that is large take the same memory', async () => {
  const small = gzipSync('flow\n')
  const { bytes } = await unpack(Buffer.concat(Array(2000).fill(small)), 1000)
  assert.equal(bytes.toString(), 'flow\n'.repeat(2000))
  const zeros = gzipSync(new Uint8Array(50_000_000), { level: 9 })
  let total = 0
  let largest = 0
  for await (const chunk of unwrap(chunksOf(zeros, zeros.length))) {
    total += chunk.length
    largest = Math.max(largest, chunk.length)
  }
  assert.equal(total, 50_000_000)
  assert.ok(largest <= 0x100000)
})
