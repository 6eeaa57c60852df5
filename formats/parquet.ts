import { readCounters } from '../core/archive/counter-files.ts'
import { createParquetFile } from '../core/duck/file.ts'
import { readParquet } from '../core/duck/read.ts'
import type { FlowFormat } from './format.ts'

const MAGIC = [0x50, 0x41, 0x52, 0x31] // PAR1

/** One Parquet file, flowkit's or another's whose columns have the names of fields. */
export const parquet: FlowFormat = {
  name: 'parquet',
  summary: 'Apache Parquet, a file',
  extensions: ['.parquet'],
  probe: (head) => MAGIC.every((byte, i) => head[i] === byte) ? 100 : 0,
  open: (path, request) => readParquet([path], { ...request, onBad: ({ error }) => { throw error } }),
  openCounters: (path, request) => readCounters(path, request),
  create: (path, { fields, extras }) => createParquetFile(path, {
    ...fields && { fields }, ...extras !== undefined && { extras },
  }),
}
