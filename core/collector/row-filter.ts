import type { FlowBatch } from '../flow/batch.ts'
import { addressKey, type Exporters } from '../netflow/exporters.ts'
import type { RowFilter } from './decoding.ts'

/**
 * A filter of rows by a predicate over batches; rows that it drops are counted with their exporters.
 *
 * @param select sets the element of each row to 1 or 0, and says how many rows match
 * @param mark is given each batch with the rows that are left, to mark them
 */
export function rowFilter(
  select: (batch: FlowBatch, selected: Uint8Array) => number, mark?: (batch: FlowBatch) => void,
): RowFilter {
  let selected = new Uint8Array(0)
  return (batch, exporters) => {
    if (selected.length < batch.capacity) selected = new Uint8Array(batch.capacity)
    const { length } = batch
    if (select(batch, selected) < length) {
      countDropped(batch, selected, exporters)
      batch.keep(selected)
    }
    mark?.(batch)
    return length - batch.length
  }
}

function countDropped(batch: FlowBatch, selected: Uint8Array, { byKey }: Exporters): void {
  const { length, exporterAddr: { family, v4, v6 } } = batch
  for (let row = 0; row < length; row++) {
    if (selected[row] !== 0) continue
    const exporter = byKey.get(addressKey(family[row], v4[row], v6, row * 16))
    if (exporter) exporter.counters.filtered++
  }
}
