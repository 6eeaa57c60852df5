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
