import { ALL_FIELDS, checksum, HEADER_SIZE, isAmbiguous, layoutOf, VERSION_3 } from './layout.ts'
import { V2_MAGIC } from './v2.ts'

/** Records without fields, eight bytes each of which seven are 0, that are enough to go by. */
const ENOUGH_EMPTY = 4

/**
 * How sure, 0 to 100, that a file beginning with `head` is one of flowd's logs.
 *
 * Version 3 has no magic number. But a record must have its version, nothing in the reserved bits, known
 * fields and just their length: over 40 bits that are given, if it has fields at all. A checksum makes it
 * certain.
 */
export function probeFlowd(head: Uint8Array): number {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length >= 8 && view.getUint32(0) === V2_MAGIC) return view.getUint32(4) === 2 ? 95 : 0
  let records = 0
  let filled = 0
  let at = 0
  while (head.length - at >= HEADER_SIZE && isHeader(view, at)) {
    const { size, crc } = layoutOf(view.getUint32(at + 4))
    if (head.length - at < size) break
    const isPlain = head[at] === VERSION_3
    if (isPlain && crc > 0 && checksum(view, at, at + crc) === view.getInt32(at + crc)) return 95
    if (isPlain && size > HEADER_SIZE) filled++
    records++
    at += HEADER_SIZE + head[at + 1] * 4
  }
  if (filled > 1) return 80
  const isBroken = head.length - at >= HEADER_SIZE && !isHeader(view, at)
  if (isBroken) return 0
  if (filled === 1) return 60
  return records >= ENOUGH_EMPTY || (records > 0 && at === head.length) ? 55 : 0
}

/** Whether a header of version 3 stands at `at`, where eight bytes are left; of newer minor versions, too. */
export function isHeader(view: DataView, at: number): boolean {
  const version = view.getUint8(at)
  const mask = view.getUint32(at + 4)
  if (version >> 5 !== VERSION_3 >> 5 || view.getUint16(at + 2) !== 0 || isAmbiguous(mask)) return false
  const size = HEADER_SIZE + view.getUint8(at + 1) * 4
  const known = layoutOf(mask).size
  return version === VERSION_3 ? size === known && (mask & ~ALL_FIELDS) === 0 : size >= known
}
