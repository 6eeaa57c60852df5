/** Files of flow-tools put together by hand: the C structures of its ftlib.h, member by member. */
import { deflateSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import { readFlows } from '../../core/flow/stream.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import { plainRow } from './flows.ts'

const CLOCK = 'unix_secs:4 unix_nsecs:4 sysUpTime:4 exaddr:4'
const COUNTERS = 'dPkts:4 dOctets:4 First:4 Last:4'
const TOTALS = `${CLOCK} dFlows:4 ${COUNTERS}`
const PREFIX_TOTALS = `unix_secs:4 unix_nsecs:4 exaddr:4 sysUpTime:4 dFlows:4 ${COUNTERS}`
const GENERAL = `${CLOCK} srcaddr:4 dstaddr:4 nexthop:4 input:2 output:2 ${COUNTERS} srcport:2 dstport:2
  prot:1 tos:1 tcp_flags:1 -:1`
const V5 = `${GENERAL} engine_type:1 engine_id:1 src_mask:1 dst_mask:1 src_as:2 dst_as:2`
const ENGINE = 'engine_type:1 engine_id:1'

/** Members of the records of stream version 3 and their bytes, `-` for padding. */
export const RECORDS: Readonly<Record<string, string>> = {
  '1': `${GENERAL} -:4`,
  '5': V5,
  '6': `${V5} in_encaps:1 out_encaps:1 -:2 peer_nexthop:4`,
  '7': `${V5} router_sc:4`,
  '8.1': `${TOTALS} src_as:2 dst_as:2 input:2 output:2 ${ENGINE} -:2`,
  '8.2': `${TOTALS} prot:1 -:1 -:2 srcport:2 dstport:2 ${ENGINE} -:2`,
  '8.3': `${PREFIX_TOTALS} srcaddr:4 src_mask:1 -:1 src_as:2 input:2 ${ENGINE}`,
  '8.4': `${TOTALS} dstaddr:4 dst_mask:1 -:1 ${ENGINE} dst_as:2 output:2`,
  '8.5': `${TOTALS} srcaddr:4 dstaddr:4 dst_mask:1 src_mask:1 ${ENGINE} src_as:2 dst_as:2 input:2 output:2`,
  '8.6': `${CLOCK} ${COUNTERS} dstaddr:4 extra_pkts:4 router_sc:4 output:2 -:2 tos:1 marked_tos:1 ${ENGINE}`,
  '8.7': `${CLOCK} ${COUNTERS} dstaddr:4 srcaddr:4 extra_pkts:4 router_sc:4 output:2 input:2 tos:1
    marked_tos:1 ${ENGINE}`,
  '8.8': `${CLOCK} ${COUNTERS} dstaddr:4 srcaddr:4 extra_pkts:4 router_sc:4 dstport:2 srcport:2 output:2
    input:2 tos:1 marked_tos:1 ${ENGINE} prot:1 -:1 -:2`,
  '8.9': `${TOTALS} src_as:2 dst_as:2 input:2 output:2 ${ENGINE} tos:1 -:1`,
  '8.10': `${TOTALS} srcport:2 dstport:2 input:2 output:2 ${ENGINE} prot:1 tos:1`,
  '8.11': `${PREFIX_TOTALS} srcaddr:4 src_mask:1 tos:1 src_as:2 input:2 ${ENGINE}`,
  '8.12': `${PREFIX_TOTALS} dstaddr:4 output:2 dst_as:2 dst_mask:1 tos:1 ${ENGINE}`,
  '8.13': `${TOTALS} srcaddr:4 dstaddr:4 src_as:2 dst_as:2 input:2 output:2 dst_mask:1 src_mask:1 ${ENGINE}
    tos:1 -:1 -:2`,
  '8.14': `${TOTALS} srcaddr:4 dstaddr:4 srcport:2 dstport:2 input:2 output:2 dst_mask:1 src_mask:1 ${ENGINE}
    tos:1 prot:1 -:2`,
  '1005': `${V5} src_tag:4 dst_tag:4`,
}

/** The record of stream version 1, fts1rec_compat. */
export const STREAM1_RECORD: string = `
  unix_secs:4 unix_msecs:4 srcaddr:4 dstaddr:4 nexthop:4 input:2 output:2 ${COUNTERS} srcport:2 dstport:2 -:2
  prot:1 tos:1 tcp_flags:1 -:1 -:1 -:1 src_as:2 dst_as:2 src_mask:1 dst_mask:1 -:2`

/** flowkit's names of members, times aside. */
export const NAMES: Readonly<Record<string, string>> = {
  unix_secs: 'export_secs', unix_nsecs: 'export_nsecs', sysUpTime: 'sys_uptime', exaddr: 'exporter_addr',
  srcaddr: 'src_addr', dstaddr: 'dst_addr', nexthop: 'next_hop', input: 'in_if', output: 'out_if',
  dFlows: 'flows', dPkts: 'packets', dOctets: 'bytes', srcport: 'src_port', dstport: 'dst_port',
  prot: 'proto', tos: 'tos', tcp_flags: 'tcp_flags', engine_type: 'engine_type', engine_id: 'engine_id',
  src_mask: 'src_mask', dst_mask: 'dst_mask', src_as: 'src_as', dst_as: 'dst_as',
  in_encaps: 'in_encaps', out_encaps: 'out_encaps',
  peer_nexthop: 'peer_next_hop', router_sc: 'router_sc', extra_pkts: 'extra_packets',
  marked_tos: 'marked_tos', src_tag: 'src_tag', dst_tag: 'dst_tag',
}

/** Values by member. */
export type Members = Readonly<Record<string, number>>

/** When records are exported, and when their flows began and ended. */
export const EXPORTED = {
  unix_secs: 1_700_000_000, unix_nsecs: 123_456_789, sysUpTime: 100_000, First: 90_000, Last: 95_250,
} as const

/** Values for a record of `version`, different in every byte but for times. */
export function valuesOf(version: string): Members {
  const members = membersOf(RECORDS[version])
  const values = members.map(([name, size], i) => [name, 0x01020304 * (i + 1) % 256 ** size])
  return { ...Object.fromEntries(values.filter(([name]) => name !== '-')), ...EXPORTED }
}

/** Members of a record and their bytes. */
export function membersOf(record: string): [name: string, size: number][] {
  return record.trim().split(/\s+/).map((member) => {
    const [name, size] = member.split(':')
    return [name, Number(size)]
  })
}

/** The bytes of a record; members without a value are 0. */
export function recordBytes(record: string, values: Members, little: boolean): Buffer {
  return Buffer.concat(membersOf(record).map(([name, size]) => uint(values[name] ?? 0, size, little)))
}

/** A number of `size` bytes. */
export function uint(value: number, size: number, little: boolean): Buffer {
  const bytes = Buffer.alloc(size)
  if (little) bytes.writeUIntLE(value, 0, size)
  else bytes.writeUIntBE(value, 0, size)
  return bytes
}

/** A value of a header, behind its type and length. */
export function tlv(type: number, value: Uint8Array, little: boolean = true): Buffer {
  return Buffer.concat([uint(type, 2, little), uint(value.length, 2, little), value])
}

/** A header of stream version 3 for records of `version`, with further values. */
export function header(
  version: string, flags: number, little: boolean = true, ...more: readonly Uint8Array[]
): Buffer {
  const [main, scheme] = version.split('.').map(Number)
  const values = [
    tlv(2, uint(main, 2, little), little),
    ...scheme ? [tlv(3, uint(2, 1, little), little), tlv(4, uint(scheme, 1, little), little)] : [],
    tlv(8, uint(flags, 4, little), little), ...more,
  ]
  const body = Buffer.concat(values)
  const padding = Buffer.alloc(-body.length & 3)
  const magic = Buffer.from([0xcf, 0x10, little ? 1 : 2, 3])
  return Buffer.concat([magic, uint(8 + body.length + padding.length, 4, little), body, padding])
}

/** A file of records, packed or not. */
export function fileOf(
  version: string, records: readonly Members[],
  { little = true, level = 0 }: { readonly little?: boolean, readonly level?: number } = {},
): Buffer {
  const body = Buffer.concat(records.map((values) => recordBytes(RECORDS[version], values, little)))
  if (level === 0) return Buffer.concat([header(version, 0, little), body])
  return Buffer.concat([header(version, 2, little), deflateSync(body, { level })])
}

/** What was read of a file. */
export interface Read {
  readonly rows: Record<string, unknown>[]
  /** What ended the reading. */
  readonly error: unknown
}

/** How a file is read. */
interface Asked {
  /** Bytes of the pieces that it comes in. */
  readonly size?: number
  /** Ids, all unless told. */
  readonly fields?: readonly number[]
  readonly loss?: Loss
}

/** Read a file. */
export async function readFile(file: Uint8Array, { size = 1 << 20, ...asked }: Asked = {}): Promise<Read> {
  const rows: Record<string, unknown>[] = []
  const request = { fields: FIELDS.map(({ id }) => id), ...asked }
  const decoder = flowTools.decoder!({ ...request, onFault: ({ reason }) => { throw new Error(reason) } })
  try {
    for await (const batch of readFlows(pieces(file, size), decoder)) {
      for (let row = 0; row < batch.length; row++) rows.push(plainRow(batch, row))
    }
  } catch (error) {
    return { rows, error }
  }
  return { rows, error: undefined }
}

/** Read a file into one batch, all fields wanted. */
export function readBatch(file: Uint8Array): FlowBatch {
  const batch = new FlowBatch()
  const decoder = flowTools.decoder!({ fields: FIELDS.map(({ id }) => id), onFault() {} })
  decoder.decode(file, 0, batch)
  decoder.end?.(batch)
  return batch
}

async function* pieces(file: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += size) yield file.subarray(at, at + size)
}
