import { FIELDS, findField, type FieldName } from '../../flow/fields.ts'
import { findElementByName } from '../../flow/elements.ts'
import { DERIVED, type DerivedName } from '../evaluate/derived.ts'
import type { Source } from '../node.ts'

/**
 * nfdump's words (those of 1.6 too): the phrase, alternatives for a word between bars, and what it is about.
 *
 * Of several sources a test is true if it is for one of them.
 */
const PHRASES: readonly (readonly [string, ...(FieldName | DerivedName)[]])[] = [
  ['ip|host|net', 'src_addr', 'dst_addr'],
  ['src ip|host|net', 'src_addr'],
  ['dst ip|host|net', 'dst_addr'],
  ['next ip|host|net', 'next_hop'],
  ['bgp next ip|host|net', 'bgp_next_hop'],
  ['bgpnext ip|host|net', 'bgp_next_hop'],
  ['router|exporter ip|host|net', 'exporter_addr'],
  ['nat|xlate ip|host|net', 'post_nat_src_addr', 'post_nat_dst_addr'],
  ['src nat|xlate ip|host|net', 'post_nat_src_addr'],
  ['dst nat|xlate ip|host|net', 'post_nat_dst_addr'],
  ['xip|nip|xnet', 'post_nat_src_addr', 'post_nat_dst_addr'],
  ['src xip|nip|xnet', 'post_nat_src_addr'],
  ['dst xip|nip|xnet', 'post_nat_dst_addr'],
  ['port', 'src_port', 'dst_port'],
  ['src port', 'src_port'],
  ['dst port', 'dst_port'],
  ['nat|xlate port', 'post_napt_src_port', 'post_napt_dst_port'],
  ['src nat|xlate port', 'post_napt_src_port'],
  ['dst nat|xlate port', 'post_napt_dst_port'],
  ['xport|nport', 'post_napt_src_port', 'post_napt_dst_port'],
  ['src xport|nport', 'post_napt_src_port'],
  ['dst xport|nport', 'post_napt_dst_port'],
  ['in packets', 'packets'],
  ['out packets', 'out_packets'],
  ['ipackets', 'packets'],
  ['opackets', 'out_packets'],
  ['in bytes', 'bytes'],
  ['out bytes', 'out_bytes'],
  ['ibytes', 'bytes'],
  ['obytes', 'out_bytes'],
  ['flows', 'flowCount'],
  ['nfversion', 'netflowVersion'],
  ['duration', 'duration'],
  ['pps', 'pps'],
  ['bps', 'bps'],
  ['bpp', 'bpp'],
  ['src tos', 'tos'],
  ['dst tos', 'post_tos'],
  ['min ttl', 'min_ttl'],
  ['max ttl', 'max_ttl'],
  ['ttl', 'ip_ttl', 'min_ttl', 'max_ttl'],
  ['as', 'src_as', 'dst_as'],
  ['src as', 'src_as'],
  ['dst as', 'dst_as'],
  ['next as', 'next_as'],
  ['prev|previous as', 'prev_as'],
  ['if', 'in_if', 'out_if'],
  ['in if', 'in_if'],
  ['out if', 'out_if'],
  ['mask', 'src_mask', 'dst_mask'],
  ['src mask', 'src_mask'],
  ['dst mask', 'dst_mask'],
  ['vlan', 'vlan_id', 'post_vlan_id'],
  ['src vlan', 'vlan_id'],
  ['dst vlan', 'post_vlan_id'],
  ['mac', 'src_mac', 'dst_mac', 'post_src_mac', 'post_dst_mac'],
  ['src mac', 'src_mac', 'post_src_mac'],
  ['dst mac', 'dst_mac', 'post_dst_mac'],
  ['in mac', 'src_mac', 'dst_mac'],
  ['out mac', 'post_src_mac', 'post_dst_mac'],
  ['in src mac', 'src_mac'],
  ['in dst mac', 'dst_mac'],
  ['out src mac', 'post_src_mac'],
  ['out dst mac', 'post_dst_mac'],
  ['icmp type', 'icmpType'],
  ['icmp code', 'icmpCode'],
  ['icmp-type', 'icmpType'],
  ['icmp-code', 'icmpCode'],
  ['engine type', 'engine_type'],
  ['engine id', 'engine_id'],
  ['engine-type', 'engine_type'],
  ['engine-id', 'engine_id'],
  ['observation domain', 'observation_domain_id'],
  ['observation domain id', 'observation_domain_id'],
  ['odid', 'observation_domain_id'],
  ['observation point', 'observation_point_id'],
  ['observation point id', 'observation_point_id'],
  ['opid', 'observation_point_id'],
  ['flowdir|dir', 'direction'],
  ['fwdstat', 'forwarding_status'],
  ['ethertype', 'etype'],
  ['mpls any', ...FIELDS.map(({ name }) => name).filter((name) => /^mpls_label_\d/.test(name))],
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => [`mpls label${n}`, `mpls_label_${n}` as FieldName] as const),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => [`mpls exp${n}`, `mplsExp${n}` as DerivedName] as const),
  ['mpls eos', 'mplsBottom'],
  ['nat event', 'nat_event'],
  ...(['start', 'end', 'step', 'size'] as const).flatMap((part) => [
    [`nat pblock ${part}`, `port_block_${part}`] as const, [`pblock ${part}`, `port_block_${part}`] as const,
  ]),
  ['tun ip|host|net', 'tun_src_addr', 'tun_dst_addr'],
  ['src tun ip|host|net', 'tun_src_addr'],
  ['dst tun ip|host|net', 'tun_dst_addr'],
  ['tunip', 'tun_src_addr', 'tun_dst_addr'],
  ['src tunip', 'tun_src_addr'],
  ['dst tunip', 'tun_dst_addr'],
  ['tun proto', 'tun_proto'],
  ['pf action', 'pf_action'],
  ['pf reason', 'pf_reason'],
  ['pf dir', 'pf_direction'],
  ['pf rule', 'pf_rule'],
  ['pf interface', 'in_if_name'],
  ['asa event', 'firewall_event'],
  ['asa xevent|denied', 'firewall_ext_event'],
  ['xevent', 'firewall_ext_event'],
  ['asa user', 'user_name'],
  ['ingress acl', 'inAcl', 'inAce', 'inXace'],
  ['ingress acl id', 'inAcl'],
  ['ingress ace', 'inAce'],
  ['ingress xace', 'inXace'],
  ['egress acl', 'outAcl', 'outAce', 'outXace'],
  ['egress acl id', 'outAcl'],
  ['egress ace', 'outAce'],
  ['egress xace', 'outXace'],
  ['ingress vrf', 'src_vrf'],
  ['egress vrf', 'dst_vrf'],
  ['vrf', 'src_vrf', 'dst_vrf'],
  ['client latency', 'client_latency'],
  ['server latency', 'server_latency'],
  ['app latency', 'app_latency'],
  ['first seen', 'flow_start'],
  ['last seen', 'flow_end'],
  ['starts', 'starts'],
  ['ends', 'ends'],
  ['exact pps', 'exactPps'],
  ['exact bps', 'exactBps'],
  ['tod', 'timeOfDay'],
  ['time of day', 'timeOfDay'],
  ['hour', 'hour'],
  ['day|weekday', 'day'],
  ['last tod', 'lastTimeOfDay'],
  ['last hour', 'lastHour'],
  ['last day', 'lastDay'],
  ['received tod', 'receivedTimeOfDay'],
  ['received hour', 'receivedHour'],
  ['received day', 'receivedDay'],
]

const NO_PAYLOAD = 'flows have no payload'
const NO_COUNTRY = 'flows have no country of an address'
const NO_LABEL = 'nfdump marks flows so for its output, flows have no such name'
const NO_EXPORTER_NUMBER = 'nfdump numbers exporters, flowkit tells them by exporter_addr'

/** Words of nfdump's for what flows have no field for here: what is missing. */
const MISSING: Readonly<Record<string, string>> = {
  'ident': 'nfdump names a file so, flows have no such name',
  'count': 'nfdump numbers the records of a file, flows have no such number',
  'cnt': 'nfdump numbers the records of a file, flows have no such number',
  'flowlabel': NO_LABEL,
  'payload': NO_PAYLOAD, 'in payload': NO_PAYLOAD, 'out payload': NO_PAYLOAD,
  'geo': NO_COUNTRY, 'src geo': NO_COUNTRY, 'dst geo': NO_COUNTRY, 'nat geo': NO_COUNTRY,
  'src nat geo': NO_COUNTRY, 'dst nat geo': NO_COUNTRY, 'tun geo': NO_COUNTRY, 'src tun geo': NO_COUNTRY,
  'dst tun geo': NO_COUNTRY,
  'exporter id': NO_EXPORTER_NUMBER, 'exporter sysid': NO_EXPORTER_NUMBER, 'sysid': NO_EXPORTER_NUMBER,
}

/** Most words of a phrase. */
export const PHRASE_WORDS = 4

const byPhrase = new Map<string, readonly Source[]>()
for (const [phrase, ...names] of PHRASES) {
  const sources = names.map((name) => isDerived(name) ? name : findField(name)!.id)
  for (const text of alternatives(phrase.split(' '))) byPhrase.set(text, sources)
}

/** What a phrase of nfdump's is about, by its words in lower case with a space between. */
export function findPhrase(words: string): readonly Source[] | undefined {
  return byPhrase.get(words)
}

/** The words that may follow `word` in phrases. */
export function continuations(word: string): string[] {
  const seconds = [...byPhrase.keys()].filter((phrase) => phrase.startsWith(`${word} `))
  return [...new Set(seconds.map((phrase) => phrase.split(' ')[1]))]
}

/** What flows lack that a phrase of nfdump's is about, or undefined if it is none of these. */
export function missing(words: string): string | undefined {
  if (words.startsWith('%')) return NO_LABEL
  return Object.hasOwn(MISSING, words) ? MISSING[words] : undefined
}

/**
 * The field of that name: the field table's, or an information element's that fills one field alone.
 *
 * @returns the ids of several fields where an element fills them all, each with a part of it
 */
export function findFields(name: string): readonly number[] {
  const field = findField(name)
  if (field) return [field.id]
  const element = findElementByName(name)
  if (!element) return []
  let best = Infinity
  let found: number[] = []
  for (const { id, elements } of FIELDS) {
    const rank = elements.findIndex((one) => one.pen === element.pen && one.id === element.id)
    if (rank < 0 || rank > best) continue
    if (rank < best) found = []
    best = rank
    found.push(id)
  }
  return found
}

/** Whether `name` is an information element's. */
export function isElement(name: string): boolean {
  return findElementByName(name) !== undefined
}

/** The known word nearest to `word`, or undefined where none is near or it is one. */
export function nearest(word: string): string | undefined {
  const limit = word.length < 4 ? 1 : 2
  let best: string | undefined
  let least = limit + 1
  const known = [...byPhrase.keys(), 'flags', 'defined', 'ipv4', 'ipv6', ...FIELDS.map(({ name }) => name)]
  const words = new Set(known.flatMap((phrase) => phrase.split(' ')))
  if (words.has(word)) return undefined
  for (const candidate of words) {
    if (Math.abs(candidate.length - word.length) > limit) continue
    const steps = distance(word, candidate)
    if (steps < least) [least, best] = [steps, candidate]
  }
  return best
}

/** Letters to insert, remove or change, or pairs to swap, to make one word the other. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + same)
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (swapped) next[j] = Math.min(next[j], before[j - 2] + 1)
    }
    before = row
    row = next
  }
  return row[b.length]
}

function isDerived(name: FieldName | DerivedName): name is DerivedName {
  return Object.hasOwn(DERIVED, name)
}

function alternatives([first, ...rest]: readonly string[]): string[] {
  if (first === undefined) return []
  const behind = rest.length > 0 ? alternatives(rest).map((text) => ` ${text}`) : ['']
  return first.split('|').flatMap((word) => behind.map((text) => word + text))
}
