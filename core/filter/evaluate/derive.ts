import type { FlowBatch } from '../../flow/batch.ts'
import { FIELDS, type FieldName } from '../../flow/fields.ts'

/** A number worked out from the fields of a row; a row has it or has not. */
export interface Derived {
  /** The words for it in a filter. */
  readonly words: string
  /** Fields it is worked out from, in the order `compute` takes them. */
  readonly fields: readonly number[]
  /** What its values are: as the type of a field, or fractions, seconds since midnight, days from Sunday. */
  readonly type: 'u8' | 'u32' | 'count' | 'time' | 'real' | 'clock' | 'hour' | 'day'
  /** Largest value a test may name. */
  readonly max: number
  /**
   * Turn the values of the fields (NaN where absent; of `octets`, where in the heap they begin) into its own,
   * in the first column.
   */
  readonly compute: (columns: readonly Float64Array[], length: number, batch: FlowBatch) => void
  /** The same in DuckDB's SQL; NULL where there is none. */
  readonly sql: string
}

/** The ids of fields. */
export function idsOf(names: readonly FieldName[]): number[] {
  return names.map((name) => FIELDS.findIndex((field) => field.name === name))
}
