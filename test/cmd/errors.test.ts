import assert from 'node:assert/strict'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { explain, Interruption, UsageError } from '../../cmd/errors.ts'
import { FlowkitError } from '../../core/flow/errors.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'flowkit-errors-'))
after(() => fs.rmSync(folder, { recursive: true }))

/** What `explain` makes of what `act` throws. */
async function explained(act: () => unknown): Promise<{ exitCode: number; message: string }> {
  try {
    await act()
  } catch (error) {
    return explain(error, '1.2.3')
  }
  return assert.fail('nothing was thrown')
}

test('wrong usage ends with 2, errors about the input with 1', async () => {
  assert.deepEqual(explain(new UsageError('Cannot use option --x: no'), '1.2.3'), {
    exitCode: 2, message: 'Cannot use option --x: no',
  })
  assert.deepEqual(explain(new FlowkitError('ERR_TRUNCATED', 'Cannot read last record: cut'), '1.2.3'), {
    exitCode: 1, message: 'Cannot read last record: cut',
  })
})

test('system errors about files say what could not be done, and why', async () => {
  const missing = join(folder, 'missing')
  const file = join(folder, 'file')
  fs.writeFileSync(file, 'x')
  const cases: [() => unknown, string][] = [
    [() => fs.readFileSync(missing), `Cannot open "${missing}": no such file`],
    [() => fs.promises.readFile(missing), `Cannot open "${missing}": no such file`],
    [() => fs.statSync(missing), `Cannot open "${missing}": no such file`],
    [() => fs.readdirSync(missing), `Cannot list "${missing}": no such directory`],
    [() => fs.readdirSync(file), `Cannot list "${file}": a part of its path is not a directory`],
    [() => fs.mkdirSync(join(missing, 'x')), `Cannot create "${missing}/x": no such directory`],
    [() => fs.mkdirSync(file), `Cannot create "${file}": it exists already`],
    [() => fs.openSync(folder, 'w'), `Cannot open "${folder}": it is a directory`],
    [() => fs.renameSync(missing, file), `Cannot rename "${missing}" as "${file}": no such file`],
    [() => fs.rmdirSync(folder), `Cannot remove "${folder}": directory not empty`],
  ]
  for (const [act, message] of cases) assert.deepEqual(await explained(act), { exitCode: 1, message })
})

test('system errors about the network name the address', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const message = `Cannot listen on 127.0.0.1:${port}: address already in use`
  const second = await explained(() => once(createServer().listen(port, '127.0.0.1'), 'listening'))
  assert.deepEqual(second, { exitCode: 1, message })
  server.close()
  await once(server, 'close')
  assert.deepEqual(await explained(() => once(connect(port, '127.0.0.1'), 'connect')), {
    exitCode: 1, message: `Cannot connect to 127.0.0.1:${port}: connection refused`,
  })
  const { exitCode, message: unknown } = await explained(() => lookup('no-such-host.invalid'))
  assert.equal(exitCode, 1)
  assert.match(unknown, /^Cannot find host "no-such-host\.invalid": (no such host|the name server .*)$/)
})

test('a system error is found behind what wraps it', async () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:9'), {
    code: 'ECONNREFUSED', errno: -111, syscall: 'connect', address: '::1', port: 9,
  })
  const message = 'Cannot connect to [::1]:9: connection refused'
  assert.deepEqual(explain(new TypeError('fetch failed', { cause: refused }), ''), { exitCode: 1, message })
  assert.deepEqual(explain(new AggregateError([refused, refused]), ''), { exitCode: 1, message })
})

test('work that a signal ended says so', async () => {
  const message = 'Cannot finish: stopped by SIGTERM'
  const signal = AbortSignal.abort(new Interruption('SIGTERM'))
  assert.deepEqual(await explained(() => signal.throwIfAborted()), { exitCode: 1, message })
  assert.deepEqual(await explained(() => setTimeout(1e6, undefined, { signal })), { exitCode: 1, message })
})

test('anything else is a bug: its stack, and one line of advice', () => {
  const bug = new TypeError('x is not a function')
  const { exitCode, message } = explain(bug, '1.2.3')
  assert.equal(exitCode, 70)
  const advice = 'This is a bug in flowkit 1.2.3: please report these lines and the command line'
  assert.equal(message, `${bug.stack}\nflowkit: ${advice}`)
  assert.equal(explain('text', '').exitCode, 70)
  assert.equal(explain(undefined, '').exitCode, 70)
})
