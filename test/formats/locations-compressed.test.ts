import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createWriteStream, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { FlowReader } from '../../core/flow/stream.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { findInputs, readCounterInputs, readInputs, type InputFault } from '../../formats/locations.ts'
import { parquet } from '../../formats/parquet.ts'
import { tellFormat } from '../../formats/tell.ts'
import { chunksOf, noise } from '../core/compress/contents.ts'
import { batchOf } from './flows.ts'

const CAPTURE = 'test/fixtures/netflow/demo.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-compressed-'))
after(() => rm(folder, { recursive: true }))
const capture = await readFile(CAPTURE)
const nothing = chunksOf(new Uint8Array(0), 1)

async function count(reader: FlowReader): Promise<number> {
  let rows = 0
  for await (const batch of reader) rows += batch.length
  return rows
}

interface Reading {
  readonly rows: number
  readonly faults: readonly Omit<InputFault, 'input'>[]
}

/** Read what is named, from standard input where that is `-`. */
async function read(word: string, stdin: AsyncIterable<Uint8Array> = nothing): Promise<Reading> {
  const faults: Omit<InputFault, 'input'>[] = []
  const inputs = await findInputs([word], undefined, stdin)
  const rows = await count(readInputs(inputs, {}, ({ input: _, ...fault }) => faults.push(fault)))
  return { rows, faults }
}

/** Temporary folders of readers that need a file. */
function temporaryFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => /^flowkit-.{6}$/.test(name))
}

async function fileOf(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

const whole = await read(CAPTURE)
assert.ok(whole.rows > 10 && whole.faults.length === 0)

test('compressed files and streams are read as what is in them, whatever they are called', async () => {
  for (const [name, bytes] of [
    ['a.pcap.gz', gzipSync(capture)], ['b', zstdCompressSync(capture)],
    ['c.json', Buffer.concat([gzipSync(capture.subarray(0, 99)), gzipSync(capture.subarray(99))])],
    ['d', zstdCompressSync(gzipSync(capture))],
  ] as const) {
    const path = await fileOf(name, bytes)
    const [input] = await findInputs([path], undefined, nothing)
    assert.equal(input.format.name, 'netflow-pcap')
    assert.deepEqual(await read(path), whole)
    for (const size of [50, 100_000]) assert.deepEqual(await read('-', chunksOf(bytes, size)), whole)
  }
})

test('a named pipe is read like standard input', async (t) => {
  const path = join(folder, 'pipe')
  if (spawnSync('mkfifo', [path]).status !== 0) return t.skip('there are no named pipes')
  const reading = read(path)
  createWriteStream(path).end(gzipSync(capture))
  assert.deepEqual(await reading, whole)
})

test('what comes before damage is read, then the damage is told with its place', async () => {
  const bytes = gzipSync(capture)
  const path = await fileOf('cut.gz', bytes.subarray(0, bytes.length - 100))
  const cut = await read(path)
  assert.ok(cut.rows > 0 && cut.rows < whole.rows, `${cut.rows} of ${whole.rows}`)
  assert.equal(cut.faults.length, 1)
  assert.equal(cut.faults[0].code, 'ERR_TRUNCATED')
  assert.match(cut.faults[0].reason, /^Cannot unpack gzip at byte \d+: it ends too early$/)
  assert.deepEqual(await read('-', chunksOf(bytes.subarray(0, bytes.length - 100), 64)), cut)
  const wrong = bytes.with(bytes.length - 8, bytes[bytes.length - 8] ^ 1)
  const reason = `Cannot unpack gzip at byte ${bytes.length - 8}: the checksum does not match`
  assert.deepEqual(await read(await fileOf('wrong.gz', wrong)), {
    rows: whole.rows, faults: [{ code: 'ERR_CHECKSUM', reason }],
  })
})

test('damage before the format can be told is an error of a named file, a fault in a folder', async () => {
  const below = join(folder, 'below')
  await mkdir(below)
  await writeFile(join(below, 'a.gz'), gzipSync(capture))
  await writeFile(join(below, 'b.gz'), gzipSync(capture).subarray(0, 20))
  await writeFile(join(below, 'c.gz'), gzipSync('no flows'))
  await writeFile(join(below, 'd.zst'), zstdCompressSync(capture))
  const said = { code: 'ERR_TRUNCATED', message: /^Cannot unpack gzip at byte \d+: it ends too early$/ }
  await assert.rejects(findInputs([join(below, 'b.gz')], undefined, nothing), said)
  await assert.rejects(findInputs(['-'], undefined, chunksOf(gzipSync(capture).subarray(0, 20), 7)), said)
  const { rows, faults } = await read(below)
  assert.equal(rows, whole.rows * 2)
  assert.deepEqual(faults.map(({ code }) => code), ['ERR_TRUNCATED'])
  const [broken] = (await findInputs([below], undefined, nothing)).filter(({ name }) => name.endsWith('b.gz'))
  assert.throws(() => broken.openCounters({ onFault() {}, onNote() {} }), { code: 'ERR_TRUNCATED' })
})

test('formats that need a file are read from compressed files and streams too, and nothing is left of it', async () => {
  const path = join(folder, 'x.parquet')
  const writer = await parquet.create!(path, {})
  await writer.write(batchOf([{ bytes: 1 }, { bytes: 2 }]))
  await writer.close()
  const bytes = await readFile(path)
  const before = temporaryFolders()
  const packed = gzipSync(bytes)
  for (const [name, content] of [['p.gz', packed], ['p.zst', zstdCompressSync(bytes)]] as const) {
    assert.deepEqual(await read(await fileOf(name, content)), { rows: 2, faults: [] }, name)
    assert.deepEqual(await read('-', chunksOf(content, 100)), { rows: 2, faults: [] }, name)
  }
  assert.deepEqual(await read('-', chunksOf(bytes, 1000)), { rows: 2, faults: [] })
  const cut = await fileOf('cut.gz', packed.subarray(0, packed.length - 10))
  const { rows, faults } = await read(cut)
  assert.equal(rows, 0)
  assert.deepEqual(faults.map(({ code }) => code), ['ERR_TRUNCATED'])
  const half = await read('-', chunksOf(bytes.subarray(0, 1000), 100))
  assert.match(half.faults[0].reason, /^Cannot read standard input: .* 'standard input'/)
  const [input] = await findInputs([join(folder, 'p.gz')], undefined, nothing)
  const reasons: string[] = []
  const samples = input.openCounters({ onFault: ({ reason }) => reasons.push(reason), onNote() {} })
  assert.deepEqual((await Array.fromAsync(samples)).flat(), [])
  assert.deepEqual(reasons.filter((reason) => reason.includes('flowkit-') && !reason.includes('p.gz')), [])
  assert.deepEqual(temporaryFolders(), before)
})

test('counter samples in compressed files are read as others are', async () => {
  const faults: InputFault[] = []
  const packed = gzipSync(capture)
  const paths = [await fileOf('whole.gz', packed), await fileOf('part.gz', packed.subarray(0, 500))]
  const inputs = await findInputs(paths, undefined, nothing)
  const reader = readCounterInputs(inputs, {}, (fault) => faults.push(fault), () => {})
  assert.deepEqual((await Array.fromAsync(reader)).flat(), [])
  assert.deepEqual(faults.map(({ input, code }) => [input, code]), [[paths[1], 'ERR_TRUNCATED']])
})

test('a format is told when it is sure, and the only one so sure', () => {
  const format = (name: string, score?: number): FlowFormat => {
    return { name, summary: '', extensions: [], ...score !== undefined && { probe: () => score } }
  }
  const tell = (...formats: FlowFormat[]) => tellFormat(noise(9, 1), 'x', formats).name
  assert.equal(tell(format('a', 50), format('b', 49), format('c')), 'a')
  assert.equal(tell(format('a', 60), format('b', 60), format('c', 61)), 'c')
  assert.throws(() => tell(format('a', 49), format('b')), {
    code: 'ERR_UNSUPPORTED', message: 'Cannot tell the format of "x": name it with --from-format',
  })
  assert.throws(() => tell(format('a', 70), format('b', 60), format('c', 70)), {
    code: 'ERR_OPTION',
    message: 'Cannot tell the format of "x": it can be a and c, name it with --from-format',
  })
})
