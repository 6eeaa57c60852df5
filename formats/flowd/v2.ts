import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import {
  checksumFault, familyFault, recordReader, type RecordReader, type RecordRequest,
} from './decode.ts'
import {
  ALL_FIELDS, BIT, checksum, FLOWD_FIELDS, HEADER_SIZE, isAmbiguous, MAX_RECORD, SIZES, VERSION_3,
  type FlowdField,
} from './layout.ts'

/** Bytes of the header of a log of version 2: magic, version, start time, flags. */
export const V2_HEADER_SIZE = 16
/** What the header begins with. */
export const V2_MAGIC = 0x012cf047

/** Bytes of the mask that a record begins with, and is all its header. */
const MASK_SIZE = 4
/** Bytes of the fields that are wider in version 3. */
const NARROW: Readonly<Partial<Record<FlowdField, number>>> = {
  received: 4, // seconds
  interfaces: 4, // 16 bits each
  routing: 8, // AS numbers of 16 bits, prefix lengths, padding
  engine: 8, // type and id of 8 bits, padding, sequence number
}
/** Records that are rewritten at a time. */
const CHUNK = 64

/**
 * Check the header of a log of version 2 at `view[at]`.
 *
 * @throws FlowkitError ERR_UNSUPPORTED
 */
export function checkV2Header(view: DataView, at: number): void {
  const [magic, version] = [view.getUint32(at), view.getUint32(at + 4)]
  if (magic === V2_MAGIC && version === 2) return
  const found = magic === V2_MAGIC ? `version ${version}` : 'neither'
  throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read flowd log: version 2 or 3 wanted, ${found} found`)
}

/**
 * A reader of the records behind that header. They become records of version 3, which are read as such.
 *
 * One whose checksum is wrong, or with an address in both families, is reported and stepped over. One with
 * fields that nobody knows ends the reading, for records do not tell their lengths.
 */
export function v2Reader(request: RecordRequest): RecordReader {
  const { onFault } = request
  const records = recordReader(request)
  const rewritten = new Uint8Array(CHUNK * MAX_RECORD)
  const target = new DataView(rewritten.buffer)

  function isGood(view: DataView, at: number, size: number, mask: number, position: number): boolean {
    if (isAmbiguous(mask)) onFault(familyFault(position))
    else if ((mask & BIT.crc) === 0) return true
    else {
      const right = checksum(view, at, at + size - 4)
      const found = view.getInt32(at + size - 4)
      if (right === found) return true
      onFault(checksumFault(right, found, position))
    }
    return false
  }

  function read(bytes: Uint8Array, at: number, end: number, position: number, batch: FlowBatch): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const origin = position - at
    for (;;) {
      const room = Math.min(CHUNK, BATCH_SIZE - batch.length)
      let filled = 0
      for (let count = 0; count < room && end - at >= MASK_SIZE;) {
        const mask = view.getUint32(at)
        if ((mask & ~ALL_FIELDS) !== 0) {
          if (filled > 0) break // those before it come first
          const what = `fields of version 2 wanted, others (${mask.toString(16)}) found`
          throw new FlowkitError('ERR_MALFORMED', `Cannot read the record at byte ${origin + at}: ${what}`)
        }
        const size = sizeOf(mask)
        if (end - at < size) break
        if (isGood(view, at, size, mask, origin + at)) {
          filled += rewrite(view, at, mask, target, filled)
          count++
        }
        at += size
      }
      if (filled === 0) return at
      records.read(rewritten, 0, filled, 0, batch)
    }
  }
  return { read }
}

/** Bytes of a record of version 2. */
function sizeOf(mask: number): number {
  let size = MASK_SIZE + (mask & BIT.crc ? 4 : 0)
  for (const name of FLOWD_FIELDS) if (mask & BIT[name]) size += NARROW[name] ?? SIZES[name]
  return size
}

/** Write the record of version 2 at `view[at]` as one of version 3, without checksum. @returns its bytes */
function rewrite(view: DataView, at: number, mask: number, out: DataView, to: number): number {
  const start = to
  out.setUint32(start + 4, mask & ~BIT.crc)
  at += MASK_SIZE
  to += HEADER_SIZE
  for (const name of FLOWD_FIELDS) {
    if ((mask & BIT[name]) === 0) continue
    const size = NARROW[name] ?? SIZES[name]
    switch (name) {
      case 'received':
        out.setUint32(to, view.getUint32(at))
        out.setUint32(to + 4, 0)
        break
      case 'interfaces':
        out.setUint32(to, view.getUint16(at))
        out.setUint32(to + 4, view.getUint16(at + 2))
        break
      case 'routing':
        out.setUint32(to, view.getUint16(at))
        out.setUint32(to + 4, view.getUint16(at + 2))
        out.setUint32(to + 8, view.getUint32(at + 4))
        break
      case 'engine':
        out.setUint16(to, view.getUint8(at))
        out.setUint16(to + 2, view.getUint8(at + 1))
        out.setUint32(to + 4, view.getUint32(at + 4))
        out.setUint32(to + 8, 0)
        break
      default:
        for (let i = 0; i < size; i += 4) out.setUint32(to + i, view.getUint32(at + i))
    }
    at += size
    to += SIZES[name]
  }
  out.setUint32(start, VERSION_3 << 24 | (to - start - HEADER_SIZE) / 4 << 16)
  return to - start
}
