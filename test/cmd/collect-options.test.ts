import { after, test, type TestContext } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { openStreamSender } from '../../core/net/stream-sender.ts'
import { makeAuthority, noCertificates } from '../support/certificates.ts'
import { ipfixMessage, sendFrom, v5Datagram } from '../support/datagrams.ts'
import { flowkit, listenTo, startFlowkit, untilTaken, type Running } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-options-'))
after(() => rm(folder, { recursive: true }))

const listening = ['--listen', '127.0.0.1:0']

/** Start `flowkit collect`, to be ended with the test at the latest. */
function start(t: TestContext, args: readonly string[]): Running {
  const child = startFlowkit(['collect', ...args], { TZ: 'UTC' })
  t.after(() => child.kill('SIGKILL'))
  return listenTo(child)
}

/** The port on which it says that it listens. */
async function portOf({ next }: Running): Promise<number> {
  return Number((await next(/collecting on \w+:\/\/[\d.]+:(\d+)/))[1])
}

type Row = Record<string, unknown>

/** The rows of an archive, with some of their fields. */
async function rowsOf(archive: string, fields: string): Promise<Row[]> {
  const { exitCode, stdout, stderr } = await flowkit(['read', archive, '-o', 'json', '--fields', fields])
  assert.equal(exitCode, 0, stderr)
  return stdout.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Row)
}

async function check(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const { exitCode, stdout, stderr } = await flowkit(['collect', '--check', ...args], env)
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n')
}

test('--check says what would run, and opens nothing', async () => {
  const archive = join(folder, 'check')
  assert.deepEqual(await check(['--to', archive]), [
    'listen    udp://[::]:2055, udp://[::]:4739, udp://[::]:6343',
    `into      ${archive}`,
    `state     ${archive}/state`,
    'rotate    every 60 s',
  ])
  assert.deepEqual(await check([
    '--listen', '2055,tcp://[::1]:4739', '--to', `${archive},${archive}2`, '--state', join(folder, 's'),
    '--rotate', '1500ms', '-f', 'proto udp', '--allow', '10.0.0.0/8,2001:db8::/32', '--sampling-default',
    '0.0.0.0/0=100', '--sampling-override', '10.1.0.0/16=2K,10.2.0.0/16=1', '--metrics', '127.0.0.1:9116',
    '--forward', '192.0.2.1:2055', '--forward', '[2001:db8::1]:9995', '--user', 'nobody',
  ]), [
    'listen    udp://[::]:2055, tcp://[::1]:4739',
    `into      ${archive}, ${archive}2`,
    `state     ${join(folder, 's')}`,
    'rotate    every 1.5 s',
    'filter    proto udp',
    'allow     2 networks',
    'sampling  1 defaults, 2 overrides',
    'forward   udp://192.0.2.1:2055, udp://[2001:db8::1]:9995',
    'metrics   http://127.0.0.1:9116/metrics',
    'user      nobody',
  ])
  assert.equal(existsSync(archive), false)
})

test('a configuration file gives way to the environment, and that to the command line', async () => {
  const config = join(folder, 'collect.toml')
  const archive = join(folder, 'config')
  await writeFile(config, [
    'listen = ["127.0.0.1:2055", "[::1]:2055"]', `to = "${archive}"`, 'rotate = "5m"', 'filter = "proto tcp"',
    'sampling-default = "10.0.0.0/8=100"', 'spool-size = 1000000000',
  ].join('\n'))
  const rest = ['sampling  1 defaults, 0 overrides']
  const place = [`into      ${archive}`, `state     ${archive}/state`]
  const listen = 'listen    udp://127.0.0.1:2055, udp://[::1]:2055'
  assert.deepEqual(await check(['--config', config]),
    [listen, ...place, 'rotate    every 300 s', 'filter    proto tcp', ...rest])
  const env = { FLOWKIT_CONFIG: config, FLOWKIT_ROTATE: '7m', FLOWKIT_FILTER: 'proto udp' }
  assert.deepEqual(await check([], env),
    [listen, ...place, 'rotate    every 420 s', 'filter    proto udp', ...rest])
  assert.deepEqual(await check(['--rotate', '9m', '--listen', '9995'], env),
    ['listen    udp://[::]:9995', ...place, 'rotate    every 540 s', 'filter    proto udp', ...rest])
})

test('--check finds what is wrong with a configuration file, and says where', async () => {
  const config = join(folder, 'wrong.toml')
  for (const [text, message] of [
    ['rotate = "5m"\nlisten = "nowhere"', 'line 2: listen: expected '],
    ['rotat = "5m"', 'line 1: rotat: flowkit collect has no such option, the nearest is rotate'],
    ['forward = "192.0.2.1"', 'line 1: forward: expected HOST:PORT such as 192.0.2.1:2055 '],
    ['listen = [', 'line 1: '],
  ]) {
    await writeFile(config, text)
    const { exitCode, stderr } = await flowkit(['collect', '--check', '--config', config])
    assert.equal(exitCode, 2)
    assert.ok(stderr.startsWith(`flowkit: Cannot use ${config}: ${message}`), stderr)
  }
})

test('SIGHUP reads the configuration again, and a bad one changes nothing', async (t) => {
  const config = join(folder, 'reload.toml')
  const archive = join(folder, 'reload')
  const fixed = 'listen = "127.0.0.1:0"\nspool-size = "1G"\n'
  await writeFile(config, `${fixed}filter = "proto udp"\nsampling-default = "127.0.0.0/8=100"\n`)
  const words = ['--config', config, '--to', archive, '--log-level', 'debug']
  const collector = start(t, words)
  const port = await portOf(collector)
  await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 1 }), v5Datagram({ srcPort: 2, proto: 6 }))
  await untilTaken(collector, 2)

  await writeFile(config, `${fixed}filter = "proto"\n`)
  collector.signal('SIGHUP')
  await collector.next(/the configuration stays as it was: Cannot parse filter: /)
  await collector.next(/1 rows written/)
  await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 3 }), v5Datagram({ srcPort: 4, proto: 6 }))
  await untilTaken(collector, 4)
  collector.signal('SIGUSR1') // what was decoded before is written as it was configured then
  await collector.next(/1 rows written/)

  await writeFile(config, [
    'listen = "127.0.0.1:1"', 'spool-size = "2G"', 'filter = "proto tcp"', 'allow = "127.0.0.3"',
    'sampling-default = "127.0.0.0/8=200"',
  ].join('\n'))
  collector.signal('SIGHUP')
  await collector.next(/a restart is needed for the changes of --listen, --spool-size\n/)
  await sendFrom('127.0.0.2', port, v5Datagram({ srcPort: 5, proto: 6 }))
  await sendFrom('127.0.0.3', port, v5Datagram({ srcPort: 6 }), v5Datagram({ srcPort: 7, proto: 6 }))
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0)
  assert.match(stderr, /7 datagrams received, 1 refused, 6 flows decoded, 3 filtered, 3 written\n$/)
  assert.deepEqual(await rowsOf(archive, 'src_port,sampling_rate'), [
    { src_port: 1, sampling_rate: 100 },
    { src_port: 3, sampling_rate: 100 },
    { src_port: 7, sampling_rate: 200 },
  ])
})

test('an interval that SIGHUP makes shorter counts at once', async (t) => {
  const config = join(folder, 'interval.toml')
  await writeFile(config, 'rotate = "1d"\n')
  const archive = join(folder, 'interval')
  const collector = start(t, [...listening, '--config', config, '--to', archive, '--log-level', 'debug'])
  const port = await portOf(collector)
  await writeFile(config, 'rotate = "1s"\n')
  collector.signal('SIGHUP')
  await collector.next(/the configuration was read again/)
  for (let datagrams = 1; datagrams <= 2; datagrams++) {
    await sendFrom('127.0.0.2', port, v5Datagram())
    await collector.next(/1 rows written/) // without being asked to
  }
  const { exitCode, stderr } = await collector.stop()
  assert.equal(exitCode, 0, stderr)
})

test('--metrics tells what was received, and its sums are right', async (t) => {
  const collector = start(t, [
    '--listen', '127.0.0.1:0', '--to', join(folder, 'metrics'), '--metrics', '127.0.0.1:0',
    '--allow', '127.0.0.2,127.0.0.3', '-f', 'proto udp', '--log-level', 'debug',
  ])
  const [, url] = await collector.next(/metrics on (http:\S+)\n/)
  const port = await portOf(collector)
  await sendFrom('127.0.0.2', port, v5Datagram(), v5Datagram({ proto: 6 }), Buffer.from('damaged'))
  await sendFrom('127.0.0.3', port, v5Datagram())
  await sendFrom('127.0.0.4', port, v5Datagram())
  await untilTaken(collector, 5)
  collector.signal('SIGUSR1')
  await collector.next(/2 rows written/)
  const text = await (await fetch(url)).text()
  const value = (series: string): number => {
    const line = text.split('\n').find((each) => each.startsWith(`${series} `))
    return Number(line?.slice(series.length))
  }
  assert.equal(value('flowkit_datagrams_total'), 5)
  assert.equal(value('flowkit_datagrams_refused_total'), 1)
  assert.equal(value('flowkit_exporter_datagrams_total{exporter="127.0.0.2"}'), 3)
  assert.equal(value('flowkit_exporter_malformed_datagrams_total{exporter="127.0.0.2"}'), 1)
  assert.equal(value('flowkit_exporter_datagrams_total{exporter="127.0.0.3"}'), 1)
  assert.doesNotMatch(text, /127\.0\.0\.4/)
  assert.equal(value('flowkit_records_total'), 3)
  assert.equal(value('flowkit_records_filtered_total'), 1)
  assert.equal(value(`flowkit_sink_records_total{sink="${join(folder, 'metrics')}"}`), 2)
  assert.equal(value(`flowkit_socket_dropped_datagrams_total{endpoint="udp://127.0.0.1:${port}"}`), 0)
  assert.equal((await collector.stop()).exitCode, 0)
})

const noMulticast = networkInterfaces()['lo'] ? false : 'there is no interface lo'
test('--join takes datagrams of a multicast group', { skip: noMulticast }, async (t) => {
  const archive = join(folder, 'join')
  const collector = start(t, [
    '--listen', '0.0.0.0:0', '--join', '239.255.77.1%lo', '--to', archive,
  ])
  const port = await portOf(collector)
  const socket = createSocket('udp4')
  await new Promise<void>((resolve) => socket.bind({ address: '127.0.0.1' }, resolve))
  socket.setMulticastInterface('127.0.0.1')
  socket.setMulticastTTL(0)
  for (const group of ['239.255.77.1', '239.255.77.2']) {
    await new Promise((resolve) => socket.send(v5Datagram(), port, group, resolve))
  }
  socket.close()
  await untilTaken(collector, 1)
  assert.match((await collector.stop()).stderr, /\n?flowkit: 1 datagrams received/)
})

test('sampling rates of the command line are used where they shall, and their source is told', async (t) => {
  const archive = join(folder, 'sampling')
  const collector = start(t, [
    ...listening, '--to', archive, '--sampling-default', '127.0.0.2/31=100',
    '--sampling-override', '127.0.0.3=50',
  ])
  const port = await portOf(collector)
  for (const [source, srcPort] of [['127.0.0.2', 1], ['127.0.0.3', 3], ['127.0.0.4', 5]] as const) {
    const silent = v5Datagram({ srcPort })
    await sendFrom(source, port, silent, v5Datagram({ srcPort: srcPort + 1, sampling: 7 }))
  }
  await collector.stop()
  const rows = await rowsOf(archive, 'src_port,sampling_rate,sampling_source')
  assert.deepEqual(rows.map(({ src_port: port, sampling_rate: rate, sampling_source: source }) => {
    return [port, rate, source]
  }), [
    [1, 100, 5], [2, 7, 1], // 5: assumed, 1: header
    [3, 50, 4], [4, 50, 4], // 4: configuration
    [5, undefined, undefined], [6, 7, 1],
  ])
})

test('--on-rotate runs a command for each file, and says when it fails', async (t) => {
  const list = join(folder, 'files')
  const collector = start(t, [
    ...listening, '--to', join(folder, 'hook'), '--log-level', 'debug',
    '--on-rotate', `echo "$FLOWKIT_FILE" >> ${list}; exit 7`,
  ])
  await sendFrom('127.0.0.2', await portOf(collector), v5Datagram())
  await untilTaken(collector, 1)
  collector.signal('SIGUSR1')
  const [, path] = await collector.next(/1 rows written to (\S+\.parquet)\n/)
  await collector.next(/Cannot run "echo .*": it ended with exit code 7\n/)
  assert.equal((await collector.stop()).exitCode, 0)
  assert.equal(await readFile(list, 'utf8'), `${path}\n`)
})

test('--pid-file holds the process id while it runs', async (t) => {
  const file = join(folder, 'collect.pid')
  const collector = start(t, [...listening, '--to', join(folder, 'pid'), '--pid-file', file])
  await portOf(collector)
  assert.equal(readFileSync(file, 'utf8'), `${collector.pid}\n`)
  await collector.stop()
  assert.equal(existsSync(file), false)
})

for (const protocol of ['tcp', 'tls'] as const) {
  const skip = protocol === 'tls' && noCertificates
  test(`IPFIX comes by ${protocol}://`, { skip }, async (t) => {
    const archive = join(folder, protocol)
    const words = ['--listen', `${protocol}://127.0.0.1:0`, '--to', archive]
    let tls: { ca: string, key: string, cert: string } | undefined
    if (protocol === 'tls') {
      const authority = makeAuthority('flowkit test')
      t.after(() => authority.end())
      const files = { ...authority.certify('collector'), ca: authority.ca }
      for (const [name, pem] of Object.entries(files)) await writeFile(join(folder, `${name}.pem`), pem)
      words.push(...['key', 'cert', 'ca'].flatMap((name) => [`--tls-${name}`, join(folder, `${name}.pem`)]))
      tls = { ca: authority.ca, ...authority.certify('exporter') }
    }
    const collector = start(t, words)
    const port = await portOf(collector)
    const sender = await openStreamSender({ host: '127.0.0.1', port, ...tls && { tls } })
    sender.send(ipfixMessage())
    await untilTaken(collector, 1)
    await sender.close()
    const { exitCode, stderr } = await collector.stop()
    assert.equal(exitCode, 0)
    assert.match(stderr, /1 datagrams received, 0 refused, 1 flows decoded, 0 filtered, 1 written/)
    assert.deepEqual(await rowsOf(archive, 'type,proto,bytes,exporter_addr,observation_domain_id'), [
      { type: 'IPFIX', proto: 6, bytes: 1000, exporter_addr: '127.0.0.1', observation_domain_id: 7 },
    ])
  })
}
