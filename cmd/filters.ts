import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join, isAbsolute } from 'node:path'
import { Type, type TLiteral, type TOptional, type TString, type TUnion } from '@sinclair/typebox'
import {
  DIALECTS, parseFilter, type Dialect, type Filter, type FilterContext, type FilterFile,
} from '../core/filter/filter.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { choice } from './command.ts'

/** What belongs to a filter: where one is given, that of a configuration file does not count. */
const replaces = ['filter', 'filterFile', 'filterDialect'] as const

/** Options of every command that takes a filter. */
export const FILTER_OPTIONS: {
  readonly filter: TOptional<TString>
  readonly filterFile: TOptional<TString>
  readonly filterDialect: TOptional<TUnion<TLiteral<Dialect>[]>>
} = {
  filter: Type.Optional(Type.String({
    short: 'f', title: 'EXPR', description: 'Only flows that match', replaces,
  })),
  filterFile: Type.Optional(Type.String({
    title: 'FILE', description: 'Take the filter from a file', replaces,
  })),
  filterDialect: Type.Optional(choice(DIALECTS, {
    description: 'Language of the filter, if it is not flowkit\'s own, which is nfdump\'s and more; of '
      + 'flow-nfilter the file holds definitions, and EXPR names one',
  })),
}

/** The values of FILTER_OPTIONS. */
export interface FilterOptions {
  readonly filter?: string
  readonly filterFile?: string
  readonly filterDialect?: Dialect
}

/**
 * Read a file that a filter names: one that a file names lies beside that, if its path says nothing else.
 *
 * @throws the system error if it cannot be read
 */
export function readFilterFile(name: string, from: string | undefined): FilterFile {
  const path = from === undefined || isAbsolute(name) ? name : join(dirname(from), name)
  try {
    return { path, bytes: readFileSync(path) }
  } catch (error) {
    throw Object.assign(error as Error, { path }) // that of reading a directory does not say which
  }
}

/**
 * The filter that options ask for, or undefined.
 *
 * @param word that stands for the option `--filter`, where one does
 * @param onFile told of each file that is read
 * @throws FlowkitError, or the system error of a file
 */
export async function readFilter(
  { filter, filterFile, filterDialect: dialect = 'nfdump' }: FilterOptions, word?: string,
  onFile: (path: string) => void = () => {},
): Promise<Filter | undefined> {
  function read(name: string, from: string | undefined): FilterFile {
    const found = readFilterFile(name, from)
    onFile(found.path)
    return found
  }
  if (filter !== undefined && word !== undefined) {
    throw new FlowkitError('ERR_OPTION', `Cannot use two filters: "${filter}" and "${word}"`)
  }
  const text = filter ?? word
  if (filterFile === undefined) {
    if (text === undefined) return undefined
    if (dialect === 'flow-nfilter' && !text.includes('\n')) {
      throw new FlowkitError('ERR_OPTION', 'Cannot use a filter of flow-nfilter without --filter-file')
    }
    return parseWithHosts(text, { dialect, read })
  }
  if (text !== undefined && dialect !== 'flow-nfilter') {
    throw new FlowkitError('ERR_OPTION', 'Cannot use --filter-file beside another filter')
  }
  onFile(filterFile)
  return parseWithHosts(await readFile(filterFile, 'utf8'), {
    dialect, read, path: filterFile, ...text !== undefined && { definition: text },
  })
}

/** Parse a filter; if it names hosts, they are looked up, and it is parsed again with their addresses. */
async function parseWithHosts(text: string, context: FilterContext): Promise<Filter> {
  const known = new Map<string, readonly string[]>()
  for (;;) {
    const unknown = new Set<string>()
    const filter = parseFilter(text, {
      ...context,
      hosts(name) {
        const addresses = known.get(name)
        if (!addresses) unknown.add(name)
        return addresses ?? ['::']
      },
    })
    if (unknown.size === 0) return filter
    await Promise.all(Array.from(unknown, async (name) => { known.set(name, await addressesOf(name)) }))
  }
}

/** The addresses of a host, none where it is not known. */
async function addressesOf(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true }).catch(() => [])
  return found.map(({ address }) => address)
}
