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

/** The flows of an archive by their source ports: with the tag, if there is one. */
async function tagsIn(name: string): Promise<Record<string, unknown>> {
  const { stdout } = await flowkit(['read', join(folder, name), '-o', 'json', '--fields', 'src_port,tag'])
  const flows = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  return Object.fromEntries(flows.map(({ src_port: port, ...rest }) => [String(port), rest]))
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

const CONF = `net = "127.0.0.0/8"
logfile "/var/log/flowd"
flow source $net
accept tag 1 all
accept src 10.0.0.1 port 2 proto udp
discard src any port 3 proto udp
accept tag 4294967295 quick src any port 4 proto udp
accept tag 5 proto tcp
discard dst 10.0.0.2 port 53 proto tcp tcp_flags mask 2 equals 2
discard src any port 4 proto udp
`

for (const workers of [1, 2]) {
  test(`flows have the tag of the last rule of a flowd.conf for them (${workers} workers)`, async (t) => {
    const file = join(folder, `flowd-${workers}.conf`)
    await writeFile(file, CONF)
    const archive = `tags-${workers}`
    const collector = await startTo(t, archive, [
      '--config', file, '--workers', String(workers), '--log-level', 'debug',
    ])
    // each exporter belongs to one of the workers
    const send = async (...flows: readonly (readonly [number, number])[]) => {
      for (const [i, [srcPort, proto]] of flows.entries()) {
        await sendFrom(`127.0.0.${2 + i}`, collector.port, v5Datagram({ srcPort, proto }))
      }
    }
    await send([1, UDP], [2, UDP], [3, UDP], [4, UDP], [5, TCP])
    await untilTaken(collector, 5)

    await writeFile(file, 'accept tag 6 proto udp\n')
    collector.signal('SIGHUP')
    await collector.next(/the configuration was read again/)
    for (let left = 4; left > 0;) left -= Number((await collector.next(/(\d+) rows written/))[1])
    await send([6, UDP], [7, TCP])
    const { exitCode, stderr } = await collector.stop()
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /7 datagrams received, 0 refused, 7 flows decoded, 1 filtered, 6 written\n$/)
    assert.deepEqual(await tagsIn(archive), {
      1: { tag: 1 }, 2: {}, 4: { tag: 4_294_967_295 }, 5: { tag: 5 }, 6: { tag: 6 }, 7: {},
    })
  })
}

test('rules of flowd in a filter tag flows, and replace those of a flowd.conf', async (t) => {
  const conf = join(folder, 'replaced.conf')
  await writeFile(conf, CONF)
  const rules = join(folder, 'tags.rules')
  await writeFile(rules, 'accept tag 8 proto tcp\ndiscard proto udp\n')
  const words = ['--config', conf, '--filter-dialect', 'flowd', '--filter-file', rules]
  const collector = await startTo(t, 'tagged', words)
  await sendFrom('127.0.0.2', collector.port, v5Datagram({ proto: TCP }), v5Datagram())
  await collector.stop()
  assert.deepEqual(await tagsIn('tagged'), { 1024: { tag: 8 } })

  const check = async (...args: readonly string[]) => {
    const { stdout } = await flowkit(['collect', '--check', '--to', join(folder, 'x'), ...args])
    return stdout.split('\n').filter((line) => /^(?:filter|tags) /.test(line))
  }
  assert.deepEqual(await check(...words), [`filter    from ${rules}`, 'tags      8'])
  assert.deepEqual(await check('--filter-dialect', 'flowd', '--filter', 'accept tag 9 all\naccept tag 8 proto 6'),
    ['filter    any', 'tags      8, 9'])
  assert.deepEqual(await check('--config', conf, '--filter', 'proto tcp'), ['filter    proto tcp'])
  const [filter, tags] = await check('--config', conf)
  assert.match(filter, /^filter {4}\(src_port = 4 and proto = UDP\) or /)
  assert.equal(tags, 'tags      1, 5, 4294967295')
})

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
