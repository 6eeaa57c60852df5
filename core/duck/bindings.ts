/** DuckDB's C API as its Node package has it. */
export type Bindings = typeof import('@duckdb/node-bindings')

let bindings: Promise<Bindings> | undefined

/** Load DuckDB, once; it is 70 MB, so never before it is needed. */
export function loadDuck(): Promise<Bindings> {
  return bindings ??= import('@duckdb/node-bindings').then((module) => module.default)
}
