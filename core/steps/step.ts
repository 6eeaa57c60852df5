import type { FlowReader } from '../flow/stream.ts'

/** Something done to flows on their way from a reader to a writer. */
export interface FlowStep {
  /** The flows of `reader` with it done to them; may be called again once they have ended. */
  run(reader: FlowReader): FlowReader
  /** What was done so far, in words such as `duplicates removed`: how many. */
  readonly counts: ReadonlyMap<string, number>
}
