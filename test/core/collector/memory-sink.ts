import type { SegmentWriter, Sink } from '../../../core/sinks/sink.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import type { CounterSample } from '../../../core/netflow/sflow/counters.ts'

/** What a sink has of a segment. */
export interface Kept {
  readonly rows: FlowBatch
  readonly samples: CounterSample[]
  ledger: readonly object[]
}

/** A sink in memory that can be told to fail. */
export interface MemorySink extends Sink {
  /** Finished segments by name, in order. */
  readonly segments: Map<string, Kept>
  /** All rows of finished segments. */
  rows(): FlowBatch
  samples(): CounterSample[]
  /** What fails now. */
  failing: { open?: boolean, write?: boolean, rotate?: boolean }
  /** Writers that have not been closed. */
  writers: number
}

/** An empty sink. */
export function memorySink(name = 'memory'): MemorySink {
  const sink: MemorySink = {
    name,
    segments: new Map(),
    failing: {},
    writers: 0,
    rows() {
      const all = new FlowBatch()
      for (const { rows } of sink.segments.values()) appendAll(all, rows)
      return all
    },
    samples: () => [...sink.segments.values()].flatMap(({ samples }) => samples),
    has: async (segment) => sink.segments.has(segment),
    async open(segment) {
      if (sink.failing.open) throw new Error('cannot open')
      sink.writers++
      return writer(sink, segment)
    },
  }
  return sink
}

function writer(sink: MemorySink, first: string): SegmentWriter {
  let segment = first
  let kept: Kept = { rows: new FlowBatch(), samples: [], ledger: [] }
  function begin(next: string | undefined): void {
    segment = next ?? ''
    kept = { rows: new FlowBatch(), samples: [], ledger: [] }
  }
  return {
    async write(batch) {
      if (sink.failing.write) throw new Error('disk full')
      appendAll(kept.rows, batch)
    },
    async writeCounters(samples) {
      if (sink.failing.write) throw new Error('disk full')
      kept.samples.push(...samples)
    },
    async rotate({ next, ledger = [] } = {}) {
      const done = kept
      const name = segment
      begin(next)
      if (sink.failing.rotate) throw new Error('disk full')
      if (ledger.length === 0 && done.rows.length === 0) return []
      if (sink.segments.has(name)) throw new Error(`segment ${name} twice`)
      sink.segments.set(name, { ...done, ledger })
      return [{ table: 'flows', path: name, rows: done.rows.length, bytes: 0 }]
    },
    async skip(next) { begin(next) },
    async abort() { sink.writers-- },
  }
}

function appendAll(target: FlowBatch, batch: FlowBatch): void {
  for (let row = 0; row < batch.length; row++) target.append(batch, row)
}
