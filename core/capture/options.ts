/** What a live capture is asked for, and what it gives. */
import type { PacketBatch } from './batch.ts'
import type { PacketFilter } from './filter.ts'

/**
 * Ways to get at packets, the best first: the kernel's ring (TPACKET_V3), the libpcap of this machine, and
 * tcpdump as a program that writes them to a pipe.
 */
export const CAPTURE_METHODS = ['ring', 'libpcap', 'tcpdump'] as const

/** One of CAPTURE_METHODS. */
export type CaptureMethod = (typeof CAPTURE_METHODS)[number]

/** Bytes that are kept of a packet unless told: headers, those of a tunnel too. */
export const DEFAULT_SNAPLEN = 256

/**
 * What a process without privileges captures with, as JSON: numbers of descriptors that it inherits, and a
 * filter that libpcap could not compile there.
 */
export interface PreparedCapture {
  /** The list of interfaces, a socket to ask about them, then sockets to capture with, in any order. */
  readonly descriptors: readonly number[]
  readonly filter?: PacketFilter
}

/** What to capture, and how. */
export interface LiveCaptureOptions {
  /** Names; with `*` at the end, all interfaces that begin so, also those that come later. */
  readonly interfaces: readonly string[]
  /** Bytes kept of a packet, beside a VLAN tag that the kernel had taken off; DEFAULT_SNAPLEN unless told. */
  readonly snaplen?: number
  /** Take what is not addressed to this machine as well; unless told, yes. */
  readonly promiscuous?: boolean
  /** A filter that the kernel runs: an expression of libpcap, pcap-filter(7). */
  readonly filter?: string
  /** Bytes of the buffer that the kernel fills, for each interface; 8 MiB unless told. */
  readonly ringSize?: number
  /** ms that the kernel lets packets wait for more of them; 60 unless told. */
  readonly blockTimeout?: number
  /** ms between looks at which interfaces there are; 1000 unless told. */
  readonly interval?: number
  /**
   * Share the packets with the other captures of this machine that say the same number, below 65,536 (such as
   * the process id): each is given to one of them, those of a connection to the same, in both directions; but
   * fragments by their addresses alone. Only the method `ring` can.
   */
  readonly fanout?: number
  /** The only method to use; for tests. */
  readonly method?: CaptureMethod
  /** What a privileged process has opened, for a process that may not do so itself; the method is `ring`. */
  readonly prepared?: PreparedCapture
  /** Told, in a sentence for the log, of an interface that has gone or come, and of a method that failed. */
  onNote(text: string): void
}

/** What came of an interface so far, also before it went and came back. */
export interface InterfaceReport {
  readonly name: string
  /** Its index; the last one where it has gone. */
  readonly index: number
  /** Whether packets are taken from it at the moment. */
  readonly isOpen: boolean
  /** Packets that passed the filter and found room: all of them come in batches. */
  readonly received: number
  /** Packets that passed the filter and found none. */
  readonly dropped: number
  /** How often the kernel stopped filling the ring until there was room. */
  readonly freezes: number
}

/** A capture that runs. Packets are taken in batches, never one by one. */
export interface LiveCapture {
  readonly method: CaptureMethod
  readonly batch: PacketBatch
  /**
   * A descriptor that is readable when there is something to receive: for a thread that watches on behalf of
   * another, as the main thread does for workers; -1 with the method `tcpdump`, and once it is closed.
   */
  readonly fd: number
  /**
   * Fill the batch with packets of one interface; the turn goes round. What the batch held goes back to the
   * kernel. Where there are none, block the thread for `timeout` ms at most (not with `tcpdump`).
   *
   * @returns how many there are; 0 when all that has come was received
   */
  receive(timeout?: number): number
  /**
   * Wait, while the event loop goes on, until there is something to receive; to be called after `receive` has
   * returned 0. For the main thread only, but with `tcpdump`: workers block in `receive`, or have it watch
   * `fd` for them.
   *
   * @returns false once the capture is closed, or has stopped and all packets were received
   */
  readable(): Promise<boolean>
  /** Of each interface that was captured from, by name. */
  report(): InterfaceReport[]
  /** Take no more packets. What has come is still received: `readable` tells when that is all. */
  stop(): void
  /** Whether nothing is left to receive after `stop`: what `readable` tells, for those who cannot call it. */
  readonly isDone: boolean
  /** At once; what was not received is lost. The report stays. */
  close(): void
}
