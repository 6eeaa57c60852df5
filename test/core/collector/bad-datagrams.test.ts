import assert from 'node:assert/strict'
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { badDatagrams } from '../../../core/collector/bad-datagrams.ts'
import { readSegment } from '../../../core/spool/segment.ts'
import { datagramOf, seenIn, temporaryFolder, TIME, type Seen } from '../spool/spooled.ts'

test('a datagram is kept as a capture file, once, with where it came from', async (t) => {
  const folder = join(temporaryFolder(t), 'state', 'bad')
  const keep = badDatagrams(folder)
  const first = keep(datagramOf(Buffer.from('one'), '2001:db8::7', 4711))
  assert.equal(first, join(folder, '2053932785-3.pcapng')) // CRC-32 of "one", by zlib
  assert.equal(keep(datagramOf(Buffer.from('one'))), first)
  assert.notEqual(keep(datagramOf(Buffer.from('two'))), first)
  assert.deepEqual([readdirSync(folder).length, statSync(first).mode & 0o777], [2, 0o600])
  const seen: Seen[] = []
  for await (const { bytes, start, end } of readSegment(first, assert.fail)) {
    seen.push(...seenIn(bytes, start, end))
  }
  assert.deepEqual(seen, [{ address: '2001:db8::7', port: 4711, received: TIME, payload: 'one' }])
})

test('the first hundred are kept, and what cannot be written is no further fault', (t) => {
  const folder = temporaryFolder(t)
  const keep = badDatagrams(folder)
  const kept = Array.from({ length: 120 }, (_, i) => keep(datagramOf(Buffer.from(`number ${i}`))))
  assert.deepEqual(kept.map((path, i) => (path !== undefined) === i < 100), Array(120).fill(true))
  assert.equal(readdirSync(folder).length, 100)
  assert.equal(keep(datagramOf(Buffer.from('number 7'))), kept[7])
  writeFileSync(join(folder, 'file'), '')
  assert.equal(badDatagrams(join(folder, 'file', 'bad'))(datagramOf(Buffer.from('one'))), undefined)
})
