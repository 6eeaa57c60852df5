import assert from 'node:assert/strict'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { createSegmentFile, PAGE } from '../../../core/spool/segment-file.ts'
import { alignedMemory } from '../../../core/net/aligned.ts'
import { temporaryFolder } from './spooled.ts'

const SIZE = 1 << 20

function filled(bytes: Uint8Array): Uint8Array {
  for (let i = 0; i < bytes.length; i++) bytes[i] = i * 31 + (i >> 8)
  return bytes
}

/** Pieces one behind the other, each of which lies in its page of memory where it lies in the file's. */
const PIECES = [28, 300_000, 1, PAGE - 29, 131_072, 5, 400_000, 77]

for (const [what, allocate] of [
  ['at a page', await alignedMemory(PAGE)],
  ['anywhere', (size: number) => new Uint8Array(new ArrayBuffer(size + 3), 3)],
] as const) {
  test(`what is written in pieces of all sizes is in the file, from memory that begins ${what}`, (t) => {
    const path = join(temporaryFolder(t), 'segment')
    const bytes = filled(allocate(SIZE))
    const file = createSegmentFile(path)
    t.after(() => file.close())
    let position = 0
    for (const size of PIECES) {
      file.write(bytes, position, position + size, position)
      position += size
      assert.deepEqual(readFileSync(path).compare(bytes.subarray(0, position)), 0)
    }
  })
}

test('a piece that lies otherwise in its page than in the file is written all the same', async (t) => {
  const path = join(temporaryFolder(t), 'segment')
  const bytes = filled((await alignedMemory(PAGE))(SIZE))
  const file = createSegmentFile(path)
  t.after(() => file.close())
  file.write(bytes, 100, 600_000, 0)
  file.write(bytes, 0, 10, 599_900)
  const expected = Buffer.concat([bytes.subarray(100, 600_000), bytes.subarray(0, 10)])
  assert.equal(readFileSync(path).compare(expected), 0)
})

test('what a failure has left behind is cut off, and written over', async (t) => {
  const path = join(temporaryFolder(t), 'segment')
  const bytes = filled((await alignedMemory(PAGE))(SIZE))
  const file = createSegmentFile(path)
  t.after(() => file.close())
  file.write(bytes, 0, 500_000, 0)
  file.cutBack(1000)
  assert.equal(readFileSync(path).length, 1000)
  file.write(bytes, 1000, 700_000, 1000)
  assert.equal(readFileSync(path).compare(bytes.subarray(0, 700_000)), 0)
})

test('a segment whose name is gone takes what is written to it', async (t) => {
  const path = join(temporaryFolder(t), 'segment')
  const bytes = filled((await alignedMemory(PAGE))(SIZE))
  const file = createSegmentFile(path)
  t.after(() => file.close())
  rmSync(path)
  file.write(bytes, 0, 500_000, 0)
})
