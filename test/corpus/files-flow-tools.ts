/** flow-tools' files as a whole: their text as flow-export and flow-print print it, and the way back. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { lossByField, rowsLost } from '../../core/flow/loss.ts'
import { flowExport } from '../../formats/flow-export.ts'
import { flowPrint, flowPrintFormats } from '../../formats/flow-print.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import type { FlowFormat, WriteRequest } from '../../formats/format.ts'
import { has, type Listed } from './corpus.ts'
import { headerValues } from './headers-flow-tools.ts'

/** What became of the files. */
export interface FlowToolsReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

const ALL = FIELDS.map(({ id }) => id)
const ARCHIVES = ['gen', 'xform', 'print']
/** Fields that flow-export was asked for, by the golden's name. */
const MASKS: Readonly<Record<string, string>> = {
  mask: 'unix_secs dpkts doctets srcaddr dstaddr prot', 'mask-hex': 'unix_secs sysuptime exaddr dpkts',
}
/** What flow-print prints with other options: the cells are those of its own format. */
const OTHER_PRINTS: readonly { readonly ending: string, plain(theirs: string, ours: string): string }[] = [
  { ending: 'p', plain: (theirs) => theirs.replaceAll(/^#.*\n/gm, '') }, // -p: the header before the rows
  { ending: 'wl', plain: (theirs, ours) => inColumnsOf(ours, theirs) },
  { ending: 'n', plain: (theirs, ours) => inColumnsOf(ours, withoutNames(theirs, ours)) },
]
/** Big-endian files of versions whose fields flow-tools does not swap all of. */
const UNSWAPPED = /(1005|8\.12)\.big/

/** Compare the texts of all files, and those of what is written of them again. */
export function checkFlowTools(corpus: string, list: readonly Listed[]): FlowToolsReport {
  const folder = join(corpus, 'peers/flow-tools')
  if (!has(corpus, 'peers/flow-tools/gen.tar.xz')) return { summary: "flow-tools' files: none", problems: [] }
  const unpacked = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  const problems: string[] = []
  const counts = { files: 0, lines: 0, headers: 0, same: 0, unswapped: 0 }

  function compare(file: string, golden: string, format: FlowFormat, request: WriteRequest = {}): void {
    const theirs = readText(golden)
    if (theirs === undefined || theirs === '') return // flow-tools read nothing, or does not print it so
    const ours = print(readRows(readFileSync(file)).batch, format, request).toString()
    compareText(file, golden, ours, theirs)
  }

  function compareText(file: string, golden: string, ours: string, theirs: string): void {
    const [a, b] = [ours.split('\n'), theirs.split('\n')]
    counts.lines += b.length - 1
    if (ours === theirs) return
    const line = a.findIndex((each, i) => each !== b[i])
    if (UNSWAPPED.test(file)) counts.unswapped++
    else problems.push(`${golden} line ${line}: ours ${a[line]}, theirs ${b[line]}`)
  }

  function compareHeader(file: string, golden: string): void {
    const text = readText(golden)
    if (text === undefined) return
    for (const { name, ours, theirs } of headerValues(readFileSync(file), text)) {
      counts.headers++
      if (ours !== theirs) problems.push(`${golden} ${name}: ours ${ours}, theirs ${theirs}`)
    }
  }

  function rewrite(path: string): void {
    const bytes = readFileSync(path)
    const { batch, error } = readRows(bytes)
    if (error) return
    const encoder = flowTools.encoder!({})
    const again = readRows(Buffer.concat([encoder.encode(batch), encoder.finish!()])).batch
    const isSame = print(again, flowExport).equals(print(batch, flowExport))
    const loss = encoder.loss!()
    if (isSame && lossByField(loss).length === 0 && rowsLost(loss) === 0) counts.same++
    else problems.push(`${path}: written again it is another`)
  }

  try {
    for (const name of ARCHIVES) execFileSync('tar', ['xJf', join(folder, `${name}.tar.xz`), '-C', unpacked])
    const inFolder = (path: string) => readdirSync(path).filter((name) => /\.ft$|^split\.\d$/.test(name))
      .map((name) => join(path, name))
    for (const path of [
      ...['capture', 'stream1', 'damaged'].flatMap((name) => inFolder(join(folder, name))),
      ...['gen', 'xform'].flatMap((name) => inFolder(join(unpacked, name))),
    ]) {
      counts.files++
      const stem = path.includes('damaged') ? path.slice(0, -3)
        : path.includes('/gen/') ? path.replace(/\.(big|little)\..*/, '') : path
      compareHeader(path, `${path.includes('damaged') ? stem : path}.header`)
      compare(path, path.includes('damaged') ? `${stem}.export.csv` : `${stem}.csv`, flowExport)
      compare(path, `${stem}.cat.csv`, flowExport)
      compare(path, `${stem}.print`, flowPrint)
      compare(path, `${stem}.print-f5`, flowPrintFormats[5])
      rewrite(path)
    }
    for (const [name, file] of [['hand', 'v5-hand.z6.ft'], ['real', 'real-netgraph-netflow5.ft']]) {
      const path = join(folder, 'capture', file)
      for (const [number, format] of flowPrintFormats.entries()) {
        compare(path, join(unpacked, 'print', `${name}.f${number}.txt`), format)
      }
      const plain = print(readRows(readFileSync(path)).batch, flowPrint).toString()
      for (const { ending, plain: plainly } of OTHER_PRINTS) {
        const golden = join(unpacked, 'print', `${name}.${ending}.txt`)
        compareText(path, golden, plain, plainly(readText(golden)!, plain))
      }
      for (const [mask, names] of Object.entries(MASKS)) {
        const fields = FIELDS.filter(({ peers }) => names.split(' ').includes(peers['flow-tools'] ?? ''))
        const golden = join(folder, 'export', `${name}.${mask}.csv`)
        compare(path, golden, flowExport, { fields: fields.map(({ id }) => id) })
      }
    }
    compare(join(folder, 'capture/v5-hand.z6.ft'), join(unpacked, 'xform/import.csv'), flowExport)
    // flow-cat passed over the file between two
    const whole = join(folder, 'capture/real-netgraph-netflow5.ft')
    const { batch } = readRows(readFileSync(whole))
    move(readRows(readFileSync(whole)).batch, batch)
    const golden = join(folder, 'damaged/cat-good-bad-good.csv')
    compareText(whole, golden, print(batch, flowExport).toString(), readText(golden)!)
  } finally {
    rmSync(unpacked, { recursive: true })
  }
  for (const { path, records } of list.filter(({ protocol }) => protocol.startsWith('flow-tools'))) {
    counts.files++
    const { batch, error } = readRows(readFileSync(join(corpus, path)))
    const found = `${batch.length} flows of ${records}, ${error}`
    if (error || batch.length !== records) problems.push(`${path}: ${found}`)
    rewrite(join(corpus, path))
  }
  const { files, lines, headers, same, unswapped } = counts
  const summary = `flow-tools' files: ${files} read, ${lines} lines of text compared, ${headers} values of `
    + `headers, ${same} the same when written again; ${problems.length} problems, explained: `
    + `flow-tools-unswapped ${unswapped}`
  return { summary, problems }
}

/** The text of a golden, which may be gzipped; undefined where there is none. */
export function readText(path: string): string | undefined {
  if (existsSync(path)) return readFileSync(path, 'utf8')
  return existsSync(`${path}.gz`) ? gunzipSync(readFileSync(`${path}.gz`)).toString() : undefined
}

/** A text as `ours` has it where the cells are the same, whatever spaces are between them. */
function inColumnsOf(ours: string, theirs: string): string {
  const [a, b] = [ours, theirs].map((text) => text.split('\n'))
  return b.map((line, i) => cellsOf(line) === cellsOf(a[i] ?? '') ? a[i] : line).join('\n')
}

function cellsOf(line: string): string {
  return line.trim().split(/\s+/).join(' ')
}

/** flow-print -n with numbers for the names of its machine's files; each name stands for one number. */
function withoutNames(theirs: string, ours: string): string {
  const numbers = new Map<string, string>()
  const rows = ours.split('\n').map((line) => line.trim().split(/\s+/))
  return theirs.split('\n').map((line, i) => line.trim().split(/\s+/).map((cell, column) => {
    if (i === 0 || column < 2 || column > 4 || !/^[a-z]/.test(cell)) return cell
    const key = `${column === 2} ${cell}`
    const number = numbers.get(key) ?? rows[i]?.[column] ?? ''
    numbers.set(key, number)
    return number
  }).join(' ')).join('\n')
}

/** All flows of a file of flow-tools, and what ended the reading before its end. */
export function readRows(bytes: Uint8Array): { batch: FlowBatch, error: FlowkitError | undefined } {
  const all = new FlowBatch()
  const decoder = flowTools.decoder!({ fields: ALL, onFault() {} })
  const batch = new FlowBatch()
  let error: FlowkitError | undefined
  try {
    for (let at = 0, more = true; more;) {
      at = decoder.decode(bytes, at, batch)
      more = batch.length > 0
      move(batch, all)
    }
    decoder.end?.(batch)
  } catch (cause) {
    if (!(cause instanceof FlowkitError)) throw cause
    error = cause
  }
  move(batch, all)
  return { batch: all, error }
}

function move(from: FlowBatch, to: FlowBatch): void {
  for (let row = 0; row < from.length; row++) to.append(from, row)
  from.clear()
}

/** What a format prints of the flows, times in UTC. */
export function print(batch: FlowBatch, format: FlowFormat, request: WriteRequest = {}): Buffer {
  const encoder = format.encoder!({ ...request, utc: true })
  const rows = batch.length > 0 ? [Buffer.from(encoder.encode(batch))] : []
  return Buffer.concat([...rows, encoder.finish!()])
}
