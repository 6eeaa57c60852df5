import { FLOW_WORDS, NEXT, PREVIOUS } from './flow-table.ts'

const TURNS = 256 // a power of two

/**
 * Flows in the order in which to look at them: a ring of lists, one for each stretch of time (a turn).
 *
 * A flow is in one list. What lists hold are links in the records of `FlowTable`: -1 - turn at the ends.
 */
export class Wheel {
  /** The turn to be looked at next: all before it are empty. */
  turn = 0
  private readonly words: Int32Array
  private readonly heads: Int32Array = new Int32Array(TURNS).fill(-1)
  private readonly tails: Int32Array = new Int32Array(TURNS).fill(-1)

  /** @param words of the `FlowTable` */
  constructor(words: Int32Array) {
    this.words = words
  }

  /** The first flow of a turn, -1 if it has none. */
  first(turn: number): number {
    return this.heads[placeOf(turn)]
  }

  /** The first turn from `turn` on that has flows, or undefined. */
  next(turn: number): number | undefined {
    for (let i = turn; i < turn + TURNS; i++) if (this.heads[placeOf(i)] >= 0) return i
    return undefined
  }

  /** Put a flow into a list: that of `turn`, or else of the nearest turn to come. */
  add(slot: number, turn: number): void {
    const { words, heads, tails } = this
    const place = placeOf(Math.max(this.turn, Math.min(turn, this.turn + TURNS - 1)))
    const tail = tails[place]
    const at = slot * FLOW_WORDS
    words[at + NEXT] = -1 - place
    words[at + PREVIOUS] = tail < 0 ? -1 - place : tail
    if (tail < 0) heads[place] = slot
    else words[tail * FLOW_WORDS + NEXT] = slot
    tails[place] = slot
  }

  /** Take a flow out of its list. */
  remove(slot: number): void {
    const { words, heads, tails } = this
    const at = slot * FLOW_WORDS
    const next = words[at + NEXT]
    const previous = words[at + PREVIOUS]
    if (previous < 0) heads[-1 - previous] = next < 0 ? -1 : next
    else words[previous * FLOW_WORDS + NEXT] = next
    if (next < 0) tails[-1 - next] = previous < 0 ? -1 : previous
    else words[next * FLOW_WORDS + PREVIOUS] = previous
  }

  /**
   * Come to `turn`: backwards at once, forwards with what lies between to be looked at, once around at most.
   */
  moveTo(turn: number): void {
    this.turn = turn < this.turn ? turn : Math.max(this.turn, turn - TURNS + 1)
  }
}

function placeOf(turn: number): number {
  return turn & (TURNS - 1)
}
