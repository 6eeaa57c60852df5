import type { LedgerRow } from './ledger.ts'

/** What a collector has done since it began. */
export interface CollectorCounters {
  /** Datagrams and messages of connections; of these refused, since their exporters are not allowed. */
  datagrams: number
  refused: number
  /** Datagrams taken, but let go undecoded: neither the spool nor memory had room. */
  dropped: number
  /** Datagrams that the spool could not take, and that a sudden end would have lost. */
  unspooled: number
  /** Flow records decoded, and of these left out by the filter. */
  records: number
  filtered: number
  /** Counter samples decoded. */
  counterSamples: number
}

/** A socket, and what the kernel says of it. */
export interface SocketReport {
  readonly endpoint: string
  /** Bytes that the kernel keeps for it. */
  readonly receiveBuffer: number
  /** Datagrams that the kernel has dropped, most of them since the buffer was full. */
  readonly dropped: number
}

/** A listener for connections. */
export interface StreamReport {
  readonly endpoint: string
  /** Connections now open, and so far accepted, refused for their number, and closed for a fault. */
  readonly connections: number
  readonly accepted: number
  readonly refused: number
  readonly faults: number
}

/** Another collector that datagrams are sent on to. */
export interface ForwardReport {
  readonly endpoint: string
  /** Datagrams that the system took, and that it did not take at once. */
  readonly sent: number
  readonly dropped: number
}

/** Where flows go to. */
export interface SinkReport {
  readonly name: string
  /** Flows and counter samples in files that have their names. */
  rows: number
  counterSamples: number
  files: number
  bytes: number
  /** Flows decoded that it could not take, and that were not in the spool any more, or never. */
  lost: number
  /** Times that it could not be written to; what was to be written is in the spool, and written later. */
  failures: number
  /** Segments that have ended and that it does not have yet. */
  waiting: number
  /** 1 while it has taken nothing of what it was given for some time, else 0. */
  hanging: number
}

/** What a collector can say of itself. */
export interface CollectorReport {
  /** When it began, µs since the epoch. */
  readonly started: number
  readonly counters: Readonly<CollectorCounters>
  readonly sockets: readonly SocketReport[]
  readonly streams: readonly StreamReport[]
  readonly forwards: readonly ForwardReport[]
  readonly sinks: readonly Readonly<SinkReport>[]
  readonly exporters: readonly LedgerRow[]
  readonly spool: {
    /** Bytes of all segments, and how many there may be. */
    readonly bytes: number
    readonly limit: number
    /** Bytes on the disk that are kept for it. */
    readonly reserved: number
    /** Segments that have ended, but are not in all sinks yet. */
    readonly waiting: number
  }
}
