/** Text that nfdump printed of its files, byte for byte: what flowkit prints of the same files. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { formatOf, nfdumpText } from '../../formats/nfdump-text.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { TEXT_REASONS, type TextDifference } from './explanations-nfdump-text.ts'
import { nfdumpGoldens, type Golden } from './nfdump-goldens.ts'

/** What became of the texts. */
export interface TextReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

/** Compare all texts. */
export function checkNfdumpText(corpus: string): TextReport {
  if (!existsSync(join(corpus, 'peers/nfdump/golden.tar.xz'))) {
    return { summary: "nfdump's texts: none", problems: [] }
  }
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  const { TZ } = process.env
  process.env.TZ = 'UTC'
  try {
    const { texts, refused, unknown } = nfdumpGoldens(corpus, folder)
    const { summary, problems } = compareAll(texts)
    const taken = refused.filter(({ format }) => isTaken(format))
    return {
      summary: `${summary}; ${refused.length - taken.length} formats refused as by nfdump`,
      problems: [
        ...problems, ...unknown.map((path) => `${path}: of no known kind`),
        ...taken.map(({ path, format }) => `${path}: nfdump refuses ${format}`),
      ],
    }
  } finally {
    if (TZ === undefined) delete process.env.TZ
    else process.env.TZ = TZ
    rmSync(folder, { recursive: true })
  }
}

function isTaken(format: string): boolean {
  try {
    return formatOf(format) !== undefined
  } catch (error) {
    if (error instanceof FlowkitError) return false
    throw error
  }
}

function compareAll(goldens: Iterable<Golden>): TextReport {
  const explained = new Map<string, number>()
  const problems: string[] = []
  let [texts, same, lines] = [0, 0, 0]
  for (const golden of goldens) {
    const ours = print(golden)
    texts++
    lines += golden.text.split('\n').length - 1
    if (ours === golden.text) {
      same++
      continue
    }
    for (const difference of differences(golden, ours)) {
      const reason = TEXT_REASONS.find((each) => each.applies(difference))
      if (reason) explained.set(reason.id, (explained.get(reason.id) ?? 0) + 1)
      else if (problems.length < 50) {
        const { key, ours, theirs } = difference
        problems.push(`${golden.path} ${key}: ours ${ours}, theirs ${theirs}`)
      }
    }
  }
  const why = Array.from(explained, ([id, count]) => `${id} ${count}`).join(', ')
  const summary = `nfdump's texts: ${texts}, ${lines} lines, ${same} byte for byte; differences: ${why}`
  for (const { id } of TEXT_REASONS) {
    if (!explained.has(id)) problems.push(`no text of nfdump needs the reason ${id}`)
  }
  return { summary, problems }
}

/** flowkit's text of a file, damaged or not. */
function print({ file, format: name, request, limit = Infinity, isSummary = false }: Golden): string {
  const format = nfdumpText.find((each) => each.name === name) ?? formatOf(name)!
  const decoder = nfdump.decoder!({ fields: format.printed ?? [], onFault: () => {} })
  const encoder = format.encoder!(request)
  const bytes = readFileSync(file)
  const batch = new FlowBatch()
  const parts: Uint8Array[] = []
  let left = limit
  const take = (): void => {
    if (batch.length > 0 && left > 0) parts.push(encoder.encode(firstRows(batch, left)).slice())
    left -= batch.length
    batch.clear()
  }
  try {
    for (let at = 0, before = -1; at !== before; take()) [before, at] = [at, decoder.decode(bytes, at, batch)]
    decoder.end?.(batch)
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  take()
  parts.push(encoder.finish!())
  const text = Buffer.concat(parts).toString()
  return isSummary ? /^Summary[^]*/m.exec(text)?.[0] ?? '' : text
}

function firstRows(batch: FlowBatch, count: number): FlowBatch {
  if (count >= batch.length) return batch
  const first = new FlowBatch()
  for (let row = 0; row < count; row++) first.append(batch, row)
  return first
}

/** What differs, record by record: by member, line or cell where a record has these. */
function* differences({ format, text, isUnordered }: Golden, mine: string): Generator<TextDifference> {
  const [ours, theirs] = [mine, text].map((each) => recordsOf(each, format))
    .map((records) => isUnordered ? inOneOrder(records, format) : records)
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const record = theirs[i] ?? ''
    if (ours[i] === record) continue
    if (ours[i] === undefined || theirs[i] === undefined) {
      yield { format, key: '', ours: ours[i], theirs: theirs[i], record }
      continue
    }
    const [a, b] = [ours[i], record].map((each) => partsOf(each, format))
    const keys = [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key))
    const [order, theirOrder] = [[a, b], [b, a]]
      .map(([one, other]) => [...one.keys()].filter((key) => other.has(key)).join())
    if (order !== theirOrder || keys.length === 0) {
      yield { format, key: '', ours: ours[i], theirs: record, record }
    } else for (const key of keys) yield { format, key, ours: a.get(key), theirs: b.get(key), record }
  }
}

/** Objects of JSON, blocks of raw, lines. */
function recordsOf(text: string, format: string): string[] {
  if (format === 'raw') return text.split(/\n(?=Flow Record: \n)/)
  return text.split(/^nfdump-json/.test(format) ? /,\n(?= ?\{)/ : '\n')
}

/** Members of JSON that both have of every flow, whatever else they tell. */
const KEYS = /"(first|last|t_event|proto|(src|dst)(\d_addr|_port)|in_packets|in_bytes|post_vlanID)" : .*/g

/** Records in an order that does not come from the file, without their numbers. */
function inOneOrder(records: string[], format: string): string[] {
  if (!format.startsWith('nfdump-json')) return records.sort()
  return records.map((record) => record.replace(/^ *"cnt" : \d+,\n|^\[\n|\n\]\n$/gm, ''))
    .map((record) => [(record.match(KEYS) ?? []).join(), record])
    .sort(([a], [b]) => a < b ? -1 : a === b ? 0 : 1).map(([, record]) => record)
}

/** The parts of a record by their names. */
function partsOf(record: string, format: string): Map<string, string> {
  if (format === 'raw') {
    const [head, ...payload] = record.trim().split(/\n(?= {2}(?:in|out) payload)/)
    const lines = head.split('\n').map((line): [string, string] => [line.slice(0, 14).trim(), line])
    return new Map([...lines, ...payload.map((text): [string, string] => ['payload', text])])
  }
  if (/json/.test(format)) {
    const members = record.split(/[{}]?(?:,|^|$)\n?(?=\s*[{}]?\n?\s*")/)
    return new Map(members.map((member) => {
      const [, key, value] = /^[^"]*("[^"]+") ?: ?(.*?)[\s}\]]*$/s.exec(member) ?? []
      return key === undefined ? ['frame', member] : [key, value]
    }))
  }
  const names = format.startsWith('fmt') ? format.match(/%\w+/g)! : headerOf(format)
  const cells = format.startsWith('fmt') ? record.trim().split(/[\s|]+/) : record.split(/[,|]/)
  if (cells.length !== names.length || cells.length === 1) return new Map([['', record]])
  return new Map(cells.map((cell, i) => [names[i], cell]))
}

/** The names of the columns of a CSV. */
function headerOf(format: string): string[] {
  const { encoder } = nfdumpText.find((each) => each.name === format) ?? formatOf(format)!
  return Buffer.from(encoder!({}).finish!()).toString().split('\n')[0].split(',')
}
