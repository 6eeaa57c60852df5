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
/** Big-endian files of versions whose fields flow-tools does not swap all of. */
const UNSWAPPED = /(1005|8\.12)\.big/

/** Compare the texts of all files, and those of what is written of them again. */
export function checkFlowTools(corpus: string, list: readonly Listed[]): FlowToolsReport {
  const folder = join(corpus, 'peers/flow-tools')
  if (!has(corpus, 'peers/flow-tools/gen.tar.xz')) return { summary: "flow-tools' files: none", problems: [] }
  const unpacked = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  const problems: string[] = []
  const counts = { files: 0, lines: 0, same: 0, unswapped: 0 }

  function compare(file: string, golden: string, format: FlowFormat, request: WriteRequest = {}): void {
    const theirs = readText(golden)
    if (theirs === undefined || theirs === '') return // flow-tools read nothing, or does not print it so
    const ours = print(readRows(readFileSync(file)).batch, format, request).toString()
    const [a, b] = [ours.split('\n'), theirs.split('\n')]
    counts.lines += b.length - 1
    if (ours === theirs) return
    const line = a.findIndex((each, i) => each !== b[i])
    if (UNSWAPPED.test(file)) counts.unswapped++
    else problems.push(`${golden} line ${line}: ours ${a[line]}, theirs ${b[line]}`)
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
      compare(path, path.includes('damaged') ? `${stem}.export.csv` : `${stem}.csv`, flowExport)
      compare(path, `${stem}.print`, flowPrint)
      compare(path, `${stem}.print-f5`, flowPrintFormats[5])
      rewrite(path)
    }
    for (const [name, file] of [['hand', 'v5-hand.z6.ft'], ['real', 'real-netgraph-netflow5.ft']]) {
      const path = join(folder, 'capture', file)
      for (const [number, format] of flowPrintFormats.entries()) {
        compare(path, join(unpacked, 'print', `${name}.f${number}.txt`), format)
      }
      for (const [mask, names] of Object.entries(MASKS)) {
        const fields = FIELDS.filter(({ peers }) => names.split(' ').includes(peers['flow-tools'] ?? ''))
        const golden = join(folder, 'export', `${name}.${mask}.csv`)
        compare(path, golden, flowExport, { fields: fields.map(({ id }) => id) })
      }
    }
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
  const { files, lines, same, unswapped } = counts
  const summary = `flow-tools' files: ${files} read, ${lines} lines of text compared, ${same} the same when `
    + `written again; ${problems.length} problems, explained: flow-tools-unswapped ${unswapped}`
  return { summary, problems }
}

function readText(path: string): string | undefined {
  if (existsSync(path)) return readFileSync(path, 'utf8')
  return existsSync(`${path}.gz`) ? gunzipSync(readFileSync(`${path}.gz`)).toString() : undefined
}

/** All flows of a file, and what ended the reading before its end. */
function readRows(bytes: Uint8Array): { batch: FlowBatch, error: FlowkitError | undefined } {
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

function print(batch: FlowBatch, format: FlowFormat, request: WriteRequest = {}): Buffer {
  const encoder = format.encoder!({ ...request, utc: true })
  const rows = batch.length > 0 ? [Buffer.from(encoder.encode(batch))] : []
  return Buffer.concat([...rows, encoder.finish!()])
}
