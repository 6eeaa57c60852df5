/**
 * Seeded fuzz of every format that is read from a stream: generated flows are written, damaged and read.
 *
 *     node test/fuzz/formats.ts --count 200000 [--seed 1] [--format NAME]
 *
 * A reader may give rows, tell of faults and throw FlowkitError; nothing else, and it comes to an end. An
 * input that breaks this is written to the temporary folder.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
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
/** Inputs between two turns of the event loop, in which what zlib holds is let go of. */
const INPUTS_PER_TURN = 64
/** Traffic of a few flows each, that the seeds hold. */
const TRAFFIC = ['flows=1,v6=0%,nat=0%', 'flows=3,v6=50%', 'flows=8,nat=50%,sampling=1/10']
const ALL_FIELDS = FIELDS.map(({ id }) => id)

const VPC_LINE = '2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 '
  + '1418530010 1418530070 ACCEPT OK'
/** What is only read: lines with and without a header, and messages of CloudWatch Logs. */
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  'vpc-log': [
    `${VPC_LINE}\n${VPC_LINE.replace('20641 22', '- -')}\n`,
    'version srcaddr dstaddr srcport dstport protocol bytes tcp-flags pkt-srcaddr flow-direction start end\n'
      + '5 10.0.0.1 2001:db8::1 1 65535 6 18446744073709551615 19 10.1.2.3 ingress 1620140761 1620140821\n',
    `{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],`
      + `"logEvents":[{"id":"1","timestamp":1418530010000,"message":"${VPC_LINE}"}]}`,
  ],
}

/** Seeds of a format: files that it writes itself, in each of its compressions. */
export async function seedsOf(format: FlowFormat): Promise<Uint8Array[]> {
  const seeds = (TEXTS[format.name] ?? []).map((text): Uint8Array => new TextEncoder().encode(text))
  if (seeds.length > 0) return seeds
  for (const compression of format.compressions ?? [undefined]) {
    seeds.push(...await written(format, compression))
  }
  return seeds
}

async function written(format: FlowFormat, compression: string | undefined): Promise<Uint8Array[]> {
  const seeds: Uint8Array[] = []
  const request = { extras: true, ...compression !== undefined && { compression } }
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-fuzz-'))
  try {
    for (const [i, text] of TRAFFIC.entries()) {
      const path = join(folder, String(i))
      const encoder = format.encoder?.(request)
      const writer = encoder ? undefined : await format.create!(path, request)
      const parts: Uint8Array[] = []
      for (const batch of generateFlows(parseTraffic(text))) {
        if (encoder) parts.push(Uint8Array.from(encoder.encode(batch)))
        else await writer!.write(batch)
      }
      if (encoder?.finish) parts.push(Uint8Array.from(encoder.finish()))
      await writer?.close()
      seeds.push(new Uint8Array(encoder ? Buffer.concat(parts) : readFileSync(path)))
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
    if (i % INPUTS_PER_TURN === 0) await setImmediate()
    const bytes = mutate(seeds[random() % seeds.length], seeds[random() % seeds.length], random)
    try {
      readAll(format, bytes, batch)
    } catch (error) {
      return { bytes, error }
    }
  }
  return undefined
}

/** Formats that are read as streams; captures have a fuzz of their own. */
export const FUZZED: readonly FlowFormat[] = FORMATS.filter(({ name, decoder }) => (
  decoder && name !== 'netflow-pcap'
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
