/** Files of nfdump for tests: written and read whole, or put together byte by byte. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import type { Loss } from '../../core/flow/loss.ts'
import type { Fault } from '../../core/flow/stream.ts'
import type { FlowFormat, ReadRequest, WriteRequest } from '../../formats/format.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { ip6, join, rows, type Row } from '../core/netflow/messages.ts'

const ALL = FIELDS.map(({ id }) => id)
/** When the flows of tests begin, ms. */
export const T = 1_795_000_000_123

/** What was read of a file. */
export interface Read {
  readonly rows: readonly Row[]
  readonly faults: readonly Fault[]
  /** What ended the reading. */
  readonly error: string | undefined
}

/** Read a whole file, in chunks of so many bytes. */
export function readFile(
  bytes: Uint8Array, request: Omit<ReadRequest, 'onFault'> = {}, chunkSize: number = bytes.length,
): Read {
  const found: Row[] = []
  const faults: Fault[] = []
  const decoder = nfdump.decoder!({ ...request, onFault: (fault) => faults.push(fault) })
  const batch = new FlowBatch()
  let error: string | undefined
  let at = 0
  try {
    for (let end = chunkSize; ; end = Math.min(end + chunkSize, bytes.length)) {
      let isMore = true
      while (isMore) {
        at += decoder.decode(bytes.subarray(at, end), 0, batch)
        isMore = batch.length >= BATCH_SIZE
        found.push(...rows(batch))
        batch.clear()
      }
      if (end >= bytes.length) break
    }
    decoder.end?.(batch)
    if (at < bytes.length) error = `${bytes.length - at} bytes are left`
  } catch (thrown) {
    error = (thrown as Error).message
  }
  return { rows: [...found, ...rows(batch)], faults, error }
}

/** The rows of a file of these records, all fields and elements wanted; nothing may be wrong with it. */
export function read(...records: readonly Uint8Array[]): Row[] {
  const { rows, faults, error } = readFile(file([block(records)]), { fields: ALL, extras: true })
  assert.deepEqual([faults, error], [[], undefined])
  return [...rows]
}

/** The file that is written of batches, and what was lost; by `nfdump` unless told. */
export async function writeFile(
  { format = nfdump, ...request }: WriteRequest & { readonly format?: FlowFormat },
  ...batches: readonly FlowBatch[]
): Promise<{ readonly bytes: Buffer, readonly loss: Loss }> {
  const folder = mkdtempSync(joinPath(tmpdir(), 'flowkit-nfdump-'))
  try {
    const path = joinPath(folder, 'nfcapd.1')
    const writer = await format.create!(path, request)
    for (const batch of batches) await writer.write(batch)
    await writer.close()
    return { bytes: readFileSync(path), loss: writer.loss!() }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Numbers with their lowest byte first: `le(2, 1)` is 1 in two bytes; more numbers follow. */
export function le(length: number, ...values: readonly (number | bigint)[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => (
    Array.from({ length }, (_, i) => Number(BigInt(value) >> BigInt(i * 8) & 255n))
  )))
}

/** An extension of a flow record: id, length with this header, contents. */
export function extension(id: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = join(...parts)
  return join(le(2, id, body.length + 4), body)
}

/** Extension 1: times, counters, ports, protocol, flags, status, TOS; what is told differs from GENERIC. */
export function generic(told: { readonly [name in 'proto' | 'dstPort' | 'packets']?: number } = {}): Uint8Array {
  const { proto = 6, dstPort = 443, packets = 10 } = told
  return extension(
    1, le(8, T, T + 456, T + 900, packets, 1500), le(2, 50_000, dstPort), le(1, proto, 0x1b, 64, 0xb8),
  )
}

/** The fields of extension 1. */
export const GENERIC: Row = {
  flow_start: T * 1000, flow_end: (T + 456) * 1000, received: (T + 900) * 1000, packets: 10, bytes: 1500,
  src_port: 50_000, dst_port: 443, proto: 6, tcp_flags: 0x1b, forwarding_status: 64, tos: 0xb8,
}

/** IPv6 as nfdump has it: two numbers of 64 bits. */
export function two64(address: string): Uint8Array {
  const bytes = ip6(address)
  return join(bytes.slice(0, 8).reverse(), bytes.slice(8).reverse())
}

/** What a flow record's header says where it is not 0. */
export interface FlowHeader {
  readonly engineType?: number
  readonly engineId?: number
  readonly sysid?: number
  readonly flags?: number
  readonly version?: number
}

/** A flow record of nfdump 1.7. */
export function flow(header: FlowHeader, ...extensions: readonly Uint8Array[]): Uint8Array {
  const { engineType = 0, engineId = 0, sysid = 0, flags = 0, version = 0 } = header
  const body = join(...extensions)
  return join(
    le(2, 11, body.length + 12, extensions.length), le(1, engineType, engineId), le(2, sysid),
    le(1, flags, version), body,
  )
}

/** The record of an exporter as 1.7.8 writes it: its address is 16 bytes, of IPv4 mapped into IPv6. */
export function exporter(sysid: number, version: number, id: number, address: Uint8Array): Uint8Array {
  return join(le(2, 7, 32), le(4, version), address, le(2, 0, sysid), le(4, id))
}

/** The record of a sampler. */
export function sampler(sysid: number, id: number, interval: number, space: number): Uint8Array {
  return join(le(2, 15, 24, sysid, 0), le(8, BigInt.asUintN(64, BigInt(id))), le(4, interval, space))
}

/** How a block differs from one of its records as they are. */
export interface BlockHeader {
  readonly type?: number
  readonly count?: number
  readonly pack?: (bytes: Uint8Array) => Uint8Array
}

/** A block of records. */
export function block(records: readonly Uint8Array[], header: BlockHeader = {}): Uint8Array {
  const { type = 3, count = records.length, pack = (bytes) => bytes } = header
  const body = pack(join(...records))
  return join(le(4, count, body.length), le(2, type, 0), body)
}

/** What the header of a file says where it is not 0, and how its last block is packed. */
export interface FileHeader {
  readonly compression?: number
  readonly ident?: string
  readonly pack?: (bytes: Uint8Array) => Uint8Array
}

/** A file of layout 2 with identifier and statistics. */
export function file(blocks: readonly Uint8Array[], header: FileHeader = {}): Uint8Array {
  const { compression = 0, ident = 'none', pack = (bytes) => bytes } = header
  const name = new TextEncoder().encode(`${ident}\0`)
  const appendix = block([
    join(le(2, 0x8001, 4 + name.length), name), join(le(2, 0x8002, 148), new Uint8Array(144)),
  ], { pack })
  const data = join(...blocks)
  return join(
    le(2, 0xa50c, 2), le(4, 0x01070100), le(8, 1_795_000_000), le(1, compression, 0), le(2, 1), le(4, 1),
    le(8, 40 + data.length), le(4, 0, blocks.length), data, appendix,
  )
}

/** Extension 2: 10.1.2.3 and 198.51.100.7. */
export const V4: Uint8Array = extension(2, le(4, 0x0a010203, 0xc6336407))
/** No address. */
export const NOWHERE: Uint8Array = new Uint8Array(16)
