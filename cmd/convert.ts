import { statSync } from 'node:fs'
import { Type } from '@sinclair/typebox'
import { FlowkitError } from '../core/flow/errors.ts'
import { FIELDS } from '../core/flow/fields.ts'
import { newLoss } from '../core/flow/loss.ts'
import type { FlowReader } from '../core/flow/stream.ts'
import type { AddressSet } from '../core/steps/address-set.ts'
import type { FlowFormat } from '../formats/format.ts'
import { FORMATS } from '../formats/index.ts'
import { findFormat, findInputs, readInputs } from '../formats/locations.ts'
import { isWritable, openOutput, type Output, type OutputRequest } from '../formats/outputs.ts'
import { chooseFields } from './choose-fields.ts'
import { choice, defineCommand, duration, type Command } from './command.ts'
import { conversionText, isLossy, type Conversion } from './convert/report.ts'
import { stepsOf, STEP_OPTIONS } from './convert/steps.ts'
import { UsageError } from './errors.ts'
import { FOLLOW_OPTION, followInto } from './follow.ts'
import { faultReporter, fieldNamed, INPUT_OPTIONS, isFilter, resolveWords } from './inputs.ts'
import type { Io } from './io.ts'
import { amount } from './loss-report.ts'

const WRITABLE = FORMATS.filter(isWritable).map(({ name }) => name)

/** `flowkit convert`: any flow format into any other, with a report of what could not be kept. */
export const convert: Command = defineCommand({
  name: 'convert',
  summary: 'Turn flows of any format into any other, and say what could not be kept',
  args: [
    { name: 'INPUT', description: 'A file, a folder, a glob or -', repeated: true, required: true },
    { name: 'OUTPUT', description: 'A file, a folder or -', required: true },
    { name: 'FILTER', description: 'As after -f, if it holds a space or an operator' },
  ],
  options: Type.Object({
    toFormat: Type.Optional(Type.String({
      title: 'NAME', examples: WRITABLE,
      description: 'Format of the output, where its extension does not tell it',
    })),
    toVersion: Type.Optional(Type.String({
      title: 'V', description: 'Version of the format, where it has several: 5, 8.1 of flow-tools',
    })),
    fields: Type.Optional(Type.Array(Type.String({ title: 'FIELD' }), {
      description: 'Fields to write, in formats that let one choose: names, core or all',
    })),
    store: Type.Optional(Type.Array(Type.String({ title: 'FIELD' }), {
      description: 'As --fields: what flowd is to store',
    })),
    compression: Type.Optional(Type.String({
      title: 'NAME[:LEVEL]',
      description: 'How the output is compressed: none, gzip or zstd, or what the format has of its own',
    })),
    split: Type.Optional(duration({
      description: 'Write a file for so much time each, into a folder (default: 5m)',
    })),
    map: Type.Optional(Type.Array(Type.String({ title: 'FIELD=NAME' }), {
      description: 'What fields are called in the other format: read where the input is JSON, CSV, CBOR or '
        + 'Parquet, else written',
    })),
    addresses: choice(['numbers', 'text'], {
      default: 'numbers', description: 'How Parquet has addresses: text is for other tools',
    }),
    strict: Type.Boolean({
      default: false, description: 'Exit with 3, and leave no output, if anything would be lost',
    }),
    report: choice(['text', 'json'], {
      default: 'text', description: 'How the report of what was lost is written, on stderr',
    }),
    force: Type.Boolean({ default: false, description: 'Overwrite what is there' }),
    ...FOLLOW_OPTION,
    state: Type.Optional(Type.String({
      title: 'FILE',
      description: 'Where --follow keeps its place (default: .follow.state in the folder OUTPUT, '
        + '.NAME.follow.state beside a log, nowhere for -)',
    })),
    rotate: Type.Optional(duration({
      description: 'With --follow, make what was read durable and visible this often (default: 1m for an '
        + 'archive, as --split for a folder, else 1s)',
    })),
    ...STEP_OPTIONS,
    ...INPUT_OPTIONS,
  }),
  details: 'Flows are written as they are read, one by one. What a format has no place for is left out and '
    + 'reported at the end, by field. A name without an extension is a folder: of an archive, or with '
    + '--to-format of files for five minutes each. An archive, and a log of flowd, are added to.',
  examples: [
    { command: 'flowkit convert old.pcap flows', does: 'NetFlow of a capture into an archive' },
    {
      command: "flowkit convert flows tcp.parquet 'proto tcp' --strict",
      does: 'A part of an archive as one Parquet file, or nothing at all',
    },
    { command: 'flowkit convert --last 1h flows hour.json.gz', does: 'The last hour as compressed JSON' },
    { command: 'flowkit convert /var/log/flowd flows --follow', does: 'All that flowd logs, as it does' },
  ],
  async run(args, options, io) {
    const filters = args.filter((arg, i) => i === args.length - 1 && isFilter(arg))
    const places = args.slice(0, args.length - filters.length)
    const place = places.pop()
    if (place === undefined || places.length === 0) {
      throw new UsageError('Cannot run convert: expected INPUT and OUTPUT')
    }
    if (place === '-' && options.verify) {
      throw new FlowkitError('ERR_OPTION', 'Cannot use --verify with standard output: it cannot be read again')
    }
    refuseUnfollowed(options)
    const { words, ...window } = await resolveWords([...places, ...filters], options, io)
    const chosen = options.store ?? options.fields
    const map = options.map && mapOf(options.map)
    const { steps, originals } = await stepsOf(options)
    const writing: OutputRequest = {
      ...chosen ? chooseFields(chosen) : { extras: true },
      ...options.toFormat !== undefined && { format: options.toFormat },
      ...options.toVersion !== undefined && { version: options.toVersion },
      ...options.compression !== undefined && { compression: options.compression },
      ...options.split !== undefined && { split: options.split * 1000 },
      textAddresses: options.addresses === 'text',
      force: options.force,
      print: (bytes) => io.write(bytes),
    }
    const faults = faultReporter(io)
    const readerLoss = newLoss()
    const asked = {
      ...window, fields: FIELDS.map(({ id }) => id), extras: true, loss: readerLoss,
      ...map && { map: new Map(Array.from(map, ([field, name]) => [name, field])) },
    }
    let read = 0
    let kept = 0

    const conversion = (output: Output, inputs: number): Conversion => ({
      read, kept, inputs, faults: faults.count, place, format: output.format.name,
      counts: steps.flatMap(({ counts }) => [...counts]),
      readerLoss, writerLoss: output.writer.loss?.() ?? newLoss(),
    })
    const tell = (made: Conversion, isRefused: boolean): void => {
      const report = conversionText(made, options.report, isRefused)
      if (options.report === 'json') io.talk.print(report)
      else io.talk.info(report)
    }

    if (options.follow) {
      const { fromFormat, state, rotate } = options
      const isNamed = fromFormat === undefined || findFormat(fromFormat).isNamed
      const output = await followInto({
        ...window, words, fromFormat, asked, faults, place, steps, state, rotate,
        writing: { ...writing, ...map && !isNamed && { map } },
        onRead: (rows) => { read += rows },
        onKept: (rows) => { kept += rows },
      }, io)
      tell(conversion(output, words.length), false)
      return faults.count > 0 ? 3 : 0
    }
    const inputs = await findInputs(words, options.fromFormat, io.stdin, io.talk.info)
    const isNamed = inputs.some(({ format }) => format.isNamed)
    const output = await openOutput(place, { ...writing, ...map && !isNamed && { map } })
    if (options.verify && !isReadable(output.format)) {
      await output.writer.abort()
      const why = `${output.format.name} cannot be read again`
      throw new FlowkitError('ERR_OPTION', `Cannot use --verify with "${place}": ${why}`)
    }
    const reader = readInputs(inputs, asked, faults.report)
    const done = io.talk.progress(() => `${read} flows converted`)
    let flows = counted(reader, (rows) => { read += rows })
    for (const step of steps) flows = step.run(flows)
    try {
      for await (const batch of flows) {
        io.signal.throwIfAborted()
        kept += batch.length
        await output.writer.write(batch)
      }
    } catch (error) {
      await output.writer.abort()
      throw error
    } finally {
      done()
    }
    faults.finish()
    const made = conversion(output, inputs.length)
    const isRefused = options.strict && (faults.count > 0 || isLossy(made))
    await (isRefused ? output.writer.abort() : output.writer.close())
    tell(made, isRefused)
    if (faults.count > 0 && read === 0) return 1
    if (originals && !isRefused && await isLeaky(place, output.format, originals, io)) return 3
    return faults.count > 0 || isRefused ? 3 : 0
  },
})

/** Refuse what goes only with --follow, or not with it. @throws FlowkitError ERR_OPTION */
function refuseUnfollowed(
  { follow, state, rotate, strict, verify, force }: {
    readonly follow: boolean, readonly state?: string, readonly rotate?: number, readonly strict: boolean,
    readonly verify: boolean, readonly force: boolean,
  },
): void {
  const lone = state !== undefined ? '--state' : rotate !== undefined ? '--rotate' : undefined
  if (!follow && lone) throw new FlowkitError('ERR_OPTION', `Cannot use ${lone} without --follow`)
  const wrong = strict ? '--strict' : verify ? '--verify' : force ? '--force' : undefined
  if (follow && wrong) throw new FlowkitError('ERR_OPTION', `Cannot use ${wrong} with --follow`)
}

/** Whether addresses that were to be replaced are, or may be, left in the output; says so. */
async function isLeaky(
  place: string, format: FlowFormat, originals: AddressSet, { stdin, talk }: Io,
): Promise<boolean> {
  const inputs = await findInputs([place], statSync(place).isDirectory() ? undefined : format.name, stdin)
  const fields = FIELDS.map(({ id }) => id)
  let count = 0
  let isWhole = !originals.isFull
  if (!isWhole) talk.warn('there are more addresses than can be looked for: some were not')
  const reader = readInputs(inputs, { fields }, ({ input, reason }) => {
    talk.warn(`Cannot look for addresses in ${input}: ${reason}`)
    isWhole = false
  })
  for await (const batch of reader) count += originals.countIn(batch)
  if (count > 0) talk.warn(`${place}: ${amount(count, 'address')} of the input left in it`)
  else if (isWhole) talk.info(`${place}: no address of the input is left in it`)
  return count > 0 || !isWhole
}

/** Whether what was written in a format can be read. */
function isReadable({ decoder, open }: FlowFormat): boolean {
  return decoder !== undefined || open !== undefined
}

/** The flows of a reader, counted on their way. */
async function* counted(reader: FlowReader, count: (rows: number) => void): FlowReader {
  for await (const batch of reader) {
    count(batch.length)
    yield batch
  }
}

/** What fields are called. @throws FlowkitError ERR_OPTION, also where a field or a name comes twice */
function mapOf(texts: readonly string[]): Map<string, string> {
  const map = new Map(texts.map(pairOf))
  if (map.size === texts.length && new Set(map.values()).size === map.size) return map
  const wanted = 'expected each field, and each name, once'
  throw new FlowkitError('ERR_OPTION', `Cannot use map "${texts.join()}": ${wanted}`)
}

/** `FIELD=NAME`. @throws FlowkitError ERR_OPTION */
function pairOf(text: string): [field: string, name: string] {
  const at = text.indexOf('=')
  if (at > 0 && at < text.length - 1) return [fieldNamed(text.slice(0, at)).name, text.slice(at + 1)]
  throw new FlowkitError('ERR_OPTION', `Cannot use map "${text}": expected FIELD=NAME`)
}
