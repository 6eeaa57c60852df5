import { CaptureReader } from '../pcap/capture.ts'
import { BATCH_ROWS, UNKNOWN_DIRECTION, type PacketBatch } from './batch.ts'

/** Packets that come as a capture file, in chunks. */
export interface PacketStream {
  /** Packets given out so far. */
  readonly received: number
  /** Whether the last chunk has been read. */
  readonly isEmpty: boolean
  /** Fill a batch, as `Tap.fill` does. @throws FlowkitError where the stream is damaged */
  fill(batch: PacketBatch): number
}

/**
 * Read packets from chunks of a capture file.
 *
 * @param next gives the next chunk, undefined where there is none yet; it stays as it is until it is called again
 */
export function packetStream(next: () => Uint8Array | undefined): PacketStream {
  const reader = new CaptureReader()
  const { packet } = reader
  let received = 0
  let hasMore = false // `packet` is one that was not yet given out
  return {
    get received() { return received },
    get isEmpty() { return !hasMore },
    fill(batch) {
      // no chunk is pushed behind packets: it would move them
      while (!hasMore && !(hasMore = reader.next())) {
        const chunk = next()
        if (chunk === undefined) return 0
        reader.push(chunk)
      }
      const { start, end, wireLength, time, nanos, direction } = batch
      let row = 0
      batch.bytes = packet.bytes
      batch.linkType = packet.linkType
      for (; row < BATCH_ROWS && hasMore; hasMore = reader.next()) {
        start[row] = packet.start
        end[row] = packet.start + packet.length
        wireLength[row] = packet.originalLength
        time[row] = packet.time
        nanos[row] = packet.nanos
        direction[row++] = UNKNOWN_DIRECTION
      }
      received += row
      return row
    },
  }
}
