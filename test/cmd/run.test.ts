import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { test } from 'node:test'
import { finished } from '../support/flowkit.ts'

/** Start a process whose only command does `body`, with `io`, `args` and `options` in scope. */
function start(body: string, args: readonly string[] = [], stdout: 'pipe' | number = 'pipe'): ChildProcess {
  const script = `
    import { runWords } from ${JSON.stringify(new URL('../../cmd/run.ts', import.meta.url))}
    import { FlowkitError } from ${JSON.stringify(new URL('../../core/flow/errors.ts', import.meta.url))}
    import { Type } from '@sinclair/typebox'
    const command = {
      name: 'sample', summary: 'Do as the test says', args: [{ name: 'X', description: '', repeated: true }],
      options: Type.Object({ n: Type.Optional(Type.Integer()) }), examples: [],
      async run(args, options, io) { ${body} },
    }
    await runWords(['sample', ...process.argv.slice(1)], { sample: async () => command }, '1.2.3')`
  const cwd = new URL('../..', import.meta.url) // where packages are found
  const words = ['--input-type=module', '-e', script, '--', ...args]
  return spawn(process.execPath, words, { cwd, stdio: ['ignore', stdout, 'pipe'] })
}

test('a command gets its arguments and options, and its exit code is the process\'s', async () => {
  const body = 'await io.write(JSON.stringify([args, options, io.threads, io.color])); return 3'
  assert.deepEqual(await finished(start(body, ['a', '-n', '2', '--threads=4'])), {
    exitCode: 3, stdout: '[["a"],{"n":2},4,false]', stderr: '',
  })
  assert.deepEqual(await finished(start('')), { exitCode: 0, stdout: '', stderr: '' })
})

test('an error about the input is one line and 1', async () => {
  const body = "throw new FlowkitError('ERR_INPUT', 'Cannot open \"x\": nothing there')"
  assert.deepEqual(await finished(start(body)), {
    exitCode: 1, stdout: '', stderr: 'flowkit: Cannot open "x": nothing there\n',
  })
})

test('a bug is its stack, one line of advice, and 70; also where nothing awaits it', async () => {
  for (const body of ['undefined.x()', 'setImmediate(() => undefined.x()); await new Promise(() => {})']) {
    const { exitCode, stdout, stderr } = await finished(start(body))
    assert.deepEqual({ exitCode, stdout }, { exitCode: 70, stdout: '' })
    const lines = stderr.trimEnd().split('\n')
    assert.equal(lines[0], "flowkit: TypeError: Cannot read properties of undefined (reading 'x')")
    assert.match(lines.at(-1) ?? '', /^flowkit: This is a bug in flowkit 1\.2\.3: please report /)
    for (const line of lines.slice(1, -1)) assert.match(line, /^ {4}at /)
  }
})

test('all output arrives, however slowly it is read, also before an error', async () => {
  const write = "for (let i = 0; i < 40; i++) await io.write('x'.repeat(1e6))"
  const { exitCode, stdout } = await finished(start(`${write}; process.stdout.write('end'); undefined.x()`))
  assert.equal(exitCode, 70)
  assert.equal(stdout.length, 40_000_003)
  assert.equal(stdout.slice(-4), 'xend')
})

test('a reader that goes away ends the work, and is no failure', async () => {
  const child = start("for (;;) await io.write('x'.repeat(1000))")
  child.stdout?.once('data', () => child.stdout?.destroy())
  const { exitCode, stderr } = await finished(child)
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' })
})

test('a full disk behind stdout is an error', { skip: process.platform !== 'linux' }, async () => {
  const child = start("await io.write('x')", [], openSync('/dev/full', 'w'))
  assert.deepEqual(await finished(child), {
    exitCode: 1, stdout: '', stderr: 'flowkit: Cannot write "standard output": no space left on device\n',
  })
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} lets a busy command end with everything written`, async () => {
    const child = start("while (!io.signal.aborted) await io.write('.'); await io.write('end')")
    const ended = finished(child)
    await once(child.stdout!, 'data')
    child.kill(signal)
    const { exitCode, stdout, stderr } = await ended
    assert.deepEqual({ exitCode, stderr, end: stdout.slice(-3) }, { exitCode: 0, stderr: '', end: 'end' })
  })
}

test('a command that cannot end early says what stopped it', async () => {
  const wait = "(await import('node:timers/promises')).setTimeout(1e6, 0, { signal: io.signal })"
  const child = start(`await io.write('.'); await ${wait}`)
  const ended = finished(child)
  await once(child.stdout!, 'data')
  child.kill('SIGTERM')
  const stderr = 'flowkit: Cannot finish: stopped by SIGTERM\n'
  assert.deepEqual(await ended, { exitCode: 1, stdout: '.', stderr })
})

test('a second signal kills a command that does not end', async () => {
  const child = start("io.signal.addEventListener('abort', () => io.write('!')); setInterval(() => {}, 1e6); "
    + "await io.write('.'); await new Promise(() => {})")
  const ended = once(child, 'exit')
  await once(child.stdout!, 'data')
  child.kill('SIGINT')
  await once(child.stdout!, 'data')
  child.kill('SIGINT')
  assert.deepEqual(await ended, [null, 'SIGINT'])
})

test('--quiet leaves errors, --log-level says more', async () => {
  const body = "io.talk.debug('d'); io.talk.info('i'); io.talk.error('e')"
  const said = async (...args: string[]): Promise<string> => (await finished(start(body, args))).stderr
  assert.equal(await said('--quiet'), 'flowkit: e\n')
  assert.equal(await said(), 'flowkit: i\nflowkit: e\n')
  assert.equal(await said('--log-level', 'debug'), 'flowkit: d\nflowkit: i\nflowkit: e\n')
})
