/** What the decoders of the LZ77 family share. */

/** Bytes from which on a copy by the engine is faster than a loop; measured with V8 of Node 26. */
const LONG = 48

/** Copy `length` bytes from one array to another. The caller has checked both. */
export function copyLiterals(
  source: Uint8Array, from: number, target: Uint8Array, at: number, length: number,
): void {
  if (length < LONG) for (const end = at + length; at < end;) target[at++] = source[from++]
  else target.set(source.subarray(from, from + length), at)
}

/** Repeat in `target` the `length` bytes that begin `distance` before `at`, which may overlap them. */
export function copyMatch(target: Uint8Array, at: number, distance: number, length: number): void {
  let from = at - distance
  if (length < LONG || distance < LONG && length < LONG * 4) {
    for (const end = at + length; at < end;) target[at++] = target[from++]
  } else {
    // what is there already, then twice as much, and so on
    for (; length > distance; distance += distance) {
      target.copyWithin(at, from, at)
      at += distance
      length -= distance
    }
    target.copyWithin(at, from, from + length)
  }
}

/**
 * How many bytes from `a` and from `b` on are equal.
 *
 * @param b the later of the two
 * @param end where `b` stops
 */
export function matchLength(view: DataView, a: number, b: number, end: number): number {
  const start = b
  for (; b + 4 <= end; a += 4, b += 4) {
    const difference = view.getInt32(a, true) ^ view.getInt32(b, true)
    if (difference !== 0) return b - start + (31 - Math.clz32(difference & -difference) >> 3)
  }
  while (b < end && view.getUint8(a) === view.getUint8(b)) {
    a++
    b++
  }
  return b - start
}
