/** Values of enumerated fields and their names. */

/** Protocols that carry flow records, by value of the field `type`; 1 to 4 are goflow2's numbers. */
export const FLOW_TYPES = [
  'UNKNOWN', 'SFLOW_5', 'NETFLOW_V5', 'NETFLOW_V9', 'IPFIX', 'NETFLOW_V1', 'NETFLOW_V6', 'NETFLOW_V7',
  'NETFLOW_V8', 'VPC', 'PACKETS',
] as const

/** A value of the field `type`, by its name. */
export const FLOW_TYPE: Readonly<Record<(typeof FLOW_TYPES)[number], number>> = valuesOf(FLOW_TYPES)

/** Where a sampling rate was learned, by value of the field `sampling_source`. */
export const SAMPLING_SOURCES = ['unknown', 'header', 'record', 'options', 'config', 'assumed'] as const

/** A value of the field `sampling_source`, by its name. */
export const SAMPLING_SOURCE: Readonly<Record<(typeof SAMPLING_SOURCES)[number], number>> =
  valuesOf(SAMPLING_SOURCES)

/** EtherType of IPv4. */
export const ETYPE_IPV4 = 0x0800
/** EtherType of IPv6. */
export const ETYPE_IPV6 = 0x86dd

/** Names of IP protocols by number (IANA protocol-numbers); unnamed ones are missing. */
export const PROTOCOLS: Readonly<Record<number, string>> = {
  0: 'HOPOPT', 1: 'ICMP', 2: 'IGMP', 3: 'GGP', 4: 'IPIP', 5: 'ST', 6: 'TCP', 7: 'CBT', 8: 'EGP', 9: 'IGP',
  12: 'PUP', 17: 'UDP', 20: 'HMP', 22: 'XNS', 27: 'RDP', 28: 'IRTP', 29: 'ISO-TP4', 33: 'DCCP', 41: 'IPv6',
  43: 'IPv6-Route', 44: 'IPv6-Frag', 45: 'IDRP', 46: 'RSVP', 47: 'GRE', 48: 'DSR', 50: 'ESP', 51: 'AH',
  54: 'NARP', 55: 'MOBILE', 57: 'SKIP', 58: 'ICMP6', 59: 'IPv6-NoNxt', 60: 'IPv6-Opts', 73: 'CPHB',
  81: 'VMTP', 88: 'EIGRP', 89: 'OSPF', 92: 'MTP', 94: 'IPIP-OLD', 97: 'ETHERIP', 98: 'ENCAP', 103: 'PIM',
  108: 'IPComp', 112: 'VRRP', 113: 'PGM', 115: 'L2TP', 124: 'ISIS', 130: 'SPS', 132: 'SCTP', 133: 'FC',
  135: 'MOBILE-HDR', 136: 'UDPLite', 137: 'MPLS-in-IP', 138: 'MANET', 139: 'HIP', 140: 'Shim6', 141: 'WESP',
  142: 'ROHC', 143: 'Ethernet', 255: 'Reserved',
}

/** The number of a protocol by name, in any case, or -1. */
export function protocolNumber(name: string): number {
  const wanted = name.toLowerCase()
  if (wanted === 'icmpv6' || wanted === 'ipv6-icmp') return 58
  const found = Object.entries(PROTOCOLS).find(([, each]) => each.toLowerCase() === wanted)
  return found === undefined ? -1 : Number(found[0])
}

/** nfdump's names of IP protocols, by number (src/libnffile/userio.c); some are numbers. */
export const NFDUMP_PROTOCOLS: readonly string[] = `
  0 ICMP IGMP GGP IPIP ST TCP CBT EGP IGP BBN NVPII PUP ARGUS ENCOM XNET CHAOS UDP MUX DCN HMP PRM XNS Trnk1
  Trnk2 Leaf1 Leaf2 RDP IRTP ISO-4 NETBK MFESP MEINP DCCP 3PC IDPR XTP DDP IDPR TP++ IL IPv6 SDRP Rte6 Frag6
  IDRP RSVP GRE MHRP BNA ESP AH INLSP SWIPE NARP MOBIL TLSP SKIP ICMP6 NOHE6 OPTS6 HOST CFTP NET SATNT KLAN
  RVD IPPC FS SATM VISA IPCV CPNX CPHB WSN PVP BSATM SUNND WBMON WBEXP ISOIP VMTP SVMTP VINES TTP NSIGP DGP
  TCF EIGRP OSPF S-RPC LARP MTP AX.25 OS MICP SCCSP ETHIP ENCAP 99 GMTP IFMP PNNI PIM ARIS SCPS QNX A/N
  IPcmp SNP CpqPP IPXIP VRRP PGM 0hop L2TP DDX IATP STP SRP UTI SMP SM PTP ISIS4 FIRE CRTP CRUDP 128 IPLT
  SPS PIPE SCTP FC 134 MHEAD UDP-L MPLS
`.trim().split(/\s+/)

/** Each name's place in the list. */
function valuesOf<Name extends string>(names: readonly Name[]): Record<Name, number> {
  return Object.fromEntries(names.map((name, value) => [name, value])) as Record<Name, number>
}
