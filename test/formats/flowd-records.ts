/** Records of flowd's logs, written out by hand, and what is read in them. */
import { crc32 } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import type { Fault, FlowDecoder } from '../../core/flow/stream.ts'
import type { ReadRequest } from '../../formats/format.ts'
import { flowd } from '../../formats/flowd.ts'
import { plainRow } from './flows.ts'

/** Bytes of hexadecimal text; blanks do not count. */
export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

/** CRC-32 begun with 0 and not inverted, big-endian: zlib inverts before and after. */
export function crc(bytes: Uint8Array): Buffer {
  const out = Buffer.alloc(4)
  out.writeUInt32BE(~crc32(bytes, 0xffffffff) >>> 0)
  return out
}

/** A record of version 3: header, fields, and a checksum if the mask has it. */
export function record(mask: number, fields: string, version: number = 0x60): Buffer {
  const body = hex(fields)
  const isChecked = (mask & 0x40000000) !== 0
  const head = Buffer.from([version, (body.length + (isChecked ? 4 : 0)) / 4, 0, 0, 0, 0, 0, 0])
  head.writeUInt32BE(mask, 4)
  const plain = Buffer.concat([head, body])
  return isChecked ? Buffer.concat([plain, crc(plain)]) : plain
}

/** All fields with IPv4 addresses, and a checksum. */
export const FULL_MASK = 0x4007faaf
/** A flow of NetFlow v5 with all fields, of which each value is another. */
export const FULL: Buffer = record(FULL_MASK, `
  0000002a
  6a100000 000c3500
  1b 06 28 00
  c0000201  0a000001  c6336401  c00002fe
  8235 01bb
  0000000000000003  0000000000000abc
  00000004 00000005
  066ff300 6a0fffff 19e792c0 0005 0000
  066fd9c4 066fec5a
  0000fbf4 00003b41 18 10 0000
  0100 0700 000003e8 00000009`)
/** The same flow as flowkit has it. */
export const FULL_ROW: Readonly<Record<string, unknown>> = {
  type: 'NETFLOW_V5', received: '2026-05-22T07:04:32.800Z', exporter_addr: '192.0.2.1',
  observation_domain_id: 9, sequence_num: 1000, engine_type: 1, engine_id: 7, export_secs: 0x6a0fffff,
  export_nsecs: 434_606_784, sys_uptime: 108_000_000, tag: 42, flow_start: '2026-05-22T07:04:24.974Z',
  flow_end: '2026-05-22T07:04:29.732Z', bytes: 2748, packets: 3, proto: 6, src_addr: '10.0.0.1',
  dst_addr: '198.51.100.1', src_port: 33333, dst_port: 443, tcp_flags: 27, tos: 40, etype: 2048, in_if: 4,
  out_if: 5, src_as: 64500, dst_as: 15169, src_mask: 24, dst_mask: 16, next_hop: '192.0.2.254',
}

/** What was read in a log. */
export interface ReadLog {
  readonly rows: readonly Record<string, unknown>[]
  readonly faults: readonly Fault[]
  /** The message of what ended the reading, if something did. */
  readonly error?: string
  /** Bytes that were left. */
  readonly left: number
}

/** All ids of fields. */
export const ALL: readonly number[] = FIELDS.map(({ id }) => id)

/** Read a log, all its fields unless told. */
export function readLog(bytes: Uint8Array, request: Partial<ReadRequest> = {}): ReadLog {
  const faults: Fault[] = []
  const decoder = flowd.decoder!({ fields: ALL, onFault: (fault) => faults.push(fault), ...request })
  const batch = new FlowBatch()
  const rows: Record<string, unknown>[] = []
  let at = 0
  try {
    at = readAll(decoder, bytes, batch, rows)
  } catch (error) {
    rows.push(...rowsOf(batch))
    return { rows, faults, error: (error as Error).message, left: bytes.length - at }
  }
  return { rows, faults, left: bytes.length - at }
}

function readAll(
  decoder: FlowDecoder, bytes: Uint8Array, batch: FlowBatch, rows: Record<string, unknown>[],
): number {
  for (let at = 0; ;) {
    const next = decoder.decode(bytes, at, batch)
    rows.push(...rowsOf(batch))
    batch.clear()
    if (next === at) return at
    at = next
  }
}

function rowsOf(batch: FlowBatch): Record<string, unknown>[] {
  return Array.from({ length: batch.length }, (_, row) => plainRow(batch, row))
}

/** For logs without faults. */
export function noFault({ reason }: Fault): never {
  throw new Error(reason)
}

/** A batch with the rows of a log without faults, uptimes with them. */
export function batchOfLog(bytes: Uint8Array): FlowBatch {
  const batch = new FlowBatch()
  flowd.decoder!({ fields: ALL, extras: true, onFault: noFault }).decode(bytes, 0, batch)
  return batch
}
