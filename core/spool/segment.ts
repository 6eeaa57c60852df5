import { open, type FileHandle } from 'node:fs/promises'
import { FlowkitError } from '../flow/errors.ts'
import {
  CUT, MAX_BLOCK, TRAILER, describeFault, faultOf, isDatagramBlock, type Fault,
} from './datagram-block.ts'

/** Whole blocks of a segment, for `readDatagram`: valid until the next step of who reads them. */
export interface SegmentChunk {
  readonly bytes: Uint8Array
  /** Of all `bytes`. */
  readonly view: DataView
  /** The blocks are `bytes[start..end)`. */
  readonly start: number
  readonly end: number
  /** Where the first is in the file. */
  readonly offset: number
}

/** The chunks of a segment in order. */
export interface SegmentReader extends AsyncIterable<SegmentChunk> {
  /** Bytes at the end that are no whole block, known when all is read: what a sudden end has cut. */
  readonly dropped: number
}

/** Bytes of blocks that are taken together. */
const CHUNK_SIZE = 1 << 20

/**
 * Read a segment that nobody writes to, in chunks of about 1 MiB; all blocks in them are right.
 *
 * @param onDamage told of each damaged place that right blocks stand behind, before these are given out:
 *   FlowkitError ERR_TRUNCATED or ERR_MALFORMED with where it is and what it takes
 * @throws the system error of a file that cannot be read
 */
export function readSegment(path: string, onDamage: (error: FlowkitError) => void): SegmentReader {
  let dropped = 0
  return {
    get dropped() { return dropped },
    async *[Symbol.asyncIterator]() {
      await using file = await open(path)
      dropped = yield* chunksOf(file, path, onDamage)
    },
  }
}

/** A place that is not read, from when it is met until right blocks are found behind it. */
interface Damage {
  readonly fault: Fault
  readonly description: string
  readonly offset: number
}

/** @returns how many bytes at the end are dropped */
async function* chunksOf(
  file: FileHandle, path: string, onDamage: (error: FlowkitError) => void,
): AsyncGenerator<SegmentChunk, number> {
  const bytes = new Uint8Array(CHUNK_SIZE + MAX_BLOCK)
  const view = new DataView(bytes.buffer)
  let origin = 0 // where bytes[0] is in the file
  let filled = 0
  let isEnd = false
  let start = 0 // of the right blocks that are not given out yet
  let at = 0
  let damage: Damage | undefined
  for (;;) {
    if (filled - at < MAX_BLOCK && !isEnd) {
      if (at > start && !damage) yield { bytes, view, start, end: at, offset: origin + start }
      bytes.copyWithin(0, at, filled)
      origin += at
      filled -= at
      start = at = 0
      filled += await fill(file, bytes.subarray(filled), origin + filled)
      isEnd = filled < bytes.length
    }
    if (at >= filled) break
    const fault = faultOf(view, at, filled)
    if (fault === undefined) {
      if (damage) {
        onDamage(errorOf(path, damage, origin + at))
        damage = undefined
        start = at
      }
      at += view.getUint32(at + 4, true)
    } else {
      if (!damage) {
        if (at > start) yield { bytes, view, start, end: at, offset: origin + start }
        const offset = origin + at
        damage = { fault, description: describeFault(fault, view, at, filled, offset), offset }
      }
      at += stepOver(fault, view, at, filled)
    }
  }
  if (damage) return origin + filled - damage.offset
  if (at > start) yield { bytes, view, start, end: at, offset: origin + start }
  return 0
}

/** @returns how many bytes were read, less than there is room for at the end only */
async function fill(file: FileHandle, room: Uint8Array, position: number): Promise<number> {
  let count = 0
  while (count < room.length) {
    const { bytesRead } = await file.read(room, count, room.length - count, position + count)
    if (bytesRead === 0) break
    count += bytesRead
  }
  return count
}

/** How far behind a fault a right block may be. */
function stepOver(fault: Fault, view: DataView, at: number, end: number): number {
  if (end - at < 12) return end - at
  const size = view.getUint32(at + 4, true)
  // what looks like a block within a payload is none: payloads are searched only where the length is lost
  if ((fault === CUT || fault === TRAILER) && isDatagramBlock(view, at)) return size
  const isFramed = size >= 12 && size <= end - at && view.getUint32(at + size - 4, true) === size
  return isFramed && size % 4 === 0 ? size : 4
}

function errorOf(path: string, { fault, description, offset }: Damage, next: number): FlowkitError {
  const skipped = `${next - offset} bytes are skipped`
  return new FlowkitError(fault.code, `Cannot read spool segment "${path}": ${description}, ${skipped}`)
}
