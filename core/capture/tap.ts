/** What the methods of capturing have in common. */
import { FlowkitError } from '../flow/errors.ts'
import type { PacketBatch } from './batch.ts'
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
export const NOT_ALLOWED: string = 'this process has not the capability CAP_NET_RAW (and CAP_NET_ADMIN, to be promiscuous): '
  + `run it as root, or once: setcap cap_net_raw,cap_net_admin+ep ${process.execPath}`

/**
 * Why an interface cannot be captured from, by the code of a system error: ERR_INPUT where the interface is not
 * there or not up, ERR_OPTION where the process may not, else ERR_UNSUPPORTED, when another method may be able to.
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
