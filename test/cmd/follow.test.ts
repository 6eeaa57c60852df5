import assert from 'node:assert/strict'
import { once } from 'node:events'
import {
  appendFileSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync,
  truncateSync, utimesSync, watch, writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit, flowkitWith, listenTo, startFlowkit } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-follow-'))
after(() => rm(folder, { recursive: true }))

let places = 0

/** A folder of a test's own. */
function place(): string {
  const path = join(folder, String(places++))
  mkdirSync(path)
  return path
}

/** Flows as JSON lines, told apart by their source ports. */
function lines(...ports: readonly number[]): string {
  return ports.map((port) => `${JSON.stringify({
    type: 'NETFLOW_V5', received: '2026-11-21T13:00:00.000000Z', flow_start: '2026-11-21T12:59:58.000Z',
    flow_end: '2026-11-21T12:59:59.000Z', src_addr: '192.0.2.1', dst_addr: '198.51.100.7', src_port: port,
    dst_port: 443, proto: 6, bytes: 1500, packets: 3, exporter_addr: '192.0.2.254',
  })}\n`).join('')
}

/** A `flowkit read --follow` that prints source ports. */
function follow(...args: readonly string[]) {
  const child = startFlowkit(['read', '--follow', '-o', 'json', '--fields', 'src_port', ...args])
  const running = listenTo(child)
  let text = ''
  child.stdout!.on('data', (chunk: string) => { text += chunk })
  return {
    ...running, child,
    /** Wait until so many flows are printed in all. @returns their ports */
    async ports(count: number): Promise<number[]> {
      while (text.split('\n').length <= count) {
        const more = once(child.stdout!, 'data').then(() => true)
        if (!await Promise.race([more, running.ended.then(() => false)])) assert.fail(`ended: ${text}`)
      }
      return portsIn(text)
    },
  }
}

function portsIn(text: string): number[] {
  return text.trimEnd().split('\n').filter(Boolean).map((line) => JSON.parse(line).src_port)
}

async function portsOf(...inputs: readonly string[]): Promise<number[]> {
  const args = ['read', ...inputs, '-o', 'json', '--fields', 'src_port']
  const { exitCode, stdout, stderr } = await flowkit(args)
  assert.equal(exitCode, 0, stderr)
  return portsIn(stdout).sort((a, b) => a - b)
}

/** Resolves once `holds` does, which is asked whenever something changes in a folder. */
async function until(path: string, holds: () => boolean): Promise<void> {
  const watcher = watch(path)
  try {
    while (!holds()) await once(watcher, 'change')
  } finally {
    watcher.close()
  }
}

/** Rows that the state file of an output says were read of a file. */
function rowsKept(state: string, file: string): number {
  if (!existsSync(state)) return 0
  const { inputs } = JSON.parse(readFileSync(state, 'utf8')) as { inputs: Record<string, { rows: number }[]> }
  return inputs[file]?.reduce((sum, { rows }) => sum + rows, 0) ?? 0
}

test('what is appended to a log is printed, a line that is cut once it is whole', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1, 2))
  const { ports, stop } = follow(log)
  assert.deepEqual(await ports(2), [1, 2])
  const third = lines(3)
  appendFileSync(log, third.slice(0, 50))
  appendFileSync(log, third.slice(50) + lines(4))
  assert.deepEqual(await ports(4), [1, 2, 3, 4])
  const stdout = [1, 2, 3, 4].map((port) => `{"src_port":${port}}\n`).join('')
  assert.deepEqual(await stop(), { exitCode: 0, stderr: '', stdout })
})

test('a log that is not there yet is waited for', async () => {
  const log = join(place(), 'flows.json')
  const { ports, next, stop } = follow(log)
  await next(/flows\.json is not there yet/)
  writeFileSync(log, lines(1))
  assert.deepEqual(await ports(1), [1])
  assert.equal((await stop('SIGINT')).exitCode, 0)
})

test('a log that is renamed is read to its end, then the one in its place', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1))
  const { ports, stop } = follow(log)
  await ports(1)
  renameSync(log, `${log}.1`)
  appendFileSync(`${log}.1`, lines(2)) // who writes has not heard of it yet
  assert.deepEqual(await ports(2), [1, 2])
  appendFileSync(`${log}.1`, lines(3))
  writeFileSync(log, lines(4))
  assert.deepEqual(await ports(4), [1, 2, 3, 4])
  assert.equal((await stop()).stderr, '')
})

test('a log that is copied and cut is read to its end in the copy, then from its beginning', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1, 2, 3))
  const { ports, next, stop } = follow(log)
  await ports(3)
  appendFileSync(log, lines(4))
  copyFileSync(log, `${log}.1`)
  truncateSync(log)
  await next(/flows\.json was cut from \d+ to 0 bytes: it is read from its beginning/)
  appendFileSync(log, lines(5))
  assert.deepEqual(await ports(5), [1, 2, 3, 4, 5])
  assert.equal((await stop()).exitCode, 0)
})

test('a log that is removed and made again is read from its beginning', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1, 2))
  const { ports, stop } = follow(log)
  await ports(2)
  rmSync(log)
  writeFileSync(log, lines(3))
  assert.deepEqual(await ports(3), [1, 2, 3])
  assert.equal((await stop()).exitCode, 0)
})

test('the header of a CSV log counts for all that is appended', async () => {
  const log = join(place(), 'flows.csv')
  writeFileSync(log, 'proto,src_port,bytes\n6,1,100\n')
  const { ports, stop } = follow(log)
  await ports(1)
  appendFileSync(log, '6,2,100\n')
  assert.deepEqual(await ports(2), [1, 2])
  assert.equal((await stop()).exitCode, 0)
})

test('damage is told, and following goes on', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1, 2))
  const { ports, next, stop } = follow(log)
  await ports(2)
  appendFileSync(log, `{"src_port": oops}\n${lines(3)}`)
  await next(/flows\.json, byte \d+: Cannot read JSON object/)
  assert.deepEqual(await ports(3), [1, 2, 3])
  assert.equal((await stop()).exitCode, 3)
})

test('files of a folder are read as they come and grow, whatever is no flow file passed over', async () => {
  const logs = place()
  mkdirSync(join(logs, 'date=2026-11-21'))
  writeFileSync(join(logs, 'README'), 'nothing')
  writeFileSync(join(logs, 'a.json'), lines(1))
  const { ports, stop } = follow(logs)
  await ports(1)
  writeFileSync(join(logs, 'b.json'), lines(2))
  await ports(2)
  appendFileSync(join(logs, 'a.json'), lines(3))
  writeFileSync(join(logs, 'date=2026-11-21', '.c.json.tmp'), lines(4))
  renameSync(join(logs, 'date=2026-11-21', '.c.json.tmp'), join(logs, 'date=2026-11-21', 'c.json'))
  assert.deepEqual((await ports(4)).sort(), [1, 2, 3, 4])
  assert.equal((await stop()).stderr, '')
})

test('files of an archive are read as they get their names', async () => {
  const archive = join(place(), 'archive')
  const made = await flowkitWith(Buffer.from(lines(1)), ['convert', '-', archive])
  assert.equal(made.exitCode, 0, made.stderr)
  const { ports, stop } = follow(archive)
  await ports(1)
  await flowkitWith(Buffer.from(lines(2, 3)), ['convert', '-', archive])
  assert.deepEqual(await ports(3), [1, 2, 3])
  assert.equal((await stop()).exitCode, 0)
})

test('a compressed file of a folder is read once it does not change any more', async () => {
  const logs = place()
  const from = join(place(), 'x.json.gz')
  const made = await flowkitWith(Buffer.from(lines(1, 2)), ['convert', '-', from])
  assert.equal(made.exitCode, 0, made.stderr)
  utimesSync(from, 1e9, 1e9)
  const { ports, stop } = follow(logs)
  renameSync(from, join(logs, 'x.json.gz'))
  assert.deepEqual(await ports(2), [1, 2])
  assert.equal((await stop()).exitCode, 0)
})

test('standard input is printed as it comes, and ends the following', async () => {
  const { child, ports, ended } = follow('-')
  child.stdin!.write(lines(1))
  assert.deepEqual(await ports(1), [1])
  child.stdin!.end(lines(2))
  assert.deepEqual(await ports(2), [1, 2])
  assert.equal((await ended).exitCode, 0)
})

test('-n ends the following, and a filter holds', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1, 2, 3, 4))
  const { ended } = follow(log, '-n', '2', '-f', 'src port > 1')
  const { exitCode, stdout } = await ended
  assert.deepEqual([exitCode, portsIn(stdout)], [0, [2, 3]])
})

for (const [what, name, args] of [
  ['an archive', 'archive', []],
  ['a folder of files', 'files', ['--to-format', 'nfdump']],
  ['a log of flowd', 'flows.flowd', []],
] as const) {
  test(`${what} that is followed into has everything once, through restart and rotation`, async () => {
    const base = place()
    const log = join(base, 'flows.json')
    const out = join(base, name)
    const state = name === 'flows.flowd' ? join(base, '.flows.flowd.follow.state') : join(out, '.follow.state')
    const args_ = ['convert', log, out, '--follow', '--rotate', '100ms', ...args]
    writeFileSync(log, lines(1, 2))
    const first = listenTo(startFlowkit(args_))
    if (!existsSync(out) && name !== 'flows.flowd') await until(base, () => existsSync(out))
    const kept = name === 'flows.flowd' ? base : out
    await until(kept, () => rowsKept(state, log) === 2)
    assert.deepEqual(await portsOf(out), [1, 2])
    appendFileSync(log, lines(3))
    await until(kept, () => rowsKept(state, log) === 3)
    await first.stop('SIGKILL')

    appendFileSync(log, lines(4))
    renameSync(log, `${log}.2`)
    writeFileSync(`${log}.1`, lines(5)) // all of it was written while nobody looked
    utimesSync(`${log}.1`, Date.now() / 1000 + 1, Date.now() / 1000 + 1)
    writeFileSync(log, lines(6))
    const second = listenTo(startFlowkit(args_))
    await until(kept, () => existsSync(state) && readFileSync(state, 'utf8').includes(`"path":"${log}"`)
      && JSON.parse(readFileSync(state, 'utf8')).inputs[log].at(-1).rows === 1)
    const { exitCode, stderr } = await second.stop()
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /3 flows read, 3 written/)
    assert.deepEqual(await portsOf(out), [1, 2, 3, 4, 5, 6])
  })
}

test('what was visible when a process was killed, and not yet counted, is not there twice', async () => {
  const base = place()
  const log = join(base, 'flows.json')
  const out = join(base, 'out')
  const state = join(out, '.follow.state')
  writeFileSync(log, lines(1, 2))
  const args = ['convert', log, out, '--follow', '--to-format', 'json', '--rotate', '100ms']
  const first = listenTo(startFlowkit(args))
  await until(base, () => existsSync(out))
  await until(out, () => rowsKept(state, log) === 2)
  await first.stop()
  // as if it had been killed between the file's name and the state
  const [file] = readdirSync(out).filter((name) => name.endsWith('.json'))
  const left = JSON.parse(readFileSync(state, 'utf8'))
  writeFileSync(state, JSON.stringify({ ...left, inputs: {}, pending: [file] }))
  const second = listenTo(startFlowkit(args))
  await until(out, () => rowsKept(state, log) === 2)
  assert.equal((await second.stop()).exitCode, 0)
  assert.deepEqual(await portsOf(out), [1, 2])
})

test('two do not keep their place in one state', async () => {
  const base = place()
  const log = join(base, 'flows.json')
  const out = join(base, 'out.flowd')
  writeFileSync(log, lines(1))
  const first = listenTo(startFlowkit(['convert', log, out, '--follow']))
  await until(base, () => existsSync(join(base, '.out.flowd.follow.state')))
  const { exitCode, stderr } = await flowkit(['convert', log, out, '--follow'])
  assert.equal(exitCode, 1)
  assert.match(stderr, new RegExp(`Cannot use the state ".*": process ${first.pid} is still at it`))
  assert.equal((await first.stop()).exitCode, 0)
  assert.deepEqual(await portsOf(out), [1])
})

test('what cannot be is refused', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1))
  for (const [args, reason] of [
    [['convert', log, `${log}.csv`, '--follow'], /Cannot write to ".*\.csv" while following: expected/],
    [['convert', log, '-', '--follow', '--strict'], /Cannot use --strict with --follow/],
    [['convert', log, '-', '--state', 'x'], /Cannot use --state without --follow/],
    [['read', log, '--follow', '--sort', 'bytes'], /Cannot use --sort with --follow: it needs the input's end/],
  ] as const) {
    const { exitCode, stderr } = await flowkit(args)
    assert.equal(exitCode, 1, stderr)
    assert.match(stderr, reason)
  }
  writeFileSync(`${log}.state`, '{}')
  const { stderr } = await flowkit(['convert', log, '-', '--follow', '--state', `${log}.state`])
  assert.match(stderr, /Cannot use the state ".*": what --follow writes wanted, something else found/)
})

test('-q prints neither header nor summary', async () => {
  const log = join(place(), 'flows.json')
  writeFileSync(log, lines(1))
  const { stdout } = await flowkit(['read', log, '-o', 'line', '-q', '--utc'])
  assert.match(stdout, /^2026-11-21 12:59:58\.000 .* 192\.0\.2\.1:1 .*\n$/)
})
