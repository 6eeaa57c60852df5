/** Reasons for differences between the flows that flowkit and other meters make of packets. */
import type { Reading } from './compare.ts'
import type { Explanation } from './explain.ts'
import type { Keyed } from './golden-capture.ts'

const FRAGMENTED = 'ip_fragmented_garbage'

/** The difference's capture and key. */
function keyed({ all }: Reading): Keyed {
  return all as Keyed
}

function protoOf(reading: Reading): string {
  return keyed(reading).key.split(' ')[0]
}

/** Reasons for differences from peers/capture. */
export const CAPTURE_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'meter-sctp', peers: ['pmacctd', 'softflowd', 'nfpcapd'],
    reason: 'They do not read the ports of SCTP.',
    applies: (reading) => reading.field === 'record' && protoOf(reading) === '132',
  },
  {
    id: 'pmacctd-all-tos', peers: ['pmacctd'],
    reason: 'The type of service is part of the key asked for; flowkit has that of the first packet.',
    applies: ({ field, ours = '', theirs = '' }) => field === 'tos' && theirs.split(',').includes(ours),
  },
  {
    id: 'pmacctd-one-datagram', peers: ['pmacctd'],
    reason: 'All fragments between two addresses count for the ports of the first datagram.',
    applies: (reading) => keyed(reading).capture === FRAGMENTED,
  },
  {
    id: 'softflowd-fragments', peers: ['softflowd'],
    reason: 'Later fragments are a flow without ports.',
    applies: (reading) => keyed(reading).capture === FRAGMENTED,
  },
  {
    id: 'softflowd-framed', peers: ['softflowd'],
    reason: 'Labels, padding and trailers are counted, all that follows the Ethernet header and a tag.',
    applies: (reading) => reading.field === 'bytes' && Number(reading.theirs) === keyed(reading).framed,
  },
  {
    id: 'nfpcapd-whole', peers: ['nfpcapd'],
    reason: 'Fragments are joined, and one packet is counted when all have come.',
    applies: (reading) => keyed(reading).capture === FRAGMENTED,
  },
  {
    id: 'nfpcapd-tunnels', peers: ['nfpcapd'],
    reason: 'Both packets of a tunnel are counted, the outer one with bytes of its payload for ports.',
    applies: (reading) => reading.ours === undefined && ['41', '47'].includes(protoOf(reading)),
  },
  {
    id: 'nfpcapd-extensions', peers: ['nfpcapd'],
    reason: 'IPv6 extension headers are not counted.',
    applies: (reading) => reading.field === 'bytes' && /^58 .* 143\.0$/.test(keyed(reading).key)
      && Number(reading.ours) - Number(reading.theirs) === 16,
  },
  {
    id: 'nfpcapd-largest-file', peers: ['nfpcapd'],
    reason: 'Its file is one of several, since the capture is of three years.',
    applies: (reading) => keyed(reading).capture === 'mixed-vlan-mpls',
  },
]
