import assert from 'node:assert/strict'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openExpiry } from '../../../core/archive/expire.ts'
import { fileSink, type FileFormat } from '../../../core/sinks/file-sink.ts'
import { archiveSink, expiringSink, type Sink } from '../../../core/sinks/sink.ts'
import type { FlowFormat } from '../../../formats/format.ts'
import { flowd } from '../../../formats/flowd.ts'
import { json, jsonArray } from '../../../formats/json.ts'
import { openOutput } from '../../../formats/outputs.ts'
import { batchOf } from '../../formats/flows.ts'
import { temporaryFolder } from '../spool/spooled.ts'

const FIRST = '20261121T125959999Z-0badcafe'
const NEXT = '20261121T130100000Z-0badcaff'
const LAST = '20261121T130200000Z-0badcb00'
const MINUTELY = (): number => 60_000
const LEDGER = { ledger: [{ exporter: '192.0.2.1', datagrams: 1 }] }
const JSON_LINES = textFiles(json)

/** Files of a format that is streamed. */
function textFiles(format: FlowFormat): FileFormat {
  return {
    extension: '.json',
    async create(path) {
      const request = { format: format.name, force: true, print: async () => {} }
      return (await openOutput(path, request)).writer
    },
  }
}

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).sort()
}

/** A sink in a folder that is not there yet. */
function newSink(t: TestContext, format: FileFormat = JSON_LINES): { root: string, sink: Sink } {
  const root = join(temporaryFolder(t), 'new', 'flows')
  return { root, sink: fileSink(root, format, MINUTELY) }
}

test('each segment is a file of its own in the folder of the hour that it began in', async (t) => {
  const { root, sink } = newSink(t, textFiles(jsonArray))
  const writer = await sink.open(FIRST)
  await writer.write(batchOf([{ bytes: 1 }, { bytes: 2 }]))
  await writer.write(batchOf([{ bytes: 3 }]))
  assert.deepEqual((await filesBelow(root)).filter((file) => !file.startsWith('.tmp-')), [])
  assert.equal(await sink.has(FIRST), false)
  const path = join(root, 'date=2026-11-21/hour=12', `${FIRST}.json`)
  const text = '[\n{"bytes":1},\n{"bytes":2},\n{"bytes":3}\n]\n'
  assert.deepEqual(await writer.rotate({ next: NEXT, ...LEDGER }),
    [{ table: 'flows', path, rows: 3, bytes: text.length }])
  assert.equal(await sink.has(FIRST), true)
  await writer.write(batchOf([{ bytes: 4 }]))
  await writer.rotate(LEDGER)
  await writer.abort()
  assert.equal(await readFile(path, 'latin1'), text)
  assert.equal(await readFile(join(root, 'date=2026-11-21/hour=13', `${NEXT}.json`), 'latin1'),
    '[\n{"bytes":4}\n]\n')
  assert.equal((await filesBelow(root)).length, 2)
})

test('a file is told with the fields that its format has no place for', async (t) => {
  const { sink } = newSink(t, textFiles(flowd))
  const writer = await sink.open(FIRST)
  await writer.write(batchOf([{ bytes: 1, min_ttl: 64, tag: 1 }, { bytes: 2, as_path: '1' }]))
  const [{ leftOut }] = await writer.rotate({ next: NEXT })
  assert.deepEqual(leftOut, ['as_path', 'min_ttl'])
  await writer.write(batchOf([{ bytes: 1, tag: 1 }]))
  assert.deepEqual((await writer.rotate())[0].leftOut, [])
  await writer.abort()
})

test('a segment without flows makes no file, and counter samples have no place', async (t) => {
  const { root, sink } = newSink(t)
  const writer = await sink.open(FIRST)
  await writer.writeCounters([])
  assert.deepEqual(await writer.rotate({ next: NEXT, ...LEDGER }), [])
  await writer.abort()
  assert.deepEqual(await readdir(root), [])
})

test('what is given up or not finished leaves nothing behind', async (t) => {
  const { root, sink } = newSink(t)
  const writer = await sink.open(FIRST)
  await writer.write(batchOf([{ bytes: 1 }]))
  await writer.skip(NEXT)
  await writer.write(batchOf([{ bytes: 2 }]))
  await writer.abort()
  assert.deepEqual(await readdir(root), [])
})

test('files of writers that were killed are removed, others are not', async (t) => {
  const { root, sink } = newSink(t)
  await mkdir(join(root, `.tmp-4194305-1-0123456789ab-${hostname()}`), { recursive: true })
  await writeFile(join(root, '.tmp-mine'), '')
  await (await sink.open(FIRST)).abort()
  assert.deepEqual(await readdir(root), ['.tmp-mine'])
})

test('a segment that is written again takes the place of the former', async (t) => {
  const { root, sink } = newSink(t)
  for (const bytes of [1, 2]) {
    const writer = await sink.open(FIRST)
    await writer.write(batchOf([{ bytes }]))
    await writer.rotate(LEDGER)
    await writer.abort()
  }
  const [file, ...others] = await filesBelow(root)
  assert.deepEqual(others, [])
  assert.equal(await readFile(join(root, file), 'latin1'), '{"bytes":2}\n')
})

for (const [name, make] of [
  ['files', (root: string) => fileSink(root, JSON_LINES, MINUTELY)], ['an archive', archiveSink],
] as const) {
  test(`${name} removed or replaced while they are written to are made anew`, async (t) => {
    const root = join(temporaryFolder(t), 'flows')
    const sink = make(root)
    const writer = await sink.open(FIRST)
    await writer.write(batchOf([{ bytes: 1 }]))
    await rm(root, { recursive: true })
    await assert.rejects(writer.rotate({ next: NEXT, ...LEDGER }), { code: 'ENOENT' })
    await writer.write(batchOf([{ bytes: 2 }]))
    assert.equal((await writer.rotate({ next: LAST, ...LEDGER })).length, 1)
    assert.deepEqual([await sink.has(FIRST), await sink.has(NEXT)], [false, true])

    await rename(root, `${root}.away`)
    await writeFile(root, '')
    for (const next of ['20261121T130300000Z-0badcb01', '20261121T130400000Z-0badcb02']) {
      const writeOne = async (): Promise<void> => {
        await writer.write(batchOf([{ bytes: 3 }]))
        await writer.rotate({ next, ...LEDGER })
      }
      await assert.rejects(writeOne())
    }
    await rm(root)
    await rename(`${root}.away`, root)
    await writer.skip(LAST)
    await writer.write(batchOf([{ bytes: 5 }]))
    assert.equal((await writer.rotate(LEDGER)).length, 1)
    await writer.abort()
    assert.deepEqual([await sink.has(NEXT), await sink.has(LAST)], [true, true])
    assert.deepEqual((await filesBelow(root)).filter((file) => file.includes('.tmp-')), [])
  })
}

test('whenever a segment is there, what is beyond the limits goes, once at a time', async (t) => {
  const { root, sink } = newSink(t)
  const expire = openExpiry(root, { tables: ['.'], extension: '.json' })
  let runs = 0
  const expiring = expiringSink(sink, async () => {
    runs++
    await expire({ maxSize: 1 }, Date.now() * 1000)
  })
  const writer = await expiring.open(FIRST)
  for (const next of [NEXT, LAST]) {
    await writer.write(batchOf([{ bytes: 1 }]))
    await writer.rotate({ next, ...LEDGER })
  }
  await writer.abort()
  assert.ok(runs >= 1)
  const again = await expiring.open(LAST)
  await again.write(batchOf([{ bytes: 1 }]))
  await again.rotate(LEDGER)
  await again.abort()
  assert.deepEqual(await filesBelow(root), [`date=2026-11-21/hour=13/${LAST}.json`])
})
