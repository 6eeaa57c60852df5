import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { flowkit } from '../support/flowkit.ts'

const DEMO = 'test/fixtures/netflow/demo.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-convert-'))
after(() => rm(folder, { recursive: true }))

const TRAFFIC = path('traffic.pcap')
const FLOWS = 2000
{
  const traffic = `flows=${FLOWS},exporters=3,v6=20%,nat=10%,span=10m,seed=5`
  const { exitCode, stderr } = await flowkit(['export', '--generate', traffic, '--to', TRAFFIC])
  assert.equal(exitCode, 0, stderr)
}

function path(name: string): string {
  return join(folder, name)
}

/** Convert to its end. @returns stderr */
async function converted(...args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['convert', ...args])
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  return stderr
}

/** What is said of a conversion that cannot be. */
async function refused(exitCode: number, ...args: readonly string[]): Promise<string> {
  const found = await flowkit(['convert', ...args])
  assert.equal(found.exitCode, exitCode, found.stderr)
  return found.stderr
}

async function rowsOf(input: string, ...args: readonly string[]): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', input, '-o', 'json', '--fields', 'all', ...args])
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').sort()
}

for (const name of ['flows.parquet', 'archive']) {
  test(`what is converted to ${name} is what was read`, async () => {
    const said = await converted(TRAFFIC, path(name))
    const format = name === 'archive' ? 'archive' : 'parquet'
    assert.equal(said, `flowkit: 2,000 flows read, 2,000 written to ${path(name)} as ${format}\n`)
    assert.deepEqual(await rowsOf(path(name)), await rowsOf(TRAFFIC))
  })
}

test('the extension tells the format, and what is there is overwritten only with --force', async () => {
  const out = path('x.csv')
  await converted(DEMO, out)
  const [header] = (await readFile(out, 'utf8')).split('\n')
  assert.match(header, /^type,received,/)
  assert.match(await refused(1, DEMO, out), /^flowkit: Cannot write ".*x\.csv": it exists already, overwrite/)
  await converted(DEMO, out, '--force')
})

test('a stream is compressed where the name says so', async () => {
  const plain = path('y.json')
  for (const name of ['y.json', 'y.json.gz', 'y.json.zst']) await converted(TRAFFIC, path(name))
  await converted(TRAFFIC, path('z.json'), '--compression', 'gzip:9')
  const expected = await readFile(plain, 'utf8')
  assert.equal(gunzipSync(await readFile(path('y.json.gz'))).toString(), expected)
  assert.equal(zstdDecompressSync(await readFile(path('y.json.zst'))).toString(), expected)
  assert.equal(gunzipSync(await readFile(path('z.json'))).toString(), expected)
})

test('a folder has a file for each length of time', async () => {
  const out = path('split')
  await converted(TRAFFIC, out, '--to-format', 'json', '--split', '2m')
  const names = (await readdir(out)).sort()
  assert.ok(names.length >= 5, `${names}`)
  let count = 0
  for (const name of names) {
    assert.match(name, /^\d{11}[02468]\.json$/)
    const rows = (await readFile(join(out, name), 'utf8')).trimEnd().split('\n')
    count += rows.length
    for (const row of rows) {
      const { received } = JSON.parse(row)
      const minute = received.replaceAll(/[-:T]/g, '').slice(0, 12)
      assert.ok(Number(minute) - Number(name.slice(0, 12)) < 2, `${received} in ${name}`)
    }
  }
  assert.equal(count, FLOWS)
})

test('standard output takes any stream format, JSON unless told', async () => {
  const json = await flowkit(['convert', TRAFFIC, '-', 'proto udp'])
  assert.equal(json.exitCode, 0)
  for (const line of json.stdout.trimEnd().split('\n')) assert.equal(JSON.parse(line).proto, 17)
  const csv = await flowkit(['convert', TRAFFIC, '-', '--to-format', 'csv', '--fields', 'src_addr,bytes'])
  assert.match(csv.stdout, /^src_addr,bytes\n[\d.]+,\d+\n/)
  assert.match(await refused(1, TRAFFIC, '-', '--to-format', 'parquet'), /it needs a file\n$/)
})

test('what a format has no place for is said by field, and --strict refuses it', async () => {
  const out = path('narrow.pcap')
  const listed = path('few.csv')
  const said = await converted(TRAFFIC, listed, '--fields', 'src_addr,dst_addr,bytes')
  assert.match(said, /\n {2}csv has no place for\n(.*\n)* {4}src_port +left out of 2,000 flows\n/)
  const strict = await flowkit(['convert', TRAFFIC, out, '--strict'])
  assert.equal(strict.exitCode, 0, strict.stderr) // IPFIX has a place for everything
  const gone = path('gone.csv')
  assert.match(await refused(3, TRAFFIC, gone, '--fields', 'bytes', '--strict'), /, 0 written to .* lets nothing/)
  await assert.rejects(readFile(gone), { code: 'ENOENT' })
})

test('the report can be one JSON object', async () => {
  const out = path('r.csv')
  const said = await converted(TRAFFIC, out, '--fields', 'bytes', '--report', 'json')
  const { read, written, writer } = JSON.parse(said)
  assert.deepEqual([read, written], [FLOWS, FLOWS])
  assert.deepEqual(writer.fields.src_addr, { left_out: FLOWS, narrowed: 0 })
})

test('damage is said, what is good is converted, and the exit code is 3', async () => {
  const bytes = await readFile(TRAFFIC)
  const cut = path('cut.pcap')
  await writeFile(cut, bytes.subarray(0, bytes.length - 100))
  const out = path('cut.json')
  assert.match(await refused(3, cut, out), /cut\.pcap: Cannot read the record at byte \d+: the input ends/)
  assert.ok((await readFile(out, 'utf8')).split('\n').length > 1000)
  assert.match(await refused(3, cut, path('none.json'), '--strict'), /, 0 written to/)
  assert.deepEqual((await readdir(folder)).filter((name) => /none/.test(name)), [])
})

test('what cannot be is said in a line', async () => {
  assert.match(await refused(2, DEMO), /^flowkit: Cannot run convert: OUTPUT is missing/)
  assert.match(await refused(2, DEMO, 'proto tcp'), /^flowkit: Cannot run convert: expected INPUT and OUTPUT/)
  assert.match(await refused(1, DEMO, path('x.foo')), /Cannot tell the format of ".*x\.foo" by its name/)
  assert.match(await refused(1, DEMO, path('x'), '--to-format', 'xml'), /Cannot find format "xml": known are /)
  assert.match(await refused(1, DEMO, 'kafka://host/topic'), /Cannot write to "kafka:.*expected a file, a folder/)
  assert.match(await refused(1, DEMO, path('x.json'), '--compression', 'lzo'), /choose one of none, gzip, zstd/)
  assert.match(await refused(1, DEMO, path('x.json'), '--split', '1m'), /Cannot split what goes into/)
  assert.match(await refused(1, DEMO, path('x.json'), '--map', 'bytes'), /Cannot use map "bytes": expected FIELD=/)
})

test('--strict takes nothing for lost that was not there', async () => {
  const flow = { src_addr: '10.0.0.1', dst_addr: '10.0.0.2', proto: 6, bytes: 40, packets: 1 }
  const times = { flow_start: '2026-11-21T13:00:00.125Z', flow_end: '2026-11-21T13:00:01Z' }
  await writeFile(path('millis.json'), `${JSON.stringify({ ...times, ...flow })}\n`)
  const nfdump = [path('millis.nfcapd'), '--to-format', 'nfdump']
  const said = await converted(path('millis.json'), ...nfdump, '--strict')
  assert.equal(said, `flowkit: 1 flow read, 1 written to ${path('millis.nfcapd')} as nfdump\n`)
  const nanos = { ...times, flow_end: '2026-11-21T13:00:01.000000001Z' }
  await writeFile(path('nanos.json'), `${JSON.stringify({ ...nanos, ...flow })}\n`)
  const lost = await refused(3, path('nanos.json'), ...nfdump, '--force', '--strict')
  assert.match(lost, /\n {4}flow_end_ns +left out of 1 flow\n/)
})

test('fields have the names of --map in what is written, and are read again by them', async () => {
  const names = ['--map', 'src_addr=Source "IP",bytes=Größe', '--fields', 'src_addr,bytes,proto']
  const jsonOf = async (...args: string[]): Promise<string[]> => {
    const { exitCode, stdout, stderr } = await flowkit(['convert', ...args, '-', '--to-format', 'json', ...names.slice(2)])
    assert.equal(exitCode, 0, stderr)
    return stdout.trimEnd().split('\n').sort()
  }
  const own = await jsonOf(DEMO)
  for (const format of ['json', 'json-array', 'csv', 'cbor', 'parquet']) {
    const file = path(`called.${format}`)
    await converted(DEMO, file, '--to-format', format, ...names)
    const first = (await readFile(file, 'utf8')).split('\n')[0]
    if (format === 'json') assert.deepEqual(Object.keys(JSON.parse(first)), ['Source "IP"', 'Größe', 'proto'])
    if (format === 'csv') assert.equal(first, '"Source ""IP""",Größe,proto')
    assert.deepEqual(await jsonOf(file, '--from-format', format, ...names.slice(0, 2)), own, format)
  }
  const wrong = (map: string, name: string = 'wrong.json'): Promise<string> => (
    refused(1, DEMO, path(name), '--map', map)
  )
  const once = /Cannot use map "bytes=a,.*": expected each field, and each name, once/
  assert.match(await wrong('bytes=a,packets=a'), once)
  assert.match(await wrong('bytes=a,bytes=b'), once)
  assert.match(await wrong('bytes=packets'), /Cannot use --map for json: packets is another field's name/)
  assert.match(await wrong('bytes=a', 'wrong.flowd'), /--map for flowd: names of its fields cannot be chosen/)
})

test('an archive is added to', async () => {
  const out = path('twice')
  await converted(TRAFFIC, out)
  await converted(TRAFFIC, out)
  assert.equal((await rowsOf(out)).length, 2 * FLOWS)
})

test('addresses are replaced, and looked for in the output', async () => {
  const key = path('key')
  await writeFile(key, `0x${'0123456789abcdef'.repeat(4)}\n`)
  const options = ['--anonymise', 'cryptopan', '--key-file', key]
  const said = await converted(TRAFFIC, path('anonymous.parquet'), ...options, '--verify', '--keep', '10.0.0.0/8')
  assert.match(said, /\n {2}[\d,]+ addresses replaced\nflowkit: .*: no address of the input is left in it\n$/)
  const before = await rowsOf(TRAFFIC)
  const after = await rowsOf(path('anonymous.parquet'))
  assert.equal(after.length, before.length)
  const kept = (rows: readonly string[]) => rows.filter((row) => /"src_addr":"10\./.test(row)).length
  assert.equal(kept(after), kept(before))
  const cut = ['--anonymise', 'truncate:32', '--verify']
  assert.match(await refused(3, TRAFFIC, path('same.parquet'), ...cut), / addresses of the input left in it/)
  const text = ['--to-format', 'line', ...options, '--verify']
  assert.match(await refused(1, TRAFFIC, path('no.txt'), ...text), /: line cannot be read again\n$/)
  await assert.rejects(readFile(path('no.txt')), { code: 'ENOENT' })
  // a pcap, and flow-tools' files, have a next hop and an exporter of zeros where there is none
  for (const name of ['masked.pcap', 'masked.ftools']) {
    const how = ['--to-format', name.endsWith('pcap') ? 'netflow-pcap' : 'flow-tools']
    const masked = await converted(TRAFFIC, path(name), ...how, '--anonymise', 'truncate:16', '--verify')
    assert.match(masked, /: no address of the input is left in it\n$/)
  }
  assert.match(await refused(1, TRAFFIC, path('no.json'), '--anonymise', 'truncate:'), /expected 0 to 32 bits/)
  assert.match(await refused(1, TRAFFIC, path('no.json'), '--anonymise', 'hmac'), /name its secret with --key-file/)
  assert.match(await refused(1, TRAFFIC, path('no.json'), '--keep', '10.0.0.0/8'), /--keep without --anonymise/)
  const short = ['--anonymise', 'hmac', '--key-file', path('short')]
  await writeFile(path('short'), 'secret')
  assert.match(await refused(1, TRAFFIC, path('no.json'), ...short), /at least 16 bytes wanted, 6 found/)
})

test('both directions become one flow, and what comes twice counts once', async () => {
  const both = await converted(TRAFFIC, path('both.parquet'), '--biflow')
  const [, pairs] = /\n {2}([\d,]+) pairs of flows stitched together\n/.exec(both)!
  const rows = await rowsOf(path('both.parquet'))
  assert.equal(rows.length, FLOWS - Number(pairs))
  assert.equal(rows.filter((row) => row.includes('"rev_bytes":')).length, Number(pairs))
  const once = await converted(TRAFFIC, TRAFFIC, path('once.parquet'), '--dedup')
  assert.match(once, /flowkit: 4,000 flows read, [\d,]+ written/)
  const [single, twice] = [path('single.parquet'), path('once.parquet')]
  await converted(TRAFFIC, single, '--dedup')
  assert.deepEqual(await rowsOf(twice), await rowsOf(single))
})

test('Parquet has addresses as text for other tools', async () => {
  await converted(TRAFFIC, path('text.parquet'), '--addresses', 'text')
  const { stdout, stderr } = await flowkit(['read', path('text.parquet'), '-n', '1', '-o', 'json'])
  assert.match(stdout, /"src_addr":"[\d.]+|[\da-f:]+"/, stderr)
})

test('a file called as nfcapd and flow-capture call theirs is of their format', async () => {
  const nfcapd = path('nfcapd.202611211300')
  const flowTools = path('ft-v05.2026-11-21.130000+0000')
  await converted(DEMO, nfcapd)
  await converted(DEMO, flowTools)
  assert.deepEqual([...(await readFile(nfcapd)).subarray(0, 4)], [0x0c, 0xa5, 2, 0])
  assert.deepEqual([...(await readFile(flowTools)).subarray(0, 2)], [0xcf, 0x10])
})
