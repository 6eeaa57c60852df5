/** Damaged files on the command line: the good records, a line that tells the place, the exit code. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { flowkit } from '../support/flowkit.ts'

/** What became of the files. */
export interface DamagedReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

/** A damaged file, and what the peer printed of the records that it could read. */
interface Damaged {
  readonly path: string
  /** flowkit's name of the format that the file is in, and of that which the peer printed. */
  readonly from: string
  readonly to: string
  /** Lines of records. */
  readonly theirs: readonly string[]
}

/** A line that tells of a flow in what nfdump, flowd-reader and flow-export print. */
const FLOW_LINE = /^(\d{4}-\d\d-\d\d |FLOW |\d+,)/

/** Files in which there is nothing that a reader could find out: a changed value, more or no records. */
const SOUND = /(none|zstd)\.flip$|concatenated|nfdversion0|badcompression|empty|zero-bytes/

/** What tells of a place, or of the beginning. */
const PLACE = /byte \d+|header|magic|layout|blocks expected/

/** Read all of them. */
export async function checkDamaged(corpus: string): Promise<DamagedReport> {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  const problems: string[] = []
  const counts = { files: 0, theirs: 0, ours: 0 }
  try {
    for (const file of [...ofNfdump(corpus, folder), ...ofFlowd(corpus), ...ofFlowTools(corpus)]) {
      const { path, from, to, theirs } = file
      const args = ['read', path, '--from-format', from, '-o', to, '--utc', '-q']
      const { exitCode, stdout, stderr } = await flowkit(args, { TZ: 'UTC' })
      const ours = flowLines(stdout)
      counts.files++
      counts.theirs += theirs.length
      counts.ours += ours.length
      const name = basename(path)
      const other = theirs.findIndex((line, i) => withoutId(line) !== withoutId(ours[i]))
      if (other >= 0) problems.push(`${name} record ${other}: ours ${ours[other]}, theirs ${theirs[other]}`)
      const due = SOUND.test(name) ? 0 : ours.length > 0 ? 3 : 1
      if (exitCode !== due) problems.push(`${name}: exit code ${due} expected, ${exitCode} found: ${stderr}`)
      if (due > 0 && !PLACE.test(stderr)) problems.push(`${name}: a place is not told: ${stderr}`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  const { files, theirs, ours } = counts
  const summary = `damaged files: ${files}, ${theirs} records of theirs and ${ours - theirs} more; `
    + `${problems.length} problems`
  return { summary, problems }
}

function* ofNfdump(corpus: string, folder: string): Generator<Damaged> {
  const packed = join(corpus, 'peers/nfdump/damaged.tar.xz')
  if (!existsSync(packed)) return
  execFileSync('tar', ['xJf', packed, '-C', folder])
  const below = join(folder, 'damaged')
  for (const name of readdirSync(below).filter((each) => !/\.17[18]\.(csv|v)(\.err)?$/.test(each)).sort()) {
    const path = join(below, name)
    for (const [version, to] of [['171', 'nfdump-csv-1.7.1'], ['178', 'nfdump-csv']]) {
      yield { path, from: 'nfdump', to, theirs: flowLines(readText(`${path}.${version}.csv`)) }
    }
  }
}

function* ofFlowd(corpus: string): Generator<Damaged> {
  for (const [path, stem] of damagedIn(join(corpus, 'peers/flowd/damaged'), '.flowd')) {
    yield { path, from: 'flowd', to: 'flowd-text', theirs: flowLines(readText(`${stem}.txt`)) }
  }
}

function* ofFlowTools(corpus: string): Generator<Damaged> {
  for (const [path, stem] of damagedIn(join(corpus, 'peers/flow-tools/damaged'), '.ft')) {
    yield { path, from: 'flow-tools', to: 'flow-export', theirs: flowLines(readText(`${stem}.export.csv`)) }
  }
}

/** The files of a folder that have an ending, with their paths without it. */
function damagedIn(folder: string, ending: string): [path: string, stem: string][] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).filter((name) => name.endsWith(ending)).sort()
    .map((name) => [join(folder, name), join(folder, name.slice(0, -ending.length))])
}

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : gunzipSync(readFileSync(`${path}.gz`)).toString()
}

/** A line of nfdump's CSV without its number of the exporter, which flowkit numbers as it meets them. */
function withoutId(line: string | undefined): string | undefined {
  return line?.replace(/^((?:[^,]*,){46})\d+/, '$1')
}

function flowLines(text: string): string[] {
  return text.split('\n').filter((line) => FLOW_LINE.test(line))
}
