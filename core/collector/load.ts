/** How busy a thread is with what cannot wait. */
export interface Load {
  /** Whether, a moment ago, it took more of the time than is good for anything else. */
  readonly isHigh: boolean
  /** Enter that it was busy from one time to another, in ms, as `performance.now` counts. */
  add(from: number, to: number): void
}

/** ms that are looked at together. */
const WINDOW = 100
/** What share of them is much. */
const HIGH = 0.4

/** A load that is low until it is known. */
export function newLoad(): Load {
  let begun = -Infinity
  let busy = 0
  let isHigh = false
  return {
    get isHigh() { return isHigh },
    add(from, to) {
      busy += to - from
      if (to - begun < WINDOW) return
      isHigh = busy > (to - begun) * HIGH
      begun = to
      busy = 0
    },
  }
}
