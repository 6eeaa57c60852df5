import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync,
  writeSync,
} from 'node:fs'
import { join as joinPath } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SEGMENT_HEADER } from '../../../core/spool/datagram-block.ts'
import { listSegments } from '../../../core/spool/files.ts'
import { readSegment } from '../../../core/spool/segment.ts'
import { openSpool, type Spool } from '../../../core/spool/spool.ts'
import { hex, join } from '../netflow/messages.ts'
import { blocksOf, datagramOf, seenIn, seenOf, temporaryFolder, type Seen } from './spooled.ts'

const DATAGRAMS = ['one', 'two', 'three'].map((text, i) => {
  return datagramOf(Buffer.from(text), `2001:db8::${i + 1}`)
})
const [ONE, TWO, THREE] = DATAGRAMS.map((datagram) => blocksOf(datagram))

/** A spool in a folder of its own, which is closed when the test ends. */
async function spoolFor(t: TestContext, limit?: number): Promise<{ folder: string, spool: Spool }> {
  let spool: Spool | undefined
  t.after(() => spool?.close()) // before its folder is removed
  const folder = joinPath(temporaryFolder(t), 'state', 'spool')
  spool = await openSpool(folder, limit)
  return { folder, spool }
}

/** Bytes of a spool, read again. */
async function readAgain(spool: Spool, id: string, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  await spool.read(id, offset, bytes)
  return bytes
}

function append(spool: Spool, bytes: Uint8Array): number {
  return spool.append(bytes, 0, bytes.length)
}

/** All datagrams of the folder's segments, and how many bytes were dropped. */
async function replay(folder: string): Promise<{ seen: Seen[], dropped: number }> {
  const seen: Seen[] = []
  let dropped = 0
  for (const { path } of await listSegments(folder)) {
    const reader = readSegment(path, (error) => assert.fail(error))
    for await (const { bytes, start, end } of reader) seen.push(...seenIn(bytes, start, end))
    dropped += reader.dropped
  }
  return { seen, dropped }
}

test('blocks are written to a file that begins with the header of segments', async (t) => {
  const { folder, spool } = await spoolFor(t)
  assert.deepEqual(await listSegments(folder), [])
  assert.equal(spool.size, 0)
  const chunk = join(ONE, TWO, THREE)
  assert.equal(spool.append(chunk, 0, ONE.length), 48)
  assert.equal(spool.append(chunk, ONE.length, chunk.length), 48 + ONE.length)
  assert.equal(spool.size, 48 + chunk.length)
  const [{ id, sequence, path, size, hasState }, ...more] = await listSegments(folder)
  assert.deepEqual({ id, sequence, size, hasState, more }, {
    id: spool.segment, sequence: 1, size: 48 + chunk.length, hasState: false, more: [],
  })
  assert.equal(path, joinPath(folder, `00000001-${spool.segment}.pcapng`))
  assert.deepEqual(new Uint8Array(readFileSync(path)), join(SEGMENT_HEADER, chunk))
})

test('nobody else may read folder and files', {
  skip: process.platform === 'win32' && 'it has no modes',
}, async (t) => {
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  await spool.writeState(spool.segment, hex('00'))
  assert.equal(statSync(folder).mode & 0o777, 0o700)
  const names = readdirSync(folder)
  assert.equal(names.length, 3) // with the lock
  for (const name of names) assert.equal(statSync(joinPath(folder, name)).mode & 0o777, 0o600, name)
})

test('what was written is read again by its segment and offset', async (t) => {
  const { spool } = await spoolFor(t)
  append(spool, ONE)
  const offset = append(spool, TWO)
  const ended = spool.cut()
  append(spool, THREE)
  assert.deepEqual(await readAgain(spool, ended, offset, TWO.length), TWO)
  assert.deepEqual(await readAgain(spool, spool.segment, 48, THREE.length), THREE)
  await assert.rejects(readAgain(spool, ended, offset, 1000), {
    code: 'ERR_TRUNCATED',
    message: new RegExp(`^Cannot read spool segment ".*": 1000 bytes wanted at byte ${offset}, 84 found$`),
  })
  await assert.rejects(async () => readAgain(spool, '20261120T090000000Z-00000000', 0, 1), RangeError)
})

test('segments are in the order in which they were written, also when the clock is set back', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 9, 25, 1, 30) })
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  t.mock.timers.setTime(Date.UTC(2026, 9, 25, 0, 30))
  const first = spool.cut()
  append(spool, TWO)
  const second = spool.segment
  assert.match(first, /^20261025T013000000Z-/)
  assert.match(second, /^20261025T003000000Z-/)
  await spool.close()
  const again = await openSpool(folder)
  append(again, THREE)
  assert.deepEqual((await listSegments(folder)).map(({ id, sequence }) => [id, sequence]), [
    [first, 1], [second, 2], [again.segment, 3],
  ])
  assert.deepEqual((await replay(folder)).seen, DATAGRAMS.map(seenOf))
  await again.close()
})

test('other files in the folder are no segments', async (t) => {
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  const { segment } = spool
  for (const name of ['x.pcapng', '00000001.pcapng', `${segment}.pcapng`, `00000002-${segment}.pcap`]) {
    writeFileSync(joinPath(folder, name), 'x')
  }
  assert.deepEqual((await listSegments(folder)).map(({ id }) => id), [spool.segment])
})

test('a segment is removed with its state, and its bytes are free', async (t) => {
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  const ended = spool.cut()
  await spool.writeState(ended, hex('01'))
  append(spool, TWO)
  await assert.rejects(spool.remove(spool.segment), RangeError)
  await spool.remove(ended)
  assert.equal(spool.size, 48 + TWO.length)
  assert.deepEqual((await listSegments(folder)).map(({ id }) => id), [spool.segment])
  await assert.rejects(spool.remove(ended), RangeError)
  await spool.sync() // of what is gone, nothing
})

test('a segment of a former process is there after a restart', async (t) => {
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  const former = spool.segment
  await spool.writeState(former, hex('0102'))
  await spool.close()
  const again = await openSpool(folder)
  assert.notEqual(again.segment, former)
  assert.equal(again.size, 48 + ONE.length)
  assert.deepEqual(await readAgain(again, former, 48, ONE.length), ONE)
  assert.deepEqual(await again.readState(former), { bytes: hex('0102') })
  await again.remove(former)
  assert.equal(again.size, 0)
  await again.close()
})

test('a segment with a state only is listed, and counts on', async (t) => {
  const { folder, spool } = await spoolFor(t)
  await spool.writeState(spool.segment, hex('aa'))
  const former = spool.segment
  await spool.close()
  assert.deepEqual((await listSegments(folder)).map(({ id, size, hasState }) => [id, size, hasState]), [
    [former, 0, true],
  ])
  const again = await openSpool(folder)
  append(again, ONE)
  assert.deepEqual((await listSegments(folder)).map(({ id, sequence }) => [id, sequence]), [
    [former, 1], [again.segment, 2],
  ])
  await again.close()
})

test('two spools never share a folder', async (t) => {
  const { folder, spool } = await spoolFor(t)
  await assert.rejects(openSpool(folder), {
    code: 'ERR_OPTION', message: `Cannot open spool "${folder}": process ${process.pid} has it open`,
  })
  await spool.close()
  await (await openSpool(folder)).close()
})

test('over the limit nothing is written until segments go', async (t) => {
  const limit = 2 * 48 + ONE.length + TWO.length
  const { folder, spool } = await spoolFor(t, limit)
  append(spool, ONE)
  const ended = spool.cut()
  append(spool, TWO)
  assert.equal(spool.size, limit)
  assert.throws(() => append(spool, THREE), {
    code: 'ERR_LIMIT',
    message: `Cannot write to spool "${folder}": 264 bytes allowed, 264 are used, 88 more wanted`,
  })
  assert.equal(spool.size, limit)
  await spool.remove(ended)
  append(spool, THREE)
  assert.deepEqual((await replay(folder)).seen, DATAGRAMS.slice(1).map(seenOf))
})

test('a segment that cannot be made is tried again', async (t) => {
  const { folder, spool } = await spoolFor(t)
  renameSync(folder, `${folder}-away`)
  writeFileSync(folder, '')
  assert.throws(() => append(spool, ONE), { code: 'ENOTDIR' })
  assert.equal(spool.size, 0)
  rmSync(folder)
  renameSync(`${folder}-away`, folder)
  assert.equal(append(spool, ONE), 48)
  assert.deepEqual((await replay(folder)).seen, DATAGRAMS.slice(0, 1).map(seenOf))
})

test('a folder that was removed is made again, for segments and for states', async (t) => {
  const { folder, spool } = await spoolFor(t)
  append(spool, ONE)
  rmSync(folder, { recursive: true })
  assert.equal(append(spool, TWO), 48 + ONE.length) // into the file that has no name any more
  spool.cut()
  assert.equal(append(spool, THREE), 48)
  assert.deepEqual((await replay(folder)).seen, DATAGRAMS.slice(2).map(seenOf))
  rmSync(folder, { recursive: true })
  await spool.writeState(spool.segment, hex('07'))
  assert.deepEqual(new Uint8Array((await spool.readState(spool.segment)).bytes!), hex('07'))
})

test('states are read as they were written, the last that was', async (t) => {
  const { folder, spool } = await spoolFor(t)
  for (const state of [hex(''), hex('00'), new Uint8Array(300_000).fill(7), hex('0102')]) {
    await spool.writeState(spool.segment, state)
    const { bytes, fault } = await spool.readState(spool.segment)
    assert.deepEqual([new Uint8Array(bytes ?? []), fault], [state, undefined])
  }
  assert.deepEqual(new Uint8Array(readFileSync(joinPath(folder, `00000001-${spool.segment}.state`))), hex(`
    666b7374 00000001 00000002 b6cc4292 # CRC-32 of 0102, by zlib
    0102`))
  await assert.rejects(async () => spool.writeState('20261120T090000000Z-00000000', hex('')), RangeError)
})

test('a state that is not there, cut or damaged is told, and not given', async (t) => {
  const { folder, spool } = await spoolFor(t)
  const path = joinPath(folder, `00000001-${spool.segment}.state`)
  const fault = async (): Promise<readonly unknown[]> => {
    const { fault: error, bytes } = await spool.readState(spool.segment)
    return [error?.code, error?.message.replace(`Cannot read state "${path}": `, ''), bytes]
  }
  assert.deepEqual(await fault(), ['ERR_INPUT', 'there is none', undefined])
  await spool.writeState(spool.segment, hex('0102'))
  const whole = new Uint8Array(readFileSync(path))
  for (let size = 0; size < whole.length; size++) {
    writeFileSync(path, whole.subarray(0, size))
    const wanted = size < 16 ? 16 : 18
    assert.deepEqual(await fault(), ['ERR_TRUNCATED', `${wanted} bytes wanted, ${size} found`, undefined])
  }
  const damages: readonly [at: number, code: string, message: string][] = [
    [0, 'ERR_MALFORMED', 'magic 0x666b7374 wanted, 0x676b7374 found'],
    [7, 'ERR_UNSUPPORTED', 'version 1 wanted, 0 found'],
    [11, 'ERR_TRUNCATED', '19 bytes wanted, 18 found'],
    [15, 'ERR_CHECKSUM', 'CRC-32 0xb6cc4293 wanted, 0xb6cc4292 found'],
  ]
  for (const [at, code, message] of damages) {
    const damaged = whole.slice()
    damaged[at] ^= 1
    writeFileSync(path, damaged)
    assert.deepEqual(await fault(), [code, message, undefined])
  }
  for (const at of whole.keys()) {
    const damaged = whole.slice()
    damaged[at] ^= 0x80
    writeFileSync(path, damaged)
    assert.ok((await fault())[0], `byte ${at}`)
  }
  writeFileSync(path, join(whole, hex('00')))
  assert.deepEqual(await fault(), ['ERR_MALFORMED', '18 bytes wanted, 19 found', undefined])
})

test('a state that was not finished is removed when the spool is opened', async (t) => {
  const { folder, spool } = await spoolFor(t)
  await spool.close()
  writeFileSync(joinPath(folder, `00000001-${spool.segment}.state.tmp`), 'half')
  const again = await openSpool(folder)
  assert.deepEqual(readdirSync(folder).filter((name) => !name.startsWith('lock-')), [])
  await again.close()
})

test('a state that cannot be written leaves the old one', async (t) => {
  const { folder, spool } = await spoolFor(t)
  await spool.writeState(spool.segment, hex('01'))
  mkdirSync(joinPath(folder, `00000001-${spool.segment}.state.tmp`))
  await assert.rejects(spool.writeState(spool.segment, hex('02')), { code: 'EISDIR' })
  rmSync(joinPath(folder, `00000001-${spool.segment}.state.tmp`), { recursive: true })
  assert.deepEqual((await spool.readState(spool.segment)).bytes, hex('01'))
})

test('what a killed process had written is there, each datagram once', async (t) => {
  const folder = temporaryFolder(t)
  const url = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href)
  const code = `
    const { openSpool } = await import(${url('../../../core/spool/spool.ts')})
    const { blocksOf, datagramOf } = await import(${url('./spooled.ts')})
    const spool = await openSpool(process.argv[1])
    for (let i = 0; ; i++) {
      const datagram = datagramOf(Buffer.from(String(i).padEnd(1400, '.')))
      const blocks = blocksOf(datagram, datagram)
      spool.append(blocks, 0, blocks.length)
      if (i % 500 === 499) spool.cut()
      if (i === 2000) console.log('go')
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')

  const spool = await openSpool(folder) // the lock is left over
  const { seen, dropped } = await replay(folder)
  assert.ok(seen.length >= 2 * 2001)
  assert.ok(dropped < 2 * 1460)
  assert.deepEqual(seen.map(({ payload }) => parseInt(payload)), seen.map((_, i) => i >> 1))
  const segments = await listSegments(folder)
  assert.deepEqual(segments.map(({ sequence }) => sequence), segments.map((_, i) => i + 1))
  await spool.close()
})

/** A small file system, until the test ends; where there can be none, why not. */
function mountSmall(t: TestContext, size = '256k'): { folder: string, reason?: string } {
  let folder = ''
  t.after(() => spawnSync('umount', [folder])) // before its folder is removed
  folder = temporaryFolder(t)
  if (process.getuid?.() !== 0) return { folder, reason: 'needs root to mount a tmpfs' }
  const args = ['-t', 'tmpfs', '-o', `size=${size}`, 'flowkit', folder]
  const { status, error, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
  if (status === 0) return { folder }
  return { folder, reason: `cannot mount a tmpfs: ${error?.message ?? stderr.trim()}` }
}

/** Write to a file until the disk is full, as another process does that goes on trying. */
function fillDisk(folder: string): void {
  const fd = openSync(joinPath(folder, 'filler'), 'a')
  const page = new Uint8Array(4096)
  assert.throws(() => { for (;;) writeSync(fd, page) }, { code: 'ENOSPC' })
  closeSync(fd)
}

/** 65 kB of them. */
const BLOCKS = blocksOf(...Array.from({ length: 45 }, () => datagramOf(new Uint8Array(1400).fill(5))))

test('room that is reserved is there though others have filled the disk, again and again', async (t) => {
  const { folder: disk, reason } = mountSmall(t, '16m')
  if (reason !== undefined) return t.skip(reason)
  const folder = joinPath(disk, 'spool')
  const limit = 6 * 2 ** 20
  const spool = await openSpool(folder, limit, {}, true)
  assert.equal(spool.reserved, limit)
  fillDisk(disk)
  const ended: string[] = []
  for (let segment = 0; segment < 20; segment++) {
    const { size } = spool
    while (spool.size - size < 2 ** 20) {
      append(spool, BLOCKS)
      fillDisk(disk) // whatever becomes free for a moment
    }
    ended.push(spool.cut())
    await spool.writeState(spool.segment, new Uint8Array(100_000))
    fillDisk(disk)
    assert.ok(spool.size + spool.reserved <= limit)
    if (ended.length === 4) await spool.remove(ended.shift()!)
    fillDisk(disk)
  }
  // to its end
  let appended = 0
  assert.throws(() => { for (;; appended++) append(spool, BLOCKS) }, { code: 'ERR_LIMIT' })
  assert.ok(appended > 10, `${appended} appended`)
  spool.discard(ended[0])
  append(spool, BLOCKS)
  await spool.close()
  const { seen, dropped } = await replay(folder)
  assert.deepEqual([seen.length % 45, dropped], [0, 0])
  assert.equal(seen.length / 45, Math.floor(spool.size / BLOCKS.length))
})

test('what is reserved stays so while there is no collector, until it is not wanted any more', async (t) => {
  const { folder: disk, reason } = mountSmall(t, '4m')
  if (reason !== undefined) return t.skip(reason)
  const folder = joinPath(disk, 'spool')
  const limit = 2 ** 20
  const first = await openSpool(folder, limit, {}, true)
  append(first, BLOCKS)
  await first.close()
  fillDisk(disk)
  const second = await openSpool(folder, limit, {}, true)
  assert.ok(second.reserved > limit - 2 * BLOCKS.length, `${second.reserved} bytes`)
  append(second, BLOCKS)
  await second.close()
  const third = await openSpool(folder, limit)
  assert.equal(third.reserved, 0)
  assert.deepEqual(readdirSync(folder).filter((name) => name === 'reserve'), [])
  await third.close()
})

test('where there is no room for all of it nothing is reserved, until there is', async (t) => {
  const { folder: disk, reason } = mountSmall(t, '4m')
  if (reason !== undefined) return t.skip(reason)
  fillDisk(disk)
  rmSync(joinPath(disk, 'filler'))
  writeFileSync(joinPath(disk, 'other'), new Uint8Array(2 * 2 ** 20))
  const spool = await openSpool(joinPath(disk, 'spool'), 3 * 2 ** 20, {}, true)
  assert.equal(spool.reserved, 0)
  append(spool, BLOCKS) // which does not need it
  spool.cut()
  assert.equal(spool.reserved, 0)
  rmSync(joinPath(disk, 'other'))
  spool.cut()
  assert.ok(spool.reserved > 3 * 2 ** 20 - 2 * BLOCKS.length)
  await spool.close()
})

test('on a full disk the segment keeps its whole blocks, and goes on when there is room', async (t) => {
  const { folder, reason } = mountSmall(t)
  if (reason !== undefined) return t.skip(reason)
  const spool = await openSpool(folder)
  const blocks = blocksOf(...Array.from({ length: 7 }, () => datagramOf(new Uint8Array(1400).fill(5))))
  append(spool, blocks)
  const ended = spool.cut()
  let appended = 0
  assert.throws(() => { for (;; appended++) append(spool, blocks) }, { code: 'ENOSPC' })
  assert.ok(appended > 10)
  const [, { path }] = await listSegments(folder)
  assert.equal(statSync(path).size, 48 + appended * blocks.length)
  assert.equal(spool.size, 2 * 48 + (appended + 1) * blocks.length)
  await assert.rejects(spool.writeState(spool.segment, new Uint8Array(100_000)), { code: 'ENOSPC' })
  assert.equal((await spool.readState(spool.segment)).fault?.code, 'ERR_INPUT')

  await spool.remove(ended)
  append(spool, blocks)
  await spool.close()
  const { seen, dropped } = await replay(folder)
  assert.deepEqual([seen.length, dropped], [(appended + 1) * 7, 0])
})

test('segments of several spools are named and counted as they are told', async (t) => {
  const began = Date.parse('2026-11-21T13:04:05.123Z')
  const folder = temporaryFolder(t)
  const spools = await Promise.all([0, 1, 255].map((lane) => {
    return openSpool(joinPath(folder, String(lane)), undefined, { lane, began, after: 41 })
  }))
  for (const spool of spools) append(spool, ONE)
  const ended = spools.map((spool) => spool.cut(began + 877))
  const ids = [...ended, ...spools.map(({ segment }) => segment)].map((id) => id.slice(0, -6))
  assert.deepEqual(ids, [
    '20261121T130405123Z-00', '20261121T130405123Z-01', '20261121T130405123Z-ff',
    '20261121T130406000Z-00', '20261121T130406000Z-01', '20261121T130406000Z-ff',
  ])
  assert.deepEqual((await listSegments(joinPath(folder, '255'))).map(({ sequence }) => sequence), [42])
  for (const spool of spools) await spool.close()
  const again = await openSpool(joinPath(folder, '255'), undefined, { after: 7 })
  append(again, ONE)
  assert.deepEqual((await listSegments(joinPath(folder, '255'))).map(({ sequence }) => sequence), [42, 43])
  await again.close()
})
