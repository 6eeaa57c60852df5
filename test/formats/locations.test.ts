import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { archivePlaces, defaultArchive, findArchive } from '../../core/archive/places.ts'
import { parseFilter } from '../../core/filter/filter.ts'
import { lossByField, newLoss } from '../../core/flow/loss.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { findFormat, findInputs, readInputs, type InputFault } from '../../formats/locations.ts'

const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const V9 = 'test/fixtures/netflow/softflowd-v9.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-locations-'))
after(() => rm(folder, { recursive: true }))

async function* chunks(...parts: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* parts
}
const nothing = chunks()

async function count(reader: FlowReader): Promise<number> {
  let rows = 0
  for await (const batch of reader) rows += batch.length
  return rows
}

async function countInputs(words: string[], request = {}): Promise<[number, InputFault[]]> {
  const faults: InputFault[] = []
  return [await count(readInputs(await findInputs(words, undefined, nothing), request, (fault) => faults.push(fault))), faults]
}

test('files, globs and folders are found, in name order', async () => {
  const names = async (...words: string[]) => (await findInputs(words, undefined, nothing)).map((input) => input.name)
  assert.deepEqual(await names(V9, V5), [V9, V5])
  assert.deepEqual(await names('test/fixtures/netflow/softflowd-v{9,5}.pcap'), [V5, V9])
  const below = join(folder, 'below')
  await mkdir(below)
  await writeFile(join(below, 'b'), await readFile(V5))
  await writeFile(join(below, 'a'), await readFile(V9))
  assert.deepEqual(await names(below), [join(below, 'a'), join(below, 'b')])
})

test('the format is told from the first bytes, also of a stream that comes in pieces', async () => {
  const bytes = await readFile(V5)
  const [input] = await findInputs(['-'], undefined, chunks(bytes.subarray(0, 3), bytes.subarray(3, 30), bytes.subarray(30)))
  assert.equal(input.format.name, 'netflow-pcap')
  const [whole] = await countInputs([V5])
  assert.equal(await count(input.open({ onFault: () => assert.fail() })), whole)
})

test('a request for a filter and a window is applied to streams', async () => {
  const [all] = await countInputs([V5])
  const [udp] = await countInputs([V5], { filter: parseFilter('proto udp') })
  const [rest] = await countInputs([V5], { filter: parseFilter('not proto udp') })
  assert.ok(udp > 0 && rest > 0)
  assert.equal(udp + rest, all)
  assert.deepEqual(await countInputs([V5], { until: 0 }), [0, []])
  assert.deepEqual(await countInputs([V5], { since: 0 }), [all, []])
})

test('an input that breaks off is a fault, and the next ones are read', async () => {
  const cut = join(folder, 'cut')
  const bytes = await readFile('test/fixtures/netflow/demo.pcap')
  await writeFile(cut, bytes.subarray(0, bytes.length - 10))
  const [alone, faults] = await countInputs([cut])
  assert.equal(faults.length, 1)
  assert.equal(faults[0].input, cut)
  assert.equal(faults[0].code, 'ERR_TRUNCATED')
  const [five] = await countInputs([V5])
  const [both] = await countInputs([cut, V5])
  assert.equal(both, alone + five)
})

test('files of folders and globs that expire while others are read are no faults', async () => {
  const capture = await readFile(V5)
  for (const word of ['', '*']) {
    const root = join(folder, `expiring${word === '' ? '' : '-glob'}`)
    await mkdir(root)
    const paths = ['a', 'b', 'c'].map((name) => join(root, name))
    for (const path of paths) await writeFile(path, capture)
    const inputs = await findInputs([join(root, word)], undefined, nothing)
    const fault = ({ reason }: InputFault): never => assert.fail(reason)
    let rows = 0
    for await (const batch of readInputs(inputs, {}, fault)) {
      rows += batch.length
      await rm(paths[1], { force: true })
    }
    assert.equal(rows, 40)
    const named = await findInputs([paths[0]], undefined, nothing)
    await rm(paths[0])
    await assert.rejects(count(readInputs(named, {}, fault)), { code: 'ENOENT' }) // it was named
  }
})

test('what cannot be read is refused with the reason', async () => {
  const empty = join(folder, 'empty')
  await writeFile(empty, '')
  const hollow = join(folder, 'hollow')
  await mkdir(hollow)
  const refuse = (words: string[], format: string | undefined, wanted: object) =>
    assert.rejects(async () => {
      for (const input of await findInputs(words, format, nothing)) await count(input.open({ onFault: () => {} }))
    }, wanted)
  await refuse([join(folder, 'missing')], undefined, { code: 'ENOENT' })
  await refuse([join(folder, 'missing*')], undefined, { code: 'ERR_INPUT', message: /nothing matches$/ })
  await refuse([empty], undefined, { code: 'ERR_INPUT', message: /it is empty$/ })
  await refuse([hollow], undefined, { code: 'ERR_INPUT', message: /holds no flow files$/ })
  await refuse(['package.json'], undefined, { code: 'ERR_UNSUPPORTED', message: /name it with --from-format$/ })
  await refuse(['-'], undefined, { code: 'ERR_INPUT', message: 'Cannot read "standard input": it is empty' })
  await refuse([V5], 'nonsense', { code: 'ERR_OPTION', message: /^Cannot find format "nonsense": known are archive, / })
  await refuse([V5], 'table', { code: 'ERR_OPTION', message: 'Cannot read format table here: it is for output only' })
  assert.equal(findFormat('json').name, 'json')
})

test('of several inputs one that is empty, or damaged where it begins, is a fault', async () => {
  const empty = join(folder, 'none')
  await writeFile(empty, '')
  const damaged = join(folder, 'damaged.gz')
  await writeFile(damaged, Uint8Array.of(0x1f, 0x8b, 8, 0, 0))
  const [alone] = await countInputs([V5])
  for (const words of [[empty, V5, damaged], [join(folder, '{none,damaged.gz}'), V5]]) {
    const [rows, faults] = await countInputs(words)
    assert.equal(rows, alone)
    assert.deepEqual(faults.map(({ input, reason }) => [input, reason]).sort(), [
      [damaged, 'Cannot unpack gzip at byte 0: it ends too early'],
      [empty, `Cannot read "${empty}": it is empty`],
    ])
  }
  await assert.rejects(countInputs([V5, 'package.json']), { code: 'ERR_UNSUPPORTED' })
  await assert.rejects(countInputs([V5, join(folder, 'missing')]), { code: 'ENOENT' })
})

test('of a folder it is said what is no flow file, and what cannot be opened is a fault', async () => {
  const below = join(folder, 'mixed')
  await mkdir(join(below, 'deeper'), { recursive: true })
  await copyFile(V5, join(below, 'a'))
  await writeFile(join(below, 'README'), 'these are flows')
  await writeFile(join(below, '.hidden'), 'unfinished')
  await writeFile(join(below, 'empty'), '')
  await copyFile(V5, Buffer.concat([Buffer.from(join(below, 'deeper', 'x')), Buffer.of(0xff)]))
  await symlink('../a', join(below, 'deeper', 'again'))
  await symlink(resolve(V9), join(below, 'deeper', 'elsewhere'))
  await symlink('nowhere', join(below, 'deeper', 'dangling'))
  const notes: string[] = []
  const faults: InputFault[] = []
  const inputs = await findInputs([below], undefined, nothing, (note) => notes.push(note))
  const rows = await count(readInputs(inputs, {}, (fault) => faults.push(fault)))
  assert.equal(rows, (await countInputs([V5, V9]))[0])
  const note = `${below}: 1 file left out whose format cannot be told, such as ${join(below, 'README')}`
  assert.deepEqual(notes, [note])
  assert.deepEqual(faults.map(({ reason }) => reason), ['Cannot open it: its name is not UTF-8'])
})

test('a glob finds folders too', async () => {
  const [rows, faults] = await countInputs([join(folder, '{mixed,below}')])
  const [five] = await countInputs([V5])
  const [nine] = await countInputs([V9])
  assert.deepEqual([rows, faults.length], [2 * five + 2 * nine, 1])
})

test('counters that are over what a batch holds are entered as cut', async () => {
  const path = join(folder, 'large.json')
  const text = '{"bytes":18446744073709551615,"packets":1}\n{"bytes":1,"packets":"9007199254740993"}\n'
  await writeFile(path, text)
  const loss = newLoss()
  await countInputs([path], { loss })
  assert.deepEqual(lossByField(loss), [
    { name: 'bytes', leftOut: 0, narrowed: 1 }, { name: 'packets', leftOut: 0, narrowed: 1 },
  ])
})

test('archives are looked for where the environment says, then where they are by default', async () => {
  const env = { FLOWKIT_ARCHIVE: join(folder, 'mine'), XDG_DATA_HOME: folder }
  assert.deepEqual(archivePlaces(env), [join(folder, 'mine'), '/var/lib/flowkit', join(folder, 'flowkit')])
  assert.equal(defaultArchive(env), join(folder, 'mine'))
  assert.equal(defaultArchive({ XDG_DATA_HOME: folder }), process.getuid?.() === 0 ? '/var/lib/flowkit' : join(folder, 'flowkit'))
  await mkdir(join(folder, 'mine', 'flows'), { recursive: true })
  assert.equal(await findArchive(env), join(folder, 'mine'))
})
