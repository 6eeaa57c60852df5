/** Reasons for differences from what peers read in the datagrams of peers/wire. */
import { formatMac } from '../../core/flow/address.ts'
import type { Reading } from './compare.ts'
import {
  element, has, isCounter, isMissing, isRounds, isScaled, isTime, own, version, type Explanation,
} from './explain.ts'

const NFDUMP = ['nfdump 1.7.8', 'nfdump 1.7.1']

/** Elements that goflow2 has the same field for as for flowkit's of another. */
const GOFLOW2_LAST: Readonly<Record<string, number>> = {
  bytes: 23, packets: 24, src_mac: 81, post_dst_mac: 80,
}

/** flowkit's fields of the reverse direction, by those that nfdump shows them in. */
const NFDUMP_REVERSE: Readonly<Record<string, string>> = {
  out_bytes: 'rev_bytes', out_packets: 'rev_packets', tcp_flags: 'rev_tcp_flags', tos: 'rev_tos',
}

/** Columns of flow-export by the fields whose values they hold. */
const SWAPPED: Readonly<Record<string, string>> = { marked_tos: 'extra_pkts', extra_packets: 'marked_tos' }

/** The ICMP type or code that the destination port holds as type * 256 + code. */
function inPort(reading: Reading): string {
  const port = Number(own(reading, 'dst_port'))
  return String(reading.field === 'icmp_type' ? port >> 8 : port & 255)
}

/** Bytes of the first element of that IANA id in the record. */
function lengthOf({ sent }: Reading, id: number): number | undefined {
  return sent?.elements.find((one) => one.pen === 0 && one.id === id)?.bytes.length
}

/** Whether nfdump's text of an event time has its milliseconds as a number after the point. */
function isUnpadded(all: unknown, ours: string | undefined): boolean {
  const digits = /\.(\d+)$/.exec((all as { t_event?: string }).t_event ?? '')?.[1]
  return digits !== undefined && Number(digits) === Math.floor(Number(ours) / 1000) % 1000
}

/** Reasons; the first that applies counts. */
export const PEER_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'uptime-wrap', peers: ['goflow2', ...NFDUMP],
    reason: 'The peer takes the age of an uptime for unsigned, and is 49.7 days off where it wrapped.',
    applies: (reading) => isTime(reading) && isRounds(reading.ours, reading.theirs),
  },
  {
    id: 'before-1970', peers: NFDUMP,
    reason: 'The header\'s clock is 0: nfdump wraps times before 1970 to the year 584556019.',
    applies: (reading) => isTime(reading) && reading.theirs!.startsWith('584556019-')
      && Number(reading.ours) < 1e8,
  },
  {
    id: 'ntp-floor', peers: ['goflow2', 'nfdump 1.7.8'],
    reason: 'The peer cuts the NTP fraction, which the exporter had cut already; flowkit rounds.',
    applies: (reading) => isTime(reading) && has(reading, 154, 155, 156, 157)
      && [1, 1000].includes(Number(reading.ours) - Number(reading.theirs)),
  },
  {
    id: 'whole-milliseconds', peers: ['goflow2'],
    reason: 'Uptimes are milliseconds: what the header has below them is its own and not the flow\'s.',
    applies: (reading) => isTime(reading) && version(reading) < 9
      && Number(reading.ours) === Math.floor(Number(reading.theirs) / 1000) * 1000,
  },
  {
    id: 'goflow2-header-time', peers: ['goflow2'],
    reason: 'goflow2 writes the export time where it reads no time: of v9 152 and 153, of IPFIX uptimes.',
    applies: (reading) => isTime(reading) && reading.theirs === `${reading.sent?.header.secs}000000`,
  },
  {
    id: 'goflow2-last-wins', peers: ['goflow2'],
    reason: 'goflow2 has one field for the element and its OUT or post twin, and the last wins.',
    applies: (reading) => {
      const value = element(reading, GOFLOW2_LAST[reading.field])
      if (value === undefined) return false
      return reading.theirs === (isCounter(reading) ? value : formatMac(Number(value)))
    },
  },
  {
    id: 'goflow2-inner', peers: ['goflow2'],
    reason: 'Of a packet in a packet goflow2 shows the inner one; flowkit has the outer, that as extras.',
    applies: ({ sent }) => (sent?.elements.filter(({ pen, id }) => pen === 0 && id === 4).length ?? 0) > 1,
  },
  {
    id: 'goflow2-nsel', peers: ['goflow2'],
    reason: 'goflow2 does not read the counters of firewalls (231, 232).',
    applies: (reading) => isCounter(reading) && reading.theirs === '0' && has(reading, 231)
      && !has(reading, 1),
  },
  {
    id: 'goflow2-min-ttl', peers: ['goflow2'],
    reason: 'goflow2 calls minimumTTL ip_ttl; flowkit has min_ttl and max_ttl.',
    applies: (reading) => reading.field === 'ip_ttl' && reading.theirs === own(reading, 'min_ttl'),
  },
  {
    id: 'goflow2-section-length', peers: ['goflow2'],
    reason: 'goflow2 takes the length of a sampled frame\'s section, padding and all, for the frame\'s.',
    applies: (reading) => reading.field === 'bytes' && has(reading, 315) && !has(reading, 312)
      && reading.theirs === String(lengthOf(reading, 315)),
  },
  {
    id: 'goflow2-one-dst-mac', peers: ['goflow2'],
    reason: 'goflow2 has one field for the destination MAC address of packets and for that after them (57).',
    applies: (reading) => reading.field === 'post_dst_mac' && reading.ours === undefined
      && has(reading, 315) && reading.theirs === own(reading, 'dst_mac'),
  },
  {
    id: 'goflow2-no-icmp', peers: ['goflow2'],
    reason: 'goflow2 takes every ICMP header of a packet for one in a tunnel, whose type it leaves out.',
    applies: (reading) => reading.field.startsWith('icmp_') && has(reading, 315) && reading.theirs === '0',
  },
  {
    id: 'nfdump-no-section', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 makes no flow of a record that has only the packet\'s first bytes (315).',
    applies: (reading) => isMissing(reading) && has(reading, 315),
  },
  {
    id: 'v1-over-24', peers: NFDUMP,
    reason: 'nfdump refuses v1 datagrams of more than 24 records, of which softflowd sends 29.',
    applies: (reading) => isMissing(reading) && version(reading) === 1,
  },
  {
    id: 'nfdump-swapped', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 takes 21 for the start and 22 for the end in IPFIX.',
    applies: (reading) => isTime(reading) && version(reading) === 10 && has(reading, 21)
      && isRounds(reading.theirs, own(reading, reading.field === 'flow_start' ? 'flow_end' : 'flow_start')),
  },
  {
    id: 'nfdump-no-time', peers: NFDUMP,
    reason: 'nfdump writes 1970 for times it does not read: 154 to 157, and uptimes that began at 0.',
    applies: (reading) => isTime(reading) && reading.theirs === '0'
      && (has(reading, 154, 156) || element(reading, 22) === '0'),
  },
  {
    id: 'nfdump-event-time', peers: NFDUMP,
    reason: 'nfdump fills the times of the flow with the time of the event.',
    applies: (reading) => isTime(reading) && reading.ours === undefined
      && isRounds(reading.theirs, own(reading, 'event_time')),
  },
  {
    id: 'nfdump-unpadded', peers: NFDUMP,
    reason: 'nfdump writes the milliseconds of t_event without leading zeros.',
    applies: (reading) => reading.field === 'event_time' && isUnpadded(reading.all, reading.ours),
  },
  {
    id: 'nfdump-icmp-from-port', peers: NFDUMP,
    reason: 'nfdump takes ICMP type and code from the destination port, flowkit from their elements.',
    applies: (reading) => reading.field.startsWith('icmp_') && reading.theirs === inPort(reading),
  },
  {
    id: 'nfdump-icmp-into-port', peers: NFDUMP,
    reason: 'nfdump puts the ICMP type and code of an IPFIX record into the port, of other protocols too.',
    applies: (reading) => {
      const [type, code] = [own(reading, 'icmp_type'), own(reading, 'icmp_code')]
      return reading.field === 'dst_port' && Number(reading.theirs) === Number(type) * 256 + Number(code)
    },
  },
  {
    id: 'nfdump-one-flow', peers: NFDUMP,
    reason: 'nfdump counts 1 flow where the record does not say; in flowkit absent counts as 1.',
    applies: ({ field, ours, theirs }) => field === 'flows' && ours === undefined && theirs === '1',
  },
  {
    id: 'nfdump-scaled', peers: NFDUMP,
    reason: 'nfdump multiplies the counters by the sampling rate; flowkit has the rate beside them.',
    applies: isScaled,
  },
  {
    id: 'nfdump-no-masks', peers: NFDUMP,
    reason: 'nfdump does not read the prefix lengths of v5 and v7.',
    applies: (reading) => /^(src|dst)_mask$/.test(reading.field) && reading.theirs === '0'
      && [5, 7].includes(version(reading)),
  },
  {
    id: 'nfdump-reverse', peers: NFDUMP,
    reason: 'nfdump shows the reverse counters as out_, and the reverse flags and tos over the forward ones.',
    applies: (reading) => NFDUMP_REVERSE[reading.field] !== undefined
      && reading.theirs === own(reading, NFDUMP_REVERSE[reading.field]),
  },
  {
    id: 'nfdump-no-initiator', peers: NFDUMP,
    reason: 'nfdump reads the initiator\'s bytes (231) in v9 and not in IPFIX.',
    applies: (reading) => reading.field === 'bytes' && reading.theirs === '0' && has(reading, 231)
      && version(reading) === 10,
  },
  {
    id: 'nfdump-no-status', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 does not read a forwardingStatus (89) of IPFIX.',
    applies: (reading) => reading.field === 'forwarding_status' && reading.theirs === '0' && has(reading, 89),
  },
  {
    id: 'nfdump-vlan', peers: ['nfdump 1.7.8'],
    reason: 'nfdump 1.7.8 shows the VLAN of v9 (58) nowhere and that after it (59) in its place.',
    applies: (reading) => version(reading) === 9
      && ((reading.field === 'vlan_id' && reading.theirs === (own(reading, 'post_vlan_id') ?? '0'))
        || (reading.field === 'post_vlan_id' && reading.theirs === '0')),
  },
  {
    id: 'nfdump-no-ethertype', peers: ['nfdump 1.7.8'],
    reason: 'nfdump writes 0 for an EtherType that was not sent; flowkit knows it from the addresses.',
    applies: (reading) => reading.field === 'etype' && reading.theirs === '0' && !has(reading, 256),
  },
  {
    id: 'flow-tools-v6', peers: ['flow-tools'],
    reason: 'flow-capture does not keep the last three fields of v6, which flow-send has sent.',
    applies: (reading) => version(reading) === 6 && ['0', '0.0.0.0'].includes(reading.theirs!)
      && ['in_encaps', 'out_encaps', 'peer_next_hop'].includes(reading.field),
  },
  {
    id: 'flow-tools-swapped', peers: ['flow-tools'],
    reason: 'flow-export heads the columns marked_tos and extra_pkts of v8 in the wrong order.',
    applies: ({ field, ours, all }) => ours === (all as Record<string, string>)[SWAPPED[field]],
  },
]
