/** Slots of a generation; half of them are used at most. */
const SLOTS = 1 << 19
/** Keys that a generation takes. */
const MOST = SLOTS / 2

/** What a table remembers of the keys that came last. */
interface Generation {
  /** Pairs of words, high and low, of which the low is 0 where there is none. */
  readonly keys: Uint32Array
  readonly values: Float64Array
  count: number
}

/**
 * Numbers by key, of the quarter of a million keys used last at least, and twice as many at most; what is
 * older is forgotten. Nothing is allocated after the first.
 *
 * Keys are hashes of 64 bits, as two words, the low one never 0.
 */
export class RecentTable {
  private readonly width: number
  private recent: Generation
  private older: Generation

  /** @param width how many numbers a key has */
  constructor(width: number) {
    this.width = width
    this.recent = newGeneration(width)
    this.older = newGeneration(width)
  }

  /**
   * Where the numbers of a key begin in `values`, -1 if it is not known; valid until the next call.
   *
   * To be found is to be used.
   */
  find(high: number, low: number): number {
    const slot = slotOf(this.recent.keys, high, low)
    if (this.recent.keys[slot * 2 + 1] !== 0) return slot * this.width
    const { keys, values } = this.older
    const old = slotOf(keys, high, low)
    if (keys[old * 2 + 1] === 0) return -1
    const at = this.add(high, low)
    this.values.set(values.subarray(old * this.width, (old + 1) * this.width), at)
    return at
  }

  /** Add a key that was not found. @returns as `find` */
  add(high: number, low: number): number {
    if (this.recent.count === MOST) this.turn()
    const { keys } = this.recent
    const slot = slotOf(keys, high, low)
    keys[slot * 2] = high
    keys[slot * 2 + 1] = low
    this.recent.count++
    return slot * this.width
  }

  /** The numbers of the keys, to be taken after `find` and `add`. */
  get values(): Float64Array {
    return this.recent.values
  }

  private turn(): void {
    const { older } = this
    this.older = this.recent
    this.recent = older
    older.keys.fill(0)
    older.count = 0
  }
}

function newGeneration(width: number): Generation {
  return { keys: new Uint32Array(SLOTS * 2), values: new Float64Array(SLOTS * width), count: 0 }
}

/** The slot that a key is in, or the empty one that it is to be in. */
function slotOf(keys: Uint32Array, high: number, low: number): number {
  for (let slot = low & SLOTS - 1; ; slot = slot + 1 & SLOTS - 1) {
    const found = keys[slot * 2 + 1]
    if (found === 0 || (found === low && keys[slot * 2] === high)) return slot
  }
}
