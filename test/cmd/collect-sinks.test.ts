import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { flowkit, startCollect, type RunningCollector } from '../support/flowkit.ts'
import { replayCapture } from '../support/replay.ts'

const V5 = 'test/fixtures/netflow/softflowd-v5.pcap' // 20 flows
const V9 = 'test/fixtures/netflow/softflowd-v9.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-sinks-'))
after(() => rm(folder, { recursive: true }))

async function filesBelow(root: string): Promise<string[]> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort()
}

async function jsonLines(root: string): Promise<string[]> {
  const texts = await Promise.all((await filesBelow(root)).map((file) => readFile(file, 'utf8')))
  return texts.flatMap((text) => text.trimEnd().split('\n')).sort()
}

async function archiveLines(root: string): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', root, '-o', 'json'])
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').sort()
}

/** The path of a symbolic link, to a folder for now. */
async function linked(name: string): Promise<string> {
  const path = join(folder, name)
  await mkdir(`${path}.folder`)
  await writeFile(`${path}.not a folder`, '')
  await pointTo(path, 'folder')
  return path
}

/** Put something else in the place of a folder, or the folder back, in one step: it is never missing. */
async function pointTo(path: string, what: 'folder' | 'not a folder'): Promise<void> {
  await symlink(`${path}.${what}`, `${path}.new`)
  await rename(`${path}.new`, path)
}

/** Send a capture, wait until all of it was received, and begin new files. @returns datagrams so far */
async function sendAndRotate(collector: RunningCollector, capture: string, before: number): Promise<number> {
  const sent = before + await replayCapture(capture, collector.port)
  for (let datagrams = before; datagrams < sent;) {
    collector.signal('SIGUSR2')
    datagrams = Number((await collector.next(/all: datagrams=(\d+) /))[1])
  }
  collector.signal('SIGUSR1')
  return sent
}

test('an archive and files are written at once, and a folder that was away gets all later', async () => {
  const [archive, files] = [join(folder, 'archive'), await linked('json')]
  const collector = await startCollect(archive, [
    '--to', files, '--to-format', 'archive,json', '--state', join(folder, 'state'), '--log-level', 'debug',
  ])
  let sent = await sendAndRotate(collector, V5, 0)
  await collector.next(/ rows written to \S+\.json\n/)
  await pointTo(files, 'not a folder')
  sent = await sendAndRotate(collector, V9, sent)
  await collector.next(/not a directory/)
  await pointTo(files, 'folder')
  await sendAndRotate(collector, V5, sent)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const lines = await jsonLines(files)
  assert.deepEqual(lines, await archiveLines(archive))
  const { stdout } = await flowkit(['read', V5, V9, V5, '--summary', '-o', 'json'])
  assert.equal(lines.length, JSON.parse(stdout).records)
  for (const file of await filesBelow(files)) {
    assert.match(file, /\/date=\d{4}-\d\d-\d\d\/hour=\d\d\/\d{8}T\d{9}Z-[0-9a-f]{8}\.json$/)
  }
})

test('an archive that is removed while it is written to is made anew', async () => {
  const archive = join(folder, 'removed')
  const state = join(folder, 'state-of-removed')
  const collector = await startCollect(archive, ['--state', state, '--log-level', 'debug'])
  const sent = await sendAndRotate(collector, V5, 0)
  await collector.next(/rows written to/)
  await rm(archive, { recursive: true, maxRetries: 20 }) // the collector may make a file in between
  await sendAndRotate(collector, V9, sent)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const { stdout } = await flowkit(['read', V9, '--summary', '-o', 'json'])
  assert.equal((await archiveLines(archive)).length, JSON.parse(stdout).records)
  assert.ok((await readdir(archive)).includes('flowkit.sql'))
})

test('--max-age and --max-size remove the oldest files, and say so when asked', async () => {
  const archive = join(folder, 'limited')
  const old = join(archive, 'flows/date=2020-01-01/hour=00/20200101T000000000Z-0badcafe.parquet')
  const mine = join(archive, 'flows/date=2020-01-01/hour=00/mine.parquet')
  await mkdir(join(old, '..'), { recursive: true })
  for (const path of [old, mine]) await writeFile(path, 'x')
  const args = ['--max-age', '7d', '--max-size', '1', '--log-level', 'debug']
  const collector = await startCollect(archive, args)
  let sent = await sendAndRotate(collector, V5, 0)
  await collector.next(/rows written to/)
  sent = await sendAndRotate(collector, V5, sent)
  await collector.next(/rows written to/)
  await sendAndRotate(collector, V5, sent)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  assert.ok(stderr.includes(`${old} removed\n`), stderr)
  const flows = await filesBelow(join(archive, 'flows'))
  assert.equal(flows[0], mine)
  assert.ok(flows.length < 4, flows.join())
})

test('files of nfdump have the names of nfcapd, go to the hook, and get all after a failure', async () => {
  const [archive, hooked] = ['beside', 'hooked'].map((name) => join(folder, name))
  const files = await linked('nfcapd')
  const collector = await startCollect(archive, [
    '--to', files, '--to-format', 'archive,nfdump', '--rotate', '5m', '--log-level', 'debug',
    '--on-rotate', `echo "$FLOWKIT_FILE" >> ${hooked}`,
  ])
  let sent = await sendAndRotate(collector, V5, 0)
  await collector.next(/ rows written to \S+\/nfcapd\.\d{12}\n/)
  await pointTo(files, 'not a folder')
  sent = await sendAndRotate(collector, V9, sent)
  await collector.next(/not a directory/)
  collector.signal('SIGSTOP') // or it may make the folder itself, in between
  await pointTo(files, 'folder')
  collector.signal('SIGCONT')
  await sendAndRotate(collector, V5, sent)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const written = await filesBelow(files)
  assert.ok(written.length >= 3, written.join()) // one more where an interval has ended meanwhile
  for (const file of written) assert.match(file, /\/nfcapd\.\d{11}[05](-[234])?$/)
  const told = (await readFile(hooked, 'utf8')).split('\n').filter((path) => path.startsWith(files))
  assert.deepEqual(told.sort(), written)
  assert.deepEqual(await countsIn(files), await countsIn(archive))
  const without = Array.from(stderr.matchAll(/^flowkit: files of (.*)$/gm), ([, what]) => what)
  assert.deepEqual(without, ['nfdump are without sequence_num'])
})

/** Flows, packets and bytes, as `read --summary` tells them. */
async function countsIn(root: string): Promise<unknown[]> {
  const { stdout } = await flowkit(['read', root, '--summary', '-o', 'json'])
  const { records, packets, bytes } = JSON.parse(stdout)
  return [records, packets, bytes]
}

test('--max-size removes the oldest files of nfdump, and no others', async () => {
  const files = join(folder, 'nfcapd-limited')
  const old = join(files, 'nfcapd.202001010000')
  const mine = join(files, 'nfcapd.202001010000.bak')
  await mkdir(files)
  for (const path of [old, `${old}-2`, mine]) await writeFile(path, 'x')
  const collector = await startCollect(files, [
    '--to-format', 'nfdump', '--compression', 'lz4', '--max-size', '1', '--log-level', 'debug',
  ])
  let sent = await sendAndRotate(collector, V5, 0)
  await collector.next(/rows written to/)
  sent = await sendAndRotate(collector, V5, sent)
  await collector.next(/rows written to/)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  for (const path of [old, `${old}-2`]) assert.ok(stderr.includes(`${path} removed\n`), stderr)
  const left = await filesBelow(files)
  assert.equal(left[0], mine)
  assert.equal(left.length, 2, left.join())
  assert.deepEqual(await readdir(`${files}.state`), ['spool'])
})

test('collect writes files of every kind of format, by their segments', async () => {
  const formats = ['flow-tools', 'flowd', 'ipfix-file', 'netflow-pcap', 'parquet', 'cbor', 'line']
  const extensions = ['ft', 'flowd', 'ipfix', 'pcap', 'parquet', 'cbor', 'line']
  const [first, ...others] = formats.map((format) => join(folder, 'every', format))
  const collector = await startCollect(first, ['--to', others.join(), '--to-format', formats.join()])
  await sendAndRotate(collector, V5, 0)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const expected = await countsIn(V5)
  for (const [i, root] of [first, ...others].entries()) {
    const files = (await filesBelow(root)).filter((file) => !file.includes('/.state/'))
    const name = new RegExp(`/date=[\\d-]{10}/hour=\\d\\d/\\d{8}T\\d{9}Z-[0-9a-f]{8}\\.${extensions[i]}$`)
    for (const file of files) assert.match(file, name)
    if (formats[i] !== 'line') assert.deepEqual(await countsIn(root), expected)
    else assert.ok(files.length > 0)
  }
})

test('--compression packs files of text, and leaves the archive beside as it is', async () => {
  const [archive, files] = ['plain', 'packed'].map((name) => join(folder, name))
  const collector = await startCollect(archive, [
    '--to', files, '--to-format', 'archive,json', '--compression', 'gzip:9',
  ])
  await sendAndRotate(collector, V5, 0)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  const paths = await filesBelow(files)
  for (const path of paths) assert.match(path, /\.json\.gz$/)
  const texts = await Promise.all(paths.map(async (path) => String(gunzipSync(await readFile(path)))))
  const lines = texts.flatMap((text) => text.trimEnd().split('\n'))
  assert.deepEqual(lines.sort(), await archiveLines(archive))
})

test('collect refuses what it cannot make of --to, --to-format and --max-age, in one line', async () => {
  const [a, b] = [join(folder, 'a'), join(folder, 'b')]
  for (const [args, message] of [
    [['--to', a, '--to-format', 'xml'], 'use option --to-format: expected one of archive, parquet, '],
    [['--to-format', 'json'], 'use option --to-format: json needs a folder, name it with --to\n'],
    [['--to', a, '--to-format', 'json,csv'], 'use option --to-format: expected 1, found 2\n'],
    [['--to', `${a},${b}`, '--to-format', 'json,csv,cbor'],
      'use option --to-format: expected 1, or 2 as of --to, found 3\n'],
    [['--to', `${a},${a}/.`], `use option --to: "${a}/." is named twice\n`],
    [['--to', `${a}.json`], `use option --to: expected a folder, found "${a}.json"; name the format of its `],
    [['--to', a, '--compression', 'zstd'], 'use option --compression: the archive has one of its own\n'],
    [['--to', a, '--to-format', 'nfdump', '--compression', 'gzip'],
      'use compression "gzip" for nfdump: choose one of lzo, none, lz4, zstd\n'],
    [['--to', a, '--to-format', 'nfdump', '--compression', 'zstd:23'],
      'use compression "zstd:23" for nfdump: its levels are 1 to 22\n'],
    [['--to', a, '--to-format', 'nfdump', '--compression', 'lzo:1'],
      'use compression "lzo:1" for nfdump: it has no levels\n'],
    [['--to', `${a},${b}`, '--to-format', 'nfdump,json', '--compression', 'lz4'],
      'use compression "lz4" for json: choose one of none, gzip, zstd\n'],
    [['--to', a, '--to-format', 'parquet', '--compression', 'zstd'],
      'use compression "zstd" for parquet: it has one of its own\n'],
    [['--to', a, '--max-age', '59s'],
      'use option --max-age: expected at least that of --rotate, 60s, found 59s\n'],
  ] as const) {
    const { exitCode, stderr } = await flowkit(['collect', '--listen', '127.0.0.1:0', ...args])
    assert.equal(exitCode, stderr.includes('use option') ? 2 : 1, stderr)
    assert.ok(stderr.startsWith(`flowkit: Cannot ${message}`), stderr)
  }
  const { stdout } = await flowkit(['collect', '--check', '--to', `${a},${b}`, '--to-format', 'csv,archive'])
  assert.match(stdout, new RegExp(`^into +${a} \\(csv\\), ${b}\nstate +${b}/state\n`, 'm'))
  const words = ['--to-format', 'nfdump', '--compression', 'zstd:9']
  const nfdump = await flowkit(['collect', '--check', '--to', a, ...words])
  assert.match(nfdump.stdout, new RegExp(`^into +${a} \\(nfdump, zstd:9\\)\nstate +${a}.state\n`, 'm'))
})
