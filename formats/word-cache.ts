/** Bytes that a word may have, and words remembered. */
const MOST_BYTES = 16
const SIZE = 256

/** Numbers of words, as `tcp` is 6: each is asked for once, and found by its bytes from then on. */
export class WordCache {
  /** The number of the word that was found last. */
  value = 0
  private readonly named: (text: string) => number
  private readonly lengths = new Uint8Array(SIZE)
  private readonly bytes = new Uint8Array(SIZE * MOST_BYTES)
  private readonly values = new Float64Array(SIZE)

  /** @param named the number of a word, -1 if it has none */
  constructor(named: (text: string) => number) {
    this.named = named
  }

  /** Find the word of letters, digits, `_` and `-` there. @returns the offset behind it, -1 if it is none */
  find(bytes: Uint8Array, at: number, end: number): number {
    let behind = at
    let hash = 0
    for (; behind < end && IN_WORD[bytes[behind]] === 1; behind++) {
      hash = Math.imul(hash, 31) + bytes[behind] | 0
    }
    const length = behind - at
    if (length === 0 || length > MOST_BYTES) return -1
    const place = (hash ^ hash >>> 8) & SIZE - 1
    let same = this.lengths[place] === length ? 0 : -1
    while (same >= 0 && same < length) {
      same = this.bytes[place * MOST_BYTES + same] === bytes[at + same] ? same + 1 : -1
    }
    if (same < 0 && !this.learn(bytes, at, length, place)) return -1
    this.value = this.values[place]
    return behind
  }

  private learn(bytes: Uint8Array, at: number, length: number, place: number): boolean {
    const word = bytes.subarray(at, at + length)
    const value = this.named(String.fromCharCode(...word))
    if (value < 0) return false
    this.lengths[place] = length
    this.bytes.set(word, place * MOST_BYTES)
    this.values[place] = value
    return true
  }
}

const IN_WORD = Uint8Array.from({ length: 256 }, (_, byte) => (
  /[\w-]/.test(String.fromCharCode(byte)) ? 1 : 0
))
