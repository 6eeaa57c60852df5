/**
 * Seeded fuzz of every format that is read from a stream: generated flows are written in it, damaged and read.
 *
 *     node test/fuzz/formats.ts --count 200000 [--seed 1] [--format NAME]
 *
 * A reader may give rows, tell of faults and throw FlowkitError; nothing else, and it comes to an end. An
 * input that breaks this is written to the temporary folder.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { FORMATS } from '../../formats/index.ts'
import { checkRow } from './check-row.ts'
import { mutate, randomNumbers } from './mutate.ts'

const CHECKED_ROWS = 16
/** Traffic of a few flows each, that the seeds hold. */
const TRAFFIC = ['flows=1,v6=0%,nat=0%', 'flows=3,v6=50%', 'flows=8,nat=50%,sampling=1/10']
const ALL_FIELDS = FIELDS.map(({ id }) => id)

/** Formats that have a reader of streams, and their seeds: files that they themselves write. */
export async function seedsOf(format: FlowFormat): Promise<Uint8Array[]> {
  const seeds: Uint8Array[] = []
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-fuzz-'))
  try {
    for (const [i, text] of TRAFFIC.entries()) {
      const path = join(folder, String(i))
      const encoder = format.encoder?.({ extras: true })
      const writer = encoder ? undefined : await format.create!(path, { extras: true })
      const parts: Uint8Array[] = []
      for (const batch of generateFlows(parseTraffic(text))) {
        if (encoder) parts.push(Uint8Array.from(encoder.encode(batch)))
        else await writer!.write(batch)
      }
      if (encoder?.finish) parts.push(Uint8Array.from(encoder.finish()))
      await writer?.close()
      seeds.push(encoder ? Buffer.concat(parts) : readFileSync(path))
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
  return seeds
}

/** Read bytes to their end, or until the reader gives up. */
export function readAll(format: FlowFormat, bytes: Uint8Array, batch: FlowBatch): void {
  const decoder = format.decoder!({ fields: ALL_FIELDS, extras: true, loss: newLoss(), onFault() {} })
  batch.clear()
  try {
    for (let at = 0, isFull = true; isFull;) {
      const next = decoder.decode(bytes, at, batch)
      if (next < at || next > bytes.length) throw new RangeError(`decode() went from ${at} to ${next}`)
      isFull = batch.length >= BATCH_SIZE
      for (let row = 0; row < Math.min(batch.length, CHECKED_ROWS); row++) checkRow(batch, row)
      if (isFull) batch.clear()
      at = next
      if (!isFull) decoder.end?.(batch, bytes.subarray(at))
    }
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  for (let row = 0; row < Math.min(batch.length, CHECKED_ROWS); row++) checkRow(batch, row)
}

/** Read `count` damaged files. @returns the first that breaks a promise */
export async function fuzzFormat(
  format: FlowFormat, count: number, seed: number,
): Promise<{ readonly bytes: Uint8Array, readonly error: unknown } | undefined> {
  const random = randomNumbers(seed)
  const seeds = await seedsOf(format)
  const batch = new FlowBatch()
  for (let i = 0; i < count; i++) {
    const bytes = mutate(seeds[random() % seeds.length], seeds[random() % seeds.length], random)
    try {
      readAll(format, bytes, batch)
    } catch (error) {
      return { bytes, error }
    }
  }
  return undefined
}

/** Formats that can be written and read as streams; captures have a fuzz of their own. */
export const FUZZED: readonly FlowFormat[] = FORMATS.filter(({ name, decoder, encoder, create }) => (
  decoder && (encoder || create) && name !== 'netflow-pcap'
))

if (import.meta.main) {
  const { values } = parseArgs({ options: {
    count: { type: 'string' }, seed: { type: 'string' }, format: { type: 'string' },
  } })
  const count = Number(values.count ?? 20_000)
  const seed = Number(values.seed ?? 1)
  for (const format of FUZZED) {
    if (values.format !== undefined && values.format !== format.name) continue
    const finding = await fuzzFormat(format, count, seed)
    if (finding) {
      const path = join(mkdtempSync(join(tmpdir(), 'flowkit-fuzz-')), format.name)
      writeFileSync(path, finding.bytes)
      process.stderr.write(`${format.name}: an input fails, kept in ${path}\n`)
      throw finding.error
    }
    process.stdout.write(`${format.name}: ${count} inputs of seed ${seed} passed\n`)
  }
}
