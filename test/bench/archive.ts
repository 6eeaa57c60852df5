/** Writing an archive: speed, and what a flow takes on disk. */
import { join } from 'node:path'
import { openArchiveWriter, type ArchiveFile } from '../../core/archive/writer.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { interleave, secondsSince, throughput, type Row } from './measure.ts'
import { decodeTraffic, type Traffic } from './traffic.ts'

const ROUNDS = 3
/** Files that the flows are spread over, as a collector makes them in turn. */
const FILES = 4

/** An archive of all flows, which the other measurements read. */
export interface Archive {
  readonly path: string
  readonly files: readonly ArchiveFile[]
  readonly bytes: number
}

/** Write the archive into `folder`, several times over. */
export async function measureArchive(
  traffic: Traffic, folder: string,
): Promise<{ archive: Archive, row: Row }> {
  let archive: Archive | undefined
  let round = 0
  const { write } = await interleave(ROUNDS, {
    write: async () => {
      const path = join(folder, `archive-${round++}`)
      const { seconds, files } = await writeArchive(traffic, path)
      archive = { path, files, bytes: files.reduce((sum, file) => sum + file.bytes, 0) }
      return seconds
    },
  })
  const row = { work: 'write the archive, in process', flowkit: throughput(write, traffic.flows) }
  return { archive: archive!, row }
}

/** Write all flows, waiting for each file to be durable. Decoding them is not in the time. */
async function writeArchive(
  traffic: Traffic, path: string,
): Promise<{ seconds: number, files: ArchiveFile[] }> {
  const writer = await openArchiveWriter(path)
  const files: ArchiveFile[] = []
  let seconds = 0
  const most = Math.ceil(traffic.flows / FILES)
  let waiting: FlowBatch[] = []
  let rows = 0

  async function writeFile(): Promise<void> {
    const start = process.hrtime.bigint()
    for (const batch of waiting) await writer.write(batch)
    files.push(...await writer.rotate())
    seconds += secondsSince(start)
    waiting = []
    rows = 0
  }

  for (const batch of decodeTraffic(traffic)) {
    waiting.push(batch)
    rows += batch.length
    if (rows >= most) await writeFile()
  }
  if (rows > 0) await writeFile()
  await writer.close()
  const written = files.reduce((sum, file) => sum + file.rows, 0)
  if (written !== traffic.flows) {
    throw new Error(`Cannot measure writing: ${traffic.flows} flows were given, ${written} written`)
  }
  return { seconds, files }
}

/** Bytes a flow in the archive beside those in nfcapd's files. */
export function sizeRow(archive: Archive, flows: number, nfcapdBytes: number | undefined): Row {
  const own = archive.bytes / flows
  const row = { work: 'size on disk, zstd beside LZO', flowkit: `${own.toFixed(1)} bytes a flow` }
  if (nfcapdBytes === undefined) return { ...row, peer: 'nfcapd is not there' }
  const peer = nfcapdBytes / flows
  const ratio = `${(own / peer).toFixed(2)} × the size`
  return { ...row, peer: `nfcapd: ${peer.toFixed(1)} bytes a flow`, ratio }
}
