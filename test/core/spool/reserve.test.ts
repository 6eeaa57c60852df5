import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openReserve, removeReserve, type Allocator } from '../../../core/spool/reserve.ts'
import { temporaryFolder } from './spooled.ts'

const MIB = 2 ** 20
const EOPNOTSUPP = 95

/** A file system that cannot allocate. */
const unable: Allocator = { fallocate: () => -1, errno: () => EOPNOTSUPP }

/** Bytes that a file takes of the disk. */
function taken(path: string): number {
  return statSync(path).blocks * 512
}

for (const [name, allocator] of [['without a C library', undefined], ['that cannot allocate', unable]] as const) {
  test(`on a file system ${name} room is taken by zeros, some at a time, and given back`, (t) => {
    const folder = temporaryFolder(t)
    const reserve = openReserve(folder, allocator, 20 * MIB)
    const path = join(folder, 'reserve')
    reserve.fill(20 * MIB, 0)
    assert.deepEqual([reserve.size, reserve.lacking], [16 * MIB, 0])
    reserve.fill(20 * MIB, 0)
    assert.deepEqual([reserve.size, statSync(path).size, taken(path) >= 20 * MIB], [20 * MIB, 20 * MIB, true])
    const fd = openSync(join(folder, 'other'), 'w')
    assert.equal(reserve.give(fd, 0, 5 * MIB - 1), 5 * MIB)
    assert.deepEqual([reserve.size, statSync(path).size], [15 * MIB, 15 * MIB])
    closeSync(fd)
    reserve.fill(20 * MIB, 5 * MIB) // which the other file has
    assert.equal(reserve.size, 15 * MIB)
    reserve.close()
    const again = openReserve(folder, allocator, 10 * MIB)
    assert.equal(again.size, 10 * MIB)
    again.close()
    removeReserve(folder)
    assert.deepEqual(readdirSync(folder), ['other'])
  })
}

test('what the disk does not have is lacking, and zeros leave no part of a page', (t) => {
  let folder = ''
  t.after(() => spawnSync('umount', ['--lazy', folder])) // before it is removed
  folder = temporaryFolder(t)
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'flowkit', folder])
  if (mounted.status !== 0) return t.skip('nothing can be mounted here')
  const reserve = openReserve(folder, unable, 4 * MIB)
  t.after(() => reserve.close())
  reserve.fill(4 * MIB, 0)
  assert.deepEqual([reserve.size, reserve.lacking], [0, 4 * MIB]) // others need what there is
  reserve.fill(4 * MIB, 2 * MIB)
  assert.deepEqual([reserve.size, reserve.lacking], [2 * MIB, 0])
})

test('a folder that was removed costs the room, not the process', (t) => {
  const folder = join(temporaryFolder(t), 'spool')
  mkdirSync(folder)
  const reserve = openReserve(folder, unable, MIB)
  rmSync(folder, { recursive: true })
  reserve.fill(MIB, 0)
  assert.equal(reserve.size, 0)
  mkdirSync(folder)
  reserve.renew()
  reserve.fill(MIB, 0)
  assert.equal(reserve.size, MIB)
  reserve.close()
})
