/** Datagrams for spools, and spools in temporary folders. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { formatIpv4, formatIpv6, parseIpv4 } from '../../../core/flow/address.ts'
import { MAX_BLOCK, putDatagram, readDatagram } from '../../../core/spool/datagram-block.ts'
import { newDatagram, type Datagram } from '../../../core/netflow/message.ts'
import { ip6 } from '../netflow/messages.ts'

/** 2026-11-20T09:00:00.250001Z, µs. */
export const TIME = 1_795_165_200_250_001

/** A datagram from an address and port. */
export function datagramOf(
  payload: Uint8Array, address: string = '198.51.100.1', port: number = 50_000, received: number = TIME,
): Datagram {
  const isV6 = address.includes(':')
  return {
    ...newDatagram(), bytes: payload, end: payload.length, port, received,
    ...isV6 ? { family: 6, v6: ip6(address) } : { family: 4, v4: parseIpv4(address) },
  }
}

/** The blocks of datagrams to port 2055, one behind the other. */
export function blocksOf(...datagrams: readonly Datagram[]): Uint8Array {
  const chunk = new Uint8Array(datagrams.length * MAX_BLOCK)
  const view = new DataView(chunk.buffer)
  let at = 0
  for (const datagram of datagrams) at = putDatagram(chunk, view, at, datagram, 2055)
  return chunk.slice(0, at)
}

/** What can be told of a datagram that was read. */
export interface Seen {
  readonly address: string
  readonly port: number
  readonly received: number
  readonly payload: string
}

/** The datagrams of the blocks in `bytes[start..end)`, payloads as Latin-1. */
export function seenIn(bytes: Uint8Array, start = 0, end: number = bytes.length): Seen[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const datagram = newDatagram()
  const seen: Seen[] = []
  for (let at = start; (at = readDatagram(bytes, view, at, end, datagram)) >= 0;) seen.push(seenOf(datagram))
  return seen
}

/** The same of one datagram. */
export function seenOf({ family, v4, v6, port, received, bytes, start, end }: Datagram): Seen {
  const address = family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0)
  return { address, port, received, payload: Buffer.from(bytes.subarray(start, end)).toString('latin1') }
}

/** A folder that is removed when the test ends. */
export function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-spool-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
