import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Datagram } from '../netflow/message.ts'
import { MAX_BLOCK, SEGMENT_HEADER, putDatagram } from '../spool/datagram-block.ts'

/** Datagrams that are kept, at most. */
const MOST = 100

/**
 * Keeps datagrams that show bugs of flowkit in a folder, each as a capture file named by its contents; the
 * first hundred of them, so that anybody who can send them cannot fill the disk.
 *
 * @returns what keeps a datagram and gives its path; undefined: it is not kept
 */
export function badDatagrams(folder: string): (datagram: Readonly<Datagram>) => string | undefined {
  return (datagram) => {
    const { bytes, start, end } = datagram
    // in digits only: faults that differ in those are told once
    const name = `${crc32(bytes.subarray(start, end))}-${end - start}.pcapng`
    const path = join(folder, name)
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const names = readdirSync(folder)
      if (names.includes(name)) return path
      if (names.length >= MOST) return undefined
      const chunk = new Uint8Array(SEGMENT_HEADER.length + MAX_BLOCK)
      chunk.set(SEGMENT_HEADER)
      const size = putDatagram(chunk, new DataView(chunk.buffer), SEGMENT_HEADER.length, datagram, 0)
      writeFileSync(path, chunk.subarray(0, size), { mode: 0o600 })
      return path
    } catch {
      return undefined // the fault is told without it
    }
  }
}
