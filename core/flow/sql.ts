import { FIELDS, type Field, type FieldType } from './fields.ts'

type SqlType = 'UTINYINT' | 'USMALLINT' | 'UINTEGER' | 'UBIGINT' | 'BIGINT' | 'TIMESTAMP' | 'VARCHAR' | 'BLOB'

/** A column of the archive (schema 1), and of the same table elsewhere. */
export interface SqlColumn {
  readonly name: string
  readonly type: SqlType
}

const TYPES: Readonly<Record<Exclude<FieldType, 'addr'>, SqlType>> = {
  u8: 'UTINYINT', u16: 'USMALLINT', u32: 'UINTEGER', u64: 'UBIGINT', count: 'BIGINT', mac: 'BIGINT',
  time: 'TIMESTAMP', text: 'VARCHAR', octets: 'BLOB',
}

/**
 * The SQL columns that hold a field: one of the field's name, but an address is two, `src_addr_hi` and
 * `src_addr_lo`: the 128 bits of the IPv6 address, IPv4 mapped into it (hi 0, lo 0xffff00000000 + address).
 * Times are µs UTC, MAC addresses 48-bit numbers.
 */
export function sqlColumns(field: Field): readonly SqlColumn[] {
  if (field.type !== 'addr') return [{ name: field.name, type: TYPES[field.type] }]
  return [{ name: `${field.name}_hi`, type: 'UBIGINT' }, { name: `${field.name}_lo`, type: 'UBIGINT' }]
}

/** The fields whose columns every archive file has; files have others only where their flows do. */
export const CORE_FIELDS: readonly Field[] = [
  'type', 'received', 'exporter_addr', 'observation_domain_id', 'sequence_num', 'sampling_rate',
  'sampling_source', 'flow_start', 'flow_end', 'bytes', 'packets', 'flows', 'out_bytes', 'out_packets',
  'rev_bytes', 'rev_packets', 'proto', 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'tcp_flags', 'tos',
  'icmp_type', 'icmp_code', 'etype', 'direction', 'in_if', 'out_if', 'src_as', 'dst_as', 'src_mask',
  'dst_mask', 'next_hop', 'bgp_next_hop', 'vlan_id', 'src_mac', 'dst_mac', 'end_reason', 'forwarding_status',
  'tag',
].map((name) => FIELDS.find((field) => field.name === name)).filter((field) => field !== undefined)
