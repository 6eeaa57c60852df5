import { putIpv4, toWords } from '../core/flow/byte-writer.ts'

const COLON = 58
/** `7` or `1f`, and `07`. */
const HEX = Uint16Array.from({ length: 256 }, (_, i) => toWords(i.toString(16))[0])
const HEX_PADDED = Uint16Array.from({ length: 256 }, (_, i) => toWords(i.toString(16).padStart(2, '0'))[0])

/**
 * Write an IPv6 address as glibc's inet_ntop does: RFC 5952, but not only IPv4-mapped addresses end in dotted
 * decimal, IPv4-compatible ones do so, too.
 *
 * @returns the offset behind it
 */
export function putInet6(v6: Uint8Array, from: number, view: DataView, at: number): number {
  let zerosAt = 8 // the longest run of two or more zero groups, the first of equals
  let zeros = 1
  for (let group = 0, run = 0; group < 8; group++) {
    run = (v6[from + group * 2] | v6[from + group * 2 + 1]) === 0 ? run + 1 : 0
    if (run > zeros) {
      zeros = run
      zerosAt = group + 1 - run
    }
  }
  const isMapped = zeros === 5 && v6[from + 10] === 255 && v6[from + 11] === 255
  const groups = zerosAt === 0 && (zeros === 6 || isMapped) ? 6 : 8
  for (let group = 0; group < groups; group++) {
    if (group === zerosAt) {
      view.setUint16(at, 0x3a3a) // :: of which the second is the next group's, if one comes
      at += group + zeros === 8 ? 2 : 1
      group += zeros - 1
      continue
    }
    if (group > 0) view.setUint8(at++, COLON)
    const high = v6[from + group * 2]
    const low = v6[from + group * 2 + 1]
    if (high > 0) {
      view.setUint16(at, HEX[high], true)
      view.setUint16(at += high > 15 ? 2 : 1, HEX_PADDED[low], true)
      at += 2
    } else {
      view.setUint16(at, HEX[low], true)
      at += low > 15 ? 2 : 1
    }
  }
  if (groups === 8) return at
  view.setUint8(at++, COLON)
  const low = v6[from + 12] << 24 | v6[from + 13] << 16 | v6[from + 14] << 8 | v6[from + 15]
  return putIpv4(low >>> 0, view, at)
}
