import { newLoss, rowsLost } from '../../core/flow/loss.ts'
import type { FlowReader } from '../../core/flow/stream.ts'
import { captureEncoder, collectorPort } from '../../core/netflow/encode/capture.ts'
import type { ExportOptions } from '../../core/netflow/encode/export-streams.ts'
import { setSampling } from '../../core/netflow/encode/set-sampling.ts'
import { generateDatagrams } from '../../core/netflow/generate/datagrams.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import type { TrafficOptions } from '../../core/netflow/generate/options.ts'
import { createOutputFile, type OutputFile } from '../../core/output-file.ts'
import { captureWriter, type CaptureFormat } from '../../core/pcap/write.ts'
import { openOutput } from '../../formats/outputs.ts'
import type { Export, Exported } from './report.ts'
import type { Io } from '../io.ts'

/** Datagrams that are written at a time. */
const CHUNK = 512

/** How flows are put into a capture. */
export interface CaptureOptions {
  readonly path: string
  readonly format: CaptureFormat
  readonly encoding: Omit<ExportOptions, 'byExporter'>
  /** The sampling rate of flows that tell none. */
  readonly sampling: number | undefined
  /** Leave no file behind that lacks something. */
  isRefused(outcome: Exported): boolean
}

/** Write a capture of the datagrams that the flows of `reader` are exported in. */
export async function writeFlowCapture(
  reader: FlowReader, { path, format, encoding, sampling, isRefused }: CaptureOptions, io: Io,
): Promise<Exported> {
  const encoder = captureEncoder(encoding, format)
  const file = await createOutputFile(path)
  let flows = 0
  const done = io.talk.progress(() => `${flows} flows written`)
  const outcome = await unlessItFails(file, async () => {
    for await (const batch of reader) {
      io.signal.throwIfAborted()
      flows += batch.length
      if (sampling !== undefined) setSampling(batch, sampling)
      await file.write(encoder.encode(batch))
    }
    await file.write(encoder.finish())
    const loss = encoder.loss()
    return { read: flows, flows: flows - rowsLost(loss), messages: encoder.datagrams, loss }
  })
  done()
  await (isRefused(outcome) ? file.abort() : file.close())
  return outcome
}

/** Write a capture of generated traffic. */
export async function writeTrafficCapture(
  traffic: TrafficOptions, path: string, format: CaptureFormat, io: Io,
): Promise<Exported> {
  const writer = captureWriter(format)
  const source = generateDatagrams(traffic)
  const file = await createOutputFile(path)
  let datagrams = 0
  const done = io.talk.progress(() => `${datagrams} datagrams written`)
  await unlessItFails(file, async () => {
    for (const datagram of source) {
      const message = datagram.bytes.subarray(datagram.start, datagram.end)
      writer.write(message, datagram, collectorPort(message), datagram.received)
      if (++datagrams % CHUNK !== 0) continue
      await file.write(writer.take())
      io.signal.throwIfAborted()
    }
    await file.write(writer.take())
  })
  done()
  await file.close()
  const flows = source.expected.reduce((sum, { records }) => sum + records, 0)
  return { read: flows, flows, messages: datagrams, loss: newLoss() }
}

/** Write the flows of generated traffic into a place. Throws as `openOutput`. */
export async function writeTraffic(
  traffic: TrafficOptions, path: string, force: boolean, io: Io,
): Promise<Exported & Pick<Export, 'format'>> {
  const { format, writer } = await openOutput(path, { force, print: (bytes) => io.write(bytes) })
  let flows = 0
  const done = io.talk.progress(() => `${flows} flows written`)
  await unlessItFails(writer, async () => {
    for (const batch of generateFlows(traffic)) {
      io.signal.throwIfAborted()
      flows += batch.length
      await writer.write(batch)
    }
  })
  done()
  await writer.close()
  return { read: flows, flows, messages: 0, loss: writer.loss?.() ?? newLoss(), format: format.name }
}

async function unlessItFails<T>(output: Pick<OutputFile, 'abort'>, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    await output.abort()
    throw error
  }
}
