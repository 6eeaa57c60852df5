import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { after, test } from 'node:test'
import { ARCHIVE_LAYOUT, openExpiry, type Expiry, type Limits } from '../../../core/archive/expire.ts'
import { archiveFiles, openArchive } from '../../../core/archive/reader.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { readParquet } from '../../../core/duck/read.ts'
import { askFiles } from '../../../core/duck/survey.ts'
import { FIELDS, ID } from '../../../core/flow/fields.ts'
import { batchOf } from '../../formats/flows.ts'
import { rowsOf } from '../duck/plain.ts'

const HOUR = 3600e6
const NOON = 1795262400e6 // 2026-11-21T12:00:00Z in µs

const folder = await mkdtemp(join(tmpdir(), 'expire-test-'))
after(() => rm(folder, { recursive: true }))

let count = 0

/** A folder with files of `size` bytes each. */
async function folderOf(paths: readonly string[], size: number = 10): Promise<string> {
  const root = join(folder, String(++count))
  for (const path of paths) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), 'x'.repeat(size))
  }
  return root
}

async function allBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true })
  return entries.sort()
}

/** Run it. @returns the names of what it removed */
async function run(expire: Expiry, root: string, limits: Limits, now: number): Promise<string[]> {
  return (await expire(limits, now)).map((path) => relative(root, path))
}

function segment(time: string): string {
  return `20261121T${time}00000Z-0badcafe`
}

const FILES = [
  `flows/date=2026-11-21/hour=12/${segment('1200')}.1795262400-1795262460.parquet`,
  `flows/date=2026-11-21/hour=12/${segment('1200')}_002.parquet`,
  `ledger/date=2026-11-21/hour=12/${segment('1200')}.parquet`,
  `flows/date=2026-11-21/hour=12/${segment('1259')}.parquet`,
  `flows/date=2026-11-21/hour=13/${segment('1259')}_002.parquet`,
  `counters/date=2026-11-21/hour=13/${segment('1259')}.parquet`,
  `ledger/date=2026-11-21/hour=12/${segment('1259')}.parquet`,
  `flows/date=2026-11-21/hour=13/${segment('1330')}.parquet`,
  `ledger/date=2026-11-21/hour=13/${segment('1330')}.parquet`,
]

test('without a limit nothing expires', async () => {
  const root = await folderOf(FILES)
  const before = await allBelow(root)
  assert.deepEqual(await openExpiry(root, ARCHIVE_LAYOUT)({}, NOON + 1e6 * HOUR), [])
  assert.deepEqual(await allBelow(root), before)
})

test('what began to be received longer ago goes, with folders that are empty then', async () => {
  const root = await folderOf(FILES)
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  const limits = { maxAge: 3600e3 }
  assert.deepEqual(await run(expire, root, limits, NOON + HOUR), [])
  assert.deepEqual((await run(expire, root, limits, NOON + HOUR + 1)).sort(), FILES.slice(0, 3).sort())
  // of the segment that goes on in the next hour, what is of that hour stays for another minute
  assert.deepEqual((await run(expire, root, limits, NOON + 2 * HOUR)).sort(), [FILES[3], FILES[6]].sort())
  assert.deepEqual(await readdir(join(root, 'flows/date=2026-11-21')), ['hour=13'])
  assert.deepEqual((await run(expire, root, limits, NOON + 2 * HOUR + 1)).sort(), [FILES[4], FILES[5]].sort())
  assert.deepEqual(await readdir(join(root, 'counters')), [])
})

test('the newest segment stays, however old or large', async () => {
  const root = await folderOf(FILES)
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  assert.deepEqual((await run(expire, root, { maxAge: 1, maxSize: 0 }, NOON + 1e6 * HOUR)).sort(),
    FILES.slice(0, 7).sort())
  assert.deepEqual(await run(expire, root, { maxAge: 1, maxSize: 0 }, NOON + 1e6 * HOUR), [])
  assert.deepEqual((await allBelow(root)).filter((path) => path.endsWith('.parquet')).sort(),
    FILES.slice(7).sort())
})

test('the oldest go until the others are within the size, a segment\'s of an hour together', async () => {
  const root = await folderOf(FILES)
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  assert.deepEqual(await run(expire, root, { maxSize: 90 }, NOON), [])
  assert.deepEqual((await run(expire, root, { maxSize: 89 }, NOON)).sort(), FILES.slice(0, 3).sort())
  assert.deepEqual(await run(expire, root, { maxSize: 60 }, NOON), [])
  assert.deepEqual((await run(expire, root, { maxSize: 40 }, NOON)).sort(), [FILES[3], FILES[6]].sort())
})

test('files that come later count, also in folders seen before', async () => {
  const root = await folderOf(FILES)
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  assert.deepEqual(await run(expire, root, { maxSize: 90 }, NOON), [])
  const name = `flows/date=2026-11-21/hour=13/${segment('1331')}.parquet`
  await writeFile(join(root, name), '')
  assert.deepEqual(await run(expire, root, { maxSize: 90 }, NOON), [])
  await writeFile(join(root, name.replace('1331', '1332')), 'x')
  assert.deepEqual((await run(expire, root, { maxSize: 90 }, NOON)).sort(), FILES.slice(0, 3).sort())
})

test('converted flows are as old as their hour, not as their segment', async () => {
  const old = `flows/date=2025-01-01/hour=00/${segment('1300')}.parquet`
  const root = await folderOf([old, ...FILES])
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  assert.deepEqual(await run(expire, root, { maxAge: 86_400e3 }, NOON + 2 * HOUR), [old])
  assert.equal((await readdir(join(root, 'flows'))).includes('date=2025-01-01'), false)
})

test('only files with flowkit\'s names in folders of hours go, and no links', async () => {
  const others = [
    'flows/date=2026-11-20/hour=00/mine.parquet', 'flows/date=2026-11-20/hour=00/notes.txt',
    `flows/date=2026-11-20/hour=00/${segment('1200')}.parquet.bak`,
    `flows/date=2026-11-20/hour=00/x${segment('1200')}.parquet`,
    `flows/date=2026-11-20/${segment('1200')}.parquet`, `flows/${segment('1200')}.parquet`,
    `flows/date=2026-11-20/hour=0/${segment('1200')}.parquet`, 'flows/date=2026-11-20/hour=99/x',
    `rollup/date=2026-11-20/hour=00/${segment('1200')}.parquet`, 'flowkit.sql',
    `state/date=2026-11-20/hour=00/${segment('1200')}.parquet`,
  ]
  const root = await folderOf([...others, ...FILES])
  const outside = await folderOf([`${segment('1200')}.parquet`])
  await symlink(outside, join(root, 'flows/date=2026-11-20/hour=01'))
  await symlink(join(outside, `${segment('1200')}.parquet`),
    join(root, `flows/date=2026-11-20/hour=00/${segment('1201')}.parquet`))
  const expire = openExpiry(root, ARCHIVE_LAYOUT)
  assert.deepEqual((await run(expire, root, { maxAge: 1, maxSize: 0 }, NOON + 1e6 * HOUR)).sort(),
    FILES.slice(0, 7).sort())
  const left = await allBelow(root)
  for (const other of others) assert.ok(left.includes(other), other)
  assert.ok(left.includes(`flows/date=2026-11-20/hour=00/${segment('1201')}.parquet`))
  assert.deepEqual(await readdir(outside), [`${segment('1200')}.parquet`])
})

test('files of other formats expire by extension, and a folder that is not there has none', async () => {
  const files = ['1200', '1201'].map((time) => `date=2026-11-21/hour=12/${segment(time)}.json`)
  const root = await folderOf([...files, `date=2026-11-21/hour=12/${segment('1100')}.csv`])
  const expire = openExpiry(root, { tables: ['.'], extension: '.json' })
  assert.deepEqual(await run(expire, root, { maxSize: 1 }, NOON), [files[0]])
  assert.deepEqual(await openExpiry(join(root, 'nowhere'), ARCHIVE_LAYOUT)({ maxSize: 1 }, NOON), [])
})

/** An archive with a file of `rows` flows for each of `hours` hours from noon; their bytes number them. */
async function archiveOf(hours: number, rows: number): Promise<string> {
  const root = join(folder, String(++count))
  for (let hour = 0; hour < hours; hour++) {
    const writer = await openArchiveWriter(root)
    const received = NOON + hour * HOUR
    await writer.write(batchOf(Array.from({ length: rows }, (_, i) => ({
      received, flow_start: received, flow_end: received, bytes: hour * rows + i,
    }))))
    await writer.close()
  }
  return root
}

test('files that are gone when they are opened are passed over, and are no faults', async () => {
  const root = await archiveOf(3, 1)
  const bad = await folderOf(['bad.parquet'])
  const [first, ...others] = await archiveFiles(root)
  await rm(first)
  const faults: string[] = []
  const reader = readParquet([first, ...others, join(bad, 'bad.parquet')], {
    fields: [ID.bytes], onBad: ({ path }) => void faults.push(path),
  })
  assert.deepEqual((await rowsOf(reader)).map(({ bytes }) => bytes), [1, 2])
  assert.deepEqual(faults, [join(bad, 'bad.parquet')])
})

test('files that go once their footers are read are passed over too', async () => {
  for (const sort of [{}, { sort: { field: FIELDS[ID.bytes], descending: true } }]) {
    const root = await archiveOf(3, 1)
    const bad = await folderOf(['bad.parquet'])
    const files = await archiveFiles(root)
    const reader = readParquet([...files, join(bad, 'bad.parquet')], {
      fields: [ID.bytes], ...sort, onBad: () => rmSync(files[0]), // told last
    })
    assert.deepEqual((await rowsOf(reader)).map(({ bytes }) => Number(bytes)).sort(), [1, 2])
  }
})

for (const sorted of [false, true]) {
  const how = sorted ? ' in an order' : ''
  test(`an archive expires while it is read${how}: each flow comes once at most`, async () => {
    const root = await archiveOf(6, 20_000)
    const files = await archiveFiles(root)
    const sort = { field: FIELDS[ID.bytes], descending: false }
    const reader = openArchive(root, {
      fields: [ID.bytes], ...sorted && { sort }, onFault: ({ reason }) => assert.fail(reason),
    })
    const seen: number[] = []
    for await (const batch of reader) {
      if (seen.length === 0) await Promise.all(files.slice(0, 5).map((file) => rm(file)))
      seen.push(...batch.bytes.subarray(0, batch.length))
    }
    assert.equal(new Set(seen).size, seen.length)
    const last = Array.from({ length: 20_000 }, (_, i) => 100_000 + i)
    assert.deepEqual(seen.filter((bytes) => bytes >= 100_000), last)
  })
}

test('what is asked of files is asked again without those that are gone, and else fails', async () => {
  const root = await folderOf(['a', 'b'])
  const paths = ['a', 'b'].map((name) => join(root, name))
  const asked: string[][] = []
  const answer = await askFiles(paths, async (some) => {
    asked.push(some.map((path) => relative(root, path)))
    if (asked.length > 1) return 'done'
    await rm(paths[0])
    throw new Error('no such file')
  })
  assert.equal(answer, 'done')
  assert.deepEqual(asked, [['a', 'b'], ['b']])
  await assert.rejects(askFiles([paths[1]], () => Promise.reject(new Error('damaged'))), /damaged/)
})
