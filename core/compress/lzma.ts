/** LZMA, the coding inside of LZMA2: LZ77 whose bits are range coded with probabilities that adapt. */
import { copyMatch } from './match.ts'

const STATES = 12 // what the last symbols were: below 7 the last is a literal
const POSITIONS = 16 // positions that are told apart, at most
const SLOT_BITS = 6
const SLOT_CLASSES = 4 // lengths that slots are coded apart for
const ALIGN_BITS = 4
const FIRST_DIRECT = 14 // slot from which on a distance has bits of even chance
const MIN_MATCH = 2
const LITERAL_SIZE = 0x300

// places of the probabilities
const MATCH = 0
const REP = MATCH + STATES * POSITIONS
const REP0 = REP + STATES
const REP1 = REP0 + STATES
const REP2 = REP1 + STATES
const REP0_LONG = REP2 + STATES
const SLOT = REP0_LONG + STATES * POSITIONS
const SPECIAL = SLOT + (SLOT_CLASSES << SLOT_BITS)
const ALIGN = SPECIAL + 115
const MATCH_LENGTH = ALIGN + (1 << ALIGN_BITS)
// those of a length: two choices, then trees for 8 low ones and 8 middle ones by position, and 256 high ones
const LOW = 2
const MIDDLE = LOW + POSITIONS * 8
const HIGH = MIDDLE + POSITIONS * 8
const REP_LENGTH = MATCH_LENGTH + HIGH + 256
const LITERAL = REP_LENGTH + HIGH + 256

const EVEN = 1024 // a probability of one half
const RANGE_INIT = 5 // bytes that the range coder begins with

/** Decodes LZMA chunk by chunk. Probabilities and the last distances hold on from one to the next. */
export class LzmaDecoder {
  private probs = new Uint16Array(0)
  private literalContext = 0 // high bits of the byte before that tell how a literal is coded
  private literalMask = 0 // likewise: of the position
  private positionMask = 0
  private state = 0
  // the last distances, each less 1
  private rep0 = 0
  private rep1 = 0
  private rep2 = 0
  private rep3 = 0

  // the range coder; both are unsigned 32-bit numbers in signed ones
  private range = 0
  private code = 0
  private input: Uint8Array = new Uint8Array(0)
  private at = 0

  /** What was wrong with the last chunk, or nothing. */
  fault = ''

  /** Take the properties byte, and `reset`. @returns whether there are such in LZMA2 */
  setProperties(byte: number): boolean {
    const context = byte % 9
    const literalBits = Math.floor(byte / 9) % 5
    const positionBits = Math.floor(byte / 45)
    if (positionBits > 4 || context + literalBits > 4) return false
    this.literalContext = context
    this.literalMask = (1 << literalBits) - 1
    this.positionMask = (1 << positionBits) - 1
    this.probs = new Uint16Array(LITERAL + (LITERAL_SIZE << context + literalBits))
    this.reset()
    return true
  }

  /** Forget what was learned, but for the properties. */
  reset(): void {
    this.probs.fill(EVEN)
    this.state = 0
    this.rep0 = 0
    this.rep1 = 0
    this.rep2 = 0
    this.rep3 = 0
  }

  /**
   * Decode one chunk into `out[start..end)`.
   *
   * @param input the chunk; where it was cut short, it is decoded as far as it goes
   * @param known bytes before `start` that a match may repeat
   * @param position low bits, at least 4, of the place of `start` in all that was decoded
   * @returns the end of what was decoded; before `end` where something is wrong: see `fault`
   */
  decode(
    input: Uint8Array, out: Uint8Array, start: number, end: number, known: number, position: number,
  ): number {
    if (input.length < RANGE_INIT || input[0] !== 0) return this.stop(start, 'no beginning of a chunk')
    this.input = input
    this.range = -1
    this.code = input[1] << 24 | input[2] << 16 | input[3] << 8 | input[4]
    this.at = RANGE_INIT
    const { positionMask, literalContext, literalMask } = this
    const shift = position - start
    const oldest = start - known
    let { state } = this
    let pos = start
    while (pos < end) {
      const place = pos + shift & positionMask
      if (this.bit(MATCH + state * POSITIONS + place) === 0) {
        const before = pos > oldest ? out[pos - 1] : 0
        const context = ((pos + shift & literalMask) << literalContext) + (before >> 8 - literalContext)
        const literal = LITERAL + LITERAL_SIZE * context
        out[pos] = state < 7 ? this.tree(literal, 8) : this.matchedLiteral(literal, out[pos - this.rep0 - 1])
        if (this.at > input.length) break
        pos++
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6
        continue
      }
      let length = 1
      if (this.bit(REP + state) === 0) {
        length = this.length(MATCH_LENGTH, place)
        this.rep3 = this.rep2
        this.rep2 = this.rep1
        this.rep1 = this.rep0
        this.rep0 = this.distance(length)
        state = state < 7 ? 7 : 10
      } else if (this.repeats(state, place)) {
        length = this.length(REP_LENGTH, place)
        state = state < 7 ? 8 : 11
      } else state = state < 7 ? 9 : 11
      if (this.at > input.length) break
      const { rep0 } = this
      if (rep0 < 0 || rep0 >= pos - oldest) return this.stop(pos, 'a match before the beginning')
      if (length > end - pos) return this.stop(pos, 'a match beyond the end of its chunk')
      copyMatch(out, pos, rep0 + 1, length)
      pos += length
    }
    this.state = state
    const isEnd = this.at === input.length && this.code === 0
    return this.stop(pos, isEnd ? '' : 'a chunk that does not end where it should')
  }

  private stop(pos: number, fault: string): number {
    this.fault = fault
    return pos
  }

  /** Move the distance that comes again to the front. @returns false if it comes for one byte only */
  private repeats(state: number, place: number): boolean {
    if (this.bit(REP0 + state) === 0) return this.bit(REP0_LONG + state * POSITIONS + place) === 1
    let distance = this.rep1
    if (this.bit(REP1 + state) === 1) {
      distance = this.rep2
      if (this.bit(REP2 + state) === 1) {
        distance = this.rep3
        this.rep3 = this.rep2
      }
      this.rep2 = this.rep1
    }
    this.rep1 = this.rep0
    this.rep0 = distance
    return true
  }

  private length(base: number, place: number): number {
    if (this.bit(base) === 0) return MIN_MATCH + this.tree(base + LOW + place * 8, 3)
    if (this.bit(base + 1) === 0) return MIN_MATCH + 8 + this.tree(base + MIDDLE + place * 8, 3)
    return MIN_MATCH + 16 + this.tree(base + HIGH, 8)
  }

  /** A distance less 1; negative from 2^31 on. */
  private distance(length: number): number {
    const slot = this.tree(SLOT + (Math.min(length - MIN_MATCH, SLOT_CLASSES - 1) << SLOT_BITS), SLOT_BITS)
    if (slot < 4) return slot
    const bits = (slot >> 1) - 1
    const distance = (2 | slot & 1) << bits
    if (slot < FIRST_DIRECT) return distance + this.reverseTree(SPECIAL + distance - slot, bits)
    return distance + (this.direct(bits - ALIGN_BITS) << ALIGN_BITS) + this.reverseTree(ALIGN, ALIGN_BITS) | 0
  }

  private matchedLiteral(base: number, match: number): number {
    let symbol = 1
    let side = 0x100 // 0 as soon as a bit differs from the match's
    while (symbol < 0x100) {
      match <<= 1
      const expected = match & side
      const bit = this.bit(base + side + expected + symbol)
      symbol = symbol << 1 | bit
      side &= bit === 1 ? match : ~match
    }
    return symbol & 0xff
  }

  private tree(base: number, bits: number): number {
    let symbol = 1
    for (let i = 0; i < bits; i++) symbol = symbol << 1 | this.bit(base + symbol)
    return symbol - (1 << bits)
  }

  private reverseTree(base: number, bits: number): number {
    let symbol = 1
    let value = 0
    for (let i = 0; i < bits; i++) {
      const bit = this.bit(base + symbol)
      symbol = symbol << 1 | bit
      value |= bit << i
    }
    return value
  }

  private direct(count: number): number {
    let value = 0
    for (; count > 0; count--) {
      this.range >>>= 1
      const isBelow = this.code - this.range >> 31 // all ones if the bit is 0
      this.code = this.code - this.range + (this.range & isBelow) | 0
      value = (value << 1) + isBelow + 1
      this.normalise()
    }
    return value
  }

  private bit(place: number): 0 | 1 {
    const { probs, range, code } = this
    const prob = probs[place]
    const bound = Math.imul(range >>> 11, prob)
    let bit: 0 | 1 = 0
    if (code >>> 0 < bound >>> 0) {
      this.range = bound
      probs[place] = prob + (2048 - prob >> 5)
    } else {
      this.range = range - bound | 0
      this.code = code - bound | 0
      probs[place] = prob - (prob >> 5)
      bit = 1
    }
    this.normalise()
    return bit
  }

  /** Take the next byte when the range has become small. Past the end there are zeros. */
  private normalise(): void {
    if (this.range >>> 24 > 0) return
    this.range <<= 8
    this.code = this.code << 8 | (this.at < this.input.length ? this.input[this.at] : 0)
    this.at++
  }
}
