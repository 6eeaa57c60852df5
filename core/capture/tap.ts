/** What the methods of capturing have in common. */
import { FlowkitError } from '../flow/errors.ts'
import { CaptureReader } from '../pcap/capture.ts'
import { BATCH_ROWS, UNKNOWN_DIRECTION, type PacketBatch } from './batch.ts'
import type { Interface, InterfaceFinder } from './interfaces.ts'

/** Packets of one interface so far. */
export interface TapCounts {
  readonly received: number
  readonly dropped: number
  readonly freezes: number
}

/** Where packets of one interface come from. */
export interface Tap {
  readonly index: number
  /** Readable when there are packets or it is broken; -1 where it wakes by itself who waits. */
  readonly fd: number
  /** Whether nothing more will come: it is to be closed, and may be opened again. */
  readonly isBroken: boolean
  /** Whether all that has come was given out. */
  readonly isEmpty: boolean
  /** Fill a batch. @returns how many packets; what was given before is given back only by `release` */
  fill(batch: PacketBatch): number
  /** `fd` is said to have an error: take it, so that it is said once. */
  takeError(): void
  /** What `fill` gave is no longer needed. */
  release(): void
  /** Take nothing more; what has come remains. */
  stop(): void
  counts(): TapCounts
  close(): void
}

/** A method of capturing that works on this machine. */
export interface TapOpener {
  readonly finder: InterfaceFinder
  /** @throws FlowkitError with the reasons of `cannotCapture` */
  open(from: Interface): Promise<Tap>
  close(): void
}

/** How taps are opened: LiveCaptureOptions with the defaults in place. */
export interface TapOptions {
  readonly snaplen: number
  readonly promiscuous: boolean
  readonly filter: string | undefined
  readonly ringSize: number
  readonly blockTimeout: number
  readonly fanout: number | undefined
  onNote(text: string): void
  /** Told of packets, or the end, of a tap without a descriptor. */
  wake(): void
}

/** What is missing where a process may not capture, and how to get it. */
const NOT_ALLOWED = 'this process lacks the capability CAP_NET_RAW: '
  + `run it as root, or grant it once by: setcap cap_net_raw+ep ${process.execPath}`

/**
 * Why an interface cannot be captured from, by the code of a system error: ERR_INPUT where the interface is
 * not there or not up, ERR_OPTION where the process may not, else ERR_UNSUPPORTED: another method may work.
 */
export function cannotCapture(name: string, code: string, cause?: unknown): FlowkitError {
  const message = (reason: string): string => `Cannot capture from ${name}: ${reason}`
  switch (code) {
    case 'EPERM':
    case 'EACCES':
      return new FlowkitError('ERR_OPTION', message(NOT_ALLOWED), { cause })
    case 'ENODEV':
    case 'ENXIO':
      return new FlowkitError('ERR_INPUT', message('there is no such interface'), { cause })
    case 'ENETDOWN':
      return new FlowkitError('ERR_INPUT', message('the interface is down'), { cause })
    default:
      return new FlowkitError('ERR_UNSUPPORTED', message(code), { cause })
  }
}

/** The error of a system call, or of anything else, as `cannotCapture` says it; a FlowkitError as it is. */
export function explainFailure(name: string, error: unknown): FlowkitError {
  if (error instanceof FlowkitError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return cannotCapture(name, code ?? message, error)
}

/** Packets that come as a capture file, in chunks. */
export interface PacketStream {
  /** Packets given out so far. */
  readonly received: number
  /** Whether the last chunk has been read. */
  readonly isEmpty: boolean
  /** Give out nothing that came later: µs since the epoch. */
  endAt(time: number): void
  /** Fill a batch, as `Tap.fill` does. @throws FlowkitError where the stream is damaged */
  fill(batch: PacketBatch): number
}

/**
 * Read packets from chunks of a capture file.
 *
 * @param next gives the next chunk, undefined where there is none yet; it stays as it is until the next call
 */
export function packetStream(next: () => Uint8Array | undefined): PacketStream {
  const reader = new CaptureReader()
  const { packet } = reader
  let received = 0
  let hasMore = false // `packet` is one that was not yet given out
  let last = Infinity

  function advance(): boolean {
    while (reader.next()) if (packet.time <= last) return true
    return false
  }
  return {
    get received() { return received },
    get isEmpty() { return !hasMore },
    endAt(time) { last = time },
    fill(batch) {
      // no chunk is pushed behind packets: it would move them
      while (!hasMore && !(hasMore = advance())) {
        const chunk = next()
        if (chunk === undefined) return 0
        reader.push(chunk)
      }
      const { start, end, wireLength, time, nanos, direction } = batch
      let row = 0
      batch.bytes = packet.bytes
      batch.linkType = packet.linkType
      for (; row < BATCH_ROWS && hasMore; hasMore = advance()) {
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
