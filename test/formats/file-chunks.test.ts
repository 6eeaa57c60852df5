import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { chunksOfFile } from '../../formats/file-chunks.ts'

const folder = mkdtempSync(join(tmpdir(), 'flowkit-'))
after(() => rmSync(folder, { recursive: true }))

const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => i * 7 % 251))
const path = join(folder, 'file')
writeFileSync(path, bytes)

for (const size of [1, 333, 500, 1000, 4096]) {
  test(`a file comes whole in chunks of ${size} bytes, of which two stay as they are`, async () => {
    const parts: Buffer[] = []
    let before: Uint8Array = new Uint8Array(0)
    let copy = Buffer.alloc(0)
    for await (const chunk of chunksOfFile(path, size)) {
      assert.ok(chunk.length <= size)
      assert.deepEqual(Buffer.from(before), copy)
      before = chunk
      copy = Buffer.from(chunk)
      parts.push(copy)
    }
    assert.deepEqual(Buffer.concat(parts), bytes)
  })
}

test('whoever wants no more of a file leaves it closed, and one that is missing is an error', async () => {
  for await (const chunk of chunksOfFile(path, 10)) {
    assert.deepEqual(Buffer.from(chunk), bytes.subarray(0, 10))
    break
  }
  await assert.rejects(chunksOfFile(join(folder, 'none'), 10).next(), { code: 'ENOENT' })
})
