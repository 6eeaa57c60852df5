import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { nearest, parseWords, splitWords } from '../../cmd/argv.ts'
import { choice, defineCommand, duration, optionSpecs, size, time, type Command } from '../../cmd/command.ts'

const sample: Command = defineCommand({
  name: 'sample',
  summary: 'Show every kind of option',
  args: [
    { name: 'INPUT', description: 'What to read', required: true, repeated: true },
    { name: 'OUTPUT', description: 'What to write', required: true },
  ],
  options: Type.Object({
    n: Type.Optional(Type.Integer({ minimum: 1, description: 'How many' })),
    filter: Type.Optional(Type.String({ short: 'f', title: 'EXPR', description: 'Which' })),
    fromFormat: Type.Optional(Type.String({ description: 'Format' })),
    fields: Type.Optional(Type.Array(Type.String(), { title: 'NAME', description: 'Fields' })),
    ports: Type.Optional(Type.Array(Type.Integer({ minimum: 1, maximum: 65_535 }), { description: 'Ports' })),
    names: choice(['flowkit', 'iana'], { default: 'flowkit', description: 'Naming' }),
    ratio: Type.Optional(Type.Number({ maximum: 1, description: 'Ratio' })),
    receiveBuffer: size({ default: '64Mi', description: 'Buffer' }),
    rotate: Type.Optional(duration({ description: 'Interval' })),
    since: Type.Optional(time({ description: 'Start' })),
    promiscuous: Type.Boolean({ default: true, description: 'Hear all' }),
    6: Type.Boolean({ default: false, description: 'Full IPv6 addresses' }),
    biflow: Type.Boolean({ short: 'B', description: 'Pair directions' }),
  }),
  examples: [],
  async run() {},
})

function parse(words: readonly string[], env: NodeJS.ProcessEnv = {}): Record<string, unknown> {
  const line = parseWords(sample, [...words, 'in', 'out'], env)
  assert.notEqual(line, 'help')
  return typeof line === 'string' ? {} : line.options
}

function refused(words: readonly string[], message: string, env: NodeJS.ProcessEnv = {}): void {
  assert.throws(() => parseWords(sample, [...words, 'in', 'out'], env), { name: 'UsageError', message })
}

const DEFAULTS = { names: 'flowkit', receiveBuffer: 67_108_864, promiscuous: true, 6: false, biflow: false }

test('options that are not given have their defaults or are absent', () => {
  assert.deepEqual(parse([]), DEFAULTS)
})

test('an option takes its value behind = or as the next word, and may stand anywhere', () => {
  for (const words of [['--n=5'], ['--n', '5'], ['-n', '5'], ['-n5']]) {
    assert.deepEqual(parse(words), { ...DEFAULTS, n: 5 })
  }
  const line = parseWords(sample, ['a', '-f', 'proto tcp', 'b', '--from-format', 'csv', 'c'], {})
  assert.deepEqual(line, {
    args: ['a', 'b', 'c'],
    options: { ...DEFAULTS, filter: 'proto tcp', fromFormat: 'csv' },
    globals: { quiet: false, logLevel: 'info' },
  })
})

test('text stays as it was typed', () => {
  for (const text of ['007', '1e3', '0x10', '10.10', '-1h', '-', '', '=', 'a=b', 'true', ' x ', '-x']) {
    assert.equal(parse(['--filter', text])['filter'], text)
    assert.equal(parse([`--filter=${text}`])['filter'], text)
    assert.equal(parse(['-f', text])['filter'], text)
  }
})

test('flags cluster, are turned off by --no-, and end in at most one value', () => {
  assert.deepEqual(parse(['-6B']), { ...DEFAULTS, 6: true, biflow: true })
  assert.deepEqual(parse(['-6Bn3']), { ...DEFAULTS, 6: true, biflow: true, n: 3 })
  assert.deepEqual(parse(['--no-promiscuous', '--biflow']), { ...DEFAULTS, promiscuous: false, biflow: true })
  assert.deepEqual(parse(['--biflow', '--no-biflow']), DEFAULTS)
  assert.deepEqual(parseWords(sample, ['--biflow', '007', '1e3'], {}), {
    args: ['007', '1e3'], options: { ...DEFAULTS, biflow: true }, globals: { quiet: false, logLevel: 'info' },
  })
})

test('a list is given by commas, by repetition, or both; of other options the last counts', () => {
  assert.deepEqual(parse(['--fields', 'a,b', '--fields=c, 007,'])['fields'], ['a', 'b', 'c', '007'])
  assert.deepEqual(parse(['--ports=2055,4739'])['ports'], [2055, 4739])
  assert.equal(parse(['-n', '1', '--n=2'])['n'], 2)
})

test('sizes, durations and times become numbers', () => {
  const time = '2026-11-21T00:00:00Z'
  const options = parse(['--receive-buffer', '1.5M', '--rotate=1m', '--since', time, '--ratio=0.25'])
  assert.equal(options['receiveBuffer'], 1_500_000)
  assert.equal(options['rotate'], 60_000)
  assert.equal(options['since'], 1_795_219_200_000_000)
  assert.equal(options['ratio'], 0.25)
})

test('behind -- all words are arguments', () => {
  const line = parseWords(sample, ['--', '-n', '--help', '--'], {})
  assert.deepEqual(typeof line === 'string' ? line : line.args, ['-n', '--help', '--'])
})

test('options come from the environment where the command line has none', () => {
  const env = {
    FLOWKIT_N: '7', FLOWKIT_FIELDS: 'a,b', FLOWKIT_RECEIVE_BUFFER: '1Ki', FLOWKIT_BIFLOW: '1',
    FLOWKIT_PROMISCUOUS: 'no', FLOWKIT_LOG_LEVEL: 'debug', FLOWKIT_ROTATE: '', FLOWKIT_UNKNOWN: 'x',
  }
  const line = parseWords(sample, ['in', 'out', '-n', '8', '--threads=2'], env)
  assert.deepEqual(line, {
    args: ['in', 'out'],
    options: { ...DEFAULTS, n: 8, fields: ['a', 'b'], receiveBuffer: 1024, biflow: true, promiscuous: false },
    globals: { quiet: false, logLevel: 'debug', threads: 2 },
  })
  assert.equal(parse(['--no-biflow'], env)['biflow'], false)
})

test('a wrong value is refused, saying what was expected and what was found', () => {
  for (const text of ['x', '0', '-3', '1.5', '1e3', '']) {
    refused(['--n', text], `Cannot use option --n: expected a whole number of at least 1, found "${text}"`)
  }
  const cases: readonly (readonly [name: string, value: string, expected: string])[] = [
    ['ports', 'http', 'a whole number from 1 to 65535'],
    ['ratio', '2', 'a number of at most 1'],
    ['names', 'cisco', 'one of flowkit, iana'],
    ['rotate', '5', 'a duration such as 500ms, 30s, 5m, 1h or 7d'],
    ['receive-buffer', '1k', 'a size such as 500K or 64Mi'],
    ['since', 'noon', 'a time such as 2026-11-21T13:00:00Z, "2026-11-21 13:00", now or -1h'],
    ['biflow', 'yes', 'no value'],
  ]
  for (const [name, value, expected] of cases) {
    refused([`--${name}=${value}`], `Cannot use option --${name}: expected ${expected}, found "${value}"`)
  }
  refused(['--ports=80,0'], 'Cannot use option --ports: expected a whole number from 1 to 65535, found "0"')
  refused([], 'Cannot use FLOWKIT_N: expected a whole number of at least 1, found "x"', { FLOWKIT_N: 'x' })
  refused([], 'Cannot use FLOWKIT_BIFLOW: expected true or false, found "maybe"', { FLOWKIT_BIFLOW: 'maybe' })
})

test('a missing value is refused, also where another option stands in its place', () => {
  assert.throws(() => parseWords(sample, ['in', 'out', '-n'], {}), {
    message: 'Cannot use option --n: expected a whole number of at least 1, found nothing',
  })
  refused(['--filter', '--biflow'], 'Cannot use option --filter: expected text, found nothing')
})

test('an unknown option is refused with the nearest name', () => {
  const meant = { '--fliter': '--filter', '--rec': '--receive-buffer', '--thread': '--threads' }
  for (const [typed, option] of Object.entries(meant)) {
    const fault = `flowkit sample has no such option, the nearest is ${option}`
    refused([`${typed}=1`], `Cannot use option ${typed}: ${fault}`)
  }
  for (const typed of ['--xyzzy', '-x', '--__proto__', '--constructor']) {
    const message = `Cannot use option ${typed}: flowkit sample has no such option, see flowkit sample --help`
    refused([typed], message)
    if (typed === '-x') refused(['-6x'], message)
  }
})

test('missing and superfluous arguments are refused', () => {
  const strict: Command = { ...sample, args: [{ name: 'SHELL', description: '', required: true }] }
  const cases: readonly (readonly [Command, string[], string])[] = [
    [strict, [], 'SHELL is missing, see flowkit sample --help'],
    [strict, ['a', 'b'], '"b" is one argument too many'],
    [sample, ['in'], 'OUTPUT is missing, see flowkit sample --help'],
  ]
  for (const [command, words, fault] of cases) {
    assert.throws(() => parseWords(command, words, {}), { message: `Cannot run sample: ${fault}` })
  }
})

test('an option without default that is not optional must be given', () => {
  const options = Type.Object({ to: Type.String({ description: 'Where' }) })
  const strict: Command = { ...sample, args: [], options }
  assert.throws(() => parseWords(strict, [], {}), { message: 'Cannot run sample: option --to is missing' })
  assert.deepEqual(optionSpecs(options).map(({ required }) => required), [true])
})

test('help is asked for by -h or --help wherever an option may stand', () => {
  assert.equal(parseWords(sample, ['--help'], {}), 'help')
  assert.equal(parseWords(sample, ['in', '-6h'], {}), 'help')
  assert.deepEqual(parse(['--filter', '-h'])['filter'], '-h')
})

test('the command is the first word that belongs to no option', () => {
  assert.deepEqual(splitWords(['read', 'x']), { name: 'read', rest: ['x'] })
  assert.deepEqual(splitWords(['--quiet', '--threads', '2', 'read', '-n', '1']), {
    name: 'read', rest: ['--quiet', '--threads', '2', '-n', '1'],
  })
  assert.deepEqual(splitWords(['--log-level=debug', 'read']), { name: 'read', rest: ['--log-level=debug'] })
  assert.deepEqual(splitWords(['--quiet']), { name: undefined, rest: ['--quiet'] })
})

test('the nearest name is one typing slip per three letters away', () => {
  const names = ['collect', 'read', 'analyze', 'formats', 'fields', 'filter', 'completion', 'help']
  const slips = {
    raed: 'read', red: 'read', colect: 'collect', analyse: 'analyze', format: 'formats', comp: 'completion',
  }
  for (const [typed, meant] of Object.entries(slips)) assert.equal(nearest(typed, names), meant)
  for (const typed of ['x', 'capture', 'write', '']) assert.equal(nearest(typed, names), undefined)
})
