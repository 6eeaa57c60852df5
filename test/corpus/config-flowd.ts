/** flowd.conf files that flowd refuses, and some like them that it takes: whether flowkit does the same. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseFlowdConf } from '../../cmd/flowd-conf.ts'
import { parseFilter } from '../../core/filter/filter.ts'
import { FlowkitError } from '../../core/flow/errors.ts'

const FOLDER = 'peers/flowd/badconf'

/** Why flowkit takes what flowd refuses; see corpus-notes.md. */
const REASONS: readonly { readonly id: string, readonly file: RegExp }[] = [
  { id: 'flowd-times', file: /^(after|days)-alone/ },
  { id: 'flowd-needs', file: /^no-(listen|log)/ },
]

/** What became of the files. */
export interface ConfigReport {
  /** How many flowkit takes or refuses as flowd does, of those refused naming the same line. */
  readonly same: number
  /** Files by the reason why flowkit takes them. */
  readonly explained: ReadonlyMap<string, number>
  readonly problems: readonly string[]
}

/** Compare all of them, as configurations and as files of rules. */
export function flowdConfigs(corpus: string): ConfigReport {
  const folder = join(corpus, FOLDER)
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.conf')).sort() : []
  const explained = new Map<string, number>()
  const problems: string[] = []
  let same = 0
  for (const name of names) {
    const text = readFileSync(join(folder, name), 'utf8')
    const said = readFileSync(join(folder, name.replace('.conf', '.out')), 'utf8')
    const isRefused = !/exit status 0/.test(said)
    const theirs = isRefused ? `refused at ${/conf:(\d+):/.exec(said)?.[1] ?? 'no line'}` : 'taken'
    const ours = verdict(() => parseFlowdConf(name, text))
    const reason = REASONS.find(({ file }) => file.test(basename(name)))?.id
    if (ours === theirs) same++
    else if (reason && ours === 'taken') explained.set(reason, (explained.get(reason) ?? 0) + 1)
    else problems.push(`${name}: ours ${ours}, flowd ${theirs}`)
    const rules = verdict(() => parseFilter(text, { dialect: 'flowd', path: name }))
    const isRule = /^(accept|discard)\b/im.test(text)
    const due = isRule ? ours : 'taken'
    if (rules !== due) problems.push(`${name}: as rules ${rules}, as a configuration ${ours}`)
  }
  return { same, explained, problems }
}

function verdict(read: () => unknown): string {
  try {
    read()
    return 'taken'
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    return `refused at ${/line (\d+)/.exec(error.message)?.[1] ?? 'no line'}`
  }
}
