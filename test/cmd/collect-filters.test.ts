import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sendFrom, v5Datagram } from '../support/datagrams.ts'
import { flowkit, startCollect, untilTaken, type RunningCollector } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-filters-'))
after(() => rm(folder, { recursive: true }))

const TCP = 6
const UDP = 17

const FLOWD = 'discard all\naccept proto tcp\n'
const NFILTER = `
filter-primitive tcp
  type ip-protocol
  permit tcp

filter-definition connections
  match ip-protocol tcp
`

async function startTo(t: TestContext, name: string, args: readonly string[]): Promise<RunningCollector> {
  const collector = await startCollect(join(folder, name), args)
  t.after(() => collector.stop('SIGKILL'))
  return collector
}

async function portsIn(name: string): Promise<number[]> {
  const { stdout } = await flowkit(['read', join(folder, name), '-o', 'csv', '--fields', 'src_port'])
  return stdout.trimEnd().split('\n').slice(1).map(Number).sort((a, b) => a - b)
}

for (const [name, text, args] of [
  ['nfdump', '# connections\nproto tcp\n', []],
  ['flowd', FLOWD, ['--filter-dialect', 'flowd']],
  ['flow-nfilter', NFILTER, ['--filter-dialect', 'flow-nfilter', '--filter', 'connections']],
  ['bpf', 'tcp\n', ['--filter-dialect', 'bpf']],
] as const) {
  for (const workers of [1, 2]) {
    test(`--filter-file keeps what its ${name} says, and what it says later (${workers} workers)`, async (t) => {
      const file = join(folder, `${name}-${workers}.filter`)
      await writeFile(file, text)
      const archive = `archive-${name}-${workers}`
      const collector = await startTo(t, archive, [
        '--filter-file', file, ...args, '--workers', String(workers), '--log-level', 'debug',
      ])
      const datagrams = (first: number) => [TCP, UDP].map((proto, i) => v5Datagram({ srcPort: first + i, proto }))
      await sendFrom('127.0.0.2', collector.port, ...datagrams(1))
      await untilTaken(collector, 2)

      await writeFile(file, 'no filter of any language (')
      collector.signal('SIGHUP')
      await collector.next(/the configuration stays as it was: Cannot parse filter/)
      await collector.next(/1 rows written/)
      await sendFrom('127.0.0.2', collector.port, ...datagrams(3))
      await untilTaken(collector, 4)

      await writeFile(file, text.replaceAll('tcp', 'udp'))
      collector.signal('SIGHUP')
      await collector.next(/the configuration was read again/)
      await collector.next(/1 rows written/)
      await sendFrom('127.0.0.2', collector.port, ...datagrams(5))
      const { exitCode, stderr } = await collector.stop()
      assert.equal(exitCode, 0, stderr)
      assert.match(stderr, /6 datagrams received, 0 refused, 6 flows decoded, 3 filtered, 3 written\n$/)
      assert.deepEqual(await portsIn(archive), [1, 3, 6])
    })
  }
}

test('--filter-dialect is for --filter too, and --check shows what is wrong', async (t) => {
  const args = ['--filter-dialect', 'bpf', '--filter', 'udp src port 7 or tcp']
  const collector = await startTo(t, 'bpf', args)
  const flows = [[1, TCP], [2, UDP], [7, UDP]]
  await sendFrom('127.0.0.2', collector.port, ...flows.map(([srcPort, proto]) => v5Datagram({ srcPort, proto })))
  await collector.stop()
  assert.deepEqual(await portsIn('bpf'), [1, 7])

  const file = join(folder, 'wrong.filter')
  await writeFile(file, 'proto udp and\nsource 1\n')
  for (const [words, code, message] of [
    [['--filter-file', file], 1, `Cannot parse filter: ${file}, line 2: `],
    [['--filter-file', join(folder, 'none')], 1, `Cannot open "${join(folder, 'none')}": no such file`],
    [['--filter-file', file, '--filter', 'tcp'], 1, 'Cannot use --filter-file beside another filter'],
    [['--filter', 'tcp', '--filter-dialect', 'flow-nfilter'], 1,
      'Cannot use a filter of flow-nfilter without --filter-file'],
    [['--filter', 'tcp', '--filter-dialect', 'tcpdump'], 2, 'Cannot use option --filter-dialect: expected one of '],
  ] as const) {
    const { exitCode, stderr } = await flowkit(['collect', '--check', '--to', join(folder, 'x'), ...words])
    assert.equal(exitCode, code, stderr)
    assert.ok(stderr.startsWith(`flowkit: ${message}`), stderr)
  }
  await writeFile(file, 'proto udp\n')
  const { stdout } = await flowkit(['collect', '--check', '--to', join(folder, 'x'), '--filter-file', file])
  assert.match(stdout, new RegExp(`^filter +from ${file}$`, 'm'))
})
