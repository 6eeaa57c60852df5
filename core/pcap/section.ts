/** What pcapng files begin with: draft-ietf-opsawg-pcapng §4.1 and §4.2. */

/** Types of blocks. A section header reads the same in both byte orders. */
export const SECTION_HEADER = 0x0a0d0d0a
export const INTERFACE_DESCRIPTION = 1
export const ENHANCED_PACKET = 6

export const BYTE_ORDER_MAGIC = 0x1a2b3c4d
const SECTION_SIZE = 28
const INTERFACE_SIZE = 20

/** Bytes of what `writeSection` writes. */
export const SECTION_START: number = SECTION_SIZE + INTERFACE_SIZE

/**
 * Begin a little-endian section of unknown length with one interface, whose packets may have any length and
 * whose times are in µs.
 *
 * @returns where it goes on: SECTION_START
 */
export function writeSection(view: DataView, linkType: number): number {
  view.setUint32(0, SECTION_HEADER, true)
  view.setUint32(4, SECTION_SIZE, true)
  view.setUint32(8, BYTE_ORDER_MAGIC, true)
  view.setUint16(12, 1, true) // version 1.0
  view.setUint16(14, 0, true)
  view.setInt32(16, -1, true) // of unknown length
  view.setInt32(20, -1, true)
  view.setUint32(24, SECTION_SIZE, true)
  view.setUint32(SECTION_SIZE, INTERFACE_DESCRIPTION, true)
  view.setUint32(SECTION_SIZE + 4, INTERFACE_SIZE, true)
  view.setUint16(SECTION_SIZE + 8, linkType, true)
  view.setUint16(SECTION_SIZE + 10, 0, true)
  view.setUint32(SECTION_SIZE + 12, 0, true)
  view.setUint32(SECTION_SIZE + 16, INTERFACE_SIZE, true)
  return SECTION_START
}
