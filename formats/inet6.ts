import { writeIpv6 } from '../core/flow/address.ts'
import { putIpv4 } from '../core/flow/byte-writer.ts'

const COLON = 58

/**
 * Write the IPv6 address at `bytes[from]` as glibc's inet_ntop does: as RFC 5952 has it, but those that are
 * IPv4-compatible end in dotted decimal, too.
 *
 * @returns the offset behind it
 */
export function putInet6(
  bytes: Uint8Array, from: number, out: Uint8Array, view: DataView, at: number,
): number {
  let zeros = 0
  while (zeros < 16 && bytes[from + zeros] === 0) zeros++
  if (zeros !== 12 && zeros !== 13) return writeIpv6(bytes, from, out, at)
  out[at] = out[at + 1] = COLON
  const low = bytes[from + 12] << 24 | bytes[from + 13] << 16 | bytes[from + 14] << 8 | bytes[from + 15]
  return putIpv4(low >>> 0, view, at + 2)
}
