/**
 * flow-tools' files beside the datagrams that they were made of, and beside what flow-export makes of them
 * for other programs: cflowd's records (-f0), a capture with a packet for each flow (-f1), datagrams (-f4).
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { formatIpv4 } from '../../core/flow/address.ts'
import { readPairs, type Golden, type Reading } from './compare.ts'
import { packetsOf } from './corpus.ts'
import { readRows, readText } from './files-flow-tools.ts'
import { readFlowTools } from './golden-flow-tools.ts'
import { readFrame } from './packet.ts'
import { compareValues } from './peers.ts'
import { decode, rowOf } from './rows.ts'

const FOLDER = 'peers/flow-tools'
const GRAYLOG = 'real/graylog2/graylog2-server/src/test/resources/netflow-data'

/** Captures that were sent to flow-capture, and the file of each. */
const SENT: Readonly<Record<string, string>> = {
  [`${GRAYLOG}/netgraph-netflow5.pcap`]: 'real-netgraph-netflow5.ft',
  [`${GRAYLOG}/netflow5.pcap`]: 'real-netflow5.ft',
  'real/akvorado/outlet/flow/decoder/netflow/testdata/nfv5.pcap': 'real-nfv5.ft',
}

/** What the packets of -f1 have of a flow; the lengths in them are made up. */
const OF_PACKETS = ['etype', 'src_addr', 'dst_addr', 'proto', 'src_port', 'dst_port', 'tos']

/** What datagrams do not have of a file's flows. */
const OF_DATAGRAMS = new Set(['exporter_addr', 'received', 'sequence_num'])

/** A record of cflowd (its CflowdRawFlow with all fields): width and name of each value. */
const CFLOWD = [
  '4 index', '4 exporter_addr', '4 src_addr', '4 dst_addr', '2 in_if', '2 out_if', '2 src_port', '2 dst_port',
  '4 packets', '4 bytes', '4 next_hop', '4 flow_start', '4 flow_end', '1 proto', '1 tos', '2 src_as',
  '2 dst_as', '1 src_mask', '1 dst_mask', '1 tcp_flags', '1 engine_type', '1 engine_id',
].map((each) => each.split(' ')).map(([width, field]) => ({ width: Number(width), field }))

/** The `index` of records that have all fields that v5 has. */
const ALL_OF_V5 = '13107199'

type Values = ReadonlyMap<string, string>

/** What flow-export -f2 printed of files of flow-capture, and flowkit's reading of the datagrams. */
export function* flowToolsDatagrams(corpus: string): Generator<Golden> {
  for (const [file, name] of Object.entries(SENT)) {
    const path = `${FOLDER}/capture/${name}.csv`
    const text = readText(join(corpus, path))
    if (text === undefined || !existsSync(join(corpus, file))) continue
    const [pairs, records] = [readPairs(packetsOf(corpus, file)), readFlowTools(text)]
    const length = Math.max(pairs.length, records.length)
    const readings = Array.from({ length }, (_, record): Reading[] => {
      const [pair, said] = [pairs[record], records[record]]
      const base = { peer: 'flow-tools', golden: path, record, ...pair, all: said?.all }
      if (!base.row || !said) {
        return [{ ...base, field: 'record', ours: base.row && 'a flow', theirs: said && 'a record' }]
      }
      // the datagrams were sent again from another address
      const values = said.values.filter(({ field }) => field !== 'exporter_addr')
      return [...compareValues(base, base.row, { ...said, values })]
    }).flat()
    yield { path, files: [file], records: records.length, readings }
  }
}

/** The goldens of flow-export -f0, -f1 and -f4, and the readings of each. */
export function* flowToolsExports(corpus: string): Generator<Golden> {
  if (!existsSync(join(corpus, FOLDER, 'export'))) return
  for (const [name, source] of [['hand', 'v5-hand.z6.ft'], ['real', 'real-netgraph-netflow5.ft']]) {
    const file = `${FOLDER}/capture/${source}`
    const { batch } = readRows(readFileSync(join(corpus, file)))
    const rows = Array.from({ length: batch.length }, (_, i) => rowOf(batch, i, 0))
    for (const [number, read] of [[0, cflowd], [1, packets], [4, datagrams]] as const) {
      const path = `${FOLDER}/export/${name}.f${number}.bin`
      const records = read(corpus, path)
      const length = Math.max(rows.length, records.length)
      const readings = Array.from({ length }, (_, record): Reading[] => {
        const [row, values] = [rows[record], records[record]]
        const base = { peer: 'flow-export', golden: path, record, row }
        if (!row || !values) {
          return [{ ...base, field: 'record', ours: row && 'a flow', theirs: values && 'a record' }]
        }
        return [...values].map(([field, theirs]): Reading => {
          const ours = row.fields.get(field)
          // cflowd's times are whole seconds
          const isWhole = number === 0 && field.startsWith('flow_')
          return { ...base, field, ours: isWhole ? String(Math.floor(Number(ours) / 1e6)) : ours, theirs }
        })
      }).flat()
      yield { path, files: [file], records: records.length, readings }
    }
  }
}

function cflowd(corpus: string, path: string): Values[] {
  const bytes = readPacked(corpus, path)
  const records: Values[] = []
  for (let at = 0; at < bytes.length;) {
    const values = new Map<string, string>()
    for (const { width, field } of CFLOWD) {
      const value = bytes.readUIntBE(at, width)
      at += width
      values.set(field, /addr$|hop$/.test(field) ? formatIpv4(value) : String(value))
    }
    if (values.get('index') !== ALL_OF_V5) throw new Error(`${path}: fields ${values.get('index')}`)
    values.delete('index')
    records.push(values)
  }
  return records
}

/** A pcap file as 64-bit machines wrote it: its numbers have 8 bytes, so that nothing else reads it. */
function packets(corpus: string, path: string): Values[] {
  const bytes = readPacked(corpus, path)
  const records: Values[] = []
  for (let at = 48; at < bytes.length;) {
    const start = at + 32
    at = start + Number(bytes.readBigUInt64LE(at + 16))
    const values = readFrame(bytes.subarray(start, at))
    records.push(new Map([...values].filter(([field]) => OF_PACKETS.includes(field))))
  }
  return records
}

function datagrams(corpus: string, path: string): Values[] {
  return decode(packetsOf(corpus, path)).rows
    .map(({ fields }) => new Map([...fields].filter(([field]) => !OF_DATAGRAMS.has(field))))
}

function readPacked(corpus: string, path: string): Buffer {
  const plain = join(corpus, path)
  return existsSync(plain) ? readFileSync(plain) : gunzipSync(readFileSync(`${plain}.gz`))
}
