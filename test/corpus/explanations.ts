/** Why flowkit and a peer differ where flowkit is right or each is, by its own rules; corpus-notes.md says more. */
import { formatMac } from '../../core/flow/address.ts'
import type { Reading } from './compare.ts'
import { number } from './sources.ts'

/** One reason. */
export interface Explanation {
  readonly id: string
  /** Whose readings it is about. */
  readonly peers: readonly string[]
  /** One sentence. */
  readonly reason: string
  applies(reading: Reading): boolean
}

const NFDUMP = ['nfdump 1.7.8', 'nfdump 1.7.1']
/** µs in which an uptime of 32 bits comes round. */
const ROUND = 2n ** 32n * 1000n

/** The first element of that id in the record, as a number in text; undefined where there is none. */
function element({ sent }: Reading, id: number, pen = 0): string | undefined {
  const found = sent?.elements.find((one) => one.pen === pen && one.id === id)
  return found && String(number(found.bytes))
}

function has(reading: Reading, ...ids: number[]): boolean {
  return ids.some((id) => element(reading, id) !== undefined)
}

function isTime({ field }: Reading): boolean {
  return field === 'flow_start' || field === 'flow_end'
}

/** Whether the two times are whole rounds of the uptime apart, none included. */
function isRounds(a: string | undefined, b: string | undefined): boolean {
  return /^-?\d+$/.test(a ?? '') && /^-?\d+$/.test(b ?? '') && (BigInt(a!) - BigInt(b!)) % ROUND === 0n
}

function own(reading: Reading, field: string): string | undefined {
  return reading.row?.fields.get(field)
}

/** The ICMP type or code that a port holds: type * 256 + code. */
function inPort({ field }: Reading, port: string | undefined): string {
  return String(field === 'icmp_type' ? Number(port) >> 8 : Number(port) & 255)
}

/** Reasons; the first that applies counts. */
export const EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'options-record', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'Options records tell of the exporter and not of a flow: flowkit learns from them and makes no row.',
    applies: ({ field, sent, ours }) => field === 'record' && ours === undefined && sent?.options === true,
  },
  {
    id: 'ipfix-length', peers: ['telegraf'],
    reason: 'The header\'s length is two bytes short of the sets: flowkit refuses the message, whose template is wrong too.',
    applies: ({ field, golden, ours }) => field === 'record' && ours === undefined && golden.includes('issue_14370'),
  },
  {
    id: 'padding', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'paddingOctets has no meaning and is not kept.',
    applies: ({ field, ours }) => /^padding_?octets$/i.test(field) && ours === undefined,
  },
  {
    id: 'other-family', peers: ['beats', 'logstash', 'telegraf', 'pmacct'],
    reason: 'The record has the address in both families, one of them zero: flowkit keeps the other.',
    applies: ({ ours, theirs }) => ours === undefined && (theirs === '::' || theirs === '0.0.0.0'),
  },
  {
    id: 'peer-omits', peers: ['beats', 'logstash'],
    reason: 'The peer leaves out elements that it has no name for or whose length is not their type\'s; flowkit keeps them.',
    applies: ({ theirs, row, field }) => theirs === undefined && row !== undefined && field !== 'record',
  },
  {
    id: 'v9-count-as-sets', peers: ['beats', 'goflow2'],
    reason: 'The peer takes the count of the v9 header for a number of FlowSets and stops; softflowd counts flows in it.',
    applies: ({ field, theirs, sent }) => field === 'record' && theirs === undefined && sent?.header.version === 9,
  },
  {
    id: 'logstash-second', peers: ['logstash'],
    reason: 'The codec borrows the second twice when it counts an uptime back, so that its times are 1 s late.',
    applies: (reading) => isTime(reading) && has(reading, 21, 22) && Number(reading.theirs) - Number(reading.ours) === 1e6,
  },
  {
    id: 'logstash-one-message', peers: ['logstash'],
    reason: 'The codec reads the first of the messages of ipfix.dat.',
    applies: ({ field, golden }) => field === 'records' && golden.endsWith(' IPFIX'),
  },
  {
    id: 'logstash-201', peers: ['logstash'],
    reason: 'The codec takes mplsLabelStackLength (201) for a label.',
    applies: ({ field }) => field === 'mpls_label_stack_octets',
  },
  {
    id: 'uptime-wrap', peers: ['goflow2', ...NFDUMP],
    reason: 'The peer takes the age of an uptime for unsigned: 49.7 days off where it wrapped, or lies behind the header\'s.',
    applies: (reading) => isTime(reading) && isRounds(reading.ours, reading.theirs),
  },
  {
    id: 'before-1970', peers: NFDUMP,
    reason: 'The header\'s clock is 0, so that the flow lies before 1970, which nfdump wraps to the year 584556019.',
    applies: (reading) => isTime(reading) && reading.theirs!.startsWith('584556019-') && Number(reading.ours) < 1e8,
  },
  {
    id: 'ntp-floor', peers: ['goflow2', 'nfdump 1.7.8'],
    reason: 'The peer cuts the NTP fraction, which the exporter had cut already, and loses the last digit; flowkit rounds.',
    applies: (reading) => isTime(reading) && has(reading, 154, 155, 156, 157)
      && [1, 1000].includes(Number(reading.ours) - Number(reading.theirs)),
  },
  {
    id: 'goflow2-header-time', peers: ['goflow2'],
    reason: 'goflow2 writes the export time where it knows no time of the flow: of v9 152 and 153, of IPFIX uptimes.',
    applies: (reading) => isTime(reading) && reading.theirs === `${reading.sent?.header.secs}000000`,
  },
  {
    id: 'goflow2-last-wins', peers: ['goflow2'],
    reason: 'goflow2 has one field for the OUT or post element and the plain one, and the last in the template wins.',
    applies: (reading) => {
      const other = { bytes: 23, packets: 24, src_mac: 81, post_dst_mac: 80 }[reading.field]
      const value = other && element(reading, other)
      if (!value) return false
      return reading.theirs === (reading.field.endsWith('mac') ? formatMac(Number(value)) : value)
    },
  },
  {
    id: 'goflow2-nsel', peers: ['goflow2'],
    reason: 'goflow2 does not read the counters of firewalls (231, 232).',
    applies: (reading) => ['bytes', 'packets'].includes(reading.field) && reading.theirs === '0' && has(reading, 231) && !has(reading, 1),
  },
  {
    id: 'goflow2-min-ttl', peers: ['goflow2'],
    reason: 'goflow2 calls minimumTTL ip_ttl; flowkit has min_ttl and max_ttl.',
    applies: (reading) => reading.field === 'ip_ttl' && reading.theirs === own(reading, 'min_ttl'),
  },
  {
    id: 'wire:sampler-without-id', peers: ['goflow2'],
    reason: 'Options told the rate of a sampler by its id and the records name no sampler; goflow2 applies it, flowkit does not yet.',
    applies: (reading) => reading.field === 'sampling_rate' && reading.ours === undefined && !has(reading, 48, 302),
  },
  {
    id: 'wire:packet-section', peers: ['goflow2', ...NFDUMP],
    reason: 'The record carries the packet\'s first bytes (dataLinkFrameSection), which flowkit does not take apart yet.',
    applies: (reading) => has(reading, 315) && (reading.ours === undefined || reading.field === 'record'),
  },
  {
    id: 'nfdump-psamp', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 does not read records of sampled packets.',
    applies: (reading) => has(reading, 315) && reading.field === 'record',
  },
  {
    id: 'v1-over-24', peers: NFDUMP,
    reason: 'nfdump refuses v1 datagrams of more than 24 records, of which softflowd sends 29.',
    applies: ({ field, theirs, sent }) => field === 'record' && theirs === undefined && sent?.header.version === 1,
  },
  {
    id: 'nfdump-swapped', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 takes 21 for the start and 22 for the end in IPFIX.',
    applies: (reading) => isTime(reading) && reading.sent?.header.version === 10 && has(reading, 21)
      && isRounds(reading.theirs, own(reading, reading.field === 'flow_start' ? 'flow_end' : 'flow_start')),
  },
  {
    id: 'nfdump-no-time', peers: NFDUMP,
    reason: 'nfdump writes 1970 for times it does not read: 154 to 157, and uptimes that began at 0.',
    applies: (reading) => isTime(reading) && reading.theirs === '0' && (has(reading, 154, 156) || element(reading, 22) === '0'),
  },
  {
    id: 'nfdump-event-time', peers: NFDUMP,
    reason: 'nfdump fills the times of the flow with the time of the event.',
    applies: (reading) => isTime(reading) && reading.ours === undefined
      && (isRounds(reading.theirs, own(reading, 'event_time')) || isUnpadded(reading.all, own(reading, 'event_time'))),
  },
  {
    id: 'nfdump-unpadded', peers: NFDUMP,
    reason: 'nfdump writes the milliseconds of t_event without leading zeros.',
    applies: (reading) => reading.field === 'event_time' && isUnpadded(reading.all, reading.ours),
  },
  {
    id: 'nfdump-icmp-from-port', peers: NFDUMP,
    reason: 'nfdump takes ICMP type and code from the destination port; flowkit from the elements that have them.',
    applies: (reading) => reading.field.startsWith('icmp_') && reading.theirs === inPort(reading, own(reading, 'dst_port')),
  },
  {
    id: 'nfdump-icmp-into-port', peers: NFDUMP,
    reason: 'nfdump puts the ICMP type and code of an IPFIX record into the port, of other protocols too.',
    applies: (reading) => reading.field === 'dst_port'
      && reading.theirs === String(Number(own(reading, 'icmp_type')) << 8 | Number(own(reading, 'icmp_code'))),
  },
  {
    id: 'nfdump-icmp-over-types', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 does not read 176 and 177 and shows what the port holds.',
    applies: (reading) => reading.field.startsWith('icmp_') && has(reading, 176) && reading.sent?.header.version === 10,
  },
  {
    id: 'nfdump-one-flow', peers: NFDUMP,
    reason: 'nfdump counts 1 flow where the record does not say; in flowkit absent counts as 1.',
    applies: ({ field, ours, theirs }) => field === 'flows' && ours === undefined && theirs === '1',
  },
  {
    id: 'nfdump-scaled', peers: NFDUMP,
    reason: 'nfdump multiplies the counters by the sampling rate; flowkit keeps them as exported, with the rate beside.',
    applies: (reading) => ['bytes', 'packets'].includes(reading.field)
      && Number(reading.theirs) === Number(reading.ours) * Number(own(reading, 'sampling_rate')),
  },
  {
    id: 'nfdump-no-masks', peers: NFDUMP,
    reason: 'nfdump does not read the prefix lengths of v5 and v7.',
    applies: ({ field, theirs, sent }) => /^(src|dst)_mask$/.test(field) && theirs === '0' && [5, 7].includes(sent?.header.version ?? 0),
  },
  {
    id: 'nfdump-reverse', peers: NFDUMP,
    reason: 'nfdump shows the reverse direction\'s counters as out_, and its flags and tos over the forward ones.',
    applies: (reading) => reading.theirs === own(reading, {
      out_bytes: 'rev_bytes', out_packets: 'rev_packets', tcp_flags: 'rev_tcp_flags', tos: 'rev_tos',
    }[reading.field] ?? ''),
  },
  {
    id: 'nfdump-no-initiator', peers: NFDUMP,
    reason: 'nfdump reads the initiator\'s bytes (231) in v9 and not in IPFIX.',
    applies: (reading) => reading.field === 'bytes' && reading.theirs === '0' && has(reading, 231) && reading.sent?.header.version === 10,
  },
  {
    id: 'nfdump-no-status', peers: ['nfdump 1.7.1'],
    reason: 'nfdump 1.7.1 does not read a forwardingStatus (89) of IPFIX.',
    applies: (reading) => reading.field === 'forwarding_status' && reading.theirs === '0' && has(reading, 89),
  },
  {
    id: 'nfdump-vlan', peers: ['nfdump 1.7.8'],
    reason: 'nfdump 1.7.8 shows the VLAN of v9 (58) nowhere and that after it (59) in its place.',
    applies: (reading) => reading.sent?.header.version === 9
      && ((reading.field === 'vlan_id' && reading.theirs === (own(reading, 'post_vlan_id') ?? '0'))
        || (reading.field === 'post_vlan_id' && reading.theirs === '0')),
  },
  {
    id: 'nfdump-no-ethertype', peers: ['nfdump 1.7.8'],
    reason: 'nfdump writes 0 for an EtherType that was not sent; flowkit knows it from the addresses.',
    applies: (reading) => reading.field === 'etype' && reading.theirs === '0' && !has(reading, 256),
  },
  {
    id: 'pmacct-seconds', peers: ['pmacct'],
    reason: 'pmacct counts v9 uptimes back in whole seconds.',
    applies: (reading) => isTime(reading) && reading.sent?.header.version === 9
      && Math.abs(Number(reading.theirs) - Number(reading.ours)) < 1e6,
  },
  {
    id: 'pmacct-export-time', peers: ['pmacct'],
    reason: 'pmacct writes the export time where IPFIX has uptimes.',
    applies: (reading) => isTime(reading) && reading.theirs === `${reading.sent?.header.secs}000000`,
  },
  {
    id: 'pmacct-scaled', peers: ['pmacct'],
    reason: 'pmacct multiplies the counters by the sampling rate; flowkit keeps them as exported, with the rate beside.',
    applies: (reading) => ['bytes', 'packets'].includes(reading.field)
      && Number(reading.theirs) === Number(reading.ours) * Number(own(reading, 'sampling_rate')),
  },
  {
    id: 'pmacct-configured-rate', peers: ['pmacct'],
    reason: 'The test configures a sampling rate of 1000 for the exporter.',
    applies: ({ field, golden, ours, theirs }) => ['bytes', 'packets'].includes(field)
      && golden.endsWith('reload/output-flow-01.json') && Number(theirs) === Number(ours) * 1000,
  },
  {
    id: 'pmacct-bgp-masks', peers: ['pmacct'],
    reason: 'The test takes prefix lengths from BGP or BMP and not from the flows.',
    applies: ({ field, golden }) => /^(src|dst)_mask$/.test(field) && /\/(401|402|500)-[^/]*B[GM]P/.test(golden),
  },
  {
    id: 'wire:interface-names', peers: ['pmacct'],
    reason: 'Options told the names of interfaces, which flowkit does not learn yet.',
    applies: ({ field, ours }) => /_if_name$/.test(field) && ours === '',
  },
  {
    id: 'flow-tools-v6', peers: ['flow-tools'],
    reason: 'flow-capture does not keep the last three fields of v6, which flow-send has sent.',
    applies: ({ field, theirs, sent }) => sent?.header.version === 6
      && ['in_encaps', 'out_encaps', 'peer_next_hop'].includes(field) && ['0', '0.0.0.0'].includes(theirs!),
  },
  {
    id: 'flow-tools-swapped', peers: ['flow-tools'],
    reason: 'flow-export heads the columns marked_tos and extra_pkts of v8 in the wrong order.',
    applies: ({ field, ours, all }) => ours === (all as Record<string, string>)[{ marked_tos: 'extra_pkts', extra_packets: 'marked_tos' }[field] ?? ''],
  },
]

/** Whether nfdump's text of an event time has its milliseconds as a number after the point. */
function isUnpadded(all: unknown, ours: string | undefined): boolean {
  const digits = /\.(\d+)$/.exec((all as { t_event?: string }).t_event ?? '')?.[1]
  return digits !== undefined && ours !== undefined && Number(digits) === Math.floor(Number(ours) / 1000) % 1000
}
