import { existsSync } from 'node:fs'
import { readCounters } from '../core/archive/counter-files.ts'
import { createParquetFile } from '../core/duck/file.ts'
import { readParquet } from '../core/duck/read.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import type { FlowFormat } from './format.ts'

const MAGIC = [0x50, 0x41, 0x52, 0x31] // PAR1

/** One Parquet file, flowkit's or another's whose columns have the names of fields. */
export const parquet: FlowFormat = {
  name: 'parquet',
  summary: 'Apache Parquet, a file',
  extensions: ['.parquet'],
  probe: (head) => MAGIC.every((byte, i) => head[i] === byte) ? 100 : 0,
  async *open(path, request) {
    // of several files those that are gone are passed over: an archive lets go of old ones
    if (!existsSync(path)) throw new FlowkitError('ERR_INPUT', `Cannot read ${path}: no such file`)
    yield* readParquet([path], { ...request, onBad: ({ error }) => { throw error } })
  },
  openCounters: (path, request) => readCounters(path, request),
  create: (path, { fields, extras, textAddresses = false }) => createParquetFile(path, {
    ...fields && { fields }, ...extras !== undefined && { extras }, textAddresses,
  }),
}
