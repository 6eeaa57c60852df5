import { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { addFields, type Shape } from '../flow/shape.ts'
import type { FlowReader } from '../flow/stream.ts'
import { flowKeys, flowSpans, type FlowKeys, type FlowSpans } from './flow-key.ts'
import type { FlowStep } from './step.ts'

/** Flows that wait for their other direction, twice as many at most. */
const HELD = 1 << 16
/** µs that may lie between the end of one direction and the begin of the other. */
const TOLERANCE = 10e6
/** Fields of the other direction, and those they are taken from there. */
const REVERSED = [
  [ID.revBytes, ID.bytes], [ID.revPackets, ID.packets], [ID.revTcpFlags, ID.tcpFlags], [ID.revTos, ID.tos],
  [ID.revFlowStart, ID.flowStart], [ID.revFlowEnd, ID.flowEnd],
] as const
/** Value of `biflow_direction`: the source is the initiator (RFC 5103 §6.3). */
const INITIATOR = 1

const STITCHED = 'pairs of flows stitched together'

/** Rows that wait, and which of them still count. */
interface Held {
  readonly rows: FlowBatch
  readonly alive: Uint8Array
}

/** A row that waits, when it began and ended (µs), and its source port. */
interface Place {
  readonly held: Held
  readonly row: number
  readonly start: number
  readonly end: number
  readonly port: number
}

/**
 * Make one flow of the two directions of a conversation: that of who began, with the other's counters, flags
 * and times in the fields `rev_*` (RFC 5103). Both come from the same exporter, at the same time.
 *
 * A flow waits for its other direction until some 65,536 others have come; the order is the same otherwise.
 */
export function stitcher(): FlowStep {
  const counts = new Map<string, number>([[STITCHED, 0]])
  const waiting = new Map<string, Place>()
  let current = newHeld()
  let previous = newHeld()
  let given: Held | undefined

  /** Give out what waits the longest. */
  function turn(): FlowBatch {
    const { rows, alive } = previous
    for (const [key, { held }] of waiting) {
      if (held !== previous) break // they are in the order in which they came
      waiting.delete(key)
    }
    rows.keep(alive)
    const fresh = given ?? newHeld()
    fresh.rows.clear()
    given = previous
    previous = current
    current = fresh
    return rows
  }

  function take(batch: FlowBatch, row: number, keys: FlowKeys, spans: FlowSpans): void {
    const { rows, alive } = current
    const to = rows.length
    rows.append(batch, row)
    alive[to] = 1
    const { mask } = batch.shapes[batch.shape[row]]
    const forward = keys.forward(row)
    if (forward === undefined || mask[ID.revPackets] === 1) return
    const exporter = keys.exporter(row)
    const port = mask[ID.srcPort] === 1 ? batch.srcPort[row] : 0
    const place = { held: current, row: to, start: spans.start(row), end: spans.end(row), port }
    const reverse = exporter + keys.reverse(row)!
    const other = waiting.get(reverse)
    if (other && areNear(other, place)) {
      waiting.delete(reverse)
      const [first, second] = isBefore(place, other) ? [place, other] : [other, place]
      join(first, second)
      second.held.alive[second.row] = 0
      counts.set(STITCHED, counts.get(STITCHED)! + 1)
    } else {
      waiting.delete(exporter + forward) // it goes to the end
      waiting.set(exporter + forward, place)
    }
  }

  async function* run(reader: FlowReader): FlowReader {
    for await (const batch of reader) {
      const keys = flowKeys(batch)
      const spans = flowSpans(batch)
      for (let row = 0; row < batch.length; row++) {
        take(batch, row, keys, spans)
        if (current.rows.length < HELD) continue
        const out = turn()
        if (out.length > 0) yield out
      }
    }
    for (let i = 0; i < 2; i++) {
      const out = turn()
      if (out.length > 0) yield out
    }
  }

  return { run, counts }
}

function newHeld(): Held {
  return { rows: new FlowBatch(), alive: new Uint8Array(HELD) }
}

function areNear(a: Place, b: Place): boolean {
  return a.start <= b.end + TOLERANCE && b.start <= a.end + TOLERANCE
}

/** Whether `a` began the conversation: it is earlier, or else comes from the higher port. */
function isBefore(a: Place, b: Place): boolean {
  return a.start === b.start ? a.port > b.port : a.start < b.start
}

const stitched = new WeakMap<Shape, WeakMap<Shape, Shape>>()

/** The shape of a flow with that of its other direction. */
function joinedShape(first: Shape, second: Shape): Shape {
  let known = stitched.get(first)
  if (!known) stitched.set(first, known = new WeakMap())
  let shape = known.get(second)
  if (!shape) {
    const fields = REVERSED.filter(([, from]) => second.mask[from] === 1).map(([to]) => to)
    known.set(second, shape = addFields(first, [...fields, ID.biflowDirection]))
  }
  return shape
}

function join(first: Place, second: Place): void {
  const { held: { rows }, row } = first
  const { held: { rows: others }, row: other } = second
  const shape = others.shapes[others.shape[other]]
  rows.shape[row] = rows.intern(joinedShape(rows.shapes[rows.shape[row]], shape))
  for (const [to, from] of REVERSED) {
    if (shape.mask[from] === 0) continue
    const source = others.column(from) as Float64Array // or of integers
    const target = rows.column(to) as Float64Array
    target[row] = source[other]
  }
  rows.biflowDirection[row] = INITIATOR
}
