/** How far behind a message may be and still be taken for reordered, in the protocol's unit. */
const REORDER_WINDOW = 1000
/** How far ahead is a gap; beyond, or further behind than the window, the exporter has restarted. */
const GAP_LIMIT = 100_000

/**
 * What sequence numbers have told of one (exporter, version, domain).
 *
 * The unit is the protocol's: flows (v5 to v8), messages (v9), data records (IPFIX, RFC 7011 §3.1).
 */
export interface Sequence {
  /** The number expected next; -1 before the first message. */
  next: number
  /** Units that are missing now: gaps, less what came late. */
  missing: number
  /** Messages that came late. */
  reordered: number
  /** Times the numbers began anew. */
  restarts: number
}

/** No message seen yet. */
export function newSequence(): Sequence {
  return { next: -1, missing: 0, reordered: 0, restarts: 0 }
}

/** Expect any number next, since it is not known how many units the last message held. */
export function loseTrack(state: Sequence): void {
  state.next = -1
}

/** Account for a message that begins at number `sequence` and holds `units`. */
export function track(state: Sequence, sequence: number, units: number): void {
  const ahead = state.next < 0 ? 0 : (sequence - state.next) | 0
  if (ahead < 0 && ahead >= -REORDER_WINDOW) {
    state.reordered++
    state.missing = Math.max(0, state.missing - units)
    return
  }
  if (ahead < 0 || ahead > GAP_LIMIT) state.restarts++
  else state.missing += ahead
  state.next = (sequence + units) >>> 0
}
