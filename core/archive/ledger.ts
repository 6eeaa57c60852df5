import { writeFile } from 'node:fs/promises'
import { identifier, quote } from '../duck/duck.ts'

/**
 * The rows of a ledger as a query over a file of JSON Lines, which is written: a query that holds thousands
 * of rows itself takes seconds to read.
 *
 * @param rows at least one; all with the same names, of text, integers and nulls, which are no integer
 * @throws the system error when the file cannot be written
 */
export async function ledgerSql(path: string, rows: readonly object[]): Promise<string> {
  await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`))
  const columns = Object.entries(rows[0]).map(([name, value]: [string, unknown]) => (
    `${identifier(name)}: '${typeof value === 'string' ? 'VARCHAR' : 'BIGINT'}'`
  ))
  const options = `format = 'newline_delimited', columns = {${columns.join(', ')}}`
  return `SELECT * FROM read_json(${quote(path)}, ${options})`
}
