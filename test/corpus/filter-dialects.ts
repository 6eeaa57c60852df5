/** What flowd's rules and the filters of flow-tools select of their own files, held against flowkit. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { compileFilter, parseFilter, type Filter } from '../../core/filter/filter.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { flowExport } from '../../formats/flow-export.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import { flowd } from '../../formats/flowd.ts'
import { countRows, readBatches, type FilterReport } from './filter-counts.ts'
import { flowFilters } from './filter-flow-filter.ts'
import { print, readRows, readText } from './files-flow-tools.ts'

/** flowd finds no flow for `any` without a port, though its manual has it; see corpus-notes.md. */
const ANY_ADDRESS = 'flowd-any'
/** flow-nfilter refuses a file whose version lacks a field; in flowkit its flows have none of it. */
const NO_FIELD = 'nfilter-no-field'
const RULE_OF_ANY = /^.*(src|dst) any(?! port).*$/gm

/** The file of which the selected flows were printed, too. */
const PRINTED = 'capture/v5-hand.z6.ft'

/** Compare every rule file and definition. */
export function filterDialects(corpus: string): FilterReport {
  const problems: string[] = []
  const explained = new Map<string, number>()
  let same = 0
  for (const outcome of [...flowdRules(corpus), ...definitions(corpus), ...flowFilters(corpus)]) {
    if (outcome === '') same++
    else if (outcome === ANY_ADDRESS || outcome === NO_FIELD) {
      explained.set(outcome, (explained.get(outcome) ?? 0) + 1)
    }
    else problems.push(outcome)
  }
  return { same, explained, problems }
}

/**
 * Each file of rules, which flowd-reader ran over the log that all flows are in: what is wrong, the reason
 * why it is not, or nothing.
 */
function* flowdRules(corpus: string): Generator<string> {
  const packed = join(corpus, 'peers/flowd/filters.tar.xz')
  if (!existsSync(packed)) return
  const temporary = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    execFileSync('tar', ['xJf', packed, '-C', temporary])
    const folder = join(temporary, 'filters')
    const log = 'f01-default.flowd'
    const batches = readBatches(flowd, readFileSync(join(folder, log)))
    const printed = linesOf(join(folder, `${log}.txt`))
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.rules')).sort()) {
      const golden = join(folder, name.replace('.rules', '.reader-f.txt'))
      if (!existsSync(golden)) continue
      const theirs = linesOf(golden).join('\n')
      const rules = readFileSync(join(folder, name), 'utf8')
      const selected = (text: string): string => {
        const flags = selectedRows(parseFilter(text, { dialect: 'flowd' }), batches)
        return printed.filter((_, row) => flags[row] === 1).join('\n')
      }
      if (selected(rules) === theirs) yield ''
      else if (selected(rules.replace(RULE_OF_ANY, '')) === theirs) yield ANY_ADDRESS
      else yield `${name}: other flows than flowd-reader's`
    }
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

function selectedRows(filter: Filter, batches: readonly FlowBatch[]): number[] {
  const select = compileFilter(filter)
  return batches.flatMap((batch) => {
    const flags = new Uint8Array(batch.length)
    select(batch, flags)
    return [...flags]
  })
}

/** The flows of a file that a filter selects, as flow-export prints them. */
function printSelected(filter: Filter, path: string): string {
  const { batch } = readRows(readFileSync(path))
  const selected = new Uint8Array(batch.length)
  compileFilter(filter)(batch, selected)
  batch.keep(selected)
  return print(batch, flowExport).toString()
}

/** The flows that flowd-reader printed, without the tags that rules gave them. */
function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter((line) => line.startsWith('FLOW '))
    .map((line) => line.replace(/^FLOW tag \d+/, 'FLOW'))
}

/** Each definition that flow-nfilter ran over a file: what is wrong, or nothing. */
function* definitions(corpus: string): Generator<string> {
  const folder = join(corpus, 'peers/flow-tools')
  const counts = join(folder, 'nfilter/counts.tsv')
  if (!existsSync(counts)) return
  const path = join(folder, 'nfilter/filter.cfg')
  const text = readFileSync(path, 'utf8')
  const lines = readFileSync(counts, 'utf8').trimEnd().split('\n').slice(1).map((line) => line.split('\t'))
  const temporary = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  try {
    const packed = new Set(lines.map(([file]) => file).filter((file) => file.startsWith('gen/')))
    execFileSync('tar', ['xJf', join(folder, 'gen.tar.xz'), '-C', temporary, ...packed])
    for (const [file, name, command, exit, passing, stderr] of lines) {
      if (exit !== '0') {
        yield stderr.includes('a field not in flow') ? NO_FIELD : `${file}: ${name} was refused: ${stderr}`
        continue
      }
      const variable = /-v(\w+=\w+)/.exec(command)?.[1] ?? ''
      const definition = `${name} ${variable}`.trim()
      const filter = parseFilter(text, { dialect: 'flow-nfilter', definition, path: basename(path) })
      const batches = readBatches(flowTools, readFileSync(join(packed.has(file) ? temporary : folder, file)))
      const found = countRows(filter, batches)
      const isSame = found === Number(passing)
      if (!isSame) yield `${file}: ${definition} selects ${found} flows, flow-nfilter ${passing}`
      else if (file !== PRINTED) yield ''
      else {
        const text = readText(join(folder, 'nfilter', `${name}${variable && `-v${variable}`}.csv`))
        const isOther = printSelected(filter, join(folder, file)) !== text
        yield isOther ? `${file}: ${definition} selects other flows than flow-nfilter` : ''
      }
    }
  } finally {
    rmSync(temporary, { recursive: true })
  }
}
