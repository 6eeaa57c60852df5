import assert from 'node:assert/strict'
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileSink } from '../../../core/sinks/file-sink.ts'
import type { Sink } from '../../../core/sinks/sink.ts'
import { nfdump } from '../../../formats/nfdump.ts'
import { batchOf } from '../../formats/flows.ts'
import { readFile as flowsIn } from '../../formats/nfdump-files.ts'
import { temporaryFolder } from '../spool/spooled.ts'

process.env['TZ'] = 'America/St_Johns' // 3 h 30 min behind UTC

const FIRST = '20261121T130402004Z-0badcafe'
const NEXT = '20261121T130500001Z-0badcaff'
const LAST = '20261121T131000000Z-0badcb00'
const MINUTES = 60_000

/** A sink of nfdump's files, as another process would have it. */
function sinkIn(root: string, interval: number = 5 * MINUTES): Sink {
  return fileSink(root, {
    extension: '.nfcapd', names: nfdump.fileNames!, create: (path, ident) => nfdump.create!(path, { ident }),
  }, () => interval)
}

function newFolder(t: TestContext): string {
  return join(temporaryFolder(t), 'nfcapd')
}

/** Write a segment of one flow. @returns the name of its file */
async function put(sink: Sink, segment: string, bytes: number): Promise<string> {
  const writer = await sink.open(segment)
  await writer.write(batchOf([{ bytes }]))
  const [{ path, rows }, ...others] = await writer.rotate({ next: LAST })
  assert.deepEqual([rows, others], [1, []])
  await writer.abort()
  return path.slice(path.lastIndexOf('/') + 1)
}

async function bytesIn(root: string, name: string): Promise<unknown[]> {
  const { rows } = flowsIn(await readFile(join(root, name)), {})
  return rows.map(({ bytes }) => bytes)
}

test('a file is called by the local time at which its interval began', async (t) => {
  const root = newFolder(t)
  const sink = sinkIn(root)
  assert.equal(await put(sink, FIRST, 1), 'nfcapd.202611210930')
  assert.equal(await put(sink, NEXT, 2), 'nfcapd.202611210935')
  assert.deepEqual(await readdir(root), ['nfcapd.202611210930', 'nfcapd.202611210935'])
  assert.deepEqual(await bytesIn(root, 'nfcapd.202611210935'), [2])
})

test('names tell the seconds of intervals that are no full minutes', async (t) => {
  const root = newFolder(t)
  assert.equal(await put(sinkIn(root, 1000), FIRST, 1), 'nfcapd.20261121093402')
  assert.equal(await put(sinkIn(root, 90_000), FIRST.replace('cafe', 'caf0'), 1), 'nfcapd.20261121093300')
  assert.equal(await put(sinkIn(root, MINUTES), NEXT, 1), 'nfcapd.202611210935')
})

test('where a name is taken the file is a further one of that time, and none is written over', async (t) => {
  const root = newFolder(t)
  await mkdir(root)
  await writeFile(join(root, 'nfcapd.202611210930'), 'of somebody else')
  const again = FIRST.replace('cafe', 'caf0')
  assert.equal(await put(sinkIn(root), FIRST, 1), 'nfcapd.202611210930-2')
  assert.equal(await put(sinkIn(root), again, 2), 'nfcapd.202611210930-3')
  assert.equal(await readFile(join(root, 'nfcapd.202611210930'), 'latin1'), 'of somebody else')
  assert.deepEqual([await sinkIn(root).has(FIRST), await sinkIn(root).has(again)], [true, true])
})

test('of sinks that write the same interval at a time each has files of its own', async (t) => {
  const root = newFolder(t)
  const puts = [1, 2, 3, 4].map((lane) => put(sinkIn(root), FIRST.slice(0, -1) + lane, lane))
  const names = await Promise.all(puts)
  const base = 'nfcapd.202611210930'
  assert.deepEqual(names.toSorted(), [base, `${base}-2`, `${base}-3`, `${base}-4`])
  assert.deepEqual((await Promise.all(names.map((name) => bytesIn(root, name)))).flat().sort(), [1, 2, 3, 4])
})

test('a segment is found by another process, also one with another interval', async (t) => {
  const root = newFolder(t)
  await put(sinkIn(root), FIRST, 1)
  assert.equal(await sinkIn(root).has(FIRST), true)
  assert.equal(await sinkIn(root).has(NEXT), false)
  assert.equal(await sinkIn(root, 86_400_000).has(FIRST), true)
  assert.equal(await sinkIn(root, 1000).has(FIRST), true)
  await rm(join(root, 'nfcapd.202611210930'))
  assert.equal(await sinkIn(root).has(FIRST), false)
  assert.equal(await sinkIn(join(root, 'absent')).has(FIRST), false)
})

test('a segment that is written again takes the place of the former', async (t) => {
  const root = newFolder(t)
  await put(sinkIn(root), FIRST, 1)
  await put(sinkIn(root), FIRST, 2)
  assert.deepEqual(await readdir(root), ['nfcapd.202611210930'])
  assert.deepEqual(await bytesIn(root, 'nfcapd.202611210930'), [2])
})

test('a name that was found once and belongs to another segment now is left alone', async (t) => {
  const root = newFolder(t)
  const sink = sinkIn(root)
  await put(sink, FIRST, 1)
  assert.equal(await sink.has(FIRST), true)
  await rm(join(root, 'nfcapd.202611210930'))
  await put(sinkIn(root), FIRST.replace('cafe', 'caf0'), 2)
  assert.equal(await sink.has(FIRST), false)
  assert.equal(await put(sink, FIRST, 3), 'nfcapd.202611210930-2')
})

test('damaged files, folders and foreign names beside are no hindrance', async (t) => {
  const root = newFolder(t)
  await mkdir(join(root, 'nfcapd.202611210925'), { recursive: true })
  for (const name of ['nfcapd.202611210920', 'nfcapd.current.17', 'nfcapd.202611210930.gz', 'notes']) {
    await writeFile(join(root, name), name === 'notes' ? '' : Uint8Array.of(0x0c, 0xa5, 2, 0, 1, 2, 3))
  }
  await writeFile(join(root, 'nfcapd.202611210915'), 'x'.repeat(100))
  await chmod(join(root, 'nfcapd.202611210915'), 0)
  const sink = sinkIn(root)
  assert.equal(await sink.has(FIRST), false)
  assert.equal(await put(sink, FIRST, 1), 'nfcapd.202611210930')
})

test('what is not whole has a name that nfdump -R passes over, and goes when it is given up', async (t) => {
  const root = newFolder(t)
  const writer = await sinkIn(root).open(FIRST)
  await writer.write(batchOf([{ bytes: 1 }]))
  const [folder, ...others] = await readdir(root)
  assert.deepEqual(others, [])
  assert.match(folder, /^\.tmp-/)
  const [name] = await readdir(join(root, folder))
  assert.match(name, /^\.nfcapd\.current\.20261121T130402004Z-0badcafe\.stat\.tmp-/)
  await writer.abort()
  assert.deepEqual(await readdir(root), [])
})

test('a folder that is removed while it is written to is made anew', async (t) => {
  const root = newFolder(t)
  const writer = await sinkIn(root).open(FIRST)
  await writer.write(batchOf([{ bytes: 1 }]))
  await rm(root, { recursive: true })
  await assert.rejects(writer.rotate({ next: NEXT }), { code: 'ENOENT' })
  await writer.write(batchOf([{ bytes: 2 }]))
  await writer.rotate({ next: LAST })
  await writer.abort()
  assert.deepEqual(await readdir(root), ['nfcapd.202611210935'])
})
