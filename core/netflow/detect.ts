import { fixedVersion, recordSize } from './fixed.ts'

/** UDP ports that exporters send to by custom: there the version alone tells export data, damaged or not. */
const EXPORT_PORTS: ReadonlySet<number> = new Set([2055, 2056, 4432, 4739, 6343, 9555, 9991, 9995, 9996])

/** The 32-bit version that sFlow v5 datagrams begin with. */
export const SFLOW_V5 = 5

/** NetFlow versions and IPFIX; sFlow's 32-bit version begins with 0. */
const VERSIONS: ReadonlySet<number> = new Set([1, 5, 6, 7, 8, 9, 10])

/**
 * Whether a UDP payload sent to `port` is an export datagram.
 *
 * On ports other than the usual ones its lengths must agree with its header's, which is stricter than
 * decoding, so that ordinary traffic is not taken for NetFlow.
 */
export function isExportDatagram(view: DataView, start: number, end: number, port: number): boolean {
  const length = end - start
  if (EXPORT_PORTS.has(port)) {
    return length >= 4 && (VERSIONS.has(view.getUint16(start)) || view.getUint32(start) === SFLOW_V5)
  }
  if (length < 16) return false
  const version = view.getUint16(start)
  const second = view.getUint16(start + 2)
  const fixed = fixedVersion(version, version === 8 && length > 22 ? view.getUint8(start + 22) : 0)
  if (fixed) return second > 0 && length === fixed.headerSize + second * recordSize(fixed.layout)
  if (version === 9) return length >= 24 && second > 0 && setsFit(view, start + 20, end)
  if (version === 10) return second === length && setsFit(view, start + 16, end)
  const addressType = view.getUint32(start + 4) // of sFlow's agent: 1 IPv4, 2 IPv6
  return view.getUint32(start) === SFLOW_V5 && (addressType === 1 || addressType === 2)
}

/** Whether the message is sets from end to end; behind the first set zeros may fill it. */
function setsFit(view: DataView, at: number, end: number): boolean {
  for (let first = true; end - at >= 4; first = false) {
    const length = view.getUint16(at + 2)
    if (length === 0 && !first) {
      while (at < end && view.getUint8(at) === 0) at++
      return at === end
    }
    if (length < 4 || length > end - at) return false
    at += length
  }
  return true
}
