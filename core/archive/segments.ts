import { access, glob, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hourFolder, segmentTime } from './names.ts'

/** Whether all of a segment that was written with a ledger is in the archive. */
export async function hasSegment(directory: string, segment: string): Promise<boolean> {
  try {
    await access(join(directory, 'ledger', hourFolder(segmentTime(segment)), `${segment}.parquet`))
    return true
  } catch {
    return false
  }
}

/** Remove what is in the archive of a segment that was not finished. */
export async function removeSegment(directory: string, segment: string): Promise<void> {
  for await (const file of glob(`{flows,counters}/*/*/${segment}*.parquet`, { cwd: directory })) {
    await rm(join(directory, file), { force: true })
  }
}
