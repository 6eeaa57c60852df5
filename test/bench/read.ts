/** Reading: the same flows from the archive and from nfcapd's files, by programs from start to end. */
import { linkSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Archive } from './archive.ts'
import { faster, interleave, megabytes, throughput, type Row } from './measure.ts'
import { FLOWKIT, output, peakMemory, timed, type Command } from './processes.ts'

const ROUNDS = 3
const FILTER = 'proto tcp and dst port 443 and bytes > 100000'
/** How often a long report reads the same flows. */
const COPIES = 4

/** What there is to read. */
export interface Places {
  readonly flows: number
  readonly archive: Archive
  /** Folder of nfcapd's files; undefined where there is no nfdump. */
  readonly nfcapd: string | undefined
  /** The flows as NetFlow v9 in a capture. */
  readonly capture: string
  /** Folder for more. */
  readonly folder: string
}

/** One question to both programs. */
interface Query {
  readonly work: string
  readonly flows: number
  readonly own: Command
  /** Undefined where there is no peer. */
  readonly peer: Command | undefined
}

/** Everything about reading. */
export async function measureRead(places: Places): Promise<Row[]> {
  const { flows, archive: { path }, nfcapd, capture, folder } = places
  for (const filter of [[], [FILTER]]) checkSame(places, filter)
  const read = (what: string, ...args: string[]): Query => ({
    work: what, flows, own: [FLOWKIT, 'read', path, ...args],
    peer: nfcapd === undefined ? undefined : ['nfdump', '-R', nfcapd, ...args],
  })
  const top = (what: string, own: string, peer: string | undefined, times: number): Query => ({
    work: what, flows: flows * times, own: [FLOWKIT, 'analyze', 'top', '--by', 'dst_port', own],
    peer: peer === undefined ? undefined : ['nfdump', '-R', peer, '-s', 'dstport/bytes', '-n', '10'],
  })
  const [copies, peerCopies] = multiply(path, nfcapd, folder)
  const queries = [
    ...['json', 'csv', 'line'].map((format) => read(`read -o ${format}`, '-o', format)),
    read(`read -o csv '${FILTER}'`, '-o', 'csv', FILTER),
    top('analyze top --by dst_port', path, nfcapd, 1),
    top(`analyze top, the same ${COPIES} times`, copies, peerCopies, COPIES),
  ]
  const rows: Row[] = []
  for (const query of queries) rows.push(await measureQuery(query))
  const { time } = await interleave(ROUNDS, { time: () => timed([FLOWKIT, 'read', capture, '-o', 'json']) })
  rows.push({ work: 'read capture of NetFlow v9 -o json', flowkit: throughput(time, flows) })
  rows.push(await memoryRow(places))
  return rows
}

async function measureQuery({ work, flows, own, peer }: Query): Promise<Row> {
  if (!peer) {
    const { time } = await interleave(ROUNDS, { time: () => timed(own) })
    return { work, flowkit: throughput(time, flows), peer: 'nfdump is not there' }
  }
  const times = await interleave(ROUNDS, { own: () => timed(own), peer: () => timed(peer) })
  return {
    work, flowkit: throughput(times.own, flows), peer: `nfdump: ${throughput(times.peer, flows)}`,
    ratio: faster(times.own, times.peer),
  }
}

/** Make sure that all find as many flows. This also fills the page cache. */
function checkSame({ archive, nfcapd, capture }: Places, filter: readonly string[]): void {
  const found = new Map<string, number>()
  for (const path of [archive.path, capture]) {
    const csv = output([FLOWKIT, 'read', path, '-o', 'csv', '--fields', 'bytes', ...filter])
    found.set(path, csv.split('\n').length - 2) // the header, and behind the last line
  }
  if (nfcapd !== undefined) {
    const lines = output(['nfdump', '-R', nfcapd, '-o', 'line', ...filter])
    found.set(nfcapd, Number(/^Total \w+ processed: \d+, passed: (\d+)/m.exec(lines)?.[1]))
  }
  if (new Set(found.values()).size > 1) {
    const each = Array.from(found, ([path, flows]) => `${flows} flows in ${path}`)
    throw new Error(`Cannot compare what is not the same: ${each.join(', ')}`)
  }
}

/** An archive and a folder of nfcapd that hold the same files several times, by links. */
function multiply(archive: string, nfcapd: string | undefined, folder: string): [string, string | undefined] {
  const copies = join(folder, 'copies')
  const flows = join(archive, 'flows')
  for (const path of readdirSync(flows, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.parquet')) continue
    const name = path.replaceAll('/', '-')
    for (let i = 0; i < COPIES; i++) link(join(flows, path), join(copies, 'flows', `${i}`), name)
  }
  if (nfcapd === undefined) return [copies, undefined]
  const peerCopies = join(folder, 'nfcapd-copies')
  for (const name of readdirSync(nfcapd)) {
    for (let i = 0; i < COPIES; i++) link(join(nfcapd, name), peerCopies, `${name}-${i}`)
  }
  return [copies, peerCopies]
}

function link(path: string, folder: string, name: string): void {
  mkdirSync(folder, { recursive: true })
  linkSync(path, join(folder, name))
}

async function memoryRow({ archive, nfcapd }: Places): Promise<Row> {
  const peak = (path: string) => peakMemory([FLOWKIT, 'read', path, '-o', 'json'])
  const [{ path }] = archive.files
  const part = await peak(path)
  const all = await peak(archive.path)
  const flowkit = `${megabytes(all)}; of a quarter of the flows ${megabytes(part)}`
  const row = { work: 'read -o json: most memory', flowkit }
  if (nfcapd === undefined) return { ...row, peer: 'nfdump is not there' }
  const peer = await peakMemory(['nfdump', '-R', nfcapd, '-o', 'json'])
  return { ...row, peer: `nfdump: ${megabytes(peer)}`, ratio: `${(all / peer).toFixed(1)} × the memory` }
}
