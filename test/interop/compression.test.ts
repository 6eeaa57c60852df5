/** What compressors wrote, and what they read of what is written here. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { compressLz4Block, lz4Bound } from '../../core/compress/lz4.ts'
import { unwrap } from '../../core/compress/unwrap.ts'
import { xxHash32 } from '../../core/compress/xxhash32.ts'
import { chunksOf, distant, drain, lines, noise } from '../core/compress/contents.ts'
import { missing } from './peers.ts'

const CONTENTS = [
  new Uint8Array(0), Uint8Array.of(7), lines(60), lines(20_000), distant(), noise(200_000, 1),
  new Uint8Array(3_000_000),
]
const COMMANDS: readonly (readonly string[])[] = [
  ['gzip', '-1'], ['gzip', '-9'],
  ['zstd', '-q', '-1', '--check'], ['zstd', '-q', '-9', '--long=27', '--no-check'],
  ['bzip2', '-1'], ['bzip2', '-9'],
  ['lz4', '-1'], ['lz4', '-9', '-BD', '-B4', '-BX'], ['lz4', '-B7', '--no-frame-crc'], ['lz4', '-l'],
  ['xz', '-0'], ['xz', '-9e'], ['xz', '--check=none', '--lzma2=lc=0,lp=4,pb=4,dict=4KiB'],
  ['xz', '--check=crc32', '--block-size=100000'], ['xz', '--check=sha256', '-T2'],
]

function run(command: readonly string[], input: Uint8Array): Uint8Array {
  const { status, stdout, stderr } = spawnSync(command[0], command.slice(1), { input, maxBuffer: 1 << 26 })
  assert.equal(status, 0, stderr.toString())
  return new Uint8Array(stdout)
}

for (const command of COMMANDS) {
  test(`what ${command.join(' ')} wrote is unpacked`, { skip: missing(command[0]) }, async () => {
    for (const content of CONTENTS) {
      const { bytes, error } = await drain(unwrap(chunksOf(run([...command, '-c'], content), 50_000)))
      assert.equal(error, undefined)
      assert.ok(bytes.every((byte, i) => byte === content[i]) && bytes.length === content.length)
    }
  })
}

test('lz4 reads the blocks that are packed here', { skip: missing('lz4') }, () => {
  const magic = [0x04, 0x22, 0x4d, 0x18]
  const descriptor = Uint8Array.of(0x60, 0x70) // independent blocks of 4 MiB
  for (const content of CONTENTS) {
    const block = new Uint8Array(lz4Bound(content.length))
    const size = compressLz4Block(content, block)
    if (size > content.length) continue // a frame would store it
    const sizes = Uint8Array.of(size, size >> 8, size >> 16, 0)
    const header = [...magic, ...descriptor, xxHash32(descriptor) >>> 8 & 255]
    const frame = Buffer.concat([Uint8Array.from(header), sizes, block.subarray(0, size), new Uint8Array(4)])
    assert.ok(Buffer.from(content).equals(run(['lz4', '-dc'], frame)))
  }
})
