/** Values that nfdump has names for (src/libnffile/userio.c). */
import { NFDUMP_PROTOCOLS } from '../../core/flow/names.ts'

/** The protocols, by number; from 138 on it has numbers. */
export const PROTOCOL_NAMES: readonly string[] =
  Array.from({ length: 256 }, (_, i) => NFDUMP_PROTOCOLS[i] ?? String(i))

/** The protocols of 1.6, where 94 has another name. */
export const OLD_PROTOCOL_NAMES: readonly string[] = PROTOCOL_NAMES.with(94, 'IPIP')

const FIREWALL_EVENTS = ['IGNORE', 'CREATE', 'DELETE', 'DENIED', 'ALERT', 'UPDATE']

/** What the firewall did. */
export function firewallEvent(event: number): string {
  return FIREWALL_EVENTS[event] ?? `${event}-Unknw`
}

const EXTENDED_EVENTS: Readonly<Record<number, string>> = {
  0: 'IGNORE', 1001: 'I-ACL', 1002: 'E-ACL', 1003: 'DENY', 1004: 'NOSYN',
}

/** Why it did. */
export function extendedEvent(event: number): string {
  return EXTENDED_EVENTS[event] ?? String(event)
}

/** What the firewall did in the words of 1.7.1, which has the same for those it knows. */
export function formerFirewallEvent(event: number): string {
  return FIREWALL_EVENTS[event] ?? 'UNKNOW'
}

/** What the NAT did in the words of 1.7.1. */
export function formerNatEvent(event: number): string {
  return ['INVALID', 'ADD', 'DELETE'][event] ?? 'UNKNOW'
}

const FORMER_EXTENDED_EVENTS: Readonly<Record<number, string>> = {
  ...EXTENDED_EVENTS, 0: 'Ignore', 1003: 'Adap', 1004: 'No Syn',
}

/** Why the firewall did it, in the words of 1.7.1. */
export function formerExtendedEvent(event: number): string {
  return FORMER_EXTENDED_EVENTS[event] ?? String(event)
}

/** What a NAT did, short and in words (RFC 8158 §4.3). */
const NAT_EVENTS = [
  'INVALID/INVALID', 'ADD/NAT translation create', 'DELETE/NAT translation delete',
  'EXHAUST/NAT Addresses exhausted', 'ADD44/NAT44 session create', 'DEL44/NAT44 session delete',
  'ADD64/NAT64 session create', 'DEL64/NAT64 session delete', 'ADD44BIB/NAT44 BIB create',
  'DEL44BIB/NAT44 BIB delete', 'ADD64BIB/NAT64 BIB create', 'DEL64BIB/NAT64 BIB delete',
  'PEXHAUST/NAT ports exhausted', 'QUOTAEXH/Quota Exceeded', 'ADDADDR/Address binding create',
  'DELADDR/Address binding delete', 'ADDPBLK/Port block allocation', 'DELPBLK/Port block de-allocation',
  'THRESHLD/Threshold Reached',
].map((names) => names.split('/'))

/** What the NAT did. */
export function natEvent(event: number): string {
  return NAT_EVENTS[event]?.[0] ?? `${event}-Unknown`
}

/** The same in words. */
export function natEventWords(event: number): string {
  return NAT_EVENTS[event]?.[1] ?? `${event}-Unknown`
}

/** Which side of a conversation a record of both directions is of. */
export function biflowDirection(direction: number): string {
  return ['', 'initiator', 'reverseInitiator', 'perimeter'][direction] ?? 'undef'
}

/** Why the flow ended. */
export function endReason(reason: number): string {
  const names = [
    '', 'idle timeout', 'active timeout', 'end of Flow detected', 'forced end', 'lack of resources',
  ]
  return names[reason] ?? 'undef'
}

const PF_ACTIONS =
  'pass block scrub noscrub nat nonat binat nobinat rdr nordr synblock defer match divert rt afrt'.split(' ')

/** What a rule of pf did. */
export function pfAction(action: number): string {
  return PF_ACTIONS[action] ?? '<undef>'
}

const PF_REASONS = `
  match bad-offset fragment short normalize memory bad-timestamp congestion ip-option proto-cksum
  state-mismatch state-insert state-limit src-limit synproxy translate no-route
`.trim().split(/\s+/)

/** Why pf did it. */
export function pfReason(reason: number): string {
  return PF_REASONS[reason] ?? '<undef>'
}

/** Where pf saw the packets. */
export function pfDirection(direction: number): string {
  return direction === 1 ? 'in' : 'out'
}
