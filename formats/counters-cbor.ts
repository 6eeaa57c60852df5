/** What the CBOR of counter samples is made of. */
export type CborValue = number | string | null | readonly CborValue[] | ReadonlyMap<string, CborValue>

// Major types, RFC 8949 §3.1
const UNSIGNED = 0x00
const NEGATIVE = 0x20
const TEXT = 0x60
const ARRAY = 0x80
const MAP = 0xa0
const NULL = 0xf6
const FLOAT64 = 0xfb

/** One data item: integers to 2^53 as integers, other numbers as doubles. */
export function encodeCbor(value: CborValue): Uint8Array {
  const parts: Uint8Array[] = []
  put(value, parts)
  return Buffer.concat(parts)
}

function put(value: CborValue, parts: Uint8Array[]): void {
  if (value === null) parts.push(Uint8Array.of(NULL))
  else if (typeof value === 'number') parts.push(numberItem(value))
  else if (typeof value === 'string') {
    const bytes = Buffer.from(value)
    parts.push(head(TEXT, bytes.length), bytes)
  } else if (value instanceof Map) {
    parts.push(head(MAP, value.size))
    for (const [name, member] of value) {
      put(name, parts)
      put(member, parts)
    }
  } else {
    const items = value as readonly CborValue[]
    parts.push(head(ARRAY, items.length))
    for (const item of items) put(item, parts)
  }
}

function numberItem(value: number): Uint8Array {
  if (Number.isInteger(value) && Math.abs(value) <= 2 ** 53) {
    return value < 0 ? head(NEGATIVE, -1 - value) : head(UNSIGNED, value)
  }
  const item = new DataView(new ArrayBuffer(9))
  item.setUint8(0, FLOAT64)
  item.setFloat64(1, value)
  return new Uint8Array(item.buffer)
}

/** Major type and argument. */
function head(major: number, argument: number): Uint8Array {
  if (argument < 24) return Uint8Array.of(major | argument)
  const size = argument < 0x100 ? 1 : argument < 0x10000 ? 2 : argument < 2 ** 32 ? 4 : 8
  const item = new DataView(new ArrayBuffer(1 + size))
  item.setUint8(0, major | 24 + Math.log2(size))
  if (size === 1) item.setUint8(1, argument)
  else if (size === 2) item.setUint16(1, argument)
  else {
    if (size === 8) item.setUint32(1, Math.floor(argument / 2 ** 32))
    item.setUint32(size - 3, argument % 2 ** 32)
  }
  return new Uint8Array(item.buffer)
}
