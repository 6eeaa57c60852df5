import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { sinkOf } from '../../cmd/sinks.ts'
import { batchOf } from '../formats/flows.ts'
import { flowkit, startCollect, untilTaken } from '../support/flowkit.ts'
import { replayCapture } from '../support/replay.ts'
import { missing, output, type Told } from './peers.ts'

process.env['TZ'] = 'UTC' // names are of the local zone

const skip = missing('nfdump')
const CAPTURES = ['softflowd-v5', 'softflowd-v9'].map((name) => `test/fixtures/netflow/${name}.pcap`)
const folder = await mkdtemp(join(tmpdir(), 'flowkit-collect-nfdump-'))
after(() => rm(folder, { recursive: true }))

/** The flows of all files below a folder, as nfdump reads them. */
function toldOf(root: string): Told[] {
  return JSON.parse(output('nfdump', '-R', root, '-o', 'json')) as Told[]
}

/** A flow as one line, of what `nfdump -o json` prints of it. */
function lineOfTold(told: Told): string {
  const isIcmp = told['proto'] === 1 || told['proto'] === 58
  const [src, dst] = [told['src4_addr'] ?? told['src6_addr'], told['dst4_addr'] ?? told['dst6_addr']]
  const ports = isIcmp ? [told['icmp_type'], told['icmp_code']] : [told['src_port'], told['dst_port']]
  return [
    told['first'], told['last'], told['proto'], src, dst, ...ports, told['in_packets'], told['in_bytes'],
  ].join(' ')
}

/** The same, of what `flowkit read -o json` prints. */
function lineOfRow(row: Readonly<Record<string, unknown>>): string {
  const isIcmp = row['proto'] === 1 || row['proto'] === 58
  const ports = isIcmp ? [row['icmp_type'], row['icmp_code']] : [row['src_port'], row['dst_port']]
  const [first, last] = [row['flow_start'], row['flow_end']].map((time) => {
    return new Date(String(time)).toISOString().slice(0, -1)
  })
  return [first, last, row['proto'], row['src_addr'], row['dst_addr'], ...ports, row['packets'], row['bytes']]
    .join(' ')
}

for (const compression of ['lzo', 'lz4', 'none']) {
  test(`nfdump reads in files of collect with ${compression} what is in the archive`, { skip }, async () => {
    const [archive, files] = ['archive', 'nfcapd'].map((name) => join(folder, compression, name))
    const collector = await startCollect(archive, [
      '--to', files, '--to-format', 'archive,nfdump', '--compression', compression, '--rotate', '5m',
      '--log-level', 'debug',
    ])
    let sent = 0
    for (const capture of CAPTURES) {
      sent += await replayCapture(capture, collector.port)
      await untilTaken(collector, sent)
      collector.signal('SIGUSR1')
      await collector.next(/rows written to \S+nfcapd\.\d{12}(-2)?\n/)
    }
    const { exitCode, stderr } = await collector.stop()
    assert.equal(exitCode, 0, stderr)
    for (const name of await readdir(files)) assert.match(name, /^nfcapd\.\d{11}[05](-\d)?$/)
    const { stdout } = await flowkit(['read', archive, '-o', 'json'])
    const rows = stdout.trimEnd().split('\n').map((line) => lineOfRow(JSON.parse(line)))
    assert.ok(rows.length > 20)
    assert.deepEqual(toldOf(files).map(lineOfTold).sort(), rows.sort())
  })
}

test('nfdump passes over files that are not whole', { skip }, async () => {
  const root = join(folder, 'unfinished')
  const sink = sinkOf({ path: root, format: 'nfdump' }, () => 60_000)
  const writer = await sink.open('20261121T130402004Z-0badcafe')
  const flow = { src_addr: '192.0.2.1', dst_addr: '192.0.2.2', packets: 1 }
  await writer.write(batchOf([{ ...flow, bytes: 1 }]))
  await writer.rotate({ next: '20261121T130502004Z-0badcafe' })
  await writer.write(batchOf([{ ...flow, bytes: 2 }]))
  assert.deepEqual(toldOf(root).map((told) => told['in_bytes']), [1])
  await writer.rotate()
  assert.deepEqual(toldOf(root).map((told) => told['in_bytes']), [1, 2])
  assert.match(output('nfdump', '-r', join(root, 'nfcapd.202611211304'), '-I'),
    /^Ident: 20261121T130402004Z-0badcafe$/m)
  await writer.abort()
})
