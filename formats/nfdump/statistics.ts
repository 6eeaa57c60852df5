import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'

const TWO_32 = 4_294_967_296
/** Bytes of the statistics in an appendix: 18 numbers of 64 bits. */
export const STATISTICS_SIZE = 144
/** Bytes of those of layout 1: 15 numbers of 64 bits, the times in parts, the datagrams that lack. */
export const FORMER_STATISTICS_SIZE = 136

const FIRST_SEEN = 15
const LAST_SEEN = 16

/** Places of a class of protocols among the flows, bytes and packets. */
const CLASS = { tcp: 0, udp: 1, icmp: 2, other: 3 } as const

/** What nfdump counts of a file (`stat_record_s` in src/include/nfdump.h), as nfdump counts it. */
export class Statistics {
  private readonly numbers = new Float64Array(STATISTICS_SIZE / 8)

  constructor() {
    this.numbers[FIRST_SEEN] = Infinity
  }

  /** Count the rows in `rows[from..to)`, which have the fields of `mask`. */
  add(batch: FlowBatch, mask: Uint8Array, rows: Uint32Array, from: number, to: number): void {
    const { numbers } = this
    const column = (id: number) => mask[id] === 1 ? batch.column(id) as Float64Array : undefined
    const hasOut = mask[ID.outBytes] === 1 || mask[ID.outPackets] === 1 // as records have them
    const [bytes, packets, flows, proto] = [ID.bytes, ID.packets, ID.flows, ID.proto].map(column)
    const outBytes = column(hasOut ? ID.outBytes : ID.revBytes)
    const outPackets = column(hasOut ? ID.outPackets : ID.revPackets)
    const [start, end] = [ID.flowStart, ID.flowEnd].map(column)
    let first = Infinity // µs
    let last = -Infinity
    for (let k = from; k < to; k++) {
      const row = rows[k]
      const place = classOf(proto ? proto[row] : 0)
      numbers[3 + place] += flows && flows[row] > 0 ? flows[row] : 1
      numbers[7 + place] += (bytes ? bytes[row] : 0) + (outBytes ? outBytes[row] : 0)
      numbers[11 + place] += (packets ? packets[row] : 0) + (outPackets ? outPackets[row] : 0)
      if (start && start[row] < first) first = start[row]
      if (end && end[row] > last) last = end[row]
    }
    numbers[FIRST_SEEN] = Math.min(numbers[FIRST_SEEN], Math.floor(first / 1000))
    numbers[LAST_SEEN] = Math.max(numbers[LAST_SEEN], Math.floor(last / 1000))
  }

  /** Write them, lowest bytes first. */
  put(view: DataView, at: number): void {
    for (const [i, value] of this.known().entries()) {
      view.setUint32(at + i * 8, value % TWO_32, true)
      view.setUint32(at + i * 8 + 4, value / TWO_32, true)
    }
  }

  /** Write them as layout 1 has them: seconds, and their milliseconds behind. */
  putFormer(view: DataView, at: number): void {
    const known = this.known()
    for (const [i, value] of known.subarray(0, FIRST_SEEN).entries()) {
      view.setUint32(at + i * 8, value % TWO_32, true)
      view.setUint32(at + i * 8 + 4, value / TWO_32, true)
    }
    const end = at + FIRST_SEEN * 8
    for (const [i, millis] of known.subarray(FIRST_SEEN, LAST_SEEN + 1).entries()) {
      view.setUint32(end + i * 4, Math.min(millis / 1000, TWO_32 - 1), true)
      view.setUint16(end + 8 + i * 2, millis % 1000, true)
    }
  }

  /** All numbers, with the sums of the classes. */
  private known(): Float64Array {
    const { numbers } = this
    for (const [sum, classes] of [[0, 3], [1, 7], [2, 11]]) {
      numbers[sum] = numbers.subarray(classes, classes + 4).reduce((total, value) => total + value)
    }
    return numbers.map((value) => Number.isFinite(value) ? Math.max(value, 0) : 0)
  }
}

function classOf(proto: number): number {
  switch (proto) {
    case 6: return CLASS.tcp
    case 17: return CLASS.udp
    case 1: case 58: return CLASS.icmp
    default: return CLASS.other
  }
}
