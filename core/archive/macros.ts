import { MACROS } from '../duck/macros.ts'
import { quote } from '../duck/duck.ts'

/** Name of the file that opens an archive in any DuckDB: `duckdb -init flowkit.sql`. */
export const SQL_FILE = 'flowkit.sql'

/**
 * SQL for outside tools: the macros, and `flows`, a view of all files in which addresses are text too.
 *
 * @param directory the archive, as an absolute path
 */
export function archiveSql(directory: string): string {
  const view = ['exporter_addr', 'src_addr', 'dst_addr', 'next_hop', 'bgp_next_hop']
    .map((name) => `  addr(${name}_hi, ${name}_lo) AS ${name},`)
  return `-- An archive of network flows, for DuckDB: duckdb -init ${SQL_FILE}
-- Addresses are stored as two numbers: addr(src_addr_hi, src_addr_lo) is the text, and
-- cidr(src_addr_hi, src_addr_lo, '10.0.0.0/8') whether it is in a network. mac(src_mac) is text too.
-- Times are UTC; date and hour are those of receipt. Where the archive was moved, change this line:
SET VARIABLE flowkit_archive = ${quote(directory)};

${MACROS}
CREATE OR REPLACE VIEW flows AS SELECT
${view.join('\n')}
  *
FROM read_parquet(getvariable('flowkit_archive') || '/flows/**/*.parquet',
  union_by_name = true, hive_partitioning = true);
`
}
