const BASE = 65_521 // the largest prime below 2^16
/** Bytes that can be added before the sums pass 31 bits: they stay small integers. */
const RUN = 3800

/**
 * The Adler-32 checksum (RFC 1950 §8.2) of `bytes[from..to)` behind what `sum` is that of.
 *
 * @param sum 1 for nothing
 */
export function adler32(bytes: Uint8Array, from: number, to: number, sum: number): number {
  let a = sum & 0xffff
  let b = sum >>> 16
  while (from < to) {
    for (const end = Math.min(from + RUN, to); from < end; from++) {
      a += bytes[from]
      b += a
    }
    a %= BASE
    b %= BASE
  }
  return (b << 16 | a) >>> 0
}
