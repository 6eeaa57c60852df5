import { quote } from '../duck/duck.ts'
import { MACROS } from '../duck/macros.ts'
import { CORE_FIELDS, sqlColumns } from '../flow/sql.ts'
import { NO_COUNTERS } from './counter-sql.ts'

/** Name of the file that opens an archive in any DuckDB: `duckdb -init flowkit.sql`. */
export const SQL_FILE = 'flowkit.sql'

/** The columns of flows as a table without rows. */
const NO_FLOWS = `SELECT ${CORE_FIELDS.flatMap(sqlColumns)
  .map(({ name, type }) => `NULL::${type} AS ${name}`).join(', ')} WHERE false`

/**
 * SQL for outside tools: the macros, and views of all files: `flows`, in which addresses are text too, and
 * `counters`, the counter samples of sFlow. Where there are no files yet they are empty.
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
${relationSql('flows', NO_FLOWS)}
CREATE OR REPLACE VIEW flows AS SELECT
${view.join('\n')}
  *
FROM query(getvariable('flowkit_flows'));

-- sFlow's counter samples; numbered counters, as of optical lanes, are JSON in the column extra
${relationSql('counters', NO_COUNTERS)}
CREATE OR REPLACE VIEW counters AS FROM query(getvariable('flowkit_counters'));
`
}

/** Set a variable to the query for the files of a folder: read_parquet fails where there is none. */
function relationSql(folder: string, empty: string): string {
  const files = `getvariable('flowkit_archive') || '/${folder}/**/*.parquet'`
  const all = `FROM read_parquet(${files}, union_by_name = true, hive_partitioning = true)`
  return `SET VARIABLE flowkit_${folder} = (SELECT CASE WHEN count(*) > 0
  THEN ${quote(all)}
  ELSE ${quote(empty)} END
FROM glob(${files}));`
}
