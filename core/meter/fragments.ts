import { hashOf, KEY_PORTS, KEY_PROTO, KEY_WORDS6 } from './flow-table.ts'

const WAYS = 4 // entries among which a key may lie
const SETS = 1024 // a power of two
const WORDS = 32 // of an entry
const DOUBLES = 16 // the same memory
const TIMEOUT = 30e6 // µs, as Linux waits for fragments

/** Places behind the key. */
const PORTS = 12
const PROTO = 13
const KNOWN = 14
const PACKETS = 8
const BYTES = 9
const START = 10
const END = 11
const SEEN = 12

/** Nothing is known of the first fragment: it is still to come. */
export const AWAITED = 0
/** The first fragment had ports, or was of a protocol without them. */
export const PORTS_KNOWN = 1
/** The first fragment was of a tunnel, and what is in the tunnel was metered whole. */
export const TUNNELLED = 2

/**
 * What ports the fragments of IP datagrams belong to, by their identification; for fragments that came before
 * the first, what they count. No more than 4,096 datagrams are remembered: the oldest give way.
 *
 * A key is that of a flow with the identification in the place of the ports and the protocol of the
 * fragments.
 */
export class FragmentTable {
  /** The key that `find` and `add` are about. */
  readonly key: Int32Array = new Int32Array(KEY_WORDS6)
  private readonly seed: number
  private words: Int32Array = new Int32Array(0)
  private doubles: Float64Array = new Float64Array(0)
  private at = 0 // the entry found or added

  /** @param seed makes the places of keys unforeseeable */
  constructor(seed: number) {
    this.seed = seed
  }

  /** Find the entry with `key` of a fragment seen at `time`, or make one in the place of the oldest. */
  take(time: number): void {
    if (this.words.length === 0) this.reserve()
    const { key, words, doubles } = this
    const first = (hashOf(key, 0, KEY_WORDS6, this.seed) & (SETS - 1)) * WAYS
    let oldest = first
    for (let entry = first; entry < first + WAYS; entry++) {
      if (doubles[entry * DOUBLES + SEEN] < doubles[oldest * DOUBLES + SEEN]) oldest = entry
      if (!this.isAt(entry) || Math.abs(time - doubles[entry * DOUBLES + SEEN]) > TIMEOUT) continue
      this.at = entry
      return
    }
    this.at = oldest
    words.set(key, oldest * WORDS)
    words[oldest * WORDS + KNOWN] = AWAITED
    const at = oldest * DOUBLES
    doubles[at + PACKETS] = 0
    doubles[at + BYTES] = 0
    doubles[at + START] = time
    doubles[at + END] = time
    doubles[at + SEEN] = time
  }

  /** What is known of the first fragment of the entry taken. */
  get known(): number {
    return this.words[this.at * WORDS + KNOWN]
  }

  /** The first fragment of the entry taken has come: nothing waits for it any more. */
  learn(known: number, ports: number, proto: number, time: number): void {
    const at = this.at * WORDS
    this.words[at + KNOWN] = known
    this.words[at + PORTS] = ports
    this.words[at + PROTO] = proto
    this.doubles[this.at * DOUBLES + PACKETS] = 0
    this.doubles[this.at * DOUBLES + BYTES] = 0
    this.doubles[this.at * DOUBLES + SEEN] = time
  }

  /** Give a flow's key what is known of the first fragment of the entry taken. */
  tell(key: Int32Array): void {
    key[KEY_PORTS] = this.words[this.at * WORDS + PORTS]
    key[KEY_PROTO] = this.words[this.at * WORDS + PROTO]
  }

  /** Count a fragment of the entry taken that came before the first. */
  count(bytes: number, time: number): void {
    const { doubles } = this
    const at = this.at * DOUBLES
    doubles[at + PACKETS]++
    doubles[at + BYTES] += bytes
    if (time < doubles[at + START]) doubles[at + START] = time
    if (time > doubles[at + END]) doubles[at + END] = time
  }

  /** Fragments of the entry taken that came before the first. */
  get packets(): number {
    return this.doubles[this.at * DOUBLES + PACKETS]
  }

  /** Their bytes. */
  get bytes(): number {
    return this.doubles[this.at * DOUBLES + BYTES]
  }

  /** When the first of them came. */
  get start(): number {
    return this.doubles[this.at * DOUBLES + START]
  }

  /** When the last of them came. */
  get end(): number {
    return this.doubles[this.at * DOUBLES + END]
  }

  private isAt(entry: number): boolean {
    const { key, words } = this
    for (let i = 0; i < KEY_WORDS6; i++) if (words[entry * WORDS + i] !== key[i]) return false
    return true
  }

  private reserve(): void {
    const entries = new ArrayBuffer(SETS * WAYS * WORDS * 4)
    this.words = new Int32Array(entries)
    this.doubles = new Float64Array(entries)
    for (let entry = 0; entry < SETS * WAYS; entry++) this.doubles[entry * DOUBLES + SEEN] = -TIMEOUT * 2
  }
}
