/** Packets as they are captured: a batch of them, which is filled again and again. */

/** Values of `PacketBatch.direction`; the first two are those of IPFIX's flowDirection. */
export const INCOMING = 0
export const OUTGOING = 1
export const UNKNOWN_DIRECTION = 255

/** Packets in a batch, at most. */
export const BATCH_ROWS = 2048

/**
 * Packets of one interface, one a row, in the order in which they came; valid until more are received.
 *
 * They lie where the kernel has put them: `bytes` is another array from batch to batch. A VLAN tag that the
 * kernel had taken off is in its place again.
 */
export interface PacketBatch {
  /** What the packets lie in. */
  bytes: Uint8Array
  /** LINKTYPE_ number of all of them, as core/pcap's `parsePacket` takes it; -1 where they are not IP. */
  linkType: number
  /** Index of the interface; 0 where it cannot be told. */
  ifIndex: number
  /** Where each begins in `bytes`. */
  readonly start: Uint32Array
  /** The offset behind what was captured of it. */
  readonly end: Uint32Array
  /** Bytes on the wire, from the link header on; of segments that the card has put together, their sum. */
  readonly wireLength: Uint32Array
  /** When the kernel saw it: µs since the epoch, an integer. */
  readonly time: Float64Array
  /** Nanoseconds below `time`, 0 to 999. */
  readonly nanos: Uint16Array
  /** INCOMING, OUTGOING or UNKNOWN_DIRECTION. */
  readonly direction: Uint8Array
}

/** A batch with room for BATCH_ROWS packets. */
export function newPacketBatch(): PacketBatch {
  return {
    bytes: new Uint8Array(0),
    linkType: -1,
    ifIndex: 0,
    start: new Uint32Array(BATCH_ROWS),
    end: new Uint32Array(BATCH_ROWS),
    wireLength: new Uint32Array(BATCH_ROWS),
    time: new Float64Array(BATCH_ROWS),
    nanos: new Uint16Array(BATCH_ROWS),
    direction: new Uint8Array(BATCH_ROWS),
  }
}
