import { existsSync } from 'node:fs'
import { Type, type TOptional, type TString, type TTransform } from '@sinclair/typebox'
import { findArchive } from '../core/archive/places.ts'
import { parseVpcFormat } from '../core/cloud/vpc-fields.ts'
import type { Filter } from '../core/filter/filter.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { findField, type Field } from '../core/flow/fields.ts'
import { findInputs, type Input, type InputFault } from '../formats/locations.ts'
import { duration, time } from './command.ts'
import { FILTER_OPTIONS, readFilter, type FilterOptions } from './filters.ts'
import type { Io } from './io.ts'

/** Options of every command that reads flows. */
export const INPUT_OPTIONS: {
  readonly fromFormat: TOptional<TString>
  readonly since: TOptional<TTransform<TString, number>>
  readonly until: TOptional<TTransform<TString, number>>
  readonly last: TOptional<TTransform<TString, number>>
  readonly vpcFormat: TOptional<TString>
} & typeof FILTER_OPTIONS = {
  fromFormat: Type.Optional(Type.String({
    description: 'Format of the inputs, instead of telling it from their first bytes',
  })),
  since: Type.Optional(time({
    description: 'Only flows that end then or later: 2026-11-21T13:00:00Z, "2026-11-21 13:00" (local), '
      + '-1h or now',
  })),
  until: Type.Optional(time({ description: 'Only flows that begin before then' })),
  last: Type.Optional(duration({ description: 'As --since so long ago: 500ms, 30s, 5m, 1h or 7d' })),
  vpcFormat: Type.Optional(Type.String({
    title: 'NAMES', description: 'Fields of VPC flow logs without a header: "srcaddr dstaddr bytes", '
      + 'or as AWS writes them, \'${srcaddr} ${dstaddr}\'',
  })),
  ...FILTER_OPTIONS,
}

/** The values of INPUT_OPTIONS. */
export interface InputOptions extends FilterOptions {
  readonly fromFormat?: string
  readonly since?: number
  readonly until?: number
  readonly last?: number
  readonly vpcFormat?: string
}

/** What a command line asks to read. */
export interface Request extends Omit<WordsRequest, 'words'> {
  readonly inputs: readonly Input[]
}

/** The same before anything was opened. */
export interface WordsRequest {
  /** What is to be read, as on the command line. */
  readonly words: readonly string[]
  readonly since?: number
  readonly until?: number
  readonly filter?: Filter
  readonly vpcFormat?: readonly string[]
}

/**
 * Tell inputs and filter apart, and open what is to be read: the default archive if nothing is named.
 *
 * As nfdump takes it, a last word that is no path, URL or glob and holds a space or an operator is the
 * filter.
 *
 * @throws FlowkitError or a system error about the first thing that cannot be used
 */
export async function resolveRequest(
  args: readonly string[], options: InputOptions, io: Io,
): Promise<Request> {
  const { words, ...rest } = await resolveWords(args, options, io)
  return { inputs: await findInputs(words, options.fromFormat, io.stdin, io.talk.info), ...rest }
}

/** As `resolveRequest`, but nothing is opened. */
export async function resolveWords(
  args: readonly string[], options: InputOptions, io: Io,
): Promise<WordsRequest> {
  const { until, last, vpcFormat } = options
  if (last !== undefined && options.since !== undefined) {
    throw new FlowkitError('ERR_OPTION', 'Cannot use --last beside --since')
  }
  const since = last === undefined ? options.since : (Date.now() - last) * 1000
  const { words, text } = splitFilter(args)
  const filter = await readFilter(options, text)
  if (words.length === 0) {
    const place = await findArchive(io.env)
    io.talk.debug(`reading the archive ${place}`)
    words.push(place)
  }
  return {
    words,
    ...since !== undefined && { since },
    ...until !== undefined && { until },
    ...filter && { filter },
    ...vpcFormat !== undefined && { vpcFormat: parseVpcFormat(vpcFormat) },
  }
}

/** The words that are inputs, and the text of the filter. */
function splitFilter(args: readonly string[]): { words: string[], text?: string } {
  const words = [...args]
  const last = words.at(-1)
  if (last === undefined) return { words }
  if (isFilter(last)) return { words: words.slice(0, -1), text: last }
  if (isBareWord(last)) {
    throw new FlowkitError('ERR_INPUT', `Cannot open "${last}": a one-word filter goes after -f`)
  }
  return { words }
}

/** Says on stderr what could not be read. */
export interface FaultReporter {
  /** Faults so far. */
  readonly count: number
  report(fault: InputFault): void
  /** Say how many were not shown; those that come later are shown again. */
  finish(): void
}

/** Say faults in a line each, and in one the rest of many. */
export function faultReporter(io: Io): FaultReporter {
  const most = 20
  let recent = 0
  const state = {
    count: 0,
    report({ input, offset, reason }: InputFault) {
      const place = offset === undefined ? input : `${input}, byte ${offset}`
      state.count++
      if (recent++ < most) io.talk.warn(`${place}: ${reason}`)
    },
    finish() {
      if (recent > most) io.talk.warn(`${recent - most} more faults like these`)
      recent = 0
    },
  }
  return state
}

/**
 * The field a user names.
 *
 * @throws FlowkitError ERR_OPTION if there is none
 */
export function fieldNamed(name: string): Field {
  const field = findField(name)
  if (field) return field
  throw new FlowkitError('ERR_OPTION', `Cannot find field "${name}": see flowkit fields`)
}

/** Whether a word of the command line is a filter: no path, URL or glob, and with a space or an operator. */
export function isFilter(word: string): boolean {
  const isUrl = /^\w+:\/\//.test(word)
  const isGlob = /^\S*[*?[{]/.test(word) // 'port in [80 443]' has its bracket behind a space
  return /[\s=<>!&|()]/.test(word) && !isUrl && !isGlob && !existsSync(word)
}

function isBareWord(word: string): boolean {
  return /^[a-z0-9]+$/i.test(word) && !existsSync(word)
}
