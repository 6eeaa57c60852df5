import { OptionalKind, Type, type TObject, type TSchema } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { cac } from 'cac'
import { choice, expectation, optionSpecs, type Command, type OptionSpec } from './command.ts'
import { UsageError } from './errors.ts'
import type { GlobalOptions } from './io.ts'
import { LOG_LEVELS } from './progress.ts'

/** The options that every command takes, before or behind its name. */
export const GLOBAL_OPTIONS: TObject = Type.Object({
  quiet: Type.Boolean({ default: false, description: 'Say nothing on stderr but errors' }),
  logLevel: choice(LOG_LEVELS, { title: 'LEVEL', default: 'info', description: 'How much to say on stderr' }),
  threads: Type.Optional(Type.Integer({
    minimum: 1, maximum: 1024, description: 'Threads to use (default: one per processor)',
  })),
})

/** `--help`, which every command takes too. */
export const HELP_OPTION: TObject = Type.Object({
  help: Type.Boolean({ short: 'h', default: false, description: 'Print this help' }),
})

const GLOBAL_SPECS = optionSpecs(GLOBAL_OPTIONS)
const COMMON_SPECS = [...GLOBAL_SPECS, ...optionSpecs(HELP_OPTION)]

/** A command line, read. */
export interface CommandLine {
  readonly args: readonly string[]
  /** As the command's schema says, with what the environment and the defaults add. */
  readonly options: Record<string, unknown>
  readonly globals: GlobalOptions
}

/** A command line taken apart at the command's name. */
export interface SplitWords {
  /** Undefined where only options were given. */
  readonly name: string | undefined
  /** All words but the name. */
  readonly rest: readonly string[]
}

/** Find the command's name: the first word that is no option and no option's value. */
export function splitWords(words: readonly string[]): SplitWords {
  const at = words.findIndex((word, index) => !isOption(word) && !isValueOf(words[index - 1]))
  return at < 0 ? { name: undefined, rest: words } : { name: words[at], rest: words.toSpliced(at, 1) }
}

function isValueOf(word: string | undefined): boolean {
  const spec = COMMON_SPECS.find(({ name }) => word === `--${name}`)
  return spec !== undefined && !spec.flag
}

/**
 * Read a command's words: options from there, else from the environment (`FLOWKIT_<OPTION>`), else from the
 * configuration file, else defaults.
 *
 * @param configured the file's options, as `readConfig` gives them
 * @returns 'help' where help is asked for
 * @throws UsageError saying which word is wrong, and what was expected
 */
export function parseWords(
  command: Command, words: readonly string[], env: NodeJS.ProcessEnv,
  configured: Readonly<Record<string, unknown>> = {},
): CommandLine | 'help' {
  const given = takeApart(command, words)
  if (given === 'help') return 'help'
  const { raw, operands } = given
  checkArguments(command, operands)
  const globals = readOptions(command, GLOBAL_SPECS, raw, env, configured)
  return {
    args: raw['--'] as readonly string[],
    options: readOptions(command, optionSpecs(command.options), raw, env, configured),
    globals: globals as unknown as GlobalOptions,
  }
}

/**
 * The configuration file that the words name, or the environment, for a command that has `configOption`.
 *
 * @throws UsageError as parseWords does
 */
export function configPath(
  command: Command, words: readonly string[], env: NodeJS.ProcessEnv,
): string | undefined {
  const spec = optionSpecs(command.options).find(({ key }) => key === command.configOption)
  const given = spec === undefined ? 'help' : takeApart(command, words)
  return spec === undefined || given === 'help' ? undefined : readGiven(spec, given.raw, env) as string
}

type RawOptions = Readonly<Record<string, RawValue>>
type RawValue = string | boolean | readonly (string | boolean)[] | undefined

/** Sort the words into options, by key, and operands. */
function takeApart(
  command: Command, words: readonly string[],
): { raw: RawOptions; operands: readonly string[] } | 'help' {
  const specs = [...optionSpecs(command.options), ...COMMON_SPECS]
  const { options: typed, operands } = normalise(command, words, specs)
  if (typed.includes('--help')) return 'help'

  const cli = cac('flowkit')
  const entry = cli.command(`${command.name} [...args]`, command.summary)
  for (const { name, flag } of specs) entry.option(flag ? `--${name}` : `--${name} <value>`, '')
  const { options: raw } = cli.parse(['', '', command.name, ...typed, '--', ...operands], { run: false })
  return { raw, operands }
}

function isOption(word: string): boolean {
  return word.length > 1 && word.startsWith('-')
}

/**
 * Spell all options in the one way that cac reads without guessing: flags as `--flag` or `--no-flag`, others
 * as `--name==value`. (The second = keeps "007" from becoming 7, and "-1h" from becoming an option.)
 */
function normalise(
  command: Command, words: readonly string[], specs: readonly OptionSpec[],
): { options: string[]; operands: string[] } {
  const options: string[] = []
  const operands: string[] = []
  const queue = [...words]
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === '--') operands.push(...queue.splice(0))
    else if (!isOption(word)) operands.push(word)
    else if (word.startsWith('--')) options.push(longOption(word))
    else options.push(...shortOptions(word))
  }
  return { options, operands }

  function longOption(word: string): string {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word.slice(2) : word.slice(2, equals)
    const value = equals < 0 ? undefined : word.slice(equals + 1)
    const spec = specs.find((each) => each.name === name || (each.flag && `no-${each.name}` === name))
    if (spec === undefined) throw unknownOption(command, `--${name}`, specs)
    if (!spec.flag) return `--${name}==${value ?? nextWord(spec)}`
    if (value === undefined) return `--${name}`
    throw new UsageError(`Cannot use option --${name}: expected no value, found "${value}"`)
  }

  /** A cluster: flags, then at most one option with its value, attached or in the next word. */
  function shortOptions(word: string): string[] {
    const spelled: string[] = []
    for (let at = 1; at < word.length; at++) {
      const spec = specs.find(({ short }) => short === word[at])
      if (spec === undefined) throw unknownOption(command, `-${word[at]}`, specs)
      if (!spec.flag) return [...spelled, `--${spec.name}==${word.slice(at + 1) || nextWord(spec)}`]
      spelled.push(`--${spec.name}`)
    }
    return spelled
  }

  function nextWord(spec: OptionSpec): string {
    const next = queue.shift()
    if (next !== undefined && !specs.some(({ name }) => next === `--${name}`)) return next
    const wanted = expectation(spec.item)
    throw new UsageError(`Cannot use option --${spec.name}: expected ${wanted}, found nothing`)
  }
}

function checkArguments({ name, args }: Command, operands: readonly string[]): void {
  const missing = args.filter(({ required }) => required)[operands.length]
  if (missing !== undefined) {
    throw new UsageError(`Cannot run ${name}: ${missing.name} is missing, see flowkit ${name} --help`)
  }
  if (operands.length > args.length && !args.some(({ repeated }) => repeated)) {
    throw new UsageError(`Cannot run ${name}: "${operands[args.length]}" is one argument too many`)
  }
}

function readOptions(
  command: Command, specs: readonly OptionSpec[], raw: RawOptions, env: NodeJS.ProcessEnv,
  configured: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const options: Record<string, unknown> = {}
  const given = specs.map((spec) => readGiven(spec, raw, env))
  const replaced = new Set(specs.flatMap(({ replaces }, i) => given[i] === undefined ? [] : replaces))
  for (const [i, spec] of specs.entries()) {
    const value = given[i] ?? (replaced.has(spec.key) ? undefined : configured[spec.key])
    if (value !== undefined) {
      options[spec.key] = value
    } else if (spec.schema.default !== undefined) {
      options[spec.key] = readValue(spec, `option --${spec.name}`, [String(spec.schema.default)])
    } else if (spec.flag) {
      if (spec.schema[OptionalKind] === undefined) options[spec.key] = false
    } else if (spec.required) {
      throw new UsageError(`Cannot run ${command.name}: option --${spec.name} is missing`)
    }
  }
  return options
}

/** What the words say, else the environment. */
function readGiven(spec: OptionSpec, raw: RawOptions, env: NodeJS.ProcessEnv): unknown {
  const fromWords = raw[spec.key]
  if (fromWords !== undefined) {
    const given = [fromWords].flat() as (string | boolean)[]
    return spec.flag ? given.at(-1)
      : readValue(spec, `option --${spec.name}`, given.map((each) => String(each).slice(1)))
  }
  const variable = `FLOWKIT_${spec.name.replaceAll('-', '_').toUpperCase()}`
  return env[variable] ? readValue(spec, variable, [env[variable]]) : undefined
}

/**
 * The value of an option: of a list all items, else the last of `texts`.
 *
 * @param source where it is from, as a message calls it
 * @throws UsageError `Cannot use SOURCE: expected …, found …`
 */
export function readValue(spec: OptionSpec, source: string, texts: readonly string[]): unknown {
  if (!spec.list) return decode(spec.item, source, texts.at(-1) ?? '')
  const items = texts.flatMap((text) => text.split(',')).map((item) => item.trim())
  return items.filter((item) => item !== '').map((item) => decode(spec.item, source, item))
}

function decode(schema: TSchema, source: string, text: string): unknown {
  const value = fromText(schema, text)
  if (Value.Check(schema, value)) {
    try {
      return Value.Decode(schema, value)
    } catch {
      // a text that its parser refuses: the message below says what was expected
    }
  }
  throw new UsageError(`Cannot use ${source}: expected ${expectation(schema)}, found "${text}"`)
}

function fromText(schema: TSchema, text: string): unknown {
  switch (schema['type']) {
    case 'integer': return /^-?\d+$/.test(text) ? Number(text) : text
    case 'number': return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
    case 'boolean': return /^(true|1|yes)$/.test(text) ? true : /^(false|0|no)$/.test(text) ? false : text
    default: return text
  }
}

function unknownOption(command: Command, option: string, specs: readonly OptionSpec[]): UsageError {
  const called = `flowkit ${command.name}`.trimEnd()
  const near = option.startsWith('--') ? nearest(option.slice(2), specs.map(({ name }) => name)) : undefined
  const advice = near === undefined ? `see ${called} --help` : `the nearest is --${near}`
  return new UsageError(`Cannot use option ${option}: ${called} has no such option, ${advice}`)
}

/** The candidate that `word` probably means: one that begins so, or differs in a third of its letters. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = word.length > 1 && candidate.startsWith(word) ? 0.5 : editDistance(word, candidate)
    if (distance < least) [best, least] = [candidate, distance]
  }
  return best
}

/** Letters to add, drop or change, or neighbours to swap (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      next[j] = Math.min(change, row[j] + 1, next[j - 1] + 1)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1)
    }
    before = row
    row = next
  }
  return row[b.length]
}
