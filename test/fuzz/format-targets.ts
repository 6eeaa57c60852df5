/** The formats that are read from a stream, as targets of the fuzz. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { newLoss } from '../../core/flow/loss.ts'
import { rowFeed, type RowDecoder, type RowFeed } from '../../core/flow/stream.ts'
import type { CounterRow } from '../../core/netflow/sflow/counter-row.ts'
import type { FlowFormat, ReadRequest } from '../../formats/format.ts'
import { FORMATS } from '../../formats/index.ts'
import { checkRow } from './check-row.ts'
import type { Fuzzed, Random, Target } from './driver.ts'
import { seedsOf } from './format-seeds.ts'
import { mutate, mutateText, randomNumbers, stretch } from './mutate.ts'

const CHECKED_ROWS = 16
/** What a format is told by. */
const HEAD_SIZE = 0x10000
const TEXTS = new Set(['vpc-log', 'goflow2-json', 'json', 'json-array', 'csv'])

const ALL_FIELDS = FIELDS.map(({ id }) => id)
const NAMES = ['bytes', 'src_addr', 'flow_start', 'n', 'proto', 'x', 'tag']
type Request = Omit<ReadRequest, 'onFault'>

/** What readers are asked for; the first mostly. */
const REQUESTS: readonly Request[] = [
  { fields: ALL_FIELDS, extras: true },
  {},
  { fields: [ID.srcAddr, ID.packets, ID.flowStart, ID.inIfName] },
  { extras: true, map: new Map(NAMES.map((name, i) => [name, FIELDS[i * 11].name])) },
  { extras: true, vpcFormat: ['srcaddr', 'dstport', 'bytes', 'action'] },
]

/** What came of an input. */
interface Outcome {
  readonly rows: number
  readonly faults: number
  /** The code of the error that ended it. */
  readonly code: string | undefined
}

/**
 * Read bytes, in pieces of so many, to their end or until the reader gives up.
 *
 * @throws whatever the reader throws that is no FlowkitError, AssertionError
 */
function readAll(
  format: FlowFormat, bytes: Uint8Array, batch: FlowBatch, request: Request, size: number,
): Outcome {
  let faults = 0
  const decoder = format.decoder!({ ...request, loss: newLoss(), onFault: () => { faults++ } })
  let rows = 0
  batch.clear()
  const feed = rowFeed(checked(decoder), batch, () => batch.clear())
  const code = drain(feed, bytes, size, () => {
    for (let row = 0; row < Math.min(batch.length, CHECKED_ROWS); row++) checkRow(batch, row)
    rows += batch.length
  })
  return { rows, faults, code }
}

/** Give a feed all bytes. @returns the code of the FlowkitError that ended it */
function drain(
  feed: RowFeed<unknown>, bytes: Uint8Array, size: number, onRows: () => void,
): string | undefined {
  try {
    for (let at = 0; at < bytes.length; at += size) {
      for (const _ of feed.take(bytes.subarray(at, at + size))) onRows()
    }
    for (const _ of feed.end()) onRows()
  } catch (error) {
    if (error instanceof FlowkitError) return error.code
    throw error
  }
  return undefined
}

/** A decoder that is held to the places that it may return. */
function checked<Rows>(decoder: RowDecoder<Rows>): RowDecoder<Rows> {
  return {
    decode(bytes, at, rows) {
      const next = decoder.decode(bytes, at, rows)
      assert.ok(next >= at && next <= bytes.length, `decode() went from ${at} to ${next}`)
      return next
    },
    end(rows, rest) {
      const taken = decoder.end?.(rows, rest) ?? 0
      assert.ok(taken >= 0 && taken <= rest!.length, `end() took ${taken} of ${rest!.length}`)
      return taken
    },
  }
}

/** A damaged file. */
export function damage(seeds: readonly Uint8Array[], isText: boolean, random: Random): Uint8Array {
  const original = seeds[random() % seeds.length]
  const other = seeds[random() % seeds.length]
  if (random() % 64 === 0) return mutate(stretch(original, random), other, random)
  if (!isText || random() % 2 === 0) return mutate(original, other, random)
  return new Uint8Array(Buffer.from(mutateText(latin1(original), latin1(other), random), 'latin1'))
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

/** Ask all formats how sure they are of what begins so. @throws AssertionError */
function checkProbes(bytes: Uint8Array): void {
  const head = bytes.subarray(0, HEAD_SIZE)
  for (const { name, probe } of FORMATS) {
    const score = probe?.(head) ?? 0
    assert.ok(Number.isInteger(score) && score >= 0 && score <= 100, `${name} is ${score} sure`)
  }
}

/** Rows are the same whatever pieces the file comes in. */
function checkFormat(format: FlowFormat, bytes: Uint8Array, batch: FlowBatch): void {
  const random = randomNumbers(crc32(bytes))
  const request = REQUESTS[random() % 2 === 0 ? 0 : random() % REQUESTS.length]
  const whole = readAll(format, bytes, batch, request, bytes.length)
  if (random() % 8 === 0) checkProbes(bytes)
  if (random() % 4 > 0) return
  const size = 1 + random() % Math.max(64, bytes.length >> (random() % 4))
  assert.deepEqual(readAll(format, bytes, batch, request, size), whole, `in pieces of ${size} bytes`)
}

/** Counter samples of a capture, as rows of flows are read. */
function checkCounters(format: FlowFormat, bytes: Uint8Array): void {
  const rows: CounterRow[] = []
  const decoder = format.counterDecoder!({ onFault() {}, onNote() {} })
  drain(rowFeed(checked(decoder), rows, () => { rows.length = 0 }), bytes, bytes.length, () => {
    for (const { received } of rows) assert.ok(Number.isInteger(received), 'received')
  })
}

async function start(format: FlowFormat, check: Fuzzed['check']): Promise<Fuzzed> {
  const seeds = await seedsOf(format)
  return { make: (random) => damage(seeds, TEXTS.has(format.name), random), check }
}

/** Each format that has a decoder, and counter samples. */
export const FORMAT_TARGETS: readonly Target[] = FORMATS.flatMap((format) => {
  const { name, decoder, counterDecoder } = format
  const batch = new FlowBatch()
  const flows: Target = { name, start: () => start(format, (bytes) => checkFormat(format, bytes, batch)) }
  const counters: Target = {
    name: `${name}-counters`, start: () => start(format, (bytes) => checkCounters(format, bytes)),
  }
  return [...decoder ? [flows] : [], ...counterDecoder ? [counters] : []]
})
