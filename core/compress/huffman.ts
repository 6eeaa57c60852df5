/** The codes of deflate (RFC 1951 §3.2), and tables to read them with. */

/** How many codes of literals and lengths a block may have. */
export const LITERALS = 286
/** How many codes of distances a block may have. */
export const DISTANCES = 30
/** The code that ends a block. */
export const END_OF_BLOCK = 256
/** Bytes of the longest match. */
export const MAX_MATCH = 258

const MAX_BITS = 15

/*
 * Entries of tables: value << 8 | extra bits << 4 | bits of the code. The value is the literal, 256 more than
 * the least length, or the least distance.
 */

/** Entries below it are of literals. */
export const FIRST_LENGTH: number = 256 << 8
/** The entry of the end of a block. */
export const END_ENTRY: number = 1000 << 8
/** The entry of what no code begins with: no literal, and a distance longer than all that lies before it. */
export const NO_ENTRY: number = 0x40000 << 8

/** What the codes of literals and lengths stand for: entries without the bits of the code. */
export const LITERAL_ENTRIES: Int32Array = Int32Array.from({ length: 288 }, (_, symbol) => {
  if (symbol < END_OF_BLOCK) return symbol << 8
  if (symbol === END_OF_BLOCK) return END_ENTRY
  if (symbol >= LITERALS) return NO_ENTRY
  const code = symbol - 257
  const extra = code < 8 || code === 28 ? 0 : (code >> 2) - 1
  const base = code < 8 ? code + 3 : code === 28 ? MAX_MATCH : (4 + (code & 3) << extra) + 3
  return 256 + base << 8 | extra << 4
})
/** What the codes of distances stand for. */
export const DISTANCE_ENTRIES: Int32Array = Int32Array.from({ length: 32 }, (_, code) => {
  if (code >= DISTANCES) return NO_ENTRY
  const extra = code < 4 ? 0 : (code >> 1) - 1
  return (code < 4 ? code : 2 + (code & 1) << extra) + 1 << 8 | extra << 4
})
/** What the codes stand for that the lengths of codes are written in. */
export const CODE_ENTRIES: Int32Array = Int32Array.from({ length: 19 }, (_, code) => code << 8)

/** Lengths of the codes of literals and lengths in blocks that do not bring their own. */
export const FIXED_LITERALS: Uint8Array =
  Uint8Array.from({ length: 288 }, (_, i) => i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8)
/** Lengths of the codes of distances there. */
export const FIXED_DISTANCES: Uint8Array = new Uint8Array(32).fill(5)

/** What codes stand for, by the next bits of the stream, the first of them lowest. */
export interface Table {
  readonly entries: Int32Array
  /** Covers the longest code. */
  mask: number
}

/** A table to be filled. */
export function newTable(): Table {
  return { entries: new Int32Array(1 << MAX_BITS), mask: 0 }
}

/**
 * Fill the table of the codes of `lengths[from..to)`, of which 0 stands for none.
 *
 * @param values what the codes stand for, from the first on
 * @returns 0 if the codes make a tree; more if some are left over, less if there are too many
 */
export function buildTable(
  table: Table, values: Int32Array, lengths: Uint8Array, from: number, to: number,
): number {
  const counts = new Uint16Array(MAX_BITS + 1)
  for (let i = from; i < to; i++) counts[lengths[i]]++
  counts[0] = 0
  let longest = MAX_BITS
  while (longest > 0 && counts[longest] === 0) longest--
  let left = 1
  let code = 0
  const next = new Uint16Array(MAX_BITS + 1) // code by length
  for (let length = 1; length <= longest; length++) {
    left = left * 2 - counts[length]
    if (left < 0) return left
    code = code + counts[length - 1] << 1
    next[length] = code
  }
  const { entries } = table
  const size = 1 << longest
  table.mask = size - 1
  if (left > 0) entries.fill(NO_ENTRY, 0, size)
  for (let i = from; i < to; i++) {
    const length = lengths[i]
    if (length === 0) continue
    const entry = values[i - from] | length
    for (let at = reversed(next[length]++, length); at < size; at += 1 << length) entries[at] = entry
  }
  return left
}

/** The low bits of a code in the other order, as they come in the stream. */
function reversed(code: number, length: number): number {
  let result = 0
  for (; length > 0; length--, code >>= 1) result = result << 1 | code & 1
  return result
}

/** Whether what `buildTable` returned will do: one code alone may leave others over, and so may none. */
export function isUsable(left: number, { mask }: Table): boolean {
  return left === 0 || (left > 0 && mask <= 1)
}
