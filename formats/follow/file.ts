import { open } from 'node:fs/promises'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { rowFeed, type Fault, type FlowDecoder } from '../../core/flow/stream.ts'
import { fileId, tailHash, TAIL_SIZE, type Place } from '../../core/follow/place.ts'
import { CHUNK_SIZE } from '../locations.ts'

/** A file of a stream format that is read while it grows. It stays the same when it is renamed. */
export interface GrowingFile {
  /** What there is of it now, from where it was left. */
  read(): AsyncGenerator<FlowBatch>
  /** It grows no more: what was waiting for more. */
  finish(): AsyncGenerator<FlowBatch>
  /** How far it was read, all flows given out being taken. */
  place(): Promise<Place>
  close(): Promise<void>
}

/** How to read one. */
export interface GrowingOptions {
  /** Where somebody else left it: its flows up to there are not given out again. */
  readonly from?: Place | undefined
  decoder(onFault: (fault: Fault) => void): FlowDecoder
  /** Told what cannot be read of it, the last thing being what ends the reading. */
  onFault(fault: Fault): void
}

/**
 * Open a file that may grow.
 *
 * The state of a decoder is not kept from one process to the next: it is made again, by reading once more
 * what was read.
 *
 * @throws the system error
 */
export async function openGrowing(
  path: string, { from, decoder, onFault }: GrowingOptions,
): Promise<GrowingFile> {
  const file = await open(path)
  const batch = new FlowBatch()
  const feed = rowFeed(decoder(report), batch, () => batch.clear())
  const known = { offset: from?.offset ?? 0, rows: from?.rows ?? 0 }
  let offset = 0
  let rows = 0
  let tail = new Uint8Array(0)
  let isBroken = false

  function report(fault: Fault): void {
    if (offset > known.offset) onFault(fault) // else it was told before
  }

  /** Those of the rows at hand that nobody has taken. */
  function* fresh(found: Iterable<FlowBatch>): Generator<FlowBatch> {
    try {
      for (const batch of found) {
        const taken = Math.min(known.rows - rows, batch.length)
        rows += batch.length
        if (taken === batch.length) continue
        if (taken > 0) batch.keep(new Uint8Array(batch.length).fill(1, taken))
        yield batch
      }
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      isBroken = true
      report({ code: error.code, reason: error.message })
    }
  }

  return {
    async *read() {
      while (!isBroken) {
        const most = offset < known.offset ? Math.min(CHUNK_SIZE, known.offset - offset) : CHUNK_SIZE
        const bytes = Buffer.allocUnsafe(most)
        const { bytesRead } = await file.read(bytes, 0, bytes.length, offset)
        if (bytesRead === 0) break
        const chunk = bytes.subarray(0, bytesRead)
        offset += bytesRead
        tail = Buffer.concat([tail, chunk.subarray(-TAIL_SIZE)]).subarray(-TAIL_SIZE)
        yield* fresh(feed.take(chunk))
      }
      if (!isBroken) yield* fresh(feed.flush())
    },
    async *finish() {
      if (!isBroken) yield* fresh(feed.end())
      isBroken = true
    },
    async place() {
      const info = await file.stat()
      return {
        path, id: fileId(info), offset, rows: Math.max(rows, known.rows), tail: tailHash(tail),
        changed: info.mtimeMs,
      }
    },
    close: () => file.close(),
  }
}
