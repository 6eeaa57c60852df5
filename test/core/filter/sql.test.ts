import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterToSql, parseFilter } from '../../../core/filter/filter.ts'

const EXPECTED: readonly (readonly [string, string])[] = [
  ['', 'TRUE'],
  // as terms of a WHERE these let DuckDB skip row groups by their statistics, which coalesce hides
  ['proto tcp and src port > 1023',
    '((proto IS NOT NULL AND proto = 6) AND (src_port IS NOT NULL AND src_port > 1023))'],
  ['not proto tcp', '(NOT coalesce(proto = 6, FALSE))'],
  ['port 80', '(coalesce(src_port = 80, FALSE) OR coalesce(dst_port = 80, FALSE))'],
  ['dst port in [80 443 1000-2000]',
    '(dst_port IS NOT NULL AND (dst_port IN (80, 443) OR dst_port BETWEEN 1000 AND 2000))'],
  ['dst port 80 or dst port 443', '(dst_port IS NOT NULL AND dst_port IN (80, 443))'],
  ['src ip 10.0.0.1', '(src_addr_hi IS NOT NULL AND (src_addr_hi = 0 AND src_addr_lo = 281470849515521))'],
  ['src net 2001:db8::/32', '(src_addr_hi IS NOT NULL AND '
    + 'src_addr_hi BETWEEN 2306139568115548160 AND 2306139572410515455)'],
  ['src net 2001:db8::/64', '(src_addr_hi IS NOT NULL AND src_addr_hi = 2306139568115548160)'],
  ['src ip fe80::1',
    '(src_addr_hi IS NOT NULL AND (src_addr_hi = 18338657682652659712::UBIGINT AND src_addr_lo = 1))'],
  ['first seen >= 2026-11-21T12:00:00.5Z',
    "(flow_start IS NOT NULL AND flow_start >= TIMESTAMP '2026-11-21 12:00:00.500000')"],
  ['user_name "x\'); DROP TABLE flows; --"',
    "(user_name IS NOT NULL AND user_name = 'x''); DROP TABLE flows; --')"],
  ['application_id 0x03000050',
    "(application_id IS NOT NULL AND application_id = '\\x03\\x00\\x00\\x50'::BLOB)"],
  ['defined flows', 'flows IS NOT NULL'],
  ['flows > 1', 'coalesce((coalesce(flows, 1)) > 1, FALSE)'],
  ['flags SA', '((proto IS NOT NULL AND proto = 6) AND (tcp_flags IS NOT NULL AND (tcp_flags & 18) = 18))'],
]

for (const [text, expected] of EXPECTED) {
  test(`"${text}" as SQL`, () => {
    assert.equal(filterToSql(parseFilter(text)), expected)
  })
}
