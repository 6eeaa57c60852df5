import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { configPath, parseWords } from '../../cmd/argv.ts'
import { choice, duration, size, time, type Command } from '../../cmd/command.ts'
import { readConfig } from '../../cmd/config.ts'
import { finished } from '../support/flowkit.ts'

const text = Type.String({ description: 'Text' })
const OPTIONS = Type.Object({
  listen: Type.Optional(Type.Array(text, { description: 'Where to listen' })),
  join: Type.Optional(Type.Array(text, { description: 'Groups' })),
  allow: Type.Optional(Type.Array(text, { description: 'Exporters' })),
  forward: Type.Optional(Type.Array(text, { description: 'Where to forward to' })),
  ports: Type.Optional(Type.Array(Type.Integer({ maximum: 65_535 }), { description: 'Ports' })),
  to: Type.Optional(Type.Array(text, { description: 'Archives' })),
  rotate: duration({ default: '1m', description: 'Interval' }),
  since: Type.Optional(time({ description: 'Start' })),
  workers: Type.Optional(Type.Integer({ minimum: 1, description: 'Threads' })),
  receiveBuffer: size({ default: '64Mi', description: 'Buffer' }),
  kind: choice(['a', 'b'], { default: 'a', description: 'Kind' }),
  check: Type.Boolean({ default: false, description: 'Check' }),
  filter: Type.Optional(Type.String({ description: 'Filter', replaces: ['filter', 'filterDialect'] })),
  filterDialect: Type.Optional(text),
  pidFile: Type.Optional(text),
  config: Type.Optional(Type.String({ title: 'FILE', description: 'Further options' })),
})

const sample: Command = {
  name: 'sample', summary: 'Show options', args: [], options: OPTIONS, configOption: 'config', examples: [],
  async run() {},
}

const folder = mkdtempSync(join(tmpdir(), 'flowkit-'))
after(() => rmSync(folder, { recursive: true }))

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function refused(path: string, fault: string): Promise<void> {
  const message = `Cannot use ${path}: ${fault}`
  await assert.rejects(readConfig(path, sample), { name: 'UsageError', message })
}

test('TOML gives options by their long names, as the command line gives them', async () => {
  const path = write('all.toml', `# what to do
listen = ["2055", '[::1]:4739', 6343]
ports = [2055, 4_739]
rotate = "5m"
"receive-buffer" = "1Ki"
since = 2026-11-21T00:00:00Z
workers = 0x10
kind = 'b'
check = true
filter = """
proto tcp
and port 80"""
log-level = "debug"
threads = 2
to = "/srv/flows"
`)
  assert.deepEqual(await readConfig(path, sample), {
    options: {
      listen: ['2055', '[::1]:4739', '6343'], ports: [2055, 4739], rotate: 300_000, receiveBuffer: 1024,
      since: 1_795_219_200_000_000, workers: 16, kind: 'b', check: true, filter: 'proto tcp\nand port 80',
      logLevel: 'debug', threads: 2, to: ['/srv/flows'],
    },
    warnings: [],
  })
  assert.deepEqual(await readConfig(write('empty.toml', ''), sample), { options: {}, warnings: [] })
})

test('a wrong value is refused with file, line and key', async () => {
  const values: readonly (readonly [line: string, fault: string])[] = [
    ['rotate = "x"', 'rotate: expected a duration such as 500ms, 30s, 5m, 1h or 7d, found "x"'],
    ['rotate = 5', 'rotate: expected a duration such as 500ms, 30s, 5m, 1h or 7d, found "5"'],
    ['rotate = ["5m"]', 'rotate: expected a duration such as 500ms, 30s, 5m, 1h or 7d, found a list'],
    ['workers = 0', 'workers: expected a whole number of at least 1, found "0"'],
    ['workers = 1.5', 'workers: expected a whole number of at least 1, found "1.5"'],
    ['workers = true', 'workers: expected a whole number of at least 1, found true'],
    ['kind = "c"', 'kind: expected one of a, b, found "c"'],
    ['check = "maybe"', 'check: expected true or false, found "maybe"'],
    ['ports = [80, 70000]', 'ports: expected a whole number of at most 65535, found "70000"'],
    ['ports = [[80]]', 'ports: expected a whole number of at most 65535, found a list'],
    ['filter = { a = 1 }', 'filter: expected text, found a table'],
    ['filter.a = 1', 'filter: expected text, found a table'],
    ['  [ filter ]', 'filter: expected text, found a table'],
    ['"log-level" = "loud"', 'log-level: expected one of error, warn, info, debug, found "loud"'],
    ['config = "other.toml"', 'config: a configuration file names no other'],
  ]
  for (const [line, fault] of values) {
    await refused(write('wrong.toml', `# first\n\n${line}\n`), `line 3: ${fault}`)
  }
})

test('an unknown key is refused with the nearest name', async () => {
  const advice = 'flowkit sample has no such option'
  const keys = {
    'rotat = 1': `rotat: ${advice}, the nearest is rotate`,
    'receive_buffer = 1': `receive_buffer: ${advice}, the nearest is receive-buffer`,
    'receiveBuffer = 1': `receiveBuffer: ${advice}, the nearest is receive-buffer`,
    '[xyzzy]': `xyzzy: ${advice}, see flowkit sample --help`,
    'help = true': `help: ${advice}, see flowkit sample --help`,
    '__proto__ = 1': `__proto__: ${advice}, see flowkit sample --help`,
  }
  for (const [line, fault] of Object.entries(keys)) {
    await refused(write('wrong.toml', line), `line 1: ${fault}`)
  }
})

test('the line is that of the key, not of a text that looks like it', async () => {
  const path = write('wrong.toml', 'filter = """\nrotate = "5m"\n"""\n# rotate = 1\nrotate = "x"\n')
  await refused(path, 'line 5: rotate: expected a duration such as 500ms, 30s, 5m, 1h or 7d, found "x"')
})

test('what is no TOML is refused with the line', async () => {
  const faults = { 'rotate = "5m"\nrotate = "6m"': 2, 'a = 1\n\nrotate "5m"': 3, 'filter = "': 1 }
  for (const [content, line] of Object.entries(faults)) {
    const path = write('wrong.toml', content)
    await assert.rejects(readConfig(path, sample), ({ name, message }: Error) => {
      assert.equal(name, 'UsageError')
      assert.ok(message.startsWith(`Cannot use ${path}: line ${line}: `) && !message.includes('\n'), message)
      return true
    })
  }
  await refused(write('wrong.toml', Uint8Array.of(0x23, 0xff)), 'expected text in UTF-8')
})

test('a file that cannot be read is the system\'s error, with its path', async () => {
  const missing = join(folder, 'missing.toml')
  await assert.rejects(readConfig(missing, sample), { code: 'ENOENT', path: missing })
  await assert.rejects(readConfig(folder, sample), { code: 'EISDIR', path: folder, syscall: 'read' })
})

test('flowd.conf gives the options that say the same', async () => {
  const conf = `# flowd's own example, more or less
logfile "/var/log/flowd/log"
pidfile '/run/flowd.pid'
listen on 127.0.0.1:12345
listen on [::1]:12345 bufsize 65536
listen on :::2055 bufsize 4096
flow source 127.0.0.1
flow source [2001:db8::]/32
join group 224.0.1.20
join group ff02::114%em0
forward to 192.0.2.1:2055
store ALL
store src_addr
discard all
host = "192.0.2.7"
accept tag 3 agent $host
`
  const path = write('flowd.conf', conf)
  assert.deepEqual(await readConfig(path, sample), {
    options: {
      to: ['/var/log/flowd'], pidFile: '/run/flowd.pid',
      listen: ['127.0.0.1:12345', '[::1]:12345', '[::]:2055'], receiveBuffer: 65_536,
      allow: ['127.0.0.1', '2001:db8::/32'], join: ['224.0.1.20', 'ff02::114%em0'],
      forward: ['192.0.2.1:2055'], filter: conf, filterDialect: 'flowd',
    },
    warnings: [
      `${path}: line 2: flows go into the archive in /var/log/flowd instead of one log file`,
      `${path}: line 13: store: all fields are kept, not src_addr alone`,
    ],
  })
  const open = write('open.conf', 'flow source 10.0.0.1\nflow source any\naccept all\n')
  assert.deepEqual(await readConfig(open, sample), { options: {}, warnings: [] })
  const tags = write('tags.conf', 'accept all\naccept tag 1 proto tcp\n')
  assert.deepEqual((await readConfig(tags, sample)).options, {
    filter: 'accept all\naccept tag 1 proto tcp\n', filterDialect: 'flowd',
  })
})

test('what flowkit cannot do of a flowd.conf is refused with the line', async () => {
  const faults: readonly (readonly [line: string, fault: string])[] = [
    ['logsock "/run/flowd.sock"', 'logsock: flowkit has no such socket'],
    ['logfile /var/log/flowd', 'expected a path in quotes, found "/"'],
    ['listen on 2055', 'expected ADDRESS:PORT, found "2055"'],
    ['listen on 127.0.0.1:0', 'expected ADDRESS:PORT, found "127.0.0.1:0"'],
    ['listen on', 'expected ADDRESS:PORT, found the end of the line'],
    ['listen on 127.0.0.1:9 bufsize 0', 'expected a size from 1 to 2147483647, found "0"'],
    ['listen on 127.0.0.1:9 often', 'expected the end of the line, found "often"'],
    ['join group x', 'expected the address of a group, found "x"'],
    ['flow source 10.0.0.1/8', 'expected a network without bits behind its length, found "10.0.0.1/8"'],
    ['store COLOUR', 'store: flowd has no field "COLOUR"'],
    ['listne on 127.0.0.1:9', 'expected one of flowd\'s words, as "listen on" or "accept", found "listne"'],
    ['discard days x', 'expected a day such as mon, found "x"'],
  ]
  for (const [line, fault] of faults) {
    await refused(write('flowd.conf', `store ALL\n${line}\n`), `line 2: ${fault}`)
  }
  const lesser: Command = { ...sample, options: Type.Object({ listen: OPTIONS.properties.listen }) }
  const path = write('flowd.conf', 'listen on 127.0.0.1:9\nforward to 127.0.0.1:10\n')
  const fault = 'line 2: forward to: flowkit sample has no such option, see flowkit sample --help'
  await assert.rejects(readConfig(path, lesser), { message: `Cannot use ${path}: ${fault}` })
})

test('flowd.conf is told by its lines, unless the name says TOML', async () => {
  const lines = [
    'listen on 127.0.0.1:9', '\tlogfile "x"', 'store ALL', 'discard all', 'a = "b"\naccept quick all',
  ]
  for (const line of lines) {
    await readConfig(write('x.conf', `\n${line}\n`), sample)
    await assert.rejects(readConfig(write('x.toml', `\n${line}\n`), sample), { name: 'UsageError' })
  }
  assert.deepEqual(await readConfig(write('x.conf', 'listen = ["9"]\nkind = "b" # accept all\n'), sample), {
    options: { listen: ['9'], kind: 'b' }, warnings: [],
  })
})

test('the words come first, then the environment, the file, and the defaults', () => {
  const env = { FLOWKIT_ROTATE: '3m', FLOWKIT_WORKERS: '3' }
  const configured = { rotate: 2, workers: 2, kind: 'b', check: true, threads: 7 }
  const line = parseWords(sample, ['--rotate', '4m', '--no-check'], env, configured)
  assert.deepEqual(line, {
    args: [],
    options: { rotate: 240_000, workers: 3, kind: 'b', check: false, receiveBuffer: 67_108_864 },
    globals: { quiet: false, logLevel: 'info', threads: 7 },
  })
})

test('an option replaces what belongs to it in the file', () => {
  const configured = { filter: 'accept all', filterDialect: 'flowd', kind: 'b' }
  const filters = (words: string[], env: NodeJS.ProcessEnv = {}) => {
    const line = parseWords(sample, words, env, configured)
    if (line === 'help') return assert.fail()
    return [line.options['filter'], line.options['filterDialect'], line.options['kind']]
  }
  assert.deepEqual(filters([]), ['accept all', 'flowd', 'b'])
  assert.deepEqual(filters(['--filter', 'tcp']), ['tcp', undefined, 'b'])
  assert.deepEqual(filters([], { FLOWKIT_FILTER: 'tcp' }), ['tcp', undefined, 'b'])
  assert.deepEqual(filters(['--filter', 'tcp', '--filter-dialect', 'bpf']), ['tcp', 'bpf', 'b'])
  assert.deepEqual(filters(['--filter-dialect', 'bpf']), ['accept all', 'bpf', 'b'])
})

test('an option that must be given may be in the file', () => {
  const strict: Command = { ...sample, options: Type.Object({ to: text, config: OPTIONS.properties.config }) }
  assert.throws(() => parseWords(strict, [], {}), { message: 'Cannot run sample: option --to is missing' })
  const line = parseWords(strict, [], {}, { to: 'x' })
  assert.deepEqual(line === 'help' ? line : line.options, { to: 'x' })
})

test('the file is named by the words or the environment, and not looked for with --help', () => {
  assert.equal(configPath(sample, [], {}), undefined)
  assert.equal(configPath(sample, ['--rotate=1m', '--config', 'a'], { FLOWKIT_CONFIG: 'b' }), 'a')
  assert.equal(configPath(sample, [], { FLOWKIT_CONFIG: 'b' }), 'b')
  assert.equal(configPath(sample, ['--config', 'a', '--help'], {}), undefined)
  const { configOption, ...plain } = sample
  assert.equal(configOption, 'config')
  assert.equal(configPath(plain, ['--config', 'a'], {}), undefined)
})

test('a command gets the options of its file, and can read them again', async () => {
  const path = write('again.toml', 'n = 1\nwords = ["a", "b"]\n')
  const script = `
    import { writeFileSync } from 'node:fs'
    import { runWords } from ${JSON.stringify(new URL('../../cmd/run.ts', import.meta.url))}
    import { Type } from '@sinclair/typebox'
    const command = {
      name: 'sample', summary: 'Do as the test says', args: [], examples: [], configOption: 'config',
      options: Type.Object({
        n: Type.Integer(), words: Type.Optional(Type.Array(Type.String())),
        config: Type.Optional(Type.String()),
      }),
      async run(args, options, io, configuration) {
        const said = [options, configuration.options === options, configuration.warnings]
        writeFileSync(options.config, 'n = 2')
        const changed = await configuration.reread()
        writeFileSync(options.config, 'n = "x"')
        const message = await changed.reread().catch((error) => error.message)
        await io.write(JSON.stringify([...said, changed.options, changed.warnings, message]))
      },
    }
    await runWords(['sample', ...process.argv.slice(1)], { sample: async () => command }, '1.2.3')`
  const words = ['--input-type=module', '-e', script, '--', '--config', path]
  const child = spawn(process.execPath, words, { cwd: new URL('../..', import.meta.url) })
  const { exitCode, stdout, stderr } = await finished(child)
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' })
  assert.deepEqual(JSON.parse(stdout), [
    { n: 1, words: ['a', 'b'], config: path }, true, [], { n: 2, config: path }, [],
    `Cannot use ${path}: line 1: n: expected a whole number, found "x"`,
  ])
})
