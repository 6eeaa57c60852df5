import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Field } from '../flow/fields.ts'
import type { TimeDigits } from '../flow/shape.ts'
import type { FlowReader } from '../flow/stream.ts'
import { usedShapes } from './pack.ts'
import { openParts } from './parts.ts'

/** Flows in Parquet files in the temporary folder, so that they can be gone through more than once. */
export interface Spool {
  readonly paths: readonly string[]
  /** Digits of a second of all times; -1 where they differ. */
  readonly timeDigits: TimeDigits
  /** Remove the files. */
  remove(): Promise<void>
}

/**
 * Write all flows of `reader` into files.
 *
 * @param always fields that the files have in any case
 * @param order what stands behind the query for the rows of each file: ORDER BY and LIMIT
 * @throws the system error when the temporary folder is full
 */
export async function spoolFlows(
  reader: FlowReader, always: readonly Field[], order: string = '',
): Promise<Spool> {
  const directory = await mkdtemp(join(tmpdir(), 'flowkit-'))
  const remove = () => rm(directory, { recursive: true, force: true })
  const parts = openParts({ directory, always, extras: true, order })
  try {
    const digits = new Set<TimeDigits>()
    for await (const batch of reader) {
      for (const index of usedShapes(batch, 0, batch.length)) digits.add(batch.shapes[index].timeDigits)
      await parts.write(0, batch, 0, batch.length)
    }
    const paths = (await parts.take()).map(({ path }) => path)
    return { paths, timeDigits: digits.size === 1 ? [...digits][0] : -1, remove }
  } catch (error) {
    await remove()
    throw error
  } finally {
    await parts.close()
  }
}
