/** One block of bzip2: symbols in Huffman codes, moved to front, sorted (Burrows-Wheeler). */

const GROUP_SIZE = 50 // symbols that share a code
const MAX_CODES = 6
const MAX_CODE_LENGTH = 20 // bits
const MAX_SYMBOLS = 258
const RUN_B = 1 // the symbols 0 and 1 are the digits of how often the front byte comes again
/** Codes up to this length are looked up, longer ones compared length by length. */
const LOOKUP_BITS = 10

/** Bits, the highest of each byte first. Past the end come zeros; `position` tells if they were taken. */
export class BitReader {
  bytes: Uint8Array = new Uint8Array(0)
  /** The next byte that is not in `bits`. */
  at = 0
  bits = 0
  /** Bits of `bits`, its lowest ones, that were not taken yet. */
  count = 0

  /** Begin `skip` bits behind the beginning of `bytes[at]`. */
  begin(bytes: Uint8Array, at: number, skip: number): void {
    this.bytes = bytes
    this.at = at
    this.bits = 0
    this.count = 0
    if (skip > 0) this.take(skip)
  }

  /** Bits from the beginning of the bytes to the next. */
  get position(): number {
    return this.at * 8 - this.count
  }

  /** The next 1 to 24 bits as a number. */
  take(count: number): number {
    while (this.count < count) {
      this.bits = this.bits << 8 | (this.at < this.bytes.length ? this.bytes[this.at] : 0)
      this.at++
      this.count += 8
    }
    this.count -= count
    return this.bits >>> this.count & (1 << count) - 1
  }
}

/** A Huffman code: the shortest symbols first, symbols of one length in order. */
class Code {
  /** By the next LOOKUP_BITS bits: symbol × 32 + length; 0 where the code is longer. */
  readonly lookup = new Uint16Array(1 << LOOKUP_BITS)
  /** By length: the code behind the last of that length. */
  readonly end = new Int32Array(MAX_CODE_LENGTH + 1)
  /** By length: what a code is ahead of its place in `symbols`. */
  readonly ahead = new Int32Array(MAX_CODE_LENGTH + 1)
  readonly symbols = new Uint16Array(MAX_SYMBOLS)

  /** Take the lengths of the codes of `count` symbols. They may contradict each other: see `symbol`. */
  build(lengths: Uint8Array, count: number): void {
    const { lookup, end, ahead, symbols } = this
    lookup.fill(0)
    let code = 0
    let place = 0
    for (let length = 1; length <= MAX_CODE_LENGTH; length++) {
      ahead[length] = code - place
      for (let symbol = 0; symbol < count; symbol++) {
        if (lengths[symbol] !== length) continue
        if (length <= LOOKUP_BITS) {
          const rest = LOOKUP_BITS - length
          lookup.fill(symbol << 5 | length, code << rest, code + 1 << rest)
        }
        symbols[place++] = symbol
        code++
      }
      end[length] = code
      code <<= 1
    }
  }
}

/** Reads blocks. The memory that it takes is kept for the next. */
export class Bzip2Block {
  /** The bytes, in the low 8 bits; above them where the one behind lies. */
  chain: Int32Array = new Int32Array(0)
  /** Bytes of the chain. */
  length = 0
  /** Where the first of them lies. */
  first = 0

  private readonly codes = Array.from({ length: MAX_CODES }, () => new Code())
  private readonly selectors = new Uint8Array(0x8000)
  private readonly lengths = new Uint8Array(MAX_SYMBOLS)
  private readonly front = new Uint8Array(256)
  private readonly used = new Uint8Array(256)
  private readonly starts = new Int32Array(256)
  private usedCount = 0
  private selectorCount = 0

  /**
   * Read a block behind its checksum.
   *
   * @param limit bytes that a block may have
   * @returns what is wrong with it, or nothing; to be believed if the bits did not end before
   */
  read(input: BitReader, limit: number): string {
    this.length = 0
    if (this.chain.length < limit) this.chain = new Int32Array(limit)
    if (input.take(1) === 1) return 'a randomised block, of bzip2 before 0.9.5'
    const origin = input.take(24)
    const found = this.readCodes(input)
    if (found !== '') return found
    const length = this.readSymbols(input, limit)
    if (length < 0) return 'a symbol without meaning'
    if (origin >= length) return 'the beginning lies beyond the end'
    this.sortBack(length)
    this.first = this.chain[origin] >>> 8
    this.length = length
    return ''
  }

  /** Which bytes there are, the codes of their symbols, and which code holds where. */
  private readCodes(input: BitReader): string {
    const { codes, selectors, lengths, front, used } = this
    const ranges = input.take(16)
    let count = 0
    for (let range = 0; range < 16; range++) {
      if ((ranges >> (15 - range) & 1) === 0) continue
      const bits = input.take(16)
      for (let i = 0; i < 16; i++) if (bits >> (15 - i) & 1) used[count++] = range << 4 | i
    }
    if (count === 0) return 'a block without bytes'
    this.usedCount = count
    const codeCount = input.take(3)
    if (codeCount < 2 || codeCount > MAX_CODES) return `2 to 6 codes wanted, ${codeCount} found`
    const selectorCount = input.take(15)
    if (selectorCount === 0) return 'a block without symbols'
    for (let i = 0; i < MAX_CODES; i++) front[i] = i
    for (let i = 0; i < selectorCount; i++) {
      let place = 0
      while (input.take(1) === 1) if (++place === codeCount) return 'a code that is not there'
      selectors[i] = moveToFront(front, place)
    }
    this.selectorCount = selectorCount
    const symbolCount = count + 2
    for (let i = 0; i < codeCount; i++) {
      let length = input.take(5)
      for (let symbol = 0; symbol < symbolCount; symbol++) {
        while (input.take(1) === 1) {
          length += input.take(1) === 0 ? 1 : -1
          if (length < 1 || length > MAX_CODE_LENGTH) break
        }
        if (length < 1 || length > MAX_CODE_LENGTH) return `a code of ${length} bits`
        lengths[symbol] = length
      }
      codes[i].build(lengths, symbolCount)
    }
    return ''
  }

  /** Read the bytes into the chain. @returns how many; -1 when something is wrong */
  private readSymbols(input: BitReader, limit: number): number {
    const { chain, codes, selectors, front, used, starts, usedCount, selectorCount } = this
    const { bytes } = input
    const end = bytes.length
    const endOfBlock = usedCount + 1
    let { at, bits, count } = input
    for (let i = 0; i < usedCount; i++) front[i] = used[i]
    starts.fill(0)
    let length = 0
    let run = 0
    let digit = 1
    let endedAt = -1
    symbols: for (let group = 0; group < selectorCount && at - 4 <= end; group++) {
      const code = codes[selectors[group]]
      const { lookup } = code
      for (let i = 0; i < GROUP_SIZE; i++) {
        while (count < MAX_CODE_LENGTH) {
          bits = bits << 8 | (at < end ? bytes[at] : 0)
          at++
          count += 8
        }
        let symbol = lookup[bits >>> (count - LOOKUP_BITS) & (1 << LOOKUP_BITS) - 1]
        if (symbol > 0) {
          count -= symbol & 31
          symbol >>= 5
        } else {
          let width = LOOKUP_BITS + 1
          let value = bits >>> (count - width) & (1 << width) - 1
          while (value >= code.end[width]) {
            if (++width > MAX_CODE_LENGTH) break symbols
            value = bits >>> (count - width) & (1 << width) - 1
          }
          const place = value - code.ahead[width]
          if (place < 0) break symbols
          symbol = code.symbols[place]
          count -= width
        }
        if (symbol <= RUN_B) {
          run += digit << symbol
          digit <<= 1
          if (run > limit - length) break symbols
          continue
        }
        if (run > 0) {
          const byte = front[0]
          starts[byte] += run
          for (; run > 0; run--) chain[length++] = byte
          digit = 1
        }
        if (symbol === endOfBlock) {
          endedAt = length
          break symbols
        }
        if (symbol > endOfBlock || length === limit) break symbols
        const byte = moveToFront(front, symbol - 1)
        starts[byte]++
        chain[length++] = byte
      }
    }
    input.at = at
    input.bits = bits
    input.count = count
    return endedAt
  }

  /** Link each byte with the one behind it. */
  private sortBack(length: number): void {
    const { chain, starts } = this
    let sum = 0
    for (let byte = 0; byte < 256; byte++) {
      const here = starts[byte]
      starts[byte] = sum
      sum += here
    }
    for (let i = 0; i < length; i++) chain[starts[chain[i] & 255]++] |= i << 8
  }
}

function moveToFront(front: Uint8Array, place: number): number {
  const found = front[place]
  if (place < 32) for (; place > 0; place--) front[place] = front[place - 1]
  else front.copyWithin(1, 0, place)
  front[0] = found
  return found
}
