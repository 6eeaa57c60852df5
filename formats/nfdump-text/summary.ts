/** What nfdump prints behind the flows. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { TimeWriter } from '../../core/flow/byte-writer.ts'
import { ID } from '../../core/flow/fields.ts'
import { putDuration, putRightCount, putScaled } from './put.ts'
import type { Style } from './rows.ts'
import { startOf } from './times.ts'

/** Ids of the fields that are added up. */
export const COUNTED: readonly number[] = [
  ID.flowStart, ID.flowEnd, ID.eventTime, ID.flows, ID.bytes, ID.packets, ID.outBytes, ID.outPackets,
]

/** Counts of all flows of an output. */
export interface Totals {
  readonly flows: number
  /** Bytes and packets of both directions. */
  readonly octets: number
  readonly packets: number
  /** Averages a second and a packet, 0 where the time window is not known. */
  readonly bps: number
  readonly pps: number
  readonly bpp: number
}

/** Adds up flows. */
export class Summary {
  records = 0
  private readonly style: Style
  private readonly since = performance.now()
  private readonly before = process.cpuUsage()
  private flows = 0
  private octets = 0
  private packets = 0
  /** First and last packet, µs; 0 while unknown. */
  private readonly window = new Float64Array(2)

  constructor(style: Style) {
    this.style = style
  }

  /** Count the rows of `batch`. */
  add(batch: FlowBatch): void {
    const { length, shape, shapes } = batch
    this.records += length
    this.flows += length + sum(batch, ID.flows) - count(batch, ID.flows)
    this.octets += sum(batch, ID.bytes) + sum(batch, ID.outBytes)
    this.packets += sum(batch, ID.packets) + sum(batch, ID.outPackets)
    let [first, last] = this.window
    for (const id of [ID.flowStart, ID.eventTime]) {
      if (!batch.has(id)) continue
      const column = batch.column(id) as Float64Array
      const isStart = Uint8Array.from(shapes, (each) => startOf({ batch, shape: each }) === column ? 1 : 0)
      for (let row = 0; row < length; row++) {
        const time = column[row]
        if (isStart[shape[row]] === 1 && time >= 1000 && (first === 0 || time < first)) first = time
      }
    }
    if (batch.has(ID.flowEnd)) {
      const { flowEnd } = batch
      const has = batch.present(ID.flowEnd)
      for (let row = 0; row < length; row++) {
        if (has[shape[row]] === 1 && flowEnd[row] > last) last = flowEnd[row]
      }
    }
    this.window.set([first, last])
  }

  /** What has been added up. */
  totals(): Totals {
    const { flows, octets, packets } = this
    const [first, last] = this.window
    const seconds = (Math.floor(last / 1000) - Math.floor(first / 1000)) / 1000
    const timed = first > 0 && seconds > 0
    return {
      flows, octets, packets,
      bps: timed ? Math.floor(octets * 8 / seconds) : 0,
      pps: timed ? Math.floor(packets / seconds) : 0,
      bpp: timed && packets > 0 ? Math.floor(octets / packets) : 0,
    }
  }

  /** The lines of 1.7.8. How many bytes of files were read is not known here: 0. */
  lines(): string {
    const { records, window: [first, last] } = this
    const millis = Math.max(0, Math.floor(last / 1000) - Math.floor(first / 1000))
    const length = textOf((view) => putDuration(millis, view, 0))
    const window = first === 0 || last === 0 ? '<unknown>' : `${this.timeWindow(3)}, Duration:${length}`
    const counts = `Total records processed: ${records}, passed: ${records}, Blocks skipped: 0, Bytes read: 0`
    return `${this.totalsLine()}Time window: ${window}\n${counts}\n${this.runLine()}`
  }

  /** The lines of 1.7.1. */
  lines171(): string {
    const { records } = this
    const counts = `Total flows processed: ${records}, passed: ${records}, Blocks skipped: 0, Bytes read: 0`
    return `${this.totalsLine()}Time window: ${this.windowOfSeconds()}\n${counts}\n${this.runLine()}`
  }

  /** The lines of 1.6. */
  lines16(): string {
    const { records } = this
    const { user, system } = process.cpuUsage(this.before)
    const used = (user + system) / 1e6
    const wall = (performance.now() - this.since) / 1000
    const [bySys, byWall] = [used, wall].map((seconds) => {
      const rate = (seconds > 0 ? records / seconds : 0).toFixed(1)
      return `${seconds.toFixed(3)}s flows/second: ${rate.padEnd(10)}`
    })
    return `${this.totalsLine()}Time window: ${this.windowOfSeconds()}\n`
      + `Total flows processed: ${records}, Blocks skipped: 0, Bytes read: 0\nSys: ${bySys} Wall: ${byWall}\n`
  }

  /** The lines behind a CSV of 1.7.1. */
  csvLines(): string {
    const { flows, octets, packets, bps, pps, bpp } = this.totals()
    const header = 'flows,bytes,packets,avg_bps,avg_pps,avg_bpp'
    return `Summary\n${header}\n${[flows, octets, packets, bps, pps, bpp].join()}\n`
  }

  private totalsLine(): string {
    const { flows, octets, packets, bps, pps, bpp } = this.totals()
    const [bytes, packetCount, bits, perSecond, perPacket] =
      [octets, packets, bps, pps, bpp].map((value) => countText(value, this.style.plain))
    return `Summary: total flows: ${flows}, total bytes: ${bytes}, total packets: ${packetCount}, `
      + `avg bps: ${bits}, avg pps: ${perSecond}, avg bpp: ${perPacket}\n`
  }

  private runLine(): string {
    const { user, system } = process.cpuUsage(this.before)
    const wall = (performance.now() - this.since) / 1000
    const rate = wall > 0 ? this.records / wall : 0
    const used = `Sys: ${(system / 1e6).toFixed(4)}s User: ${(user / 1e6).toFixed(4)}s`
    return `${used} Wall: ${wall.toFixed(4)}s flows/second: ${rate.toFixed(1)} Runtime: ${wall.toFixed(4)}s\n`
  }

  private windowOfSeconds(): string {
    const { window: [first, last] } = this
    return first === 0 || last === 0 ? '<unknown>' : this.timeWindow(0)
  }

  private timeWindow(digits: 0 | 3): string {
    const times = new TimeWriter(' ', !this.style.utc)
    const [from, to] = [0, 1].map((i) => textOf((view) => times.put(this.window, i, 0, digits, view, 0)))
    return `${from} - ${to}`
  }
}

function sum(batch: FlowBatch, id: number): number {
  if (!batch.has(id)) return 0
  const { length, shape } = batch
  const column = batch.column(id) as Float64Array
  const has = batch.present(id)
  let total = 0
  for (let row = 0; row < length; row++) if (has[shape[row]] === 1) total += column[row]
  return total
}

/** How many rows have the field, and not 0. */
function count(batch: FlowBatch, id: number): number {
  if (!batch.has(id)) return 0
  const { length, shape } = batch
  const column = batch.column(id) as Float64Array
  const has = batch.present(id)
  let rows = 0
  for (let row = 0; row < length; row++) if (has[shape[row]] === 1 && column[row] > 0) rows++
  return rows
}

function countText(value: number, plain: boolean): string {
  const put = plain ? putRightCount : putScaled
  return textOf((view) => put(Float64Array.of(value), 0, 0, view, 0))
}

function textOf(put: (view: DataView) => number): string {
  const bytes = new Uint8Array(64)
  return String.fromCharCode(...bytes.subarray(0, put(new DataView(bytes.buffer))))
}
