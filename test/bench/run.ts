/** `make bench`: flowkit beside the programs it stands for, as Markdown. Linux only; peers may be missing. */
import { mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { measureArchive, sizeRow } from './archive.ts'
import { measureCaptureFiles } from './capture.ts'
import { measureLiveCapture } from './capture-live.ts'
import { measureCollect } from './collect.ts'
import { measureCodecs } from './decode.ts'
import { measureExport } from './export.ts'
import { measureFormats } from './formats.ts'
import { count, secondsSince, table, type Row } from './measure.ts'
import { recordNfcapd } from './nfcapd.ts'
import { stopAll, versionOf } from './processes.ts'
import { measureRead } from './read.ts'
import { measureStart } from './start.ts'
import { makeTraffic, writeCapture } from './traffic.ts'

const FLOWS = 1_000_000
/** f_type of the file systems that are likely, from statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4', 0x58465342: 'XFS', 0x9123683e: 'Btrfs', 0x01021994: 'tmpfs', 0x794c7630: 'overlayfs',
  0x2fc12fc1: 'ZFS',
}

const begun = process.hrtime.bigint()
const folder = mkdtempSync(join(tmpdir(), 'flowkit-bench-'))
process.once('exit', () => {
  stopAll()
  rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

/** Progress, not data. */
function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`)
}

function machine(nfdump: string | undefined): string {
  const cores = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const disk = FILE_SYSTEMS[statfsSync(folder).type] ?? 'unknown file system'
  const peer = nfdump === undefined ? 'no nfdump' : `nfdump ${nfdump}`
  const system = `Linux ${release()}, ${disk}, Node ${process.version}`
  return `${cores[0].model.trim()}, ${cores.length} cores, ${memory}, ${system}, ${peer}`
}

function load(): string {
  return loadavg()[0].toFixed(2)
}

function cells({ work, flowkit, peer = '', ratio = '' }: Row): string[] {
  return [work, flowkit, peer, ratio]
}

const nfdump = versionOf('nfdump')
const hasNfcapd = nfdump !== undefined && versionOf('nfcapd') !== undefined
const before = load()
say(`start-up (load average ${before})`)
const rows = await measureStart()
say('decoders and encoders')
const codecs = await measureCodecs()
say(`${count(FLOWS)} flows into an archive, nfcapd's files and a capture`)
const traffic = makeTraffic(FLOWS)
const capture = join(folder, 'netflow.pcap')
writeCapture(traffic, capture)
const { archive, row } = await measureArchive(traffic, folder)
const nfcapd = hasNfcapd ? join(folder, 'nfcapd') : undefined
const nfcapdBytes = nfcapd === undefined ? undefined : await recordNfcapd(traffic, nfcapd)
say('reading')
rows.push(...await measureRead({ flows: FLOWS, archive, nfcapd, capture, folder }))
rows.push(row, sizeRow(archive, FLOWS, nfcapdBytes))
say('converting')
rows.push(...await measureFormats(capture, FLOWS, folder))
say('collecting')
rows.push(...await measureCollect(folder, hasNfcapd))
say('exporting')
rows.push(...await measureExport({ flows: FLOWS, archive: archive.path, nfcapd }))
say('metering packets')
rows.push(...await measureCaptureFiles(folder))
say('capturing')
rows.push(...await measureLiveCapture(folder))

process.stdout.write(`${machine(nfdump)}.
Medians, with least and most, of runs that take turns; ${count(FLOWS)} flows; output to /dev/null; TZ=UTC
for both; flowkit as it comes, with a thread for each core. Load average ${before} before, ${load()} after.
Collectors ask the kernel for 64 MiB a socket: flowkit gets them as root, nfcapd net.core.rmem_max at most.

${table(['what', 'flowkit', 'beside it', 'flowkit is'], rows.map(cells))}

${codecs}
`)
say(`done after ${Math.round(secondsSince(begun))} s (load average ${load()})`)
