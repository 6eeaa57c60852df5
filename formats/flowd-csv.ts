import type { FlowEncoder } from '../core/flow/stream.ts'
import { CSV_HEADER, RecordRows } from './flowd/csv.ts'
import { RecordWriter } from './flowd/encode.ts'
import type { FlowFormat, WriteRequest } from './format.ts'

/** What `flowd-reader -c` prints, byte for byte: a header and the fields that flow-import takes. */
export const flowdCsv: FlowFormat = {
  name: 'flowd-csv',
  summary: "What flowd-reader -c prints: comma-separated values for flow-tools' flow-import",
  extensions: [],
  clock: true,
  encoder,
}

function encoder({ quiet = false }: WriteRequest): FlowEncoder {
  const records = new RecordWriter({ checksums: 'none' })
  const rows = new RecordRows()
  let started = quiet
  function head(): number {
    if (started) return 0
    started = true
    return rows.text(CSV_HEADER, 0)
  }
  return {
    encode: (batch) => rows.take(rows.rows(records.records(batch), head())),
    finish: () => rows.take(head()),
  }
}
