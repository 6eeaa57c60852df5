import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Type, type TOptional, type TString, type TTransform } from '@sinclair/typebox'
import { findArchive } from '../core/archive/places.ts'
import { parseFilter, type Filter } from '../core/filter/filter.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { findField, type Field } from '../core/flow/fields.ts'
import { findInputs, type Input, type InputFault } from '../formats/locations.ts'
import { duration, time } from './command.ts'
import type { Io } from './io.ts'

/** Options of every command that reads flows. */
export const INPUT_OPTIONS: {
  readonly fromFormat: TOptional<TString>
  readonly since: TOptional<TTransform<TString, number>>
  readonly until: TOptional<TTransform<TString, number>>
  readonly last: TOptional<TTransform<TString, number>>
  readonly filter: TOptional<TString>
  readonly filterFile: TOptional<TString>
} = {
  fromFormat: Type.Optional(Type.String({ description: 'Format of the inputs, instead of telling it from their first bytes' })),
  since: Type.Optional(time({ description: 'Only flows that end at this time or later' })),
  until: Type.Optional(time({ description: 'Only flows that begin before this time' })),
  last: Type.Optional(duration({ description: 'Only flows of this last while; stands for --since' })),
  filter: Type.Optional(Type.String({ short: 'f', title: 'EXPR', description: 'Only flows that match' })),
  filterFile: Type.Optional(Type.String({ title: 'FILE', description: 'Take the filter from a file' })),
}

/** The values of INPUT_OPTIONS. */
export interface InputOptions {
  readonly fromFormat?: string
  readonly since?: number
  readonly until?: number
  readonly last?: number
  readonly filter?: string
  readonly filterFile?: string
}

/** What a command line asks to read. */
export interface Request {
  readonly inputs: readonly Input[]
  readonly since?: number
  readonly until?: number
  readonly filter?: Filter
}

/**
 * Tell inputs and filter apart, and open what is to be read: the default archive if nothing is named.
 *
 * As nfdump takes it, a last word that is no path, URL or glob and holds a space or an operator is the filter.
 *
 * @throws FlowkitError or a system error about the first thing that cannot be used
 */
export async function resolveRequest(args: readonly string[], options: InputOptions, io: Io): Promise<Request> {
  let words = [...args]
  let text = options.filter
  const last = words.at(-1)
  if (last !== undefined && isFilter(last)) {
    if (text !== undefined) throw new FlowkitError('ERR_OPTION', `Cannot use two filters: "${text}" and "${last}"`)
    text = last
    words = words.slice(0, -1)
  }
  if (options.filterFile !== undefined) {
    if (text !== undefined) throw new FlowkitError('ERR_OPTION', 'Cannot use --filter-file beside another filter')
    text = await readFile(options.filterFile, 'utf8')
  }
  const filter = text === undefined ? undefined : parseFilter(text)
  if (last !== undefined && words.length > 0 && isBareWord(last)) {
    throw new FlowkitError('ERR_INPUT', `Cannot open "${last}": no such file (a one-word filter goes after -f)`)
  }
  if (words.length === 0) {
    const place = await findArchive(io.env)
    io.talk.debug(`reading the archive ${place}`)
    words = [place]
  }
  const since = options.last === undefined ? options.since : Date.now() * 1000 - options.last * 1000
  return {
    inputs: await findInputs(words, options.fromFormat, io.stdin),
    ...since !== undefined && { since },
    ...options.until !== undefined && { until: options.until },
    ...filter && { filter },
  }
}

/** Say what could not be read: a line each, and in one the rest of many. */
export function faultReporter(io: Io): { count: number, report(fault: InputFault): void, finish(): void } {
  const shown = 20
  const state = {
    count: 0,
    report({ input, offset, reason }: InputFault) {
      if (state.count++ < shown) io.talk.warn(`${input}${offset === undefined ? '' : `, byte ${offset}`}: ${reason}`)
    },
    finish() {
      if (state.count > shown) io.talk.warn(`${state.count - shown} more faults like these`)
    },
  }
  return state
}

/**
 * The field a user names.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function fieldNamed(name: string): Field {
  const field = findField(name)
  if (field) return field
  throw new FlowkitError('ERR_OPTION', `Cannot find field "${name}": see flowkit fields`)
}

function isFilter(word: string): boolean {
  return /[\s=<>!()]/.test(word) && !existsSync(word) && !/^\w+:\/\//.test(word) && !/[*?[{]/.test(word.split(/\s/)[0])
}

function isBareWord(word: string): boolean {
  return /^[a-z0-9]+$/i.test(word) && !existsSync(word)
}
