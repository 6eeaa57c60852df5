import { FIELDS, type FieldName } from '../flow/fields.ts'
import { FLOW_TYPE, NFDUMP_PROTOCOLS, PROTOCOLS, protocolNumber, SAMPLING_SOURCE } from '../flow/names.ts'

type Names = Readonly<Record<string, number | readonly [number, number]>>

/** Values of fields that have names, in lower case; the first of several names is the one shown. */
const NAMES: Readonly<Partial<Record<FieldName, Names>>> = {
  type: lowerCase(FLOW_TYPE),
  sampling_source: lowerCase(SAMPLING_SOURCE),
  direction: { ingress: 0, egress: 1 },
  // RFC 5102 §5.11.3
  end_reason: { idle: 1, active: 2, end: 3, forced: 4, resources: 5 },
  // RFC 5103 §6.3
  biflow_direction: { initiator: 1, reverse: 2, perimeter: 3 },
  etype: { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd, mpls: 0x8847 },
  // RFC 7270 §4.12, by the names nfdump shows them with; the first four are all reasons of a status
  forwarding_status: {
    unknown: [0, 63], forwarded: [64, 127], dropped: [128, 191], consumed: [192, 255],
    ukwn: [0, 63], forw: [64, 127], drop: [128, 191], term: [192, 255],
    frag: 65, dacld: 129, daclp: 130, noroute: 131, dadj: 132, dfrag: 133, dbadh: 134, dbadtlen: 135,
    dbadhlen: 136, dbadttl: 137, dpolicy: 138, dwred: 139, drpf: 140, dforus: 141, dbadof: 142, dhw: 143,
    tadj: 193, tincadj: 194, tforus: 195,
  },
  // RFC 8158 §4.3, by nfdump's names
  nat_event: {
    invalid: 0, add: 1, create: 1, delete: 2, exhaust: 3, add44: 4, del44: 5, add64: 6, del64: 7,
    add44bib: 8, del44bib: 9, add64bib: 10, del64bib: 11, pexhaust: 12, quotaexh: 13, addaddr: 14,
    deladdr: 15, addpblk: 16, delpblk: 17, threshld: 18,
  },
  // Cisco ASA's NetFlow guide, by nfdump's names
  firewall_event: {
    ignore: 0, create: 1, delete: 2, denied: 3, alert: 4, update: 5, deleted: 2, teardown: 2, term: 2,
    deny: 3,
  },
  // OpenBSD's net/pfvar.h
  pf_action: byPlace(
    'pass block scrub noscrub nat nonat binat nobinat rdr nordr synblock defer match divert rt afrt'),
  pf_reason: byPlace('match bad-offset fragment short normalize memory bad-timestamp congestion ip-option '
    + 'proto-cksum state-mismatch state-insert state-limit src-limit synproxy translate no-route'),
  pf_direction: { in: 1, out: 2 },
  firewall_ext_event: {
    'ignore': 0, 'i-acl': 1001, 'ingress': 1001, 'e-acl': 1002, 'egress': 1002, 'deny': 1003,
    'interface': 1003, 'access': 1003, 'nosyn': 1004,
  },
}

const FLAG_LETTERS = 'FSRPAUEC' // from bit 0
const ALL_FLAGS = 63 // nfdump's X
const FLAG_FIELDS: readonly FieldName[] = ['tcp_flags', 'rev_tcp_flags']

/** The lowest and highest value that `text` names for a field, or undefined where it names none. */
export function namedValue(field: number, text: string): readonly [number, number] | undefined {
  const { name } = FIELDS[field]
  const word = text.toLowerCase()
  const names = NAMES[name] ?? {}
  let value = Object.hasOwn(names, word) ? names[word] : undefined
  if (name === 'proto' || name === 'tun_proto') value = anyProtocol(word)
  else if (FLAG_FIELDS.includes(name)) value = parseFlags(text)
  if (value === undefined || value === -1) return undefined
  return typeof value === 'number' ? [value, value] : value
}

/** The number of a protocol by its own name or by nfdump's, or -1. */
function anyProtocol(word: string): number {
  const number = protocolNumber(word)
  if (number >= 0 || /^\d+$/.test(word)) return number
  return NFDUMP_PROTOCOLS.findIndex((name) => name.toLowerCase() === word)
}

/** The name of one value of a field, or undefined. */
export function nameOf(field: number, value: number): string | undefined {
  const { name } = FIELDS[field]
  if (name === 'proto' || name === 'tun_proto') return PROTOCOLS[value]
  if (FLAG_FIELDS.includes(name)) return formatFlags(value)
  return Object.entries(NAMES[name] ?? {}).find(([, named]) => named === value)?.[0]
}

/** The bits of TCP flags given by their letters (`X`: the six of RFC 793), or undefined. */
export function parseFlags(text: string): number | undefined {
  if (!/^[fsrpauecx]+$/i.test(text)) return undefined
  let flags = 0
  for (const letter of text.toUpperCase()) {
    flags |= letter === 'X' ? ALL_FLAGS : 1 << FLAG_LETTERS.indexOf(letter)
  }
  return flags
}

function formatFlags(value: number): string | undefined {
  if (value === 0 || value > 255) return undefined
  return [...FLAG_LETTERS].filter((_, bit) => value >> bit & 1).join('')
}

function lowerCase(values: Readonly<Record<string, number>>): Names {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]))
}

/** Names with a space between, numbered from 0. */
function byPlace(names: string): Names {
  return Object.fromEntries(names.split(' ').map((name, value) => [name, value]))
}
