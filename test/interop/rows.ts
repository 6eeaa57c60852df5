/** Flows as other collectors can tell of them: TCP, UDP and ICMP over IPv4 and IPv6. */
import { EXPORTED } from '../core/netflow/messages.ts'
import type { RowSource } from '../core/netflow/encode/rows.ts'

const at = (seconds: number) => Math.round((EXPORTED + seconds) * 1000) * 1000

const COMMON = {
  flow_start: at(-9.75), flow_end: at(-1.5), packets: 12, bytes: 3456, tos: 0xb8, in_if: 3, out_if: 17, src_as: 64_496,
  dst_as: 64_511, received: at(0),
}
const V4 = {
  ...COMMON, etype: 0x800, src_addr: '10.1.2.3', dst_addr: '198.51.100.7', next_hop: '10.255.0.1', src_mask: 24,
  dst_mask: 22,
}
const V6 = {
  ...COMMON, etype: 0x86dd, src_addr: '2001:db8:1::3', dst_addr: '2001:db8:2::7', next_hop: '2001:db8::1', src_mask: 48,
  dst_mask: 64,
}

/** The flows, in their order. */
export const interopRows: readonly RowSource[] = [
  { ...V4, proto: 6, src_port: 50_000, dst_port: 443, tcp_flags: 0x1b },
  { ...V4, proto: 17, src_port: 53, dst_port: 40_000, bytes: 2 ** 31 + 5, packets: 2 ** 31 + 1 },
  { ...V4, proto: 1, icmp_type: 3, icmp_code: 1 },
  { ...V6, proto: 6, src_port: 50_001, dst_port: 80, tcp_flags: 0x02 },
  { ...V6, proto: 58, icmp_type: 128, icmp_code: 1 },
].map((fields) => ({ fields }))

/** What routers tell beside: MAC addresses, VLANs, MPLS labels, NAT, VRFs. */
const RICH = {
  src_mac: '02:00:00:00:00:01', dst_mac: '02:00:00:00:00:02', post_src_mac: '02:00:00:00:00:03',
  post_dst_mac: '02:00:00:00:00:04', vlan_id: 100, post_vlan_id: 200, customer_vlan_id: 33, mpls_label_1: 1000,
  mpls_label_2: 2000, mpls_exp: 0x5a, mpls_ttl: 60, // classes 5, and 2 with the bottom of the stack
  post_tos: 8, direction: 1, forwarding_status: 66, ip_ttl: 60, next_as: 64_501, prev_as: 64_502,
  post_napt_src_port: 1025, post_napt_dst_port: 8443, nat_event: 4, src_vrf: 11, dst_vrf: 12, out_bytes: 99,
  out_packets: 9, flows: 3,
}

/** A flow over IPv4 and one over IPv6 with fields that v9, IPFIX and sFlow have room for. */
export const richRows: readonly RowSource[] = [
  {
    ...interopRows[0].fields, ...RICH, bgp_next_hop: '10.255.0.9', post_nat_src_addr: '203.0.113.1',
    post_nat_dst_addr: '203.0.113.2',
  },
  {
    ...interopRows[3].fields, ...RICH, bgp_next_hop: '2001:db8::9', post_nat_src_addr: '2001:db8:3::1',
    post_nat_dst_addr: '2001:db8:3::2',
  },
].map((fields) => ({ fields }))

/** Flows for sFlow, which tells of packets of the mean length: none may be shorter than its headers. */
export const sampledRows: readonly RowSource[] = interopRows.map(({ fields }) =>
  ({ fields: { ...fields, packets: 100, bytes: 25_600 } }))
