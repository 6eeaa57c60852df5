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
  /** Whether messages hold units that could not be counted yet: gaps may be those. */
  uncertain: boolean
  /** Gaps since that began. */
  suspended: number
  /** Messages that came late. */
  reordered: number
  /** Times the numbers began anew. */
  restarts: number
}

/** No message seen yet. */
export function newSequence(): Sequence {
  return { next: -1, missing: 0, uncertain: false, suspended: 0, reordered: 0, restarts: 0 }
}

/** Account for a message that begins at number `sequence` and holds `units`. */
export function track(state: Sequence, sequence: number, units: number): void {
  const ahead = state.next < 0 ? 0 : (sequence - state.next) | 0
  if (ahead < 0 && ahead >= -REORDER_WINDOW) {
    state.reordered++
    const found = Math.min(units, state.missing)
    state.missing -= found
    state.suspended = Math.max(0, state.suspended - (units - found))
    return
  }
  if (ahead < 0 || ahead > GAP_LIMIT) state.restarts++
  else if (state.uncertain) state.suspended += ahead
  else state.missing += ahead
  state.next = (sequence + units) >>> 0
}

/** The message accounted for last holds more units, which are not known yet: they will look like a gap. */
export function suspend(state: Sequence): void {
  state.uncertain = true
}

/** Of the units that were not known `units` are known now. */
export function countLate(state: Sequence, units: number): void {
  state.suspended = Math.max(0, state.suspended - units)
}

/**
 * No message holds unknown units any longer: the gaps that are left are gaps.
 *
 * @param known whether all units that were unknown have been counted; otherwise gaps cannot be told
 */
export function settle(state: Sequence, known: boolean): void {
  if (known) state.missing += state.suspended
  state.suspended = 0
  state.uncertain = false
}
