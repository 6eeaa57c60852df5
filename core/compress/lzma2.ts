/** LZMA2: chunks of LZMA or of plain bytes, over a dictionary that goes on from one to the next. */
import type { ByteSource } from './byte-source.ts'
import { malformed, truncated } from './damage.ts'
import { LzmaDecoder } from './lzma.ts'

const MAX_UNPACKED = 2 << 20 // bytes of a chunk
const MAX_CHUNK = 1 << 20 // bytes given out at a time
const SMALL = 1 << 16 // bytes of a window that does for many inputs
// control bytes
const END = 0
const PLAIN_RESET = 1 // of the dictionary
const PLAIN = 2
const LZMA = 0x80
const STATE_RESET = 0xa0 // this and what is above
const PROPERTIES = 0xc0
const DICTIONARY_RESET = 0xe0

/**
 * Unpack LZMA2.
 *
 * @param dictionary bytes that a match may reach back
 * @throws FlowkitError ERR_MALFORMED, ERR_TRUNCATED behind the chunks that could be unpacked
 */
export async function* unpackLzma2(source: ByteSource, dictionary: number): AsyncGenerator<Uint8Array> {
  const decoder = new LzmaDecoder()
  const window = new Window(dictionary)
  let lowest = DICTIONARY_RESET // the control byte of LZMA that must come at least
  for (;;) {
    const start = source.offset
    if (!await source.fill(1)) throw truncated('xz', start)
    const control = source.take(1)[0]
    if (control === END) return
    const isPlain = control < LZMA
    const needsReset = lowest === DICTIONARY_RESET && control !== PLAIN_RESET
    if (isPlain ? control > PLAIN || needsReset : control < lowest) {
      throw malformed('xz', start, 'no such chunk')
    }
    const headerSize = isPlain ? 2 : control >= PROPERTIES ? 5 : 4
    if (!await source.fill(headerSize)) throw truncated('xz', source.offset)
    const header = source.take(headerSize)
    const low = header[0] << 8 | header[1]
    const size = (isPlain ? low : low | (control & 31) << 16) + 1
    const packed = isPlain ? size : (header[2] << 8 | header[3]) + 1
    const isWhole = await source.fill(packed)
    const chunk = isWhole ? source.take(packed) : source.take(source.bytes.length - source.at)
    if (control === PLAIN_RESET || control >= DICTIONARY_RESET) window.reset()
    const at = window.room(size)
    const { bytes, known, position } = window
    let end = at + chunk.length
    let fault = ''
    if (isPlain) {
      bytes.set(chunk, at)
      if (control === PLAIN_RESET) lowest = PROPERTIES
    } else {
      if (!startChunk(decoder, control, header[4])) throw malformed('xz', start, 'no such properties')
      end = decoder.decode(chunk, bytes, at, at + size, known, position)
      fault = decoder.fault
      lowest = LZMA
    }
    window.grow(size)
    for (let from = at; from < end; from += MAX_CHUNK) {
      yield bytes.slice(from, Math.min(from + MAX_CHUNK, end))
    }
    if (!isWhole) throw truncated('xz', source.offset)
    if (fault !== '') throw malformed('xz', start, fault)
  }
}

/** Reset of the decoder what the control byte says. @returns whether its properties are possible */
function startChunk(decoder: LzmaDecoder, control: number, properties: number): boolean {
  if (control >= PROPERTIES) return decoder.setProperties(properties)
  if (control >= STATE_RESET) decoder.reset()
  return true
}

/** The last bytes that were unpacked. */
class Window {
  bytes: Uint8Array = new Uint8Array(0)
  /** Bytes at its end that a match may repeat. */
  known = 0
  /** Bytes since the last reset, modulo 2^32. */
  position = 0
  private end = 0
  private readonly dictionary: number

  constructor(dictionary: number) {
    this.dictionary = dictionary
  }

  reset(): void {
    this.known = 0
    this.position = 0
  }

  /** Make room for `size` bytes behind its end. @returns where that is */
  room(size: number): number {
    const { bytes, end, dictionary } = this
    if (end + size <= bytes.length) return end
    // a quarter more than needed, so that bytes move seldom; what is not written to takes no memory
    const most = dictionary + (dictionary >> 2) + MAX_UNPACKED
    const kept = Math.min(end, dictionary)
    if (bytes.length < most) {
      this.bytes = new Uint8Array(kept + size <= SMALL ? SMALL : most)
      this.bytes.set(bytes.subarray(end - kept, end))
    } else bytes.copyWithin(0, end - kept, end)
    this.end = kept
    return kept
  }

  /** `size` bytes were written there. */
  grow(size: number): void {
    this.end += size
    this.position = this.position + size | 0
    this.known = Math.min(this.known + size, this.dictionary)
  }
}
