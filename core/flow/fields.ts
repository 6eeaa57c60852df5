/**
 * The field table: every field that flowkit has a column for, once.
 *
 * JSON keys, CSV headers, Parquet and SQL columns, filter words, `--fields`, the documentation and the
 * names of the peers derive from it. A new field is one row.
 *
 * A row is: the field's type and unit; the information elements that fill it, best first
 * (`34` = IANA, `9/12235` = enterprise 9, `29305/1` = reverse of 1; NetFlow v9 shares the IANA numbers);
 * its name in nfdump's JSON, goflow2, flowd and flow-tools (`-` where they have none); its meaning.
 *
 * Types: `u8 u16 u32` unsigned numbers, `u64` identifiers kept exactly, `count` integers up to 2^53,
 * `time` µs since the Unix epoch, `addr` IPv4 or IPv6, `mac`, `text` UTF-8, `octets` bytes.
 */
const TABLE = {
  // Where the record came from
  type: ['u8', '', '- type - -', 'Protocol that carried the record'],
  received: ['time', '258', 'received time_received_ns recv_sec -',
    'When the collector received the datagram'],
  exporter_addr: ['addr', '', 'router sampler_address agent_addr exaddr', 'Source address of the datagram'],
  agent_addr: ['addr', '130 131', '- - - -', 'Address that the exporter or sFlow agent gives itself'],
  sub_agent_id: ['u32', '', '- - - -', 'Sub-agent of an sFlow agent'],
  observation_domain_id: ['u32', '149', 'observationDomainID observation_domain_id source -',
    'Observation domain'],
  observation_point_id: ['u64', '138', 'observationPointID observation_point_id - -', 'Observation point'],
  sequence_num: ['u32', '', '- sequence_num seq -', "Sequence number in the datagram's header"],
  engine_type: ['u8', '38', '- - engine_type engine_type', 'Type of the switching engine'],
  engine_id: ['u8', '39', '- - engine_id engine_id', 'Slot of the switching engine'],
  export_secs: ['u32 s', '', '- - time_sec unix_secs', 'Export time in the header, seconds since the epoch'],
  export_nsecs: ['u32 ns', '', '- - time_nanosec unix_nsecs', 'Export time in the header, nanoseconds'],
  sys_uptime: ['u32 ms', '', '- - sys_uptime_ms sysuptime', 'Uptime of the exporter at export'],
  tag: ['u32', '', '- - tag -', 'Tag set by a rule'],

  // Sampling
  sampling_rate: ['u32', '305 34 50', '- sampling_rate - -', 'One packet in this many was observed'],
  sampling_algorithm: ['u8', '35 49', '- - - -', '1 deterministic, 2 random'],
  sampling_source: ['u8', '', '- - - -', 'Where the sampling rate was learned'],
  sampling_applied: ['u8', '', '- - - -', '1: the counters are already multiplied by the sampling rate'],
  sampler_id: ['u64', '48 302', '- - - -', 'Sampler or selector of the record'],

  // Time
  flow_start: ['time', '152 154 156 150 158 22', 'first time_flow_start_ns flow_start first',
    'First packet of the flow'],
  flow_end: ['time', '153 155 157 151 159 21', 'last time_flow_end_ns flow_finish last',
    'Last packet of the flow'],
  flow_start_ns: ['u16 ns', '', '- - - -', 'Nanoseconds below flow_start'],
  flow_end_ns: ['u16 ns', '', '- - - -', 'Nanoseconds below flow_end'],
  event_time: ['time', '323 324 325 322', 't_event - - -',
    'When the event happened that the record tells of'],

  // Counters, as exported
  bytes: ['count B', '1 231 85', 'in_bytes bytes octets doctets',
    'Bytes observed (delta, or failing that total)'],
  packets: ['count', '2 298 86', 'in_packets packets packets dpkts',
    'Packets observed (delta, or failing that total)'],
  flows: ['count', '3', 'aggr_flows - - dflows', 'Flows the record stands for; absent counts as 1'],
  out_bytes: ['count B', '23 171', 'out_bytes - - -', 'Bytes after the observation point (OUT, post)'],
  out_packets: ['count', '24 172', 'out_packets - - -', 'Packets after the observation point (OUT, post)'],
  rev_bytes: ['count B', '29305/1 232 29305/85', '- - - -', 'Bytes of the reverse direction'],
  rev_packets: ['count', '29305/2 299 29305/86', '- - - -', 'Packets of the reverse direction'],
  total_bytes: ['count B', '85', '- - - -', 'Bytes since the flow began'],
  total_packets: ['count', '86', '- - - -', 'Packets since the flow began'],
  l2_bytes: ['count B', '352 353', '- - - -', 'Layer 2 bytes'],
  mcast_bytes: ['count B', '20 175', '- - - -', 'Bytes of multicast copies sent'],
  mcast_packets: ['count', '19 174', '- - - -', 'Packets of multicast copies sent'],
  dropped_bytes: ['count B', '132 134', '- - - -', 'Bytes dropped'],
  dropped_packets: ['count', '133 135', '- - - -', 'Packets dropped'],
  extra_packets: ['count', '', '- - - extra_pkts', 'Packets that exceeded the contract (v8 schemes 6 to 8)'],

  // Flow key
  proto: ['u8', '4 193', 'proto proto protocol prot', 'IP protocol number'],
  src_addr: ['addr', '8 27', 'src_addr src_addr src_addr srcaddr', 'Source address'],
  dst_addr: ['addr', '12 28', 'dst_addr dst_addr dst_addr dstaddr', 'Destination address'],
  src_port: ['u16', '7 180 182', 'src_port src_port src_port srcport', 'Source port'],
  dst_port: ['u16', '11 181 183', 'dst_port dst_port dst_port dstport', 'Destination port'],
  tcp_flags: ['u16', '6', 'tcp_flags tcp_flags tcp_flags tcp_flags', 'TCP flags seen, ORed'],
  tos: ['u8', '5', 'src_tos ip_tos tos tos', 'IP type of service, or traffic class'],
  icmp_type: ['u8', '176 178 32 139', 'icmp_type icmp_type - -', 'ICMP type'],
  icmp_code: ['u8', '177 179 32 139', 'icmp_code icmp_code - -', 'ICMP code'],
  igmp_type: ['u8', '33', '- - - -', 'IGMP type'],
  etype: ['u16', '256', 'ethertype etype - -', 'EtherType: 2048 IPv4, 34525 IPv6'],
  direction: ['u8', '61', 'direction flow_direction - -', 'At the interface: 0 ingress, 1 egress'],

  // Routing
  in_if: ['u32', '10', 'input_snmp in_if if_index_in input', 'SNMP index of the input interface'],
  out_if: ['u32', '14', 'output_snmp out_if if_index_out output', 'SNMP index of the output interface'],
  src_as: ['u32', '16', 'src_as src_as src_as src_as', 'AS number of the source (origin or peer)'],
  dst_as: ['u32', '17', 'dst_as dst_as dst_as dst_as', 'AS number of the destination (origin or peer)'],
  src_mask: ['u8 bits', '9 29', 'src_mask src_net src_mask src_mask', 'Prefix length of the source route'],
  dst_mask: ['u8 bits', '13 30', 'dst_mask dst_net dst_mask dst_mask',
    'Prefix length of the destination route'],
  next_hop: ['addr', '15 62', 'next_hop next_hop gateway_addr nexthop', 'Next hop router'],
  bgp_next_hop: ['addr', '18 63', 'bgp_next_hop bgp_next_hop - -', 'BGP next hop router'],
  next_as: ['u32', '128', 'next_as next_hop_as - -', 'Next AS on the path'],
  prev_as: ['u32', '129', 'prev_as - - -', 'Previous AS on the path'],
  src_prefix: ['addr', '44 170', '- - - -', 'Source prefix'],
  dst_prefix: ['addr', '45 169', '- - - -', 'Destination prefix'],
  as_path: ['text', '', '- as_path - -', 'AS numbers on the path, space between'],
  bgp_communities: ['text', '', '- bgp_communities - -', 'BGP communities, space between'],
  local_pref: ['u32', '', '- - - -', 'BGP local preference'],
  src_traffic_index: ['u32', '92', '- - - -', 'BGP policy accounting index of the source'],
  dst_traffic_index: ['u32', '93', '- - - -', 'BGP policy accounting index of the destination'],
  src_vrf: ['u32', '234', 'ingress_vrf ingress_vrf_id - -', 'VRF of the input interface'],
  dst_vrf: ['u32', '235', 'egress_vrf egress_vrf_id - -', 'VRF of the output interface'],
  src_vrf_name: ['text', '', '- - - -', 'Name of the VRF of the input interface'],
  dst_vrf_name: ['text', '', '- - - -', 'Name of the VRF of the output interface'],
  phys_in_if: ['u32', '252', 'phys_ingress - - -', 'Physical input interface'],
  phys_out_if: ['u32', '253', 'phys_egress - - -', 'Physical output interface'],
  in_if_name: ['text', '82', '- - - -', 'Name of the input interface'],
  out_if_name: ['text', '', '- - - -', 'Name of the output interface'],
  router_sc: ['addr', '', '- - - router_sc', 'Router that the shortcut bypasses (v7, v8)'],
  peer_next_hop: ['addr', '', '- - - peer_nexthop', 'Next hop of the peer (v6)'],
  in_encaps: ['u8', '', '- - - in_encaps', 'Size of the input encapsulation (v6)'],
  out_encaps: ['u8', '', '- - - out_encaps', 'Size of the output encapsulation (v6)'],
  marked_tos: ['u8', '', '- - - marked_tos', 'Type of service of packets that exceeded the contract (v8)'],
  aggregation: ['u8', '', '- - - -', 'Aggregation scheme of the record (v8)'],
  src_tag: ['u32', '', '- - - src_tag', 'Source tag of flow-tools'],
  dst_tag: ['u32', '', '- - - dst_tag', 'Destination tag of flow-tools'],
  shortcut_mode: ['u8', '', '- - - -', 'Shortcut mode of the switch (v7)'],
  valid_flags: ['u16', '', '- - - -', 'Which fields are invalid (v7)'],

  // How the flow ended and what became of it
  end_reason: ['u8', '136', 'flow_end_reason - - -', 'Why the flow ended'],
  forwarding_status: ['u8', '89', 'fwd_status forwarding_status - -',
    'Forwarded, dropped or consumed, and why'],
  biflow_direction: ['u8', '239', '- bi_flow_direction - -', '1 initiator, 2 reverse initiator, 3 perimeter'],

  // IP header
  ip_version: ['u8', '60', 'ip_version - - -', 'IP version'],
  ip_ttl: ['u8', '192', '- ip_ttl - -', 'Time to live, or hop limit'],
  min_ttl: ['u8', '52', 'ip_minttl - - -', 'Smallest time to live'],
  max_ttl: ['u8', '53', 'ip_maxttl - - -', 'Largest time to live'],
  min_ip_length: ['u32 B', '25', '- - - -', 'Smallest packet'],
  max_ip_length: ['u32 B', '26', '- - - -', 'Largest packet'],
  post_tos: ['u8', '55', 'dst_tos - - -', 'Type of service after the observation point'],
  ip_flags: ['u8', '197', '- ip_flags - -', 'Fragment flags'],
  fragment_id: ['u32', '54', '- fragment_id - -', 'IP identification'],
  fragment_offset: ['u16', '88', '- fragment_offset - -', 'Fragment offset, in units of 8 bytes'],
  ipv6_flow_label: ['u32', '31', '- ipv6_flow_label - -', 'IPv6 flow label'],
  ipv6_extension_headers: ['u32', '64', '- - - -', 'IPv6 extension headers seen, a bit each'],
  rev_tcp_flags: ['u16', '29305/6', '- - - -', 'TCP flags of the reverse direction'],
  rev_tos: ['u8', '29305/5', '- - - -', 'Type of service of the reverse direction'],
  rev_flow_start: ['time', '29305/152 29305/154 29305/156 29305/150', '- - - -',
    'First packet of the reverse direction'],
  rev_flow_end: ['time', '29305/153 29305/155 29305/157 29305/151', '- - - -',
    'Last packet of the reverse direction'],

  // Layer 2
  src_mac: ['mac', '56', 'in_src_mac src_mac - -', 'Source MAC address'],
  dst_mac: ['mac', '80', 'in_dst_mac - - -', 'Destination MAC address'],
  post_src_mac: ['mac', '81', 'out_src_mac - - -', 'Source MAC address after the observation point'],
  post_dst_mac: ['mac', '57', 'out_dst_mac dst_mac - -',
    'Destination MAC address after the observation point'],
  vlan_id: ['u16', '58 243', 'src_vlan src_vlan - -', 'VLAN id'],
  post_vlan_id: ['u16', '59 254', 'dst_vlan dst_vlan - -', 'VLAN after the observation point'],
  customer_vlan_id: ['u16', '245', 'cust_vlanID - - -', 'Inner (customer) VLAN'],
  post_customer_vlan_id: ['u16', '255', 'post_cust_vlanID - - -', 'Inner VLAN after the observation point'],
  frame_length: ['u32 B', '312', '- - - -', 'Length of the sampled frame'],
  sample_pool: ['u32', '', '- - - -', 'Packets that could have been sampled (sFlow)'],
  sample_drops: ['u32', '', '- - - -', 'Samples lost for lack of resources (sFlow)'],

  // MPLS
  mpls_label_1: ['u32', '70', 'mpls_1 mpls_label - -', 'MPLS label 1 (top)'],
  mpls_label_2: ['u32', '71', 'mpls_2 - - -', 'MPLS label 2'],
  mpls_label_3: ['u32', '72', 'mpls_3 - - -', 'MPLS label 3'],
  mpls_label_4: ['u32', '73', 'mpls_4 - - -', 'MPLS label 4'],
  mpls_label_5: ['u32', '74', 'mpls_5 - - -', 'MPLS label 5'],
  mpls_label_6: ['u32', '75', 'mpls_6 - - -', 'MPLS label 6'],
  mpls_label_7: ['u32', '76', 'mpls_7 - - -', 'MPLS label 7'],
  mpls_label_8: ['u32', '77', 'mpls_8 - - -', 'MPLS label 8'],
  mpls_label_9: ['u32', '78', 'mpls_9 - - -', 'MPLS label 9'],
  mpls_label_10: ['u32', '79', 'mpls_10 - - -', 'MPLS label 10'],
  mpls_exp: ['count', '', '- - - -',
    'Traffic class and bottom bit of each label, 4 bits a label from label 1'],
  mpls_ttl: ['u8', '200', '- mpls_ttl - -', 'Time to live of the top label'],
  mpls_top_label_type: ['u8', '46', '- - - -', 'What the top label stands for'],
  mpls_top_label_addr: ['addr', '47 140', '- mpls_ip - -', 'Address the top label leads to'],
  mpls_vpn_rd: ['octets', '90', '- - - -', 'MPLS VPN route distinguisher'],

  // NAT and firewalls
  nat_event: ['u8', '230', 'nat_event_id - - -', 'What the NAT did'],
  post_nat_src_addr: ['addr', '225 281 40001', 'src_xlt_ip post_nat_src_ipv4_address - -',
    'Source after NAT'],
  post_nat_dst_addr: ['addr', '226 282 40002', 'dst_xlt_ip post_nat_dst_ipv4_address - -',
    'Destination after NAT'],
  post_napt_src_port: ['u16', '227 40003', 'src_xlt_port post_napt_src_transport_port - -',
    'Source port after NAT'],
  post_napt_dst_port: ['u16', '228 40004', 'dst_xlt_port post_napt_dst_transport_port - -',
    'Destination port after NAT'],
  nat_pool_id: ['u32', '283', 'nat_pool_id - - -', 'NAT pool'],
  nat_type: ['u8', '297', '- - - -', 'Kind of NAT'],
  nat_realm: ['u8', '229', '- - - -', 'Where the session began: 1 private, 2 public'],
  nat_instance_id: ['u32', '463', '- - - -', 'NAT instance'],
  port_block_start: ['u16', '361', 'pblock_start - - -', 'First port of the block'],
  port_block_end: ['u16', '362', 'pblock_end - - -', 'Last port of the block'],
  port_block_step: ['u16', '363', 'pblock_step - - -', 'Step between the ports of the block'],
  port_block_size: ['u16', '364', 'pblock_size - - -', 'Number of ports in the block'],
  firewall_event: ['u8', '233 40005', 'event_id - - -', 'What the firewall did'],
  firewall_ext_event: ['u16', '33002', 'xevent_id - - -', 'Why the firewall did it'],
  in_acl: ['octets', '33000', 'ingress_acl - - -', 'Input access list, entry and extended entry'],
  out_acl: ['octets', '33001', 'egress_acl - - -', 'Output access list, entry and extended entry'],
  flow_id: ['u64', '148', 'connect_id - - -', 'Flow or connection the exporter numbers so'],
  user_name: ['text', '371 40000', 'user_name - - -', 'Name of the user'],
  pf_action: ['u8', '', '- - - -', 'What a rule of pf did: 0 pass, 1 block'],
  pf_reason: ['u8', '', '- - - -', 'Why pf did it: 0 a rule matched'],
  pf_direction: ['u8', '', '- - - -', 'Where pf saw the packets: 1 in, 2 out'],
  pf_rule: ['u32', '', '- - - -', 'Number of the rule of pf'],

  // Tunnels
  tun_src_addr: ['addr', '', 'src_tun_ip - - -', 'Source address of the tunnel around the flow'],
  tun_dst_addr: ['addr', '', 'dst_tun_ip - - -', 'Destination address of the tunnel around the flow'],
  tun_proto: ['u8', '', 'tun_proto - - -', 'IP protocol number of the tunnel'],

  // Clouds
  pkt_src_addr: ['addr', '', '- - - -', "Source address in the packets, where src_addr is an interface's"],
  pkt_dst_addr: ['addr', '', '- - - -',
    "Destination address in the packets, where dst_addr is an interface's"],

  // Applications and delays
  application_id: ['octets', '95', '- - - -', 'Application: classification engine and selector (RFC 6759)'],
  application_name: ['text', '96', '- - - -', 'Name of the application'],
  client_latency: ['u32 µs', '', 'cli_latency - - -', 'Network delay of the client'],
  server_latency: ['u32 µs', '', 'srv_latency - - -', 'Network delay of the server'],
  app_latency: ['u32 µs', '', 'app_latency - - -', 'Delay of the application'],
  ssid: ['text', '147', '- - - -', 'Wireless network'],
  sta_mac: ['mac', '365', '- - - -', 'MAC address of the wireless station'],
  wtp_mac: ['mac', '367', '- - - -', 'MAC address of the access point'],
} as const

type Table = typeof TABLE
type CamelCase<S extends string> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<CamelCase<B>>}` : S

/** Name of a field outside: in JSON, CSV, SQL and on the command line. */
export type FieldName = keyof Table
/** Name of a field's column in TypeScript: the same word in camelCase. */
export type ColumnName = CamelCase<FieldName>
/** How a field is stored and printed; see the table's comment. */
export type FieldType = 'u8' | 'u16' | 'u32' | 'u64' | 'count' | 'time' | 'addr' | 'mac' | 'text' | 'octets'
type TypeWord<S extends string> = S extends `${infer T} ${string}` ? T : S
/** Type of a column by its name. */
export type ColumnType = { readonly [N in FieldName as CamelCase<N>]: TypeWord<Table[N][0]> }

/** Type of a field by its name. */
export type FieldTypes = { readonly [N in FieldName]: TypeWord<Table[N][0]> }
/** The name of a field in flow-tools, never where it has none. */
export type FlowToolsName<N extends FieldName> =
  Table[N][2] extends `${string} ${string} ${string} ${infer T}` ? T extends '-' ? never : T : never

/** One row of the field table. */
export interface Field {
  /** Place in the table, from 0; also its bit in a shape. */
  readonly id: number
  readonly name: FieldName
  readonly column: ColumnName
  readonly type: FieldType
  /** `B`, `s`, `ms`, `µs`, `ns`, `bits` or empty. */
  readonly unit: string
  /** Elements that fill the field, best first: enterprise number (0 IANA) and id. */
  readonly elements: readonly { readonly pen: number, readonly id: number }[]
  /** Its name in each peer, where the peer has one. */
  readonly peers: Readonly<Partial<Record<Peer, string>>>
  /** One line. */
  readonly doc: string
}

/** Tools whose names for fields flowkit knows, in the order of the table. */
export const PEERS = ['nfdump', 'goflow2', 'flowd', 'flow-tools'] as const
/** One of PEERS. */
export type Peer = (typeof PEERS)[number]

/** Every field, in the order of the table, which is the order of output. */
export const FIELDS: readonly Field[] = Object.entries(TABLE).map(([name, row], id) => toField(id, name, row))

/** Number of fields. */
export const FIELD_COUNT: number = FIELDS.length

/** The id of each field, by column name: `ID.srcAddr`. */
export const ID: Readonly<Record<ColumnName, number>> =
  Object.fromEntries(FIELDS.map((field) => [field.column, field.id])) as Record<ColumnName, number>

const byName = new Map<string, Field>(
  FIELDS.flatMap((field) => [[field.name, field], [field.column.toLowerCase(), field]]),
)

/**
 * The field called `name`: the table's name or its column's, in any case.
 *
 * @returns undefined when there is none
 */
export function findField(name: string): Field | undefined {
  return byName.get(name.toLowerCase())
}

/** Whether fields are wanted, by id (1 or 0), of a list of ids. */
export function fieldMask(ids: Iterable<number>): Uint8Array {
  const mask = new Uint8Array(FIELD_COUNT)
  for (const id of ids) mask[id] = 1
  return mask
}

/** Fields of the exporter's clock, left out unless asked for: times are absolute without them. */
export const CLOCK_FIELDS: readonly number[] = [ID.exportSecs, ID.exportNsecs, ID.sysUptime]

function toField(id: number, name: string, row: readonly [string, string, string, string]): Field {
  const [type, unit = ''] = row[0].split(' ')
  const peers = row[2].split(' ').map((peer, i) => [PEERS[i], peer]).filter(([, peer]) => peer !== '-')
  return {
    id,
    name: name as FieldName,
    column: name.replace(/_(.)/g, (_, c: string) => c.toUpperCase()) as ColumnName,
    type: type as FieldType,
    unit,
    elements: row[1].split(' ').filter(Boolean).map((text) => {
      const [a, b] = text.split('/').map(Number)
      return b === undefined ? { pen: 0, id: a } : { pen: a, id: b }
    }),
    peers: Object.fromEntries(peers),
    doc: row[3],
  }
}
