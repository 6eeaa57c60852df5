import { identifier, quote } from '../duck/duck.ts'

/**
 * The rows of a ledger as a query: text is VARCHAR, integers are BIGINT, null is no integer.
 *
 * @param rows at least one; all with the same names
 */
export function ledgerSql(rows: readonly object[]): string {
  const names = Object.keys(rows[0])
  const values = rows.map((row) => `(${Object.values(row).map((value: unknown) => (
    typeof value === 'number' || value === null ? `${value}::BIGINT` : quote(String(value))
  )).join(', ')})`)
  return `SELECT * FROM (VALUES ${values.join(', ')}) t(${names.map(identifier).join(', ')})`
}
