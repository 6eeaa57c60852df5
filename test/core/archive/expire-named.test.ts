import assert from 'node:assert/strict'
import { readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openNamedExpiry } from '../../../core/archive/expire-named.ts'
import { nfdump } from '../../../formats/nfdump.ts'
import { temporaryFolder } from '../spool/spooled.ts'

process.env['TZ'] = 'UTC'

const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs
const OURS = [
  'nfcapd.202611211150', 'nfcapd.202611211150-2', 'nfcapd.202611211150-10', 'nfcapd.20261121115500',
  'nfcapd.202611211159',
]
const OTHERS = [
  'nfcapd.200001010000.gz', 'nfcapd.current.17', '.nfstat', 'nfcapd.200013010000', 'nfcapd.200001010000-0',
  'nfcapd.200001010000-x', 'a.nfcapd', 'nfcapd.2000010100', 'nfcapd.200001010000-1',
]

async function newFolder(t: TestContext): Promise<string> {
  const root = temporaryFolder(t)
  for (const name of [...OURS, ...OTHERS]) await writeFile(join(root, name), 'x'.repeat(10))
  await symlink('nfcapd.current.17', join(root, 'nfcapd.200001010001'))
  return root
}

async function removed(root: string, limits: { maxAge?: number, maxSize?: number }): Promise<string[]> {
  const before = await readdir(root)
  const paths = await openNamedExpiry(root, nfdump.fileNames!)(limits, NOON)
  const names = paths.map((path) => path.slice(root.length + 1))
  assert.deepEqual((await readdir(root)).sort(), before.filter((name) => !names.includes(name)).sort())
  return names
}

test('without a limit nothing expires', async (t) => {
  assert.deepEqual(await removed(await newFolder(t), {}), [])
})

test('files that began longer ago are removed, with all of their time', async (t) => {
  assert.deepEqual(await removed(await newFolder(t), { maxAge: 6 * 60_000 }), OURS.slice(0, 3))
})

test('the oldest files are removed until the others are small enough together', async (t) => {
  assert.deepEqual(await removed(await newFolder(t), { maxSize: 35 }), OURS.slice(0, 2))
})

test('the newest file stays whatever the limits are', async (t) => {
  assert.deepEqual(await removed(await newFolder(t), { maxAge: 1, maxSize: 0 }), OURS.slice(0, 4))
})

test('a folder that is not there has nothing to remove', async (t) => {
  const root = join(temporaryFolder(t), 'absent')
  assert.deepEqual(await openNamedExpiry(root, nfdump.fileNames!)({ maxSize: 1 }, NOON), [])
})
