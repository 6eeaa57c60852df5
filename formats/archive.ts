import { readCounters } from '../core/archive/counter-files.ts'
import { openArchive } from '../core/archive/reader.ts'
import { openArchiveWriter } from '../core/archive/writer.ts'
import type { FlowFormat } from './format.ts'

/** flowkit's own archive: a folder of Parquet files, a file for each hour and minute or so. */
export const archive: FlowFormat = {
  name: 'archive',
  summary: 'Folder of Parquet files by hour, flowkit\'s own',
  extensions: [],
  appends: true,
  open: (path, request) => openArchive(path, request),
  openCounters: (path, request) => readCounters(path, request),
  create: (path, { fields, extras }) => openArchiveWriter(path, {
    ...fields && { fields }, ...extras !== undefined && { extras },
  }),
}
