/**
 * Unpacks zlib streams (RFC 1950) and what is deflated without a wrapping (RFC 1951) as their bytes come.
 *
 * Node's own zlib is not fit for a decoder: its streams work behind the caller's back, and when one meets
 * damage, what it has unpacked before is lost.
 */
import { FlowkitError, type ErrorCode } from '../flow/errors.ts'
import { adler32 } from './adler32.ts'
import { malformed } from './damage.ts'
import {
  buildTable, CODE_ENTRIES, DISTANCE_ENTRIES, DISTANCES, END_ENTRY, END_OF_BLOCK, FIRST_LENGTH,
  FIXED_DISTANCES, FIXED_LITERALS, isUsable, LITERAL_ENTRIES, LITERALS, MAX_MATCH, newTable, NO_ENTRY,
  type Table,
} from './huffman.ts'
import { copyMatch } from './match.ts'

/** How far back a match may lie. */
const WINDOW = 0x8000
/** Room for what is unpacked: the window and what can be taken at a time. */
const BUFFER = WINDOW + 0x20000
/** Bytes looked at in one call, so that places in them are small integers when counted in bits. */
const MAX_INPUT = 1 << 24
/** Bits of a symbol at most, and bytes that it lies in with what is read along. */
const MAX_SYMBOL = 48
const SYMBOL_SIZE = 9

const DEFLATE = 8
const STORED = 0, FIXED = 1, DYNAMIC = 2

// What comes next in the stream
const HEADER = 0, BLOCK = 1, COPY = 2, SYMBOLS = 3, TRAILER = 4, DONE = 5

/** Order of the lengths of the codes for lengths of codes. */
const CODE_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** Unpacks one stream. */
export class Inflater {
  /** What was unpacked and not taken yet is `bytes[start..end)`; who takes it moves `start`. */
  readonly bytes: Uint8Array<ArrayBuffer> = new Uint8Array(BUFFER)
  start = 0
  end = 0

  private origin: number
  private readonly isRaw: boolean
  private consumed = 0
  private state: number
  private lastBlock = false
  private stored = 0 // bytes left of a block that is not packed
  private sum = 1
  private input: Uint8Array = new Uint8Array(0)
  private view: DataView = new DataView(new ArrayBuffer(0))
  private bit = 0 // of the input, from where the call began
  private bits = 0 // where the input ends
  private readonly tail = new Uint8Array(SYMBOL_SIZE * 3)
  private readonly literals: Table = newTable()
  private readonly distances: Table = newTable()
  private readonly lengths = new Uint8Array(LITERALS + DISTANCES)

  /**
   * @param origin where the stream begins in the whole input, for messages
   * @param format `deflate`: nothing before the first block, and no checksum behind the last
   */
  constructor(origin: number = 0, format: 'zlib' | 'deflate' = 'zlib') {
    this.origin = origin
    this.isRaw = format === 'deflate'
    this.state = this.isRaw ? BLOCK : HEADER
  }

  /** Begin another stream of the same format, which lies at `origin`, when this one is done and taken. */
  restart(origin: number): void {
    this.origin = origin
    this.consumed = 0
    this.state = this.isRaw ? BLOCK : HEADER
    this.lastBlock = false
    this.sum = 1
    this.bit = 0
    this.start = 0
    this.end = 0
  }

  /** Whether the stream has ended, and its checksum, if it has one, was right. */
  get done(): boolean {
    return this.state === DONE
  }

  /** Whether the stream has begun. */
  get begun(): boolean {
    return this.state !== HEADER
  }

  /**
   * Unpack `input[at..)` until it or the room in `bytes` runs out, or the stream ends.
   *
   * @returns the offset of the first byte not consumed, which the next call has to begin with
   * @throws FlowkitError ERR_MALFORMED or ERR_CHECKSUM when the stream is damaged; what was unpacked before
   * can be taken
   */
  inflate(input: Uint8Array, at: number): number {
    if (this.end > BUFFER - MAX_MATCH) this.slide()
    const size = Math.min(input.length - at, MAX_INPUT)
    this.input = input.subarray(at, at + size)
    this.view = new DataView(input.buffer, input.byteOffset + at, size)
    this.bits = size * 8
    const before = this.end
    try {
      while (this.state !== DONE && this.step());
    } finally {
      if (!this.isRaw) this.sum = adler32(this.bytes, before, this.end, this.sum)
    }
    if (this.state === TRAILER && this.bits - this.bit >= 32) this.trailer()
    const whole = this.bit >>> 3
    this.bit &= 7
    this.consumed += whole
    return at + whole
  }

  /** Keep the window and what was not taken. */
  private slide(): void {
    const from = Math.min(this.start, this.end - WINDOW)
    this.bytes.copyWithin(0, from, this.end)
    this.start -= from
    this.end -= from
  }

  /** @returns whether there may be more to do */
  private step(): boolean {
    switch (this.state) {
      case HEADER: return this.header()
      case BLOCK: return this.block()
      case COPY: return this.copy()
      case SYMBOLS: return this.symbols()
      default: return false
    }
  }

  private header(): boolean {
    if (this.bits < 16) return false
    const head = this.view.getUint16(0)
    if ((head >> 8 & 15) !== DEFLATE || head % 31 !== 0) throw this.fault('no zlib stream')
    if (head & 0x20) throw this.fault('a dictionary that is not there')
    this.bit = 16
    this.state = BLOCK
    return true
  }

  /** Begin the next block, if its description is all there. */
  private block(): boolean {
    if (this.lastBlock) {
      this.bit = this.bit + 7 & ~7
      this.state = this.isRaw ? DONE : TRAILER
      return false
    }
    if (this.bits - this.bit < 3) return false
    const from = this.bit
    const head = this.peek(3)
    this.bit += 3
    const kind = head >> 1
    if (kind === STORED) {
      this.bit = this.bit + 7 & ~7
      if (this.bits - this.bit < 32) return this.backTo(from)
      this.stored = this.view.getUint16(this.bit >>> 3, true)
      if ((this.stored ^ this.view.getUint16((this.bit >>> 3) + 2, true)) !== 0xffff) {
        throw this.fault('lengths that contradict each other')
      }
      this.bit += 32
      this.state = COPY
    } else if (kind === FIXED) {
      buildTable(this.literals, LITERAL_ENTRIES, FIXED_LITERALS, 0, FIXED_LITERALS.length)
      buildTable(this.distances, DISTANCE_ENTRIES, FIXED_DISTANCES, 0, FIXED_DISTANCES.length)
      this.state = SYMBOLS
    } else if (kind === DYNAMIC) {
      if (!this.codes()) return this.backTo(from)
      this.state = SYMBOLS
    } else throw this.fault('a block of an unknown kind')
    this.lastBlock = (head & 1) === 1
    return true
  }

  private backTo(bit: number): false {
    this.bit = bit
    return false
  }

  /** Read the code lengths of a block. @returns whether they were all there */
  private codes(): boolean {
    const { lengths, distances } = this
    const literals = this.take(5) + 257
    const total = literals + this.take(5) + 1
    const count = this.take(4) + 4
    lengths.fill(0, 0, CODE_ORDER.length)
    for (let i = 0; i < count; i++) lengths[CODE_ORDER[i]] = this.take(3)
    if (this.bit > this.bits) return false
    if (literals > LITERALS || total - literals > DISTANCES) throw this.fault('too many codes')
    // the table of distances is not needed yet
    if (buildTable(distances, CODE_ENTRIES, lengths, 0, CODE_ORDER.length) !== 0) {
      throw this.fault('codes that do not make a tree')
    }
    for (let i = 0; i < total;) {
      const entry = distances.entries[this.peek(7) & distances.mask]
      const code = entry >> 8
      this.bit += entry & 15
      let repeat = 1
      let length = code
      if (code >= 16) {
        length = code === 16 ? lengths[i - 1] : 0
        repeat = code === 16 ? 3 + this.take(2) : code === 17 ? 3 + this.take(3) : 11 + this.take(7)
      }
      if (this.bit > this.bits) return false
      if (i + repeat > total) throw this.fault('too many lengths')
      if (code === 16 && i === 0) throw this.fault('a length repeated before the first')
      lengths.fill(length, i, i += repeat)
    }
    const isTree = lengths[END_OF_BLOCK] > 0 &&
      isUsable(buildTable(this.literals, LITERAL_ENTRIES, lengths, 0, literals), this.literals) &&
      isUsable(buildTable(distances, DISTANCE_ENTRIES, lengths, literals, total), distances)
    if (!isTree) throw this.fault('codes that do not make a tree')
    return true
  }

  /** The next bits, zeros behind the end. @param count up to 16 */
  private peek(count: number): number {
    const { input, bit } = this
    const at = bit >>> 3
    const word = (input[at] ?? 0) | (input[at + 1] ?? 0) << 8 | (input[at + 2] ?? 0) << 16
    return word >>> (bit & 7) & (1 << count) - 1
  }

  private take(count: number): number {
    const value = this.peek(count)
    this.bit += count
    return value
  }

  /** Go on with a block that is not packed. */
  private copy(): boolean {
    const from = this.bit >>> 3
    const count = Math.min(this.stored, (this.bits >>> 3) - from, BUFFER - this.end)
    this.bytes.set(this.input.subarray(from, from + count), this.end)
    this.end += count
    this.bit += count * 8
    this.stored -= count
    if (this.stored > 0) return false
    this.state = BLOCK
    return true
  }

  /** Go on with a packed block. */
  private symbols(): boolean {
    const { bits, tail } = this
    const safe = bits - (SYMBOL_SIZE - 1) * 8
    if (this.bit < safe) this.decode(this.view, 0, safe, bits)
    if (this.state === SYMBOLS && this.bit >= safe && this.end <= BUFFER - MAX_MATCH) {
      // the last bytes, with zeros behind them
      const from = this.bit >>> 3
      tail.fill(0)
      tail.set(this.input.subarray(from))
      this.decode(new DataView(tail.buffer), from * 8, bits, bits)
    }
    return this.state === BLOCK
  }

  /**
   * Unpack symbols that begin before `safe` and end before `limit`, while there is room.
   *
   * @param base where `view` begins, in bits of the input
   */
  private decode(view: DataView, base: number, safe: number, limit: number): void {
    const { bytes } = this
    const { entries: literals, mask: literalMask } = this.literals
    const { entries: distances, mask: distanceMask } = this.distances
    const room = BUFFER - MAX_MATCH
    safe -= base
    limit -= base
    let bit = this.bit - base
    let out = this.end
    let found = ''
    while (bit < safe && out <= room) {
      let word = view.getUint32(bit >>> 3, true) >>> (bit & 7)
      let entry = literals[word & literalMask]
      let next = bit + (entry & 15)
      if (entry < FIRST_LENGTH) {
        if (next > limit) break
        bytes[out++] = entry >> 8
        bit = next
        continue
      }
      if (entry >= END_ENTRY) {
        if (entry >= NO_ENTRY) found = 'a code that stands for nothing'
        else if (next <= limit) {
          bit = next
          this.state = BLOCK
        }
        break
      }
      let extra = entry >> 4 & 15
      const length = (entry >> 8) - 256 + (word >>> (entry & 15) & (1 << extra) - 1)
      next += extra
      word = view.getUint32(next >>> 3, true) >>> (next & 7)
      entry = distances[word & distanceMask]
      next += entry & 15
      extra = entry >> 4 & 15
      word = view.getUint32(next >>> 3, true) >>> (next & 7)
      const distance = (entry >> 8) + (word & (1 << extra) - 1)
      next += extra
      if (next > limit) break
      if (distance > out) {
        found = 'a distance beyond the beginning'
        break
      }
      copyMatch(bytes, out, distance, length)
      out += length
      bit = next
    }
    this.end = out
    this.bit = bit + base
    if (found !== '' && bit + MAX_SYMBOL <= limit) throw this.fault(found) // else it may lack its last bits
  }

  private trailer(): void {
    const found = this.view.getUint32(this.bit >>> 3)
    if (found !== this.sum) {
      const [told, made] = [found, this.sum].map((sum) => sum.toString(16).padStart(8, '0'))
      throw this.fault(`checksum ${told} for bytes of ${made}`, 'ERR_CHECKSUM')
    }
    this.bit += 32
    this.state = DONE
  }

  private fault(found: string, code: ErrorCode = 'ERR_MALFORMED'): FlowkitError {
    const offset = this.origin + this.consumed + (this.bit >>> 3)
    if (this.isRaw) return malformed('gzip', offset, found)
    return new FlowkitError(code, `Cannot unpack zlib stream: ${found} found at byte ${offset}`)
  }
}
