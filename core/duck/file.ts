import { mkdtemp, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { FIELDS } from '../flow/fields.ts'
import { CORE_FIELDS } from '../flow/sql.ts'
import type { FlowWriter } from '../flow/stream.ts'
import { syncFolder } from '../output-file.ts'
import { openParts } from './parts.ts'

/** What a Parquet file is to hold. */
export interface ParquetFileOptions {
  /** Ids of its fields; unless told, the core fields and what the flows have. */
  readonly fields?: readonly number[]
  /** Whether elements without a column are written too, in the column `extra`. */
  readonly extras?: boolean
  /** Addresses as text, for tools that cannot do with two numbers. */
  readonly textAddresses?: boolean
  /** Other names of fields: the file is for other tools then, with addresses as text. */
  readonly names?: ReadonlyMap<string, string>
}

/**
 * Write one Parquet file. It has its name once it is whole.
 *
 * @throws the system error if the folder cannot be written to
 */
export async function createParquetFile(path: string, options: ParquetFileOptions = {}): Promise<FlowWriter> {
  const { fields, extras = false, names, textAddresses = names !== undefined } = options
  const target = resolve(path)
  const temporary = await mkdtemp(join(dirname(target), `.${basename(target)}.tmp-`))
  const chosen = fields?.map((id) => FIELDS[id])
  const parts = openParts({
    directory: temporary, always: chosen ?? CORE_FIELDS, extras, textAddresses,
    ...chosen && { allowed: chosen }, ...names && { names },
  })

  async function close(): Promise<void> {
    try {
      const written = await parts.take()
      // columns that came later began another file: put them together
      const whole = written.length === 0 ? await parts.writeEmpty()
        : written.length === 1 ? written[0] : await parts.merge(written)
      await rename(whole.path, target)
      await syncFolder(dirname(target))
    } finally {
      await end()
    }
  }

  async function end(): Promise<void> {
    await parts.close()
    await rm(temporary, { recursive: true, force: true })
  }

  return { write: (batch) => parts.write(0, batch, 0, batch.length), close, abort: end }
}
