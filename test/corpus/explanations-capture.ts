/**
 * Reasons for differences between the flows that flowkit and other meters make of packets. None is believed:
 * the peer must tell what its rule makes of the packets, and flowkit what the packets are.
 */
import type { Reading } from './compare.ts'
import type { Explanation } from './explain.ts'
import type { Keyed } from './golden-capture.ts'

const REASONS: readonly (readonly [id: string, peers: readonly string[], reason: string])[] = [
  ['meter-sctp', ['pmacctd', 'softflowd', 'nfpcapd'], 'They do not read the ports of SCTP.'],
  [
    'pmacctd-all-tos', ['pmacctd'],
    'The type of service is part of the key asked for; flowkit has that of the first packet.',
  ],
  [
    'pmacctd-one-datagram', ['pmacctd'],
    'Fragments of datagrams with the same identification count for the ports of the first of them.',
  ],
  ['softflowd-fragments', ['softflowd'], 'Later fragments are a flow without ports.'],
  [
    'softflowd-framed', ['softflowd'],
    'Labels, padding and trailers are counted, all that follows the Ethernet header and a tag.',
  ],
  ['nfpcapd-whole', ['nfpcapd'], 'Fragments are joined, and one packet is counted when all have come.'],
  ['nfpcapd-extensions', ['nfpcapd'], 'IPv6 extension headers are not counted.'],
  [
    'nfpcapd-largest-file', ['nfpcapd'],
    'Its file is the last of several, a day each; of earlier days it has what was still held.',
  ],
]

/** Reasons for differences from peers/capture. */
export const CAPTURE_EXPLANATIONS: readonly Explanation[] = REASONS.map(([id, peers, reason]) => ({
  id, peers, reason, applies: (reading) => follows(reading, id),
}))

/** Whether both tell what their rules make of the packets. */
function follows({ field, ours, theirs, all }: Reading, id: string): boolean {
  const { key, ours: own, theirs: other, rules } = all as Keyed
  const rule = rules.others.get(id)?.get(key)
  if (rule === undefined) return false
  for (const name of ['packets', 'bytes', 'flow_start', 'flow_end']) {
    if (own !== undefined && own.get(name) !== rules.own.get(key)?.get(name)) return false
  }
  if (field === 'tos' && !ours!.split(',').every((text) => theirs!.split(',').includes(text))) return false
  if (field !== 'record') return rule.get(field) === theirs
  if (other === undefined) return rule.size === 0
  return rule.size > 0 && [...rule].every(([name, text]) => other.get(name) === text)
}
