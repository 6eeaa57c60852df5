/** How far behind a message may be and still be taken for reordered, in the protocol's unit. */
const REORDER_WINDOW = 1000
/**
 * How far ahead is a gap: minutes of the flows of a large router. Beyond, or further behind than the window,
 * the exporter has restarted.
 */
const GAP_LIMIT = 10_000_000
/** By how many breaks fewer another habit must explain the numbers to be believed. */
const MARGIN = 2

/** How an exporter numbers its messages. */
export interface Habit {
  /** Whether a message has the number behind its last unit, as softflowd's do, or that of its first. */
  readonly inclusive: boolean
  /** Whether options records are counted. */
  readonly options: boolean
}

/** What numbers mean if an exporter has a habit. */
interface Account {
  habit: Habit
  /** The number expected next, or seen last where the habit is inclusive; -1 before the first message. */
  next: number
  /** Units that are missing now: gaps, less what came late. */
  missing: number
  /** Gaps since messages held units that could not be counted. */
  suspended: number
  /** Messages that came late. */
  reordered: number
  /** Times the numbers began anew. */
  restarts: number
  /** Messages that did not have the number expected, all told. */
  breaks: number
}

/**
 * What sequence numbers have told of one (exporter, version, domain).
 *
 * The unit is the protocol's: flows (v5 to v8), messages (v9), data records (IPFIX). RFC 7011 §3.1 wants the
 * number of the data records, of options too, sent before the message; exporters read it in several ways, so
 * that the account with the fewest breaks is the one believed.
 */
export interface Sequence extends Account {
  /** Whether messages hold units that could not be counted yet: gaps may be those. */
  uncertain: boolean
  /** What other habits would make of the numbers; only of IPFIX. */
  rivals: Account[]
}

const USUAL: Habit = { inclusive: false, options: true }
const OTHERS: readonly Habit[] = [
  { inclusive: true, options: false }, { inclusive: true, options: true },
  { inclusive: false, options: false },
]

/** No message seen yet. */
export function newSequence(): Sequence {
  return { ...newAccount(USUAL), uncertain: false, rivals: [] }
}

function newAccount(habit: Habit): Account {
  return { habit, next: -1, missing: 0, suspended: 0, reordered: 0, restarts: 0, breaks: 0 }
}

/** Account for a message that begins at number `sequence` and holds `units`. */
export function track(state: Sequence, sequence: number, units: number): void {
  account(state, sequence, units, state.uncertain)
}

/** Account for an IPFIX message with number `sequence` of so many data records, some of which are options. */
export function trackRecords(state: Sequence, sequence: number, records: number, options: number): void {
  if (state.next < 0) state.rivals = OTHERS.map(newAccount)
  const { rivals, uncertain } = state
  account(state, sequence, state.habit.options ? records : records - options, uncertain)
  let best: Account | undefined
  for (const rival of rivals) {
    account(rival, sequence, rival.habit.options ? records : records - options, uncertain)
    if (rival.breaks + MARGIN <= (best ?? state).breaks) best = rival
  }
  if (best) exchange(state, best)
}

function account(state: Account, sequence: number, units: number, uncertain: boolean): void {
  const { inclusive } = state.habit
  const expected = inclusive ? state.next + units : state.next
  const ahead = state.next < 0 ? 0 : (sequence - expected) | 0
  if (ahead !== 0 && !uncertain) state.breaks++
  if (ahead < 0 && ahead >= -REORDER_WINDOW) {
    state.reordered++
    const found = Math.min(units, state.missing)
    state.missing -= found
    state.suspended = Math.max(0, state.suspended - (units - found))
    return
  }
  if (ahead < 0 || ahead > GAP_LIMIT) state.restarts++
  else if (uncertain) state.suspended += ahead
  else state.missing += ahead
  state.next = inclusive ? sequence : (sequence + units) >>> 0
}

/** Believe in another habit. */
function exchange(state: Sequence, rival: Account): void {
  const { habit, next, missing, suspended, reordered, restarts, breaks } = state
  const before: Account = { habit, next, missing, suspended, reordered, restarts, breaks }
  Object.assign(state, rival)
  Object.assign(rival, before)
}

/** The message accounted for last holds more units, which are not known yet: they will look like a gap. */
export function suspend(state: Sequence): void {
  state.uncertain = true
}

/** Of the units that were not known `units` are known now. */
export function countLate(state: Sequence, units: number): void {
  for (const each of [state, ...state.rivals]) each.suspended = Math.max(0, each.suspended - units)
}

/**
 * No message holds unknown units any longer: the gaps that are left are gaps.
 *
 * @param known whether all units that were unknown have been counted; otherwise gaps cannot be told
 */
export function settle(state: Sequence, known: boolean): void {
  for (const each of [state, ...state.rivals]) {
    if (known) each.missing += each.suspended
    each.suspended = 0
  }
  state.uncertain = false
}
