import { Kind, OptionalKind, Type } from '@sinclair/typebox'
import type { StaticDecode, TLiteral, TObject, TSchema, TTransform, TString, TUnion } from '@sinclair/typebox'
import type { Io } from './io.ts'
import { parseDuration, parseSize, parseTime } from './values.ts'

/** 0: done; 1: the input or the request was at fault; 3: done, but something was lost or skipped. */
export type ExitCode = 0 | 1 | 3

/** A word after the command's name. */
export interface Argument {
  /** As help shows it: `INPUT`. */
  readonly name: string
  readonly description: string
  readonly required?: boolean
  readonly repeated?: boolean
  /** The words that are offered in completion; others are not refused here. */
  readonly choices?: readonly string[]
}

/** A command line and what it does. */
export interface Example {
  readonly command: string
  readonly does: string
}

/** All options of a command, those of its configuration file among them. */
export interface Configuration<Options> {
  readonly options: Options
  /** What the file asks for and does not get: for the log. */
  readonly warnings: readonly string[]
  /**
   * Read them once more, from the file as it is now.
   *
   * @param path where it is for a process that sees another tree; where it was unless told
   * @throws UsageError for what is wrong with it; the system error when it cannot be read
   */
  reread(path?: string): Promise<Configuration<Options>>
}

/** One subcommand. Its flags are described by `options` alone: parsing, help and completion come from it. */
export interface Command {
  readonly name: string
  readonly summary: string
  readonly args: readonly Argument[]
  /** camelCase keys (`--kebab-case` outside); annotations as `OptionSpec` tells. */
  readonly options: TObject
  readonly examples: readonly Example[]
  /** Further paragraphs of its help. */
  readonly details?: string
  /** The key of the option that names its configuration file, which cmd/config.ts reads. */
  readonly configOption?: string
  /** Do it. Nothing returned means 0. Errors are thrown: main turns them into messages and exit codes. */
  run(
    args: readonly string[], options: unknown, io: Io, configuration: Configuration<unknown>,
  ): Promise<ExitCode | void>
}

/** The commands by name, each loaded when it is needed. */
export type CommandTable = Readonly<Record<string, () => Promise<Command>>>

/** Declare a command; `run` sees the static type of `options`. */
export function defineCommand<Options extends TObject>(
  command: Omit<Command, 'options' | 'run'> & {
    readonly options: Options
    run(
      args: readonly string[], options: StaticDecode<Options>, io: Io,
      configuration: Configuration<StaticDecode<Options>>,
    ): Promise<ExitCode | void>
  },
): Command {
  return command as unknown as Command
}

/**
 * One option as its schema describes it.
 *
 * Annotations of the schema: `description`, `title` (how help calls the value), `short` (a letter), `default`
 * (as it would be typed), `expected` (for messages: 'a time such as now'), `examples` (words to complete),
 * `replaces` (keys).
 * No key begins with `no`, a capital behind it: `--no-NAME` is the flag NAME turned off.
 */
export interface OptionSpec {
  /** The property: `fromFormat`, or a single letter or digit for an option without a long name. */
  readonly key: string
  /** `from-format` */
  readonly name: string
  readonly short: string | undefined
  /** Takes no value. */
  readonly flag: boolean
  /** Takes a list: by commas or by repetition. */
  readonly list: boolean
  readonly required: boolean
  readonly schema: TSchema
  /** Of one value: the item's where the option is a list. */
  readonly item: TSchema
  readonly choices: readonly string[]
  /** How help calls the value. */
  readonly placeholder: string
  /** Keys of options that do not count in a configuration file where this one is given beside it. */
  readonly replaces: readonly string[]
}

/** The options of a schema, in its order. */
export function optionSpecs(schema: TObject): OptionSpec[] {
  return Object.entries(schema.properties).map(([key, property]) => {
    const list = property['type'] === 'array'
    const item = list ? (property['items'] as TSchema) : property
    const flag = item['type'] === 'boolean'
    const choices = choicesOf(item)
    const placeholder = item['type'] === 'string' || choices.length > 0 ? 'NAME' : 'N'
    return {
      key,
      name: kebab(key),
      short: key.length === 1 ? key : (property['short'] as string | undefined),
      flag,
      list,
      required: property[OptionalKind] === undefined && property.default === undefined && !flag,
      schema: property,
      item,
      choices,
      placeholder: property.title ?? item.title ?? placeholder,
      replaces: (property['replaces'] ?? []) as readonly string[],
    }
  })
}

/** `fromFormat` as it is typed: `from-format`. */
export function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** What a value must be, in words: `a whole number of at least 1`. */
export function expectation(schema: TSchema): string {
  if (typeof schema['expected'] === 'string') return schema['expected']
  const choices = schema[Kind] === 'Union' ? choicesOf(schema) : []
  if (choices.length > 0) return choices.length === 1 ? choices[0] : `one of ${choices.join(', ')}`
  switch (schema['type']) {
    case 'integer': return `a whole number${bounds(schema)}`
    case 'number': return `a number${bounds(schema)}`
    case 'boolean': return 'true or false'
    default: return 'text'
  }
}

function bounds({ minimum, maximum }: TSchema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`
  if (minimum !== undefined) return ` of at least ${minimum}`
  return maximum === undefined ? '' : ` of at most ${maximum}`
}

function choicesOf(schema: TSchema): string[] {
  if (schema[Kind] === 'Union') return (schema['anyOf'] as TSchema[]).map((each) => String(each['const']))
  return (schema.examples as string[] | undefined) ?? []
}

/** Annotations of an option, as `OptionSpec` tells. */
export interface Annotations {
  readonly description: string
  readonly title?: string
  readonly short?: string
  readonly default?: string
}

/** An option that takes one of a few words. */
export function choice<const Words extends readonly string[]>(
  words: Words, annotations: Annotations,
): TUnion<{ -readonly [At in keyof Words]: TLiteral<Words[At]> }> {
  const literals: TSchema[] = words.map((word) => Type.Literal(word))
  return Type.Union(literals, { ...annotations }) as never
}

/** An option of which `parse` makes a value, or throws FlowkitError for what is none. */
export function parsed<T>(
  parse: (text: string) => T, expected: string, annotations: Partial<Annotations>,
): TTransform<TString, T> {
  return Type.Transform(Type.String({ expected, ...annotations })).Decode(parse).Encode(String)
}

/** An option in bytes, as `parseSize` takes it: `64Mi`. */
export function size(annotations: Annotations): TTransform<TString, number> {
  const expected = 'a size such as 500K or 64Mi'
  const schema = Type.String({ title: 'SIZE', expected, ...annotations })
  return Type.Transform(schema).Decode(parseSize).Encode(String)
}

/** An option in milliseconds, as `parseDuration` takes it: `5m`. */
export function duration(annotations: Annotations): TTransform<TString, number> {
  const expected = 'a duration such as 500ms, 30s, 5m, 1h or 7d'
  const schema = Type.String({ title: 'DURATION', expected, ...annotations })
  return Type.Transform(schema).Decode(parseDuration).Encode((milliseconds) => `${milliseconds}ms`)
}

/** An option in microseconds since the epoch, as `parseTime` takes it: `-1h`. */
export function time(annotations: Annotations): TTransform<TString, number> {
  const expected = 'a time such as 2026-11-21T13:00:00Z, "2026-11-21 13:00", now or -1h'
  const schema = Type.String({ title: 'TIME', expected, ...annotations })
  return Type.Transform(schema)
    .Decode((text) => parseTime(text, Date.now() * 1000))
    .Encode((micros) => new Date(micros / 1000).toISOString())
}
