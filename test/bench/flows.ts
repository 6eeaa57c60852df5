/** Generated traffic for benchmarks and size measurements. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'

/** How much of it, and from when to when. */
export interface Traffic {
  readonly flows: number
  readonly seed?: number
  /** µs since the epoch, in whole seconds, at which export begins; 2026-11-21T13:00:00Z unless told. */
  readonly from?: number
  /** µs, in whole milliseconds, over which the flows are spread; one hour unless told. */
  readonly span?: number
}

/** Batches of traffic as a NetFlow v9 exporter would tell of it: 27 fields, 8 % IPv6. The batch is reused. */
export function syntheticFlows(traffic: Traffic): Generator<FlowBatch> {
  return generateFlows({ ...parseTraffic('v6=8%,sampling=100'), ...traffic })
}
