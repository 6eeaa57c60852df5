/** Numbers that flow-tools prints and batches have no column for, one for each row. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { exportClocks, type ExportClocks } from '../../core/netflow/encode/clock.ts'
import { endOfRun, markRuns } from '../../core/netflow/encode/row-runs.ts'

/** What can be had of a batch, by flow-tools' names where it has any. */
export const DERIVED = [
  'unix_secs', 'unix_nsecs', 'sysuptime', 'first', 'last', 'duration', 'octets_per_packet', 'end_flags',
] as const
/** One of DERIVED. */
export type DerivedName = (typeof DERIVED)[number]

const OF_CLOCK: readonly DerivedName[] = ['unix_secs', 'unix_nsecs', 'sysuptime', 'first', 'last']

/** Computes such numbers, always in the same arrays. */
export class Derived {
  private readonly wanted: readonly DerivedName[]
  private readonly columns = new Map<DerivedName, Uint32Array>()
  private readonly clocks: ExportClocks = exportClocks(false)
  private begins = new Uint8Array(0)

  constructor(wanted: readonly DerivedName[]) {
    this.wanted = wanted
  }

  /** The column of one of those wanted, valid until the next `compute`. */
  column(name: DerivedName): Uint32Array {
    return this.columns.get(name)!
  }

  /** Compute all that is wanted for the rows of `batch`. */
  compute(batch: FlowBatch): void {
    for (const name of this.wanted) {
      const known = this.columns.get(name)
      if (!known || known.length < batch.length) this.columns.set(name, new Uint32Array(batch.capacity))
    }
    if (this.wanted.some((name) => OF_CLOCK.includes(name))) this.clock(batch)
    for (const name of this.wanted) {
      if (name === 'duration') durations(batch, this.column(name))
      else if (name === 'octets_per_packet') octetsPerPacket(batch, this.column(name))
      else if (name === 'end_flags') endFlags(batch, this.column(name))
    }
  }

  /** The clock that each row was exported by, and its times by that. */
  private clock(batch: FlowBatch): void {
    const { clocks } = this
    const { length, flowStart, flowEnd, shape } = batch
    const [secs, nsecs, uptimes, firsts, lasts] = OF_CLOCK.map((name) => this.columns.get(name))
    const hasStart = batch.present(ID.flowStart)
    const hasEnd = batch.present(ID.flowEnd)
    if (this.begins.length < length) this.begins = new Uint8Array(batch.capacity)
    markRuns(batch, [], this.begins)
    clocks.begin(batch)
    for (let row = 0; row < length;) {
      const end = clocks.span(batch, row, endOfRun(this.begins, row, length))
      const { exportSecs, exportNsecs, exportMicros, sysUptime } = clocks.now
      for (; row < end; row++) {
        if (secs) secs[row] = exportSecs
        if (nsecs) nsecs[row] = exportNsecs
        if (uptimes) uptimes[row] = sysUptime
        // modulo 2^32, as the array stores it
        if (firsts) firsts[row] = hasStart[shape[row]] ? uptimeAt(flowStart, row, exportMicros, sysUptime) : 0
        if (lasts) lasts[row] = hasEnd[shape[row]] ? uptimeAt(flowEnd, row, exportMicros, sysUptime) : 0
      }
    }
  }
}

function uptimeAt(times: Float64Array, row: number, exportMicros: number, sysUptime: number): number {
  return sysUptime - Math.round((exportMicros - times[row]) / 1000)
}

/** Milliseconds from first to last, modulo 2^32. */
function durations(batch: FlowBatch, column: Uint32Array): void {
  const { length, shape, flowStart, flowEnd } = batch
  const hasStart = batch.present(ID.flowStart)
  const hasEnd = batch.present(ID.flowEnd)
  for (let row = 0; row < length; row++) {
    const known = hasStart[shape[row]] === 1 && hasEnd[shape[row]] === 1
    column[row] = known ? Math.floor((flowEnd[row] - flowStart[row]) / 1000) : 0
  }
}

function octetsPerPacket(batch: FlowBatch, column: Uint32Array): void {
  const { length, shape, bytes, packets } = batch
  const hasBytes = batch.present(ID.bytes)
  const hasPackets = batch.present(ID.packets)
  for (let row = 0; row < length; row++) {
    const known = hasBytes[shape[row]] === 1 && hasPackets[shape[row]] === 1 && packets[row] > 0
    column[row] = known ? Math.floor(bytes[row] / packets[row]) : 0
  }
}

/** FIN, SYN and RST. */
function endFlags(batch: FlowBatch, column: Uint32Array): void {
  const { length, shape, tcpFlags } = batch
  const known = batch.present(ID.tcpFlags)
  for (let row = 0; row < length; row++) column[row] = known[shape[row]] === 1 ? tcpFlags[row] & 7 : 0
}
