import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createSocket } from 'node:dgram'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { flowkit, startCollect } from '../support/flowkit.ts'
import { replayCapture } from '../support/replay.ts'

const DEMO = 'test/fixtures/netflow/demo.pcap'
const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const V9 = 'test/fixtures/netflow/softflowd-v9.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-collect-'))
after(() => rm(folder, { recursive: true }))

async function filesBelow(path: string): Promise<string[]> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name)).sort()
}

function send(payload: Uint8Array, port: number): Promise<void> {
  const socket = createSocket('udp4')
  return new Promise((resolve, reject) => {
    socket.send(payload, port, '127.0.0.1', (error) => {
      socket.close()
      if (error) reject(error)
      else resolve()
    })
  })
}

/** What `read` gives of an input, less what differs between the wire and a capture of it. */
async function rowsOf(input: string): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', input])
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').map((line) => {
    const { received, exporter_addr, ...row } = JSON.parse(line) as Record<string, unknown>
    return JSON.stringify(Object.entries(row).sort())
  }).sort()
}

test('what a capture holds comes back from the archive after it was sent to collect', async () => {
  const archive = join(folder, 'all')
  const collector = await startCollect(archive)
  const sent = await replayCapture(DEMO, collector.port)
  const { exitCode, stdout, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
  assert.equal(stdout, '')
  const flows = '6521 flows decoded, 0 filtered, 6521 written'
  assert.ok(stderr.includes(`${sent} datagrams received, 0 refused, ${flows}\n`), stderr)
  const [archived, captured] = [await rowsOf(archive), await rowsOf(DEMO)]
  assert.equal(archived.length, captured.length)
  for (const [i, row] of captured.entries()) assert.equal(archived[i], row)
  // an archive sorts itself, a capture by way of the temporary folder
  const words = ['--sort', 'bytes', '--fields', 'bytes', '-n', '9', 'proto udp']
  const largest = await flowkit(['read', DEMO, ...words])
  assert.equal(largest.stdout.split('\n').length, 10)
  assert.deepEqual(await flowkit(['read', archive, ...words]), largest)
})

test('SIGHUP and SIGUSR1 begin a new file, and SIGUSR2 prints the ledger', async () => {
  const archive = join(folder, 'signals')
  const collector = await startCollect(archive, ['--rotate', '1d', '--log-level', 'debug'])
  const sent = await replayCapture(V5, collector.port)
  for (let datagrams = 0; datagrams < sent;) {
    collector.signal('SIGUSR2')
    datagrams = Number((await collector.next(/all: datagrams=(\d+) /))[1])
  }
  collector.signal('SIGUSR1')
  await collector.next(/\d+ rows written to .*\.parquet/)
  const more = await replayCapture(V9, collector.port)
  for (let datagrams = 0; datagrams < sent + more;) {
    collector.signal('SIGUSR2')
    datagrams = Number((await collector.next(/all: datagrams=(\d+) /))[1])
  }
  collector.signal('SIGHUP')
  await collector.next(/\d+ rows written to .*\.parquet/)
  const { exitCode } = await collector.stop('SIGINT')
  assert.equal(exitCode, 0)
  const files = await filesBelow(join(archive, 'flows'))
  assert.equal(files.length, 2)
  for (const file of files) assert.match(file, /flows\/date=\d{4}-\d\d-\d\d\/hour=\d\d\/[^/]+\.parquet$/)
  const ledger = await flowkit(['analyze', '--sql', 'SELECT count(*) AS n FROM flows', '-o', 'json', archive])
  const both = await flowkit(['read', V5, V9, '--summary', '-o', 'json'])
  assert.equal(JSON.parse(ledger.stdout).n, JSON.parse(both.stdout).records)
  assert.ok((await filesBelow(join(archive, 'ledger'))).length > 0)
})

test('a filter keeps what matches and counts the rest', async () => {
  const archive = join(folder, 'filtered')
  const collector = await startCollect(archive, ['-f', 'proto udp'])
  await replayCapture(DEMO, collector.port)
  const { stderr } = await collector.stop()
  const { stdout } = await flowkit(['read', DEMO, '--summary', '-o', 'json', '-f', 'proto udp'])
  const udp = JSON.parse(stdout).records
  assert.match(stderr, new RegExp(`6521 flows decoded, ${6521 - udp} filtered, ${udp} written`))
})

test('damaged datagrams are counted and said once for each exporter, and collecting goes on', async () => {
  const archive = join(folder, 'damaged')
  const collector = await startCollect(archive)
  for (let i = 0; i < 3; i++) await send(Buffer.from(`00050063${'00'.repeat(21)}`, 'hex'), collector.port)
  await send(Buffer.from('GET / HTTP/1.1\r\n'), collector.port)
  await replayCapture(V5, collector.port)
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0)
  assert.equal(stderr.match(/127\.0\.0\.1: Cannot decode NetFlow v5 datagram/g)?.length, 1)
  assert.match(stderr, /127\.0\.0\.1: Cannot decode datagram: NetFlow version 18245 is not supported/)
  assert.match(stderr, /2 more such faults/)
})

test('collect refuses what it cannot use, in one line', async () => {
  const file = join(folder, 'file')
  await writeFile(file, 'x')
  const closed = join(folder, 'closed')
  const endpoint = '[udp://|tcp://|tls://][ADDRESS:]PORT such as 2055 or [::1]:4739'
  for (const [code, args, message] of [
    [2, ['--listen', 'nowhere'], `use option --listen: expected ${endpoint}, found "nowhere"\n`],
    [2, ['--listen', 'http://[::1]:1'], `use option --listen: expected ${endpoint}, found "http://[::1]:1"\n`],
    [2, ['--listen', 'tls://[::1]:0'], 'listen on tls://: it needs --tls-key and --tls-cert\n'],
    [2, ['--allow', '10/8'], 'use option --allow: expected an address or a network such as 10.0.0.0/8, '],
    [2, ['--sampling-default', '10.0.0.0/8'], 'use option --sampling-default: expected a network and a rate '],
    [2, ['--join', '10.0.0.1'], 'use option --join: expected a multicast address such as 239.1.2.3 or '],
    [1, ['--listen', '127.0.0.1:0', '--to', file], `create "${file}/state`],
    [1, ['--listen', '192.0.2.1:1', '--to', closed], 'listen on 192.0.2.1:1: this machine has no such '],
    [1, ['--listen', '127.0.0.1:0', '--to', closed, '-f', 'proto'], 'parse filter: '],
    [1, ['--user', 'nobody-there', '--to', closed], 'become user "nobody-there": '],
    [1, ['--config', join(folder, 'missing.toml')], 'open '],
  ] as const) {
    const { exitCode, stdout, stderr } = await flowkit(['collect', ...args])
    assert.equal(exitCode, code, stderr)
    assert.equal(stdout, '')
    assert.ok(stderr.startsWith(`flowkit: Cannot ${message}`), stderr)
  }
  for (const [rotate, found] of [['0s', '0s'], ['999ms', '0.999s'], ['2d', '172800s']]) {
    const { exitCode, stderr } = await flowkit(['collect', '--rotate', rotate, '--to', closed])
    assert.equal(exitCode, 2)
    assert.equal(stderr, `flowkit: Cannot use option --rotate: expected 1s to 1d, found ${found}\n`)
  }
})

const skip = process.getuid?.() === 0 && 'root may write anywhere'
test('an archive that cannot be written to is named', { skip }, async () => {
  const closed = join(folder, 'read-only')
  await rm(closed, { recursive: true, force: true })
  await writeFile(join(folder, 'x'), '')
  await chmod(folder, 0o500)
  const { exitCode, stderr } = await flowkit(['collect', '--listen', '127.0.0.1:0', '--to', closed])
  await chmod(folder, 0o700)
  assert.equal(exitCode, 1)
  assert.match(stderr, /^flowkit: Cannot create ".*read-only.*": permission denied\n$/)
})
