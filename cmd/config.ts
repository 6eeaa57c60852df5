import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { TomlError } from 'smol-toml'
import { FlowkitError } from '../core/flow/errors.ts'
import { GLOBAL_OPTIONS, nearest, readValue } from './argv.ts'
import { expectation, optionSpecs, type Command, type OptionSpec } from './command.ts'
import { UsageError } from './errors.ts'
import { isFlowdConf, parseFlowdConf, type Setting } from './flowd-conf.ts'

/** What a configuration file says. */
export interface FileOptions {
  /** By key of the command's schema or the common one; checked as those of the command line are. */
  readonly options: Readonly<Record<string, unknown>>
  /** What the file asks for and does not get. */
  readonly warnings: readonly string[]
}

/**
 * Read a command's configuration file: TOML, whose keys are the long names of options, or a flowd.conf, which
 * is told by its lines unless the name ends in `.toml`.
 *
 * @throws UsageError naming file, line and key: `Cannot use collect.toml: line 3: rotate: expected …`; the
 *   system error when the file cannot be read
 */
export async function readConfig(path: string, command: Command): Promise<FileOptions> {
  const text = await readText(path)
  if (extname(path).toLowerCase() === '.toml' || !isFlowdConf(text)) {
    return { options: readSettings(path, await parseToml(path, text), command), warnings: [] }
  }
  try {
    const { settings, warnings } = parseFlowdConf(path, text)
    return { options: readSettings(path, settings, command), warnings }
  } catch (error) {
    if (error instanceof FlowkitError) throw new UsageError(error.message, { cause: error })
    throw error
  }
}

async function readText(path: string): Promise<string> {
  let bytes: Uint8Array
  try {
    bytes = await readFile(path)
  } catch (error) {
    throw Object.assign(error as Error, { path }) // which a folder's error lacks
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new UsageError(`Cannot use ${path}: expected text in UTF-8`, { cause: error })
  }
}

/** The settings of a TOML file, in its order. */
async function parseToml(path: string, text: string): Promise<Setting[]> {
  const { parse, TomlError } = await import('smol-toml')

  function isWhole(part: string): boolean {
    try {
      parse(part)
      return true
    } catch {
      return false
    }
  }

  /** Where a key stands: the library does not say, and a text of several lines may look like one. */
  function lineOf(key: string): number {
    const name = RegExp.escape(key)
    const lines = new RegExp(`^[ \\t]*(?:\\[\\[?[ \\t]*)?(?:${name}|"${name}"|'${name}')[ \\t]*[=.\\]]`, 'gm')
    for (const { index } of text.matchAll(lines)) {
      const before = text.slice(0, index)
      if (isWhole(before)) return before.split('\n').length
    }
    return 1 // written with escapes
  }

  try {
    const table = parse(text)
    return Object.entries(table).map(([key, value]) => ({ name: key, called: key, line: lineOf(key), value }))
  } catch (error) {
    if (error instanceof TomlError) throw new UsageError(explainToml(path, error), { cause: error })
    throw error
  }
}

function explainToml(path: string, { line, message }: TomlError): string {
  const reason = message.split('\n')[0].replace(/^Invalid TOML document: /, '')
  return `Cannot use ${path}: line ${line}: ${reason}`
}

/** Options by key; of a list that is set on several lines, the items of all. */
function readSettings(path: string, settings: readonly Setting[], command: Command): Record<string, unknown> {
  const specs = [...optionSpecs(command.options), ...optionSpecs(GLOBAL_OPTIONS)]
  const options: Record<string, unknown> = {}
  for (const { name, called, line, value } of settings) {
    const source = `${path}: line ${line}: ${called}`
    const spec = specs.find((each) => each.name === name)
    if (spec === undefined) throw unknownKey(source, name, command, specs)
    if (spec.key === command.configOption) {
      throw new UsageError(`Cannot use ${source}: a configuration file names no other`)
    }
    const read = readValue(spec, source, textsOf(spec, source, value))
    const before = options[spec.key]
    options[spec.key] = spec.list && Array.isArray(before) ? [...before, ...read as unknown[]] : read
  }
  return options
}

/** A value of TOML as it would be typed; a list's items one by one. */
function textsOf(spec: OptionSpec, source: string, value: unknown): string[] {
  const items = spec.list && Array.isArray(value) ? value as unknown[] : [value]
  return items.map((item) => {
    if (item instanceof Date) return item.toISOString()
    if (typeof item === 'string' || typeof item === 'number') return String(item)
    if (typeof item === 'boolean' && spec.flag) return String(item)
    const found = typeof item === 'boolean' ? String(item) : Array.isArray(item) ? 'a list' : 'a table'
    throw new UsageError(`Cannot use ${source}: expected ${expectation(spec.item)}, found ${found}`)
  })
}

function unknownKey(
  source: string, name: string, command: Command, specs: readonly OptionSpec[],
): UsageError {
  const called = `flowkit ${command.name}`
  const near = nearest(name, specs.map((spec) => spec.name))
  const advice = near === undefined ? `see ${called} --help` : `the nearest is ${near}`
  return new UsageError(`Cannot use ${source}: ${called} has no such option, ${advice}`)
}
