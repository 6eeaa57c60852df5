/** CRC-64 of xz: the polynomial of ECMA-182, the lowest bit first (xz file format 1.2.1 §6). */

/** By byte: the low and the high 32 bits. */
const TABLE = crcTable()

function crcTable(): Int32Array {
  const table = new Int32Array(512)
  for (let byte = 0; byte < 256; byte++) {
    let low = byte
    let high = 0
    for (let bit = 0; bit < 8; bit++) {
      const isOdd = (low & 1) > 0
      low = low >>> 1 | high << 31
      high >>>= 1
      if (isOdd) {
        low ^= 0xd7870f42
        high ^= 0xc96c5795
      }
    }
    table[byte * 2] = low
    table[byte * 2 + 1] = high
  }
  return table
}

/** CRC-64 of bytes that come in pieces. */
export class Crc64 {
  private low = -1
  private high = -1

  update(bytes: Uint8Array): void {
    let { low, high } = this
    for (let i = 0; i < bytes.length; i++) {
      const entry = ((low ^ bytes[i]) & 255) * 2
      low = (low >>> 8 | high << 24) ^ TABLE[entry]
      high = high >>> 8 ^ TABLE[entry + 1]
    }
    this.low = low
    this.high = high
  }

  /** Of the bytes so far: 8 bytes, the lowest first. */
  digest(): Uint8Array {
    const view = new DataView(new ArrayBuffer(8))
    view.setInt32(0, ~this.low, true)
    view.setInt32(4, ~this.high, true)
    return new Uint8Array(view.buffer)
  }
}
