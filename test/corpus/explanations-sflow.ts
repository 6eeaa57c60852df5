/** Reasons for differences from what peers read in sFlow datagrams. */
import { formatMac } from '../../core/flow/address.ts'
import type { Reading } from './compare.ts'
import { isMissing, isScaled, own, type Explanation } from './explain.ts'
import type { RawSample } from './golden-sflow.ts'

const GOFLOW2 = 'goflow2 sFlow', TELEGRAF = 'telegraf sFlow'
const SFCAPD = ['sfcapd 1.7.1', 'sfcapd 1.7.8']

/** Whether the input or output is no interface, and the peer shows the number that says so. */
function isPortNumber({ peer, field, ours, theirs, sample }: Reading): boolean {
  const flow = field === 'in_if' || field === 'out_if' ? sample?.flow : undefined
  const port = field === 'in_if' ? flow?.input : flow?.output
  if (!port || ours !== undefined) return false
  return Number(theirs) === (peer === GOFLOW2 ? port.format * 2 ** 30 : 0) + port.value
}

/** Whether goflow2 shows a sample without what is in its record, or the flow that it makes of that. */
function isUnread(all: Readonly<Record<string, unknown>>): boolean {
  const { sampler_address: agent, sequence_num: sequence } = all
  if (agent !== undefined) return agent === '192.168.1.18' && sequence === 638
  return (all as unknown as RawSample).records.every(({ data }) => data === null)
}

/** The bytes of the sample's first record of that format. */
function record({ sample }: Reading, format: number): Buffer | undefined {
  return sample?.records.find((one) => one.format === format)?.bytes
}

/** header_protocol of the sampled_header; -1 if there is none. */
function headerProtocol(reading: Reading): number {
  return record(reading, 1)?.readUInt32BE() ?? -1
}

/** Whether the sample tells of its packet by a record of that format only. */
function isOnly({ sample }: Reading, format: number): boolean {
  const told = sample?.records.filter((one) => one.format <= 4)
  return told?.length === 1 && told[0].format === format
}

/** Whether flowkit's value is of an IPv6 packet whose options stand before it. */
function isBehindOptions(reading: Reading): boolean {
  const { field, theirs } = reading
  const header = record(reading, 1) // 16 bytes, and the frame: 14 bytes of Ethernet, then IPv6
  return ['proto', 'icmp_type', 'icmp_code'].includes(field) && theirs === '0'
    && own(reading, 'etype') === '34525' && header?.[16 + 14 + 6] === 0
}

function isZero(text: string | undefined): boolean {
  return /^(|0|0\.0\.0\.0|00:00:00:00:00:00)$/.test(text ?? '?')
}

/** What goflow2 reads in a sampled_ethernet, as if its MAC addresses were not padded. */
function unpadded(reading: Reading): string | undefined {
  const bytes = record(reading, 2)
  if (bytes?.length !== 24) return undefined
  return reading.field === 'dst_mac' ? formatMac(bytes.readUIntBE(10, 6)) : String(bytes.readUInt32BE(16))
}

/** Reasons; the first that applies counts. */
export const SFLOW_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'discards', peers: [GOFLOW2, ...SFCAPD],
    reason: 'The peer makes no flows of discarded packets.',
    applies: (reading) => isMissing(reading) && reading.sample?.format === 5,
  },
  {
    id: 'sample-too-short', peers: [GOFLOW2],
    reason: 'The length of the sample ends before its record does: flowkit refuses the datagram.',
    applies: ({ field, ours, all }) =>
      field === 'record' && ours === undefined && isUnread(all as Record<string, unknown>),
  },
  {
    id: 'no-interface', peers: [GOFLOW2, ...SFCAPD],
    reason: 'The device itself, several interfaces: the peer shows the number that says so.',
    applies: isPortNumber,
  },
  {
    id: 'for-us', peers: [GOFLOW2, ...SFCAPD],
    reason: 'A packet for the device itself has the status consumed, for us.',
    applies: ({ field, ours, theirs, sample }) => field === 'forwarding_status' && ours === '195'
      && theirs === '0' && sample?.flow?.output.value === 0x3fffffff,
  },
  {
    id: 'no-icmp', peers: [GOFLOW2, ...SFCAPD],
    reason: 'The peer does not read ICMP type and code of a packet\'s header.',
    applies: (reading) => reading.field.startsWith('icmp_') && reading.theirs === '0'
      && ['1', '58'].includes(own(reading, 'proto') ?? ''),
  },
  {
    id: 'no-ethernet-record', peers: [GOFLOW2, ...SFCAPD],
    reason: 'The peer does not use sampled_ethernet records.',
    applies: (reading) => isOnly(reading, 2) && isZero(reading.theirs)
      && ['bytes', 'src_mac', 'dst_mac'].includes(reading.field),
  },
  {
    id: 'dst-mac', peers: [GOFLOW2, ...SFCAPD],
    reason: 'The peer has the destination in the place that v9 has for it, that after the observation point.',
    applies: (reading) => {
      const { field, theirs, all } = reading
      const isMoved = (all as { out_dst_mac?: string }).out_dst_mac === own(reading, 'dst_mac')
      return field === 'post_dst_mac' ? theirs === own(reading, 'dst_mac')
        : field === 'dst_mac' && isZero(theirs) && isMoved
    },
  },
  {
    id: 'behind-options', peers: [GOFLOW2, TELEGRAF],
    reason: 'The peer takes the first header behind IPv6\'s for the transport; flowkit steps over options.',
    applies: isBehindOptions,
  },
  {
    id: 'goflow2-flags', peers: [GOFLOW2],
    reason: 'goflow2 shows three bits of fragment flags; flowkit has them where fragmentFlags (197) does.',
    applies: ({ field, ours, theirs }) => field === 'ip_flags' && Number(ours) === Number(theirs) * 32,
  },
  {
    id: 'goflow2-no-source', peers: [GOFLOW2],
    reason: 'goflow2 does not show the source of the sample in its flows.',
    applies: ({ field, theirs }) => field === 'observation_point_id' && theirs === '0',
  },
  {
    id: 'goflow2-tag', peers: [GOFLOW2],
    reason: 'goflow2 has the VLAN of the innermost tag, with its priority, in another field.',
    applies: (reading) => {
      const tag = (reading.all as { vlan_id?: number }).vlan_id ?? 0
      const inner = own(reading, 'customer_vlan_id') ?? own(reading, 'vlan_id')
      return reading.field === 'vlan_id' && reading.theirs === '0' && String(tag & 0xfff) === inner
    },
  },
  {
    id: 'goflow2-frames-only', peers: [GOFLOW2],
    reason: 'goflow2 does not look into headers that begin with IP.',
    applies: (reading) => [11, 12].includes(headerProtocol(reading)) && isZero(reading.theirs)
      && reading.ours !== undefined,
  },
  {
    id: 'no-frame', peers: [GOFLOW2],
    reason: 'A header that begins with IP has no frame whose length could be told; flowkit has it as bytes.',
    applies: (reading) => reading.field === 'frame_length' && reading.ours === undefined
      && [11, 12].includes(headerProtocol(reading)) && reading.theirs === own(reading, 'bytes'),
  },
  {
    id: 'goflow2-no-flags', peers: [GOFLOW2],
    reason: 'goflow2 does not take the TCP flags from a sampled_ipv4.',
    applies: (reading) => reading.field === 'tcp_flags' && isOnly(reading, 3) && reading.theirs === '0',
  },
  {
    id: 'goflow2-unpadded', peers: [GOFLOW2],
    reason: 'goflow2 reads the MAC addresses of a sampled_ethernet without the padding that XDR wants.',
    applies: (reading) => ['dst_mac', 'etype'].includes(reading.field)
      && reading.theirs === unpadded(reading),
  },
  {
    id: 'unknown-counter', peers: [GOFLOW2],
    reason: 'The largest number stands for a counter that the agent does not have: it is absent.',
    applies: ({ ours, theirs, sample }) => ours === undefined && !sample?.flow
      && ['4294967295', '18446744073709551615'].includes(theirs ?? ''),
  },
  {
    id: 'sfcapd-scaled', peers: SFCAPD,
    reason: 'sfcapd multiplies by the sampling rate; flowkit has the rate beside the counters.',
    applies: isScaled,
  },
  {
    id: 'sfcapd-direction', peers: SFCAPD,
    reason: 'sfcapd does not tell the direction.',
    applies: ({ field, ours, theirs }) => field === 'direction' && ours === '1' && theirs === '0',
  },
  {
    id: 'sfcapd-inner-tag', peers: SFCAPD,
    reason: 'sfcapd shows the inner of two tags, flowkit both.',
    applies: (reading) => reading.field === 'vlan_id' && reading.theirs === own(reading, 'customer_vlan_id'),
  },
  {
    id: 'sfcapd-no-addresses', peers: ['sfcapd 1.7.1'],
    reason: 'sfcapd 1.7.1 does not take the addresses from a sampled_ipv4.',
    applies: (reading) => /^(src|dst)_addr$/.test(reading.field) && isOnly(reading, 3)
      && isZero(reading.theirs),
  },
  {
    id: 'sfcapd-tunnel', peers: ['sfcapd 1.7.8'],
    reason: 'A record of the tunnel that the packet went into (1023) is no record of the packet.',
    applies: (reading) => reading.field === 'dst_addr' && reading.ours === undefined
      && reading.theirs === record(reading, 1023)?.subarray(12, 16).join('.'),
  },
  {
    id: 'telegraf-source', peers: [TELEGRAF],
    reason: 'Telegraf shows the source of the sample as input, and egress where the input is another.',
    applies: ({ field, ours, theirs, sample }) => {
      const { sourceIndex, flow } = sample!
      if (flow?.input.value === sourceIndex) return false
      return field === 'in_if' ? theirs === String(sourceIndex)
        : field === 'direction' && ours === undefined && theirs === '1'
    },
  },
]
