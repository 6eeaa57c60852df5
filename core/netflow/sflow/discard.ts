/** Formats of an sFlow interface number (sFlow version 5 section 5.3, "Input/output port information"). */
export const INTERFACE_FORMAT = { single: 0, discarded: 1, multiple: 2 } as const

/** Forwarding status of a packet that ends in the device itself: consumed, for us (RFC 7270 §4.12). */
export const STATUS_FOR_US = 195

/** The number that stands for the device itself in the expanded format. */
export const INTERNAL_INTERFACE = 0xffffffff
/** The same in the compact format; agents use it in the expanded format too (SFL_INTERNAL_INTERFACE). */
const COMPACT_INTERNAL = 0x3fffffff

const DROPPED = 128

/**
 * forwardingStatus (IE 89, RFC 7270 §4.12) by sFlow's reason for a discard; others are dropped, unknown.
 *
 * Source of the reasons: sFlow version 5 section 5.3, sflow_drops.txt.
 */
const STATUSES: Readonly<Record<number, number>> = {
  0: 131, 1: 131, 6: 131, 7: 131, 8: 131, 11: 131, 12: 131, // unreachable or unknown: unroutable
  4: 133, // fragmentation needed and don't fragment
  9: 129, 10: 129, 13: 129, // administratively prohibited: ACL deny
  257: 137, // time to live
  258: 130, // ACL: ACL drop
  260: 139, // RED
  261: 138, // traffic shaping: policer
  262: 133, // too big, and never fragmented
  269: 131, // blackhole route
  279: 132, // unresolved neighbour: adjacency
  280: 140, 302: 140, // reverse path forwarding, multicast and unicast
  281: 131, // not routable
}

const UNKNOWN_REASON = 256
/** The reason for a forwarding status: the first that has it. */
const REASONS: ReadonlyMap<number, number> =
  new Map(Object.entries(STATUSES).reverse().map(([reason, status]) => [status, Number(reason)]))

/** The forwarding status (IE 89) of a packet discarded for `reason`. */
export function statusOfDiscard(reason: number): number {
  return STATUSES[reason] ?? DROPPED
}

/** The reason to give for a forwarding status (IE 89), or -1 if the packet was not dropped. */
export function reasonOfStatus(status: number): number {
  return status >> 6 === DROPPED >> 6 ? REASONS.get(status) ?? UNKNOWN_REASON : -1
}

/** Whether an interface number stands for the device itself. */
export function isInternal(value: number): boolean {
  return value === COMPACT_INTERNAL || value === INTERNAL_INTERFACE
}
