/** What `flowkit convert` writes, read by programs that know the container and nothing of flowkit. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit } from '../support/flowkit.ts'
import { missing, output } from './peers.ts'

const folder = mkdtempSync(join(tmpdir(), 'flowkit-formats-'))
after(() => rmSync(folder, { recursive: true }))

/** Debian's own, which its packages are for. */
const PYTHON = '/usr/bin/python3'

const FLOWS = Array.from({ length: 40 }, (_, i) => ({
  type: 'IPFIX', received: '2026-11-21T13:00:00.000000Z', exporter_addr: '192.0.2.254',
  flow_start: '2026-11-21T12:59:58.125Z', flow_end: '2026-11-21T12:59:59.250Z',
  src_addr: i % 4 === 3 ? `2001:db8::${i + 1}` : `192.0.2.${i + 1}`,
  dst_addr: i % 4 === 3 ? '2001:db8:1::2' : '198.51.100.7',
  src_port: 1024 + i, dst_port: 443, proto: 6, bytes: 2 ** 33 + i, packets: i + 1,
}))
const SOURCE = join(folder, 'flows.json')
writeFileSync(SOURCE, FLOWS.map((flow) => `${JSON.stringify(flow)}\n`).join(''))

/** What peers are to find: address, port, bytes, packets. */
const EXPECTED = FLOWS.map(({ src_addr, src_port, bytes, packets }) => {
  return [src_addr, src_port, bytes, packets].join()
})

async function convert(name: string, ...args: readonly string[]): Promise<string> {
  const path = join(folder, name)
  const { exitCode, stderr } = await flowkit(['convert', SOURCE, path, ...args])
  assert.equal(exitCode, 0, stderr)
  return path
}

/** Why a test that needs a module of Debian's Python is skipped. */
function withoutModule(name: string): string | false {
  const { status } = spawnSync(PYTHON, ['-c', `import ${name}`], { stdio: 'ignore' })
  return status !== 0 && `not installed: python3 with ${name}`
}

test('jq reads JSON lines and arrays', { skip: missing('jq') }, async () => {
  const row = '[.src_addr, .src_port, .bytes, .packets] | map(tostring) | join(",")'
  const lines = await convert('out.json')
  const array = await convert('out.array', '--to-format', 'json-array')
  assert.deepEqual(output('jq', '-r', row, lines).trimEnd().split('\n'), EXPECTED)
  assert.deepEqual(output('jq', '-r', `.[] | ${row}`, array).trimEnd().split('\n'), EXPECTED)
})

test('sqlite3 imports CSV', { skip: missing('sqlite3') }, async () => {
  const csv = await convert('out.csv')
  const query = 'SELECT src_addr, src_port, bytes, packets FROM flows'
  const text = output('sqlite3', ':memory:', '.mode csv', `.import ${csv} flows`, query)
  assert.deepEqual(text.trimEnd().split(/\r?\n/), EXPECTED)
})

test('the csv module of Python reads CSV', { skip: withoutModule('csv') }, async () => {
  const csv = await convert('python.csv')
  const text = output(PYTHON, '-c', 'import csv, sys\n'
    + 'for row in csv.DictReader(open(sys.argv[1], newline=""), strict=True):\n'
    + '  print(row["src_addr"], row["src_port"], row["bytes"], row["packets"], sep=",")', csv)
  assert.deepEqual(text.trimEnd().split('\n'), EXPECTED)
})

test('cbor2 reads a CBOR sequence', { skip: withoutModule('cbor2') }, async () => {
  const cbor = await convert('out.cbor')
  const text = output(PYTHON, '-c', 'import cbor2, ipaddress, json, sys\n'
    + 'items, file = [], open(sys.argv[1], "rb")\n'
    + 'end = file.seek(0, 2); file.seek(0)\n'
    + 'while file.tell() < end: items.append(cbor2.load(file))\n'
    + 'header, rows = items[0], [row for block in items[1:] for row in block]\n'
    + 'at = [header["fields"].index(name) for name in ("src_addr", "src_port", "bytes", "packets")]\n'
    + 'text = lambda v: str(ipaddress.ip_address(v)) if isinstance(v, bytes) else str(v)\n'
    + 'for row in rows: print(",".join(text(row[i]) for i in at))', cbor)
  assert.deepEqual(text.trimEnd().split('\n'), EXPECTED)
})

test("protoc reads goflow2's messages", { skip: missing('protoc') }, async () => {
  const file = await convert('out.protobuf', '--to-format', 'goflow2-protobuf')
  // goflow2's pb/flow.proto; what is left out here stands as numbers in what protoc prints
  const proto = join(folder, 'flow.proto')
  writeFileSync(proto, 'syntax = "proto3"; message Flows { repeated Flow flow = 1; } message Flow { '
    + 'bytes src_addr = 6; uint64 bytes = 9; uint64 packets = 10; uint32 proto = 20; uint32 src_port = 21; '
    + 'uint32 dst_port = 22; }')
  const { stdout, status } = spawnSync('python3', ['-c', 'import sys\n'
    + 'data = open(sys.argv[1], "rb").read(); at = 0\n'
    // a length before each message and a line end behind: as fields they are one message
    + 'while at < len(data):\n'
    + '  size = shift = 0; start = at\n'
    + '  while True:\n'
    + '    byte = data[at]; at += 1; size |= (byte & 127) << shift; shift += 7\n'
    + '    if byte < 128: break\n'
    + '  sys.stdout.buffer.write(b"\\x0a" + data[start:at + size]); at += size + 1', file])
  assert.equal(status, 0)
  const args = ['--proto_path', folder, '--decode', 'Flows', 'flow.proto']
  const read = spawnSync('protoc', args, { input: stdout })
  assert.equal(read.status, 0, read.stderr.toString())
  const text = read.stdout.toString()
  const values = (name: string): number[] => {
    return Array.from(text.matchAll(new RegExp(`^  ${name}: (\\d+)$`, 'gm')), ([, value]) => Number(value))
  }
  assert.deepEqual(values('src_port'), FLOWS.map(({ src_port }) => src_port))
  assert.deepEqual(values('bytes'), FLOWS.map(({ bytes }) => bytes))
  assert.deepEqual(values('packets'), FLOWS.map(({ packets }) => packets))
})

for (const name of ['out.ipfix', 'out.pcap']) {
  test(`tshark reads ${name}`, { skip: missing('tshark') }, async () => {
    const file = await convert(name)
    assert.equal(output('tshark', '-r', file, '-Y', '_ws.malformed or _ws.expert'), '')
    const shown = ['-T', 'fields', '-E', 'aggregator=|', '-e', 'cflow.srcport', '-e', 'cflow.octets']
    const text = output('tshark', '-r', file, ...shown)
    const [ports, octets] = [0, 1].map((i) => text.trimEnd().split('\n')
      .flatMap((line) => (line.split('\t')[i] ?? '').split('|').filter(Boolean).map(Number)))
    assert.deepEqual(ports.sort(), FLOWS.map(({ src_port }) => src_port).sort())
    assert.deepEqual(octets.sort(), FLOWS.map(({ bytes }) => bytes).sort())
  })
}
