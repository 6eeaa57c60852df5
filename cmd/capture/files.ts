import { stat } from 'node:fs/promises'
import { compileFileFilter } from '../../core/capture/filter.ts'
import { unwrap } from '../../core/compress/unwrap.ts'
import { filterFlows } from '../../core/filter/filter.ts'
import { newLoss } from '../../core/flow/loss.ts'
import type { FlowWriter } from '../../core/flow/stream.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import { meterCaptures, type CaptureInput } from '../../core/meter/read.ts'
import { bytesOfPath } from '../../formats/locations.ts'
import { openOutput, type OutputRequest } from '../../formats/outputs.ts'
import type { ExitCode } from '../command.ts'
import { faultReporter } from '../inputs.ts'
import type { Io } from '../io.ts'
import { amount, lossSection } from '../loss-report.ts'
import { wireOutput, type LiveOutput } from './outputs.ts'
import { describeOutputs, type CaptureOptions, type CapturePlan } from './plan.ts'

/** Meter the packets of capture files, and end. */
export async function captureFiles(plan: CapturePlan, options: CaptureOptions, io: Io): Promise<ExitCode> {
  const { files, filter } = plan
  for (const file of files) if (file !== '-') await stat(file) // before anything is written
  const meter = new FlowMeter(plan.meter)
  const faults = faultReporter(io)
  const passes = options.bpf === undefined ? undefined : await compileFileFilter(options.bpf)
  const writers = await openWriters(plan, options, io)
  let flows = 0
  let written = 0

  async function* finished(): ReturnType<typeof meterCaptures> {
    for await (const batch of meterCaptures(openCaptures(files, io), meter, faults.report, passes)) {
      flows += batch.length
      yield batch
    }
  }

  const done = io.talk.progress(() => `${meter.stats.packets} packets read, ${flows} flows`)
  try {
    for await (const batch of filter ? filterFlows(finished(), filter) : finished()) {
      io.signal.throwIfAborted()
      written += batch.length
      for (const { writer } of writers) await writer.write(batch)
    }
  } catch (error) {
    await Promise.all(writers.map(({ writer }) => writer.abort()))
    throw error
  } finally {
    done()
  }
  faults.finish()
  for (const { writer } of writers) await writer.close()
  const { stats } = meter
  io.talk.info(`${amount(stats.packets, 'packet')} read, ${amount(flows, 'flow')}, `
    + `${written.toLocaleString('en-US')} written to ${describeOutputs(plan)}`)
  const left = [
    [stats.notIp, 'not IP'], [stats.unknownLink, 'of links that are not known'],
    [stats.wireless, 'of IEEE 802.11'], [stats.damaged, 'damaged'],
    [stats.cut, 'cut before the end of their addresses'], [stats.skipped, 'not sampled'],
  ] as const
  for (const [count, what] of left) if (count > 0) io.talk.info(`  ${amount(count, 'packet')} ${what}`)
  for (const { name, writer } of writers) {
    const lost = lossSection(`${name} has no place for`, writer.loss?.() ?? newLoss())
    if (lost.length > 0) io.talk.info(lost.join('\n'))
  }
  if (faults.count > 0 && stats.packets === 0) return 1
  return faults.count > 0 || writers.some(({ writer }) => writer.undelivered) ? 3 : 0
}

/** Something to write to, and what its format is called. */
interface NamedWriter {
  readonly name: string
  readonly writer: FlowWriter & Partial<Pick<LiveOutput, 'undelivered'>>
}

async function openWriters(
  { places, singles, targets, retention }: CapturePlan, { force }: CaptureOptions, io: Io,
): Promise<NamedWriter[]> {
  const writers: NamedWriter[] = []
  const print = (bytes: Uint8Array): Promise<void> => io.write(bytes)

  async function open(path: string, how: Partial<OutputRequest>): Promise<void> {
    const { format, writer } = await openOutput(path, { ...how, force, extras: true, print })
    writers.push({ name: format.name, writer })
  }

  try {
    for (const { path, ...how } of singles) await open(path, how)
    for (const { path, names: _, ...how } of places) {
      await open(path, { ...how, ...how.format !== 'archive' && { split: retention.rotate * 1000 } })
    }
    const [first] = targets
    if (first) writers.push({ name: first.destination.name, writer: await wireOutput(targets, io) })
  } catch (error) {
    await Promise.all(writers.map(({ writer }) => writer.abort()))
    throw error
  }
  return writers
}

/** Captures in their order, unpacked; each is opened when its turn comes. */
async function* openCaptures(files: readonly string[], io: Io): AsyncGenerator<CaptureInput> {
  for (const file of files) {
    yield file === '-'
      ? { name: 'standard input', chunks: unwrap(io.stdin) }
      : { name: file, chunks: bytesOfPath(file) }
  }
}
