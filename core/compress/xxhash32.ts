/** XXH32 with seed 0, the checksum of LZ4's frames (xxHash fast digest algorithm, version 0.1.1). */
const PRIME1 = 0x9e3779b1
const PRIME2 = 0x85ebca77
const PRIME3 = 0xc2b2ae3d
const PRIME4 = 0x27d4eb2f
const PRIME5 = 0x165667b1
const STRIPE = 16 // bytes

/** XXH32 of bytes that come in pieces. */
export class XxHash32 {
  private a = PRIME1 + PRIME2 | 0
  private b = PRIME2 | 0
  private c = 0
  private d = -PRIME1 | 0
  private size = 0
  /** Bytes that make no stripe yet. */
  private readonly rest = new Uint8Array(STRIPE)
  private restSize = 0
  private hasStripe = false

  update(bytes: Uint8Array): this {
    this.size = this.size + bytes.length | 0
    let at = 0
    if (this.restSize > 0) {
      at = Math.min(STRIPE - this.restSize, bytes.length)
      this.rest.set(bytes.subarray(0, at), this.restSize)
      this.restSize += at
      if (this.restSize < STRIPE) return this
      this.stripes(this.rest, 0, STRIPE)
    }
    const end = bytes.length - (bytes.length - at) % STRIPE
    this.stripes(bytes, at, end)
    this.rest.set(bytes.subarray(end))
    this.restSize = bytes.length - end
    return this
  }

  /** Of the bytes so far, as an unsigned number. */
  digest(): number {
    const { a, b, c, d, rest, restSize, size } = this
    let hash = !this.hasStripe
      ? PRIME5
      : rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18) | 0
    hash = hash + size | 0
    const view = new DataView(rest.buffer)
    let at = 0
    for (; at + 4 <= restSize; at += 4) {
      hash = Math.imul(rotate(hash + Math.imul(view.getInt32(at, true), PRIME3) | 0, 17), PRIME4)
    }
    for (; at < restSize; at++) hash = Math.imul(rotate(hash + Math.imul(rest[at], PRIME5) | 0, 11), PRIME1)
    hash = Math.imul(hash ^ hash >>> 15, PRIME2)
    hash = Math.imul(hash ^ hash >>> 13, PRIME3)
    return (hash ^ hash >>> 16) >>> 0
  }

  private stripes(bytes: Uint8Array, at: number, end: number): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    if (at < end) this.hasStripe = true
    let { a, b, c, d } = this
    for (; at < end; at += STRIPE) {
      a = round(a, view.getInt32(at, true))
      b = round(b, view.getInt32(at + 4, true))
      c = round(c, view.getInt32(at + 8, true))
      d = round(d, view.getInt32(at + 12, true))
    }
    this.a = a
    this.b = b
    this.c = c
    this.d = d
  }
}

/** XXH32 of `bytes`. */
export function xxHash32(bytes: Uint8Array): number {
  return new XxHash32().update(bytes).digest()
}

function round(lane: number, word: number): number {
  return Math.imul(rotate(lane + Math.imul(word, PRIME2) | 0, 13), PRIME1)
}

function rotate(value: number, bits: number): number {
  return value << bits | value >>> (32 - bits)
}
