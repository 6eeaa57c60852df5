import { existsSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { readCounters } from '../core/archive/counter-files.ts'
import { createParquetFile } from '../core/duck/file.ts'
import { readParquet } from '../core/duck/read.ts'
import { faultOf } from '../core/duck/survey.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import type { FlowFormat } from './format.ts'

const MAGIC = [0x50, 0x41, 0x52, 0x31] // PAR1

/** One Parquet file: flowkit's, a VPC flow log, or another whose columns have the names of fields. */
export const parquet: FlowFormat = {
  name: 'parquet',
  summary: 'Apache Parquet, a file',
  extensions: ['.parquet'],
  isNamed: true,
  probe: (head) => MAGIC.every((byte, i) => head[i] === byte) ? 100 : 0,
  async *open(path, request) {
    // of several files those that are gone are passed over: an archive lets go of old ones
    if (!existsSync(path)) throw new FlowkitError('ERR_INPUT', `Cannot read ${path}: no such file`)
    yield* readParquet([path], { ...request, onBad: ({ error }) => { throw error } })
  },
  openCounters: (path, request) => readCounters(path, request),
  create: (path, { fields, extras, textAddresses = false, map }) => createParquetFile(path, {
    ...fields && { fields }, ...extras !== undefined && { extras },
    ...map ? { names: map } : { textAddresses },
  }),
}

/**
 * AWS VPC flow logs in Parquet, a file or a folder of them. `parquet` reads them too, as long as their columns
 * tell what they are: this is for those whose few columns do not.
 */
export const vpcParquet: FlowFormat = {
  name: 'vpc-parquet',
  summary: 'AWS VPC flow log in Parquet',
  extensions: [],
  isNamed: true,
  async *open(path, request) {
    const paths = await filesIn(path)
    if (paths.length === 0) throw new FlowkitError('ERR_INPUT', `Cannot read ${path}: no Parquet file is in it`)
    const { onFault } = request
    yield* readParquet(paths, { ...request, vpc: true, onBad: (bad) => onFault(faultOf(bad)) })
  },
}

/** The Parquet files below a folder, in the order of their names; or just the file. */
async function filesIn(path: string): Promise<string[]> {
  if (!(await stat(path)).isDirectory()) return [path]
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && entry.name.endsWith('.parquet'))
    .map((entry) => join(entry.parentPath, entry.name)).sort()
}
