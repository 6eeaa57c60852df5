/** What flowd's rules and flow-nfilter's definitions select of their own files, held against flowkit. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { compileFilter, parseFilter, type Filter } from '../../core/filter/filter.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import { flowd } from '../../formats/flowd.ts'
import { countRows, readBatches, type FilterReport } from './filter-counts.ts'

/** flowd finds no flow for `any` without a port, though its manual has it; see corpus-notes.md. */
const ANY_ADDRESS = 'flowd-any'
const RULE_OF_ANY = /^.*(src|dst) any(?! port).*$/gm

/** Compare every rule file and definition. */
export function filterDialects(corpus: string): FilterReport {
  const problems: string[] = []
  const explained = new Map<string, number>()
  let same = 0
  for (const outcome of [...flowdRules(corpus), ...definitions(corpus)]) {
    if (outcome === '') same++
    else if (outcome === ANY_ADDRESS) explained.set(outcome, (explained.get(outcome) ?? 0) + 1)
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
    for (const [file, name, command, exit, passing] of lines) {
      if (exit !== '0') continue // the file has no such field
      const variable = /-v(\w+=\w+)/.exec(command)?.[1] ?? ''
      const definition = `${name} ${variable}`.trim()
      const filter = parseFilter(text, { dialect: 'flow-nfilter', definition, path: basename(path) })
      const batches = readBatches(flowTools, readFileSync(join(packed.has(file) ? temporary : folder, file)))
      const found = countRows(filter, batches)
      const isSame = found === Number(passing)
      yield isSame ? '' : `${file}: ${definition} selects ${found} flows, flow-nfilter ${passing}`
    }
  } finally {
    rmSync(temporary, { recursive: true })
  }
}
