/** Files of every format: how fast they are written and read, beside the programs that they come from. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { faster, interleave, throughput, type Row } from './measure.ts'
import { FLOWKIT, output, timed, versionOf, type Command } from './processes.ts'

const ROUNDS = 3

/** A format, what its files are called here, and how its own program reads one. */
interface Format {
  readonly name: string
  readonly file: string
  readonly peer?: (path: string) => Command
}

const FORMATS: readonly Format[] = [
  { name: 'nfdump', file: 'x.nfcapd', peer: (path) => ['nfdump', '-r', path, '-o', 'csv'] },
  { name: 'flowd', file: 'x.flowd', peer: (path) => ['flowd-reader', '-c', path] },
  {
    name: 'flow-tools', file: 'x.ft', peer: (path) => ['sh', '-c', `flow-export -f2 < ${path}`],
  },
  { name: 'goflow2-json', file: 'x.goflow2.json' }, { name: 'goflow2-protobuf', file: 'x.goflow2.bin' },
  { name: 'ipfix-file', file: 'x.ipfix' }, { name: 'json', file: 'x.json' }, { name: 'csv', file: 'x.csv' },
  { name: 'cbor', file: 'x.cbor' }, { name: 'parquet', file: 'x.parquet' },
]

/** Rows about the flows of a capture, in files in `folder`. */
export async function measureFormats(capture: string, flows: number, folder: string): Promise<Row[]> {
  const rows: Row[] = []
  const readable = new Set(output([FLOWKIT, 'formats']).split('\n').map((line) => line.split(' ')[0]))
  for (const { name, file, peer } of FORMATS) {
    if (!readable.has(name)) continue
    const path = join(folder, file)
    const convert: Command = [FLOWKIT, 'convert', capture, path, '--to-format', name, '--force', '--quiet']
    const read: Command = [FLOWKIT, 'read', path, '--from-format', name, '-o', 'csv']
    const { write } = await interleave(ROUNDS, { write: () => timed(convert) })
    const bytes = existsSync(path) ? `, ${(statSync(path).size / flows).toFixed(1)} bytes a flow` : ''
    rows.push({ work: `convert a capture to ${name}`, flowkit: throughput(write, flows) + bytes })
    const program = peer?.(path)
    const known = program?.[0] === 'sh' ? 'flow-export' : program?.[0]
    if (!program || versionOf(known!) === undefined) {
      const { own } = await interleave(ROUNDS, { own: () => timed(read) })
      const missing = known === undefined ? {} : { peer: `${known} is not there` }
      rows.push({ work: `read ${name} -o csv`, flowkit: throughput(own, flows), ...missing })
      continue
    }
    const { own, theirs } = await interleave(ROUNDS, { own: () => timed(read), theirs: () => timed(program) })
    rows.push({
      work: `read ${name} -o csv`, flowkit: throughput(own, flows),
      peer: `${known}: ${throughput(theirs, flows)}`, ratio: faster(own, theirs),
    })
  }
  return rows
}
