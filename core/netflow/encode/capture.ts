import type { FlowEncoder } from '../../flow/stream.ts'
import { captureWriter, type CaptureFormat, type Source } from '../../pcap/write.ts'
import { newLoss, type Loss } from '../../flow/loss.ts'
import { exportStreams, type EmitFrom, type ExportOptions } from './export-streams.ts'

/** Makes a capture of the datagrams that flows are exported in. */
export interface CaptureEncoder extends FlowEncoder {
  finish(): Uint8Array
  /** Datagrams so far. */
  readonly datagrams: number
  /** What the version could not carry so far. */
  loss(): Loss
}

/** A datagram that waits for those of other exporters, to be put in order. */
interface Made {
  readonly datagram: Uint8Array
  readonly source: Source
  readonly time: number
}

/** The port that collectors listen on for a message: 4739 (IPFIX), 6343 (sFlow), or 2055 by custom. */
export function collectorPort(message: Uint8Array): number {
  const version = message[0] << 8 | message[1]
  return version === 10 ? 4739 : version === 0 ? 6343 : 2055
}

/**
 * An encoder of captures: each exporter of the flows sends them once more, when the messages say.
 *
 * Datagrams are in the order of their times within a batch, which tools do not need but people expect.
 *
 * @throws RangeError if `maxSize` is too small for the version
 */
export function captureEncoder(
  options: Omit<ExportOptions, 'byExporter'>, format: CaptureFormat,
): CaptureEncoder {
  const streams = exportStreams({ ...options, byExporter: true })
  const aggregates = options.version !== 'sflow' && options.version.version === 8
  const writer = captureWriter(format)
  let made: Made[] = []
  let datagrams = 0

  const collect: EmitFrom = (datagram, source, time) => {
    datagrams++
    made.push({ datagram: datagram.slice(), source, time })
  }

  function take(): Uint8Array {
    made.sort((a, b) => a.time - b.time)
    for (const { datagram, source, time } of made) {
      writer.write(datagram, source, collectorPort(datagram), time)
    }
    made = []
    return writer.take()
  }

  return {
    get datagrams() { return datagrams },
    loss: () => streams.addLoss(newLoss()),
    encode(batch) {
      streams.encode(batch, collect)
      // of several exporters none waits long for more flows, which would bring them out of order
      if (streams.count > 1 && !aggregates) streams.flush(collect)
      return take()
    },
    finish() {
      streams.flush(collect)
      return take()
    },
  }
}
