import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatagramReader } from '../../core/pcap/datagrams.ts'
import { finished, flowkit, flowkitWith, startFlowkit } from '../support/flowkit.ts'

const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const DEMO = 'test/fixtures/netflow/demo.pcap'
const V9 = 'test/fixtures/netflow/softflowd-v9.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-read-'))
after(() => rm(folder, { recursive: true }))

interface Row extends Record<string, string | number> {
  readonly bytes: number
  readonly proto: number
  readonly flow_start: string
  readonly flow_end: string
}

async function read(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['read', ...args], { TZ: 'UTC' })
  assert.equal(exitCode, 0, stderr)
  return stdout
}
const lines = (text: string) => text === '' ? [] : text.trimEnd().split('\n')
const records = async (...args: string[]) => lines(await read(...args)).map((line) => JSON.parse(line) as Row)

test('read prints one JSON object a line where stdout is no terminal', async () => {
  const rows = await records(V5)
  const counted = JSON.parse(await read(V5, '--summary', '-o', 'json')) as { records: number, bytes: number }
  assert.equal(rows.length, counted.records)
  assert.equal(rows.reduce((sum, row) => sum + row.bytes, 0), counted.bytes)
  assert.equal(rows[0]['type'], 'NETFLOW_V5')
})

test('what flowd-reader -v prints names each file before its flows', async () => {
  const printed = lines(await read(V5, V9, '-o', 'flowd-text-v'))
  const named = printed.flatMap((line, i) => line.startsWith('LOGFILE ') ? [[i, line]] : [])
  const count = (await records(V5)).length
  assert.deepEqual(named, [[0, `LOGFILE ${V5}`], [count + 1, `LOGFILE ${V9}`]])
  assert.ok(printed.filter((line) => line.startsWith('FLOW ')).length === printed.length - 2)
  assert.equal((await read(V5, '-q', '-o', 'flowd-text-v')).startsWith('FLOW '), true)
})

test('read takes several files, globs, folders and standard input', async () => {
  const [five, nine] = [await records(V5), await records(V9)]
  assert.deepEqual(await records(V5, V9), [...five, ...nine])
  assert.deepEqual(await records('test/fixtures/netflow/softflowd-v[59].pcap'), [...five, ...nine])
  const below = join(folder, 'below')
  await mkdir(join(below, 'deep'), { recursive: true })
  await writeFile(join(below, 'b.pcap'), await readFile(V9))
  await writeFile(join(below, 'deep', 'a.pcap'), await readFile(V5))
  await writeFile(join(below, 'deep', 'notes.txt'), 'no flows')
  await writeFile(join(below, 'empty'), '')
  assert.deepEqual(await records(below), [...nine, ...five])
  const { exitCode, stdout } = await flowkitWith(await readFile(V5), ['read', '-'])
  assert.equal(exitCode, 0)
  assert.deepEqual(lines(stdout).map((line) => JSON.parse(line) as unknown), five)
})

test('-n, --fields and --sort choose, and a filter may be the last word', async () => {
  const all = await records(V9)
  assert.deepEqual(await records(V9, '-n', '3'), all.slice(0, 3))
  assert.deepEqual(await records(V9, '-n', '0'), [])
  const largest = [...all].sort((a, b) => b.bytes - a.bytes).slice(0, 5).map((row) => row.bytes)
  assert.deepEqual((await records(V9, '--sort', 'bytes', '-n', '5')).map((row) => row.bytes), largest)
  const ports = all.map((row) => Number(row['dst_port'] ?? 0)).filter((port) => port > 0)
  const smallest = await records(V9, '--sort', 'dst_port', '-n', '5', 'dst port > 0')
  assert.deepEqual(smallest.map((row) => row['dst_port']), ports.sort((a, b) => a - b).slice(0, 5))
  const [{ dst_addr, proto }] = all
  assert.deepEqual(await records(V9, '--fields', 'dst_addr,proto', '-n', '1'), [{ dst_addr, proto }])
  const tcp = all.filter((row) => row.proto === 6)
  assert.deepEqual(await records(V9, 'proto tcp'), tcp)
  assert.deepEqual(await records(V9, '-f', 'tcp'), tcp)
  const file = join(folder, 'filter')
  await writeFile(file, '# TCP\nproto tcp\n')
  assert.deepEqual(await records(V9, '--filter-file', file), tcp)
})

test('--since and --until keep the flows that overlap the window', async () => {
  const all = await records(V5)
  const starts = all.map((row) => String(row.flow_start)).sort()
  const [since, until] = [starts[Math.floor(starts.length / 3)], starts[Math.floor(starts.length * 2 / 3)]]
  const wanted = all.filter((row) => row.flow_end >= since && row.flow_start < until)
  assert.ok(wanted.length > 0 && wanted.length < all.length)
  assert.deepEqual(await records(V5, '--since', since, '--until', until), wanted)
})

test('csv, json-array, line and table hold the same flows', async () => {
  const all = await records(V5)
  assert.deepEqual(JSON.parse(await read(V5, '-o', 'json-array')), all)
  const csv = lines(await read(V5, '-o', 'csv', '--fields', 'src_addr,bytes'))
  assert.deepEqual(csv, ['src_addr,bytes', ...all.map((row) => `${row['src_addr']},${row.bytes}`)])
  const text = lines(await read(V5, '-o', 'line'))
  assert.equal(text.length, all.length + 5) // header and four lines of summary
  assert.match(text[0], /^Date first seen {9}Duration/)
  assert.equal(lines(await read(V5, '-o', 'table')).length, all.length + 1)
})

test('names of the peers are used on request, and the schema has the names', async () => {
  const [row] = await records(V5, '-n', '1', '--names', 'iana')
  assert.equal(row['octetDeltaCount'], (await records(V5, '-n', '1'))[0].bytes)
  const named = ['--names', 'py3flowtools', '--fields', 'dOctets,srcaddr,dst_port']
  const [{ dOctets, srcaddr, srcaddr_raw, dstport }] = await records(V5, '-n', '1', '--names', 'py3flowtools')
  assert.deepEqual(await records(V5, '-n', '1', ...named), [{ dOctets, srcaddr, srcaddr_raw, dstport }])
  const schema = JSON.parse(await read('--schema')) as { properties: Record<string, { type: string }> }
  assert.equal(schema.properties['src_addr'].type, 'string')
  for (const key of Object.keys((await records(V9, '-n', '1'))[0])) assert.ok(key in schema.properties, key)
})

test('bad input is one line on stderr and exit code 1', async () => {
  const empty = join(folder, 'empty')
  const garbage = join(folder, 'garbage')
  const traffic = 'test/fixtures/pcap/ethernet.pcap'
  const hollow = join(folder, 'hollow')
  await writeFile(empty, '')
  await writeFile(garbage, 'this is no flow file\n'.repeat(100))
  await mkdir(hollow)
  for (const [args, message] of [
    [['no/such/file'], 'Cannot open "no/such/file": no such file'],
    [['no/such/*.pcap'], 'Cannot open "no/such/*.pcap": nothing matches'],
    [[empty], `Cannot read "${empty}": it is empty`],
    [[garbage], `Cannot tell the format of "${garbage}": name it with --from-format`],
    [[hollow], `Cannot read "${hollow}": the folder holds no flow files`],
    [[V5, 'tcp'], 'Cannot open "tcp": a one-word filter goes after -f'],
    [['udp', '-f', 'tcp'], 'Cannot open "udp": a one-word filter goes after -f'],
    [[V5, '-f', 'tcp', 'proto udp'], 'Cannot use two filters: "tcp" and "proto udp"'],
    [[V5, '--filter-file', empty, '-f', 'tcp'], 'Cannot use --filter-file beside another filter'],
    [[V5, '--last', '1h', '--since', 'now'], 'Cannot use --last beside --since'],
    [[V5, '-o', 'xml'], /^Cannot find format "xml": known are /],
    [[V5, '--fields', 'colour'], 'Cannot find field "colour": see flowkit fields'],
    [[V5, '--sort', 'bytes:up'], 'Cannot sort by "bytes:up": expected FIELD, FIELD:asc or FIELD:desc'],
    [[V5, '--from-format', 'parquet'], /^Cannot read .*softflowd-v5\.pcap/],
  ] as const) {
    const { exitCode, stdout, stderr } = await flowkit(['read', ...args])
    assert.equal(exitCode, 1, stderr)
    assert.equal(stdout, '')
    if (typeof message === 'string') assert.equal(stderr, `flowkit: ${message}\n`)
    else assert.match(stderr.replace(/^flowkit: (.*: (?=Cannot))?/, ''), message)
  }
  const { exitCode, stderr } = await flowkit(['read', traffic])
  assert.equal(exitCode, 1)
  const reason = 'Cannot find NetFlow: to meter its packets use flowkit capture -r'
  assert.equal(stderr, `flowkit: ${traffic}: ${reason}\n`)
})

const installed = existsSync('/var/lib/flowkit') && 'there is one in /var/lib/flowkit'

test('without an archive read says where it looked', { skip: installed }, async () => {
  const env = { FLOWKIT_ARCHIVE: join(folder, 'none'), XDG_DATA_HOME: folder }
  const { exitCode, stderr } = await flowkit(['read'], env)
  assert.equal(exitCode, 1)
  const [place, home] = [join(folder, 'none'), join(folder, 'flowkit')]
  const places = `${place}, /var/lib/flowkit, ${home}`
  assert.equal(stderr, `flowkit: Cannot find an archive: none in ${places}; name an input\n`)
})

test('a file that is cut off gives its good flows, one line and exit code 3', async () => {
  const whole = await readFile(DEMO)
  const all = await records(DEMO)
  const cut = join(folder, 'cut.pcap')
  await writeFile(cut, whole.subarray(0, whole.length - 100))
  const { exitCode, stdout, stderr } = await flowkit(['read', cut, V5])
  assert.equal(exitCode, 3)
  const got = lines(stdout).map((line) => JSON.parse(line) as unknown)
  const five = await records(V5)
  const good = got.length - five.length
  assert.ok(good > 0 && good < all.length)
  assert.deepEqual(got, [...all.slice(0, good), ...five])
  const end = /: Cannot read the record at byte \d+: the input ends \d+ bytes into it\n$/
  assert.ok(stderr.startsWith(`flowkit: ${cut}: `))
  assert.match(stderr.slice(cut.length), end)
})

test('a damaged datagram in a capture is named with its offset, and the others are read', async () => {
  const bytes = new Uint8Array(await readFile(DEMO))
  const reader = new DatagramReader()
  reader.capture.push(bytes)
  while (reader.next()) if (bytes[reader.start + 1] === 5) break
  const count = bytes[reader.start + 3]
  bytes[reader.start + 3] = count - 1
  const file = join(folder, 'lying.pcap')
  await writeFile(file, bytes)
  const { exitCode, stdout, stderr } = await flowkit(['read', file])
  assert.equal(exitCode, 3)
  assert.equal(lines(stdout).length, (await records(DEMO)).length - count)
  const lengths = `${count - 1} records need ${24 + 48 * (count - 1)} bytes, ${24 + 48 * count} found`
  const place = `${file}, byte ${reader.capture.packet.offset}`
  assert.equal(stderr, `flowkit: ${place}: Cannot decode NetFlow v5 datagram: ${lengths}\n`)
})

test('a reader that goes away early is no failure', async () => {
  const child = startFlowkit(['read', DEMO])
  const head = spawn('head', ['-n', '1'])
  child.stdout?.pipe(head.stdin)
  head.stdin.on('error', () => child.stdout?.destroy())
  const [first, { exitCode, stderr }] = await Promise.all([finished(head), finished(child)])
  assert.equal(lines(first.stdout).length, 1)
  assert.equal(stderr, '')
  assert.equal(exitCode, 0)
})
