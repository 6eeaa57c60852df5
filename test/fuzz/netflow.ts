/**
 * Seeded fuzz of the NetFlow, IPFIX and sFlow decoders: mutated datagrams of the captures in
 * test/fixtures/netflow, messages with every element that has a column, and those of seeds.ts.
 *
 *     node test/fuzz/netflow.ts --count 1000000 [--seed 1]
 *
 * An input is a few datagrams for a fresh decoder. One that breaks a promise is written to
 * test/fixtures/fuzz, a datagram a line in hexadecimal, where the tests replay it.
 */
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS, type FieldType } from '../../core/flow/fields.ts'
import { VARIABLE_LENGTH } from '../../core/flow/shape.ts'
import { datagramDecoder, type DatagramDecoder } from '../../core/netflow/datagram.ts'
import { LIMITS, SET_OVERHEAD } from '../../core/netflow/limits.ts'
import { restoreExporters, saveExporters } from '../../core/netflow/snapshot.ts'
import { DatagramReader } from '../../core/pcap/datagrams.ts'
import { checkRow } from './check-row.ts'
import { mutate, randomNumbers } from './mutate.ts'
import { madeUpSeeds } from './seeds.ts'

const CAPTURES = new URL('../fixtures/netflow/', import.meta.url)
/** Where inputs that failed are kept. */
export const FINDINGS: URL = new URL('../fixtures/fuzz/', import.meta.url)

const MAX_DATAGRAMS = 6
const CHECKED_ROWS = 16
/** Datagrams for one decoder, in order. */
export type Input = readonly Uint8Array[]

/** An input that broke a promise. */
export interface Finding {
  readonly input: Input
  readonly error: unknown
}

/** The datagrams of each capture; of large ones the first. */
function readCaptures(): Uint8Array[][] {
  return readdirSync(CAPTURES).filter((name) => /\.pcap(ng)?$/.test(name)).sort().map((name) => {
    const reader = new DatagramReader()
    reader.capture.push(readFileSync(new URL(name, CAPTURES)))
    const list: Uint8Array[] = []
    while (list.length < 40 && reader.next()) {
      list.push(new Uint8Array(reader.bytes.subarray(reader.start, reader.end)))
    }
    return list
  })
}

/** Messages with every element that fills a column, with the length of its type, in NetFlow v9 and IPFIX. */
function everyElement(): Uint8Array[] {
  const fields = FIELDS.flatMap(({ elements, type, name }) => elements.map(({ pen, id }) => ({
    pen, id, length: type === 'text' || type === 'octets' ? 8 : lengthOf(type, id, name),
  })))
  fields.push({ pen: 0, id: 161, length: 4 }, { pen: 0, id: 160, length: 8 })
  return [
    message(9, fields.filter(({ pen }) => pen === 0)),
    message(10, fields.filter(({ id }) => id < 0x8000)),
    message(10, fields.filter(({ id }) => id < 100)
      .map((field) => field.length === 8 ? { ...field, length: VARIABLE_LENGTH } : field)),
    message(9, fields.filter(({ id, pen }) => pen === 0 && (id === 161 || id === 152 || id === 27))),
  ]
}

interface FieldSpecifier {
  readonly pen: number
  readonly id: number
  readonly length: number
}

function lengthOf(type: FieldType, id: number, name: string): number {
  if (name.startsWith('mpls_label')) return 3
  switch (type) {
    case 'u8': return id === 32 || id === 139 ? 2 : 1
    case 'u16': return 2
    case 'u32': return 4
    case 'mac': return 6
    case 'addr': return IPV6_ELEMENTS.has(id) ? 16 : 4
    case 'time': return id === 21 || id === 22 || id === 158 || id === 159 ? 4 : 8
    default: return 8
  }
}

const IPV6_ELEMENTS = new Set([27, 28, 62, 63, 131, 140, 169, 170, 281, 282])

/** A message with a template of `fields` and three records whose values count up. */
function message(version: 9 | 10, fields: readonly FieldSpecifier[]): Uint8Array {
  const specifiers = fields.flatMap(({ pen, id, length }) =>
    pen === 0 ? u16(id, length) : u16(id | 0x8000, length, pen >> 16, pen))
  const template = [...u16(300, fields.length), ...specifiers]
  const records = [1, 2, 3].flatMap((n) => fields.flatMap(({ length }) =>
    length === VARIABLE_LENGTH ? [n, ...Array<number>(n).fill(65)]
      : Array.from({ length }, (_, i) => i * n & 255)))
  const sets = [
    ...u16(version === 9 ? 0 : 2, template.length + 4), ...template,
    ...u16(300, records.length + 4), ...records,
  ]
  const length = sets.length + 16
  return Uint8Array.from(version === 9
    ? [...u16(9, 2, 0, 9999, 27_392, 3088, 0, 1, 0, 7), ...sets]
    : [...u16(10, length, 27_392, 3088, 0, 1, 0, 7), ...sets])
}

function u16(...values: readonly number[]): number[] {
  return values.flatMap((value) => [value >> 8 & 255, value & 255])
}

/** Copies of a few datagrams of one capture, some of them damaged. */
function makeInput(captures: readonly (readonly Uint8Array[])[], random: () => number): Uint8Array[] {
  const capture = captures[random() % captures.length]
  const count = 1 + random() % Math.min(MAX_DATAGRAMS, capture.length)
  const from = random() % (capture.length - count + 1)
  const input = capture.slice(from, from + count)
  if (random() % 4 !== 0) input[0] = capture[0] // which mostly has the templates
  for (let n = 1 + random() % 3; n > 0; n--) {
    const i = random() % input.length
    const other = captures[random() % captures.length]
    input[i] = fixLength(mutate(input[i], other[random() % other.length], random), random)
  }
  return input
}

/** Without its length in its header, nearly no IPFIX gets past it. */
function fixLength(bytes: Uint8Array, random: () => number): Uint8Array {
  const datagram = bytes.subarray(0, 65_507)
  if (datagram.length >= 4 && datagram[1] === 10 && random() % 2 === 0) {
    datagram[2] = datagram.length >> 8
    datagram[3] = datagram.length
  }
  return datagram
}

/**
 * Decode an input and check what the decoder promises.
 *
 * @throws AssertionError, or whatever the decoder throws that is no FlowkitError
 */
export function checkInput(input: Input, batch: FlowBatch = new FlowBatch(64)): void {
  const decoder = datagramDecoder({ fields: ALL_FIELDS, extras: true }, { onCounters() {} })
  batch.clear()
  for (const [i, bytes] of input.entries()) {
    const { length } = batch
    try {
      decoder.decode({
        bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), start: 0, end: bytes.length,
        family: 4, v4: 0xc0000201, v6: NO_ADDRESS, port: 2055 + i % 2, received: 1_795_165_200_000_000,
        session: bytes.length % 5 === 0,
      }, batch)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      assert.equal(batch.length, length, 'rows of a refused datagram')
    }
    for (let row = length; row < Math.min(batch.length, length + CHECKED_ROWS); row++) checkRow(batch, row)
  }
  checkState(decoder)
  if (input.length % 3 === 0) {
    const again = restoreExporters(saveExporters(decoder.exporters))
    checkState({ ...decoder, exporters: again })
  }
}

const ALL_FIELDS = new Uint8Array(FIELDS.length).fill(1)
const NO_ADDRESS = new Uint8Array(16)

function checkState({ exporters }: DatagramDecoder): void {
  let templates = 0
  let templateBytes = 0
  let waitingBytes = 0
  for (const { domains } of exporters.byKey.values()) {
    assert.ok(domains.size <= LIMITS.domainsPerExporter, 'domains')
    for (const domain of domains.values()) {
      templates += domain.templates.size
      for (const { fields } of domain.templates.values()) templateBytes += fields.length
      const sets = [...domain.waiting?.byTemplate.values() ?? []].flat()
      const waiting = sets.reduce((sum, { bytes }) => sum + bytes.length + SET_OVERHEAD, 0)
      assert.equal(domain.waiting?.bytes ?? 0, waiting, 'domain waits')
      waitingBytes += waiting
    }
  }
  assert.deepEqual([exporters.templates, exporters.templateBytes, exporters.waitingBytes],
    [templates, templateBytes, waitingBytes])
}

/** Check `count` inputs. @returns the first that fails */
export function fuzzNetflow(count: number, seed: number): Finding | undefined {
  const random = randomNumbers(seed)
  const captures = [...readCaptures(), everyElement(), ...madeUpSeeds()]
  const batch = new FlowBatch(64)
  for (let i = 0; i < count; i++) {
    const input = makeInput(captures, random)
    try {
      checkInput(input, batch)
    } catch (error) {
      return { input, error }
    }
  }
  return undefined
}

/** The text of an input, as it is kept in a file. */
export function formatInput(input: Input): string {
  return input.map((bytes) => `${Buffer.from(bytes).toString('hex')}\n`).join('')
}

/** The input of such a text. */
export function parseInput(text: string): Input {
  return text.split('\n').slice(0, -1).map((line) => new Uint8Array(Buffer.from(line, 'hex')))
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { count: { type: 'string' }, seed: { type: 'string' } } })
  const count = Number(values.count ?? 100_000)
  const seed = Number(values.seed ?? 1)
  const finding = fuzzNetflow(count, seed)
  if (finding) {
    mkdirSync(FINDINGS, { recursive: true })
    const file = new URL(`netflow-${seed}.hex`, FINDINGS)
    writeFileSync(file, formatInput(finding.input))
    process.stderr.write(`netflow: an input fails, kept in ${file.pathname}\n`)
    throw finding.error
  }
  process.stdout.write(`netflow: ${count} inputs of seed ${seed} passed\n`)
}
