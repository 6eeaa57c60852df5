import { BATCH_SIZE } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import type { FlowReader, InputFault } from '../flow/stream.ts'
import { CaptureReader, nextSound } from '../pcap/capture.ts'
import type { FlowMeter } from './meter.ts'

/** A capture file, pcap or pcapng. */
export interface CaptureInput {
  /** As the user named it. */
  readonly name: string
  /**
   * Its bytes, without compression, in chunks of any size; a chunk may be overwritten once the next is asked
   * for.
   */
  readonly chunks: AsyncIterable<Uint8Array>
}

/** Whether a packet is wanted: the one in `bytes` from `start` to `end`, of a LINKTYPE_. */
export type PacketTest = (
  bytes: Uint8Array, start: number, end: number, wireLength: number, linkType: number,
) => boolean

/**
 * Meter the packets of capture files, one after the other, and end all flows at the end.
 *
 * The flows of one file go on in the next; the times of the packets are the clock. A packet without a time
 * (pcapng's Simple Packet Block) has that of the one before it.
 *
 * @param onFault told of damage; a file that cannot be read further ends there, and the next one follows
 * @param passes tells which packets are metered; all unless it is given. What it throws ends the file
 * @returns the flows, in batches that are reused, unless the meter is given another by `exchange` before the
 * next is asked for
 */
export async function* meterCaptures(
  inputs: Iterable<CaptureInput> | AsyncIterable<CaptureInput>, meter: FlowMeter,
  onFault: (fault: InputFault) => void, passes?: PacketTest,
): FlowReader {
  let time = 0
  for await (const { name, chunks } of inputs) {
    const capture = new CaptureReader()
    const { packet } = capture
    function onDamage({ code, message }: FlowkitError): void {
      onFault({ code, reason: message, input: name })
    }
    try {
      for await (const chunk of chunks) {
        capture.push(chunk)
        while (nextSound(capture, capture, onDamage)) {
          const { bytes, start, length, originalLength, linkType } = packet
          if (packet.time !== 0) time = packet.time
          if (passes && !passes(bytes, start, start + length, originalLength, linkType)) continue
          meter.add(bytes, start, start + length, originalLength, time, linkType, 0)
          if (meter.finished.length < BATCH_SIZE) continue
          yield meter.finished
          meter.finished.clear()
        }
      }
      capture.end()
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      onDamage(error)
    }
  }
  while (meter.flush()) {
    yield meter.finished
    meter.finished.clear()
  }
}
