import { test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { appendFile, mkdtemp, open, readFile, rm, stat, writeFile, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flowd } from '../../formats/flowd.ts'
import { FULL, record } from './flowd-records.ts'
import { batchOf } from './flows.ts'

const ONE = record(0x40000001, '00000001')
const TWO = record(0x40000001, '00000002')

async function newLog(t: TestContext, ...records: Uint8Array[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowd-'))
  t.after(() => rm(folder, { recursive: true }))
  const path = join(folder, 'log')
  if (records.length > 0) await writeFile(path, Buffer.concat(records))
  return path
}

test('a log is begun for its owner alone, and appended to', async (t) => {
  assert.equal(flowd.appends, true)
  const path = await newLog(t)
  for (const tag of [1, 2]) {
    const writer = await flowd.create!(path, {})
    await writer.write(batchOf([{ tag }]))
    await writer.close()
  }
  assert.deepEqual(await readFile(path), Buffer.concat([ONE, TWO]))
  assert.equal((await stat(path)).mode & 0o777, 0o600)
})

test('records are there at once, for who follows the log', async (t) => {
  const path = await newLog(t, FULL)
  const writer = await flowd.create!(path, {})
  await writer.write(batchOf([{ tag: 1 }]))
  assert.deepEqual(await readFile(path), Buffer.concat([FULL, ONE]))
  await writer.write(batchOf([]))
  await writer.write(batchOf([{ tag: 2 }, { tag: 1 }]))
  assert.deepEqual(await readFile(path), Buffer.concat([FULL, ONE, TWO, ONE]))
  assert.equal(writer.loss!().leftOut.some((rows) => rows > 0), false)
  await writer.close()
})

test('giving up takes back what was written', async (t) => {
  const path = await newLog(t, FULL)
  const writer = await flowd.create!(path, {})
  await writer.write(batchOf([{ tag: 1 }]))
  await writer.abort()
  assert.deepEqual(await readFile(path), FULL)

  const begun = `${path}.new`
  const other = await flowd.create!(begun, {})
  await other.write(batchOf([{ tag: 1 }]))
  await other.abort()
  assert.equal(existsSync(begun), false)
})

test('what somebody else has appended stays', async (t) => {
  const path = await newLog(t)
  const writer = await flowd.create!(path, {})
  await writer.write(batchOf([{ tag: 1 }]))
  await appendFile(path, FULL)
  await writer.abort()
  assert.deepEqual(await readFile(path), Buffer.concat([ONE, FULL]))
})

test('a write that fails half-way leaves whole records, and may be tried again', async (t) => {
  const path = await newLog(t, FULL)
  const writer = await flowd.create!(path, {})
  const handle = await open(path)
  const methods = Object.getPrototypeOf(handle) as Pick<FileHandle, 'write'>
  const { write } = methods
  await handle.close()
  let calls = 0
  function writeSome(this: FileHandle, bytes: Uint8Array): Promise<unknown> {
    if (++calls === 1) return Reflect.apply(write, this, [bytes, 0, 20]) as Promise<unknown>
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
  }
  const full = t.mock.method(methods, 'write', writeSome as typeof write)
  await assert.rejects(writer.write(batchOf([{ tag: 1 }, { tag: 2 }])), { code: 'ENOSPC' })
  full.mock.restore()
  assert.equal(calls, 2)
  assert.deepEqual(await readFile(path), FULL)
  await writer.write(batchOf([{ tag: 2 }]))
  await writer.close()
  assert.deepEqual(await readFile(path), Buffer.concat([FULL, TWO]))
})

test('a record that was cut short at the end is removed before others follow', async (t) => {
  for (const cut of [1, 7, 8, 119]) {
    const path = await newLog(t, ONE, FULL, FULL.subarray(0, cut))
    const writer = await flowd.create!(path, {})
    await writer.write(batchOf([{ tag: 2 }]))
    await writer.close()
    assert.deepEqual(await readFile(path), Buffer.concat([ONE, FULL, TWO]))
  }
})

test('the records of a long log are gone through to its end', async (t) => {
  const many = new Array<Buffer>(20_000).fill(FULL) // more than is looked at at a time
  const path = await newLog(t, ...many, FULL.subarray(0, 50))
  const writer = await flowd.create!(path, {})
  await writer.close()
  assert.equal((await stat(path)).size, 20_000 * FULL.length)
})

test('nothing is appended to what is no log of version 3, or a damaged one', async (t) => {
  const damaged = Buffer.from(FULL)
  damaged[1] = 3
  for (const [bytes, at] of [
    [Buffer.from('src_addr,dst_addr\n'), 0], [Buffer.from('012cf04700000002', 'hex'), 0],
    [Buffer.concat([FULL, damaged, FULL]), 120],
  ] as const) {
    const path = await newLog(t, bytes)
    const what = `records of flowd's version 3 wanted, something else found at byte ${at}`
    await assert.rejects(flowd.create!(path, {}), {
      code: 'ERR_MALFORMED', message: `Cannot append to "${path}": ${what}`,
    })
    assert.deepEqual(await readFile(path), bytes)
  }
  await assert.rejects(flowd.create!(tmpdir(), {}), { code: 'EISDIR' })
})
