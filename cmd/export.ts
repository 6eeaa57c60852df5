import { extname } from 'node:path'
import { Type, type TString, type TTransform } from '@sinclair/typebox'
import { FlowkitError } from '../core/flow/errors.ts'
import { parseCount } from '../core/flow/quantity.ts'
import type { Pace } from '../core/net/replay.ts'
import { openSender, parseDestination, type Destination, type UdpSender } from '../core/net/send.ts'
import type { ExportVersion } from '../core/netflow/encode/encode.ts'
import { DEFAULT_EXPORT, type ExportOptions } from '../core/netflow/encode/export-streams.ts'
import { parseTraffic, TRAFFIC_KEYS } from '../core/netflow/generate/options.ts'
import { V8_SCHEMES } from '../core/netflow/v8.ts'
import { refuseExisting } from '../core/output-file.ts'
import type { CaptureFormat } from '../core/pcap/write.ts'
import { archive } from '../formats/archive.ts'
import type { FlowFormat } from '../formats/format.ts'
import { FORMATS } from '../formats/index.ts'
import { readInputs } from '../formats/locations.ts'
import { netflowPcap } from '../formats/netflow-pcap.ts'
import { choice, defineCommand, duration, kebab, type Command, type ExitCode } from './command.ts'
import { UsageError } from './errors.ts'
import { writeFlowCapture, writeTraffic, writeTrafficCapture } from './export-file.ts'
import { describe, lossText, type Exported, type ExportedFlows } from './export-report.ts'
import { sendFlows, sendTraffic } from './export-send.ts'
import { faultReporter, INPUT_OPTIONS, resolveRequest } from './inputs.ts'
import type { Io } from './io.ts'
import { amount } from './loss-report.ts'

const AGGREGATED = Object.keys(V8_SCHEMES).map((scheme) => `8.${scheme}`)
const VERSIONS = ['1', '5', '6', '7', ...AGGREGATED, '9', '10', 'sflow']
/** Flows a second where nothing else is asked for: most collectors keep up with it. */
const DEFAULT_RATE = 50_000
/** What a datagram of sFlow must have room for, bytes. */
const MIN_SFLOW = 800
/** Engine type and id are a byte each. */
const MOST_ENGINES = 65_535

/** Options that say how flows become datagrams, which `--generate` says in its own words. */
const ENCODING = ['version', 'mtu', 'templateRefresh', 'sourceId', 'sampling'] as const
const SELECTING = ['fromFormat', 'since', 'until', 'last', 'filter', 'filterFile', 'strict'] as const
/** Options of sending, which files do without. */
const SENDING = ['speed', 'rate', 'loop', 'balance'] as const

/** `flowkit export`: flows back to the wire, or into a capture. */
export const exportCommand: Command = defineCommand({
  name: 'export',
  summary: 'Send flows, or made-up traffic, as NetFlow, IPFIX or sFlow',
  args: [
    { name: 'INPUT', description: 'A file, a folder, a glob or - (default: the archive)', repeated: true },
    { name: 'FILTER', description: 'As after -f, if it holds a space or an operator' },
  ],
  options: Type.Object({
    to: Type.Array(Type.String({ title: 'LOCATION' }), {
      description: 'udp://HOST:PORT (several get a copy each), or a file: .pcap or .pcapng; with --generate '
        + 'also .parquet, or a folder for an archive',
    }),
    generate: Type.Optional(Type.String({
      title: 'TRAFFIC',
      description: "Make traffic up instead of reading flows, such as 'flows=1M,exporters=4'",
    })),
    version: Type.Optional(choice(VERSIONS, {
      title: 'V', description: 'NetFlow version or 8.SCHEME, 10 for IPFIX (default: 10)',
    })),
    speed: Type.Optional(speedOption('As fast as the flows came, so many times as fast, or at once')),
    rate: Type.Optional(rateOption(`Flows a second (default: ${DEFAULT_RATE / 1000}K/s)`)),
    loop: Type.Boolean({ default: false, description: 'Begin again at the end, until it is stopped' }),
    balance: Type.Boolean({
      default: false,
      description: 'Share the flows among several --to: both directions of a conversation go to the same, '
        + 'generated traffic by its exporter',
    }),
    mtu: Type.Optional(Type.Integer({
      minimum: 512, maximum: 65_507, description: "Most bytes of a datagram's payload (default: 1400)",
    })),
    templateRefresh: Type.Optional(duration({
      description: 'How often templates are sent again, in the time of the flows (default: 1m)',
    })),
    sourceId: Type.Optional(Type.Integer({
      minimum: 0, maximum: 2 ** 32 - 1,
      description: 'Observation domain (v9, IPFIX), sub-agent (sFlow), or engine type * 256 + engine id of '
        + 'flows that tell none (v5, v6, v8) (default: 0)',
    })),
    sampling: Type.Optional(Type.Integer({
      minimum: 1, maximum: 2 ** 32 - 1,
      description: 'Say that one packet in N was observed, of flows that tell no sampling rate',
    })),
    strict: Type.Boolean({
      default: false, description: 'Exit with 3, and leave no file, if the version cannot carry everything',
    }),
    force: Type.Boolean({ default: false, description: 'Overwrite a file' }),
    ...INPUT_OPTIONS,
  }),
  details: 'TRAFFIC is any of these, with commas between; the same text gives the same bytes. Lists have / '
    + 'between.\n'
    + TRAFFIC_KEYS.map(({ name, value, doc }) => `${`${name}=${value}`.padEnd(28)}${doc}`).join('\n')
    + '\n\nOver UDP, flows are exported by this machine, of which IPFIX and v9 tell where they came from; in '
    + 'a capture their exporters send them once more. Generated exporters send from addresses of their own '
    + 'to 127.0.0.0/8, else from ports of their own. Files of flows have generated traffic without its faults.',
  examples: [
    {
      command: "flowkit export --generate 'flows=1000,exporters=4,versions=5/9/10' --to udp://127.0.0.1:2055",
      does: 'Try a collector with made-up traffic',
    },
    {
      command: 'flowkit export --last 1h --to udp://192.0.2.9:4739 --speed 1x',
      does: 'The last hour of the archive once more as IPFIX, as fast as it came',
    },
    {
      command: "flowkit export x.pcap 'proto udp' --version 5 --to v5.pcap",
      does: 'NetFlow of any version as NetFlow v5, into a capture',
    },
  ],
  async run(args, options, io) {
    const { generate, force, loop, balance, strict, sampling } = options
    const refuse = (names: readonly (keyof typeof options)[], beside: string) => {
      const used = names.find((name) => options[name] !== undefined && options[name] !== false)
      if (used) throw new FlowkitError('ERR_OPTION', `Cannot use --${kebab(used)} ${beside}`)
    }
    const target = targetOf(options.to)
    if (options.rate !== undefined) refuse(['speed'], 'beside --rate')
    if (target.kind !== 'udp') refuse(SENDING, `with "${target.path}": a file is written at once`)
    else if (target.destinations.length === 1) refuse(['balance'], 'with one --to')
    if (target.kind !== 'udp' && !force && !target.appends) await refuseExisting(target.path)
    const { speed, rate = DEFAULT_RATE } = options
    const pace: Pace = speed === undefined ? { rate } : { speed }

    if (generate !== undefined) {
      refuse(ENCODING, 'beside --generate: its own text says it')
      refuse(SELECTING, 'beside --generate')
      if (args.length > 0) throw new FlowkitError('ERR_OPTION', `Cannot read "${args[0]}" beside --generate`)
      const traffic = parseTraffic(generate)
      if (target.kind === 'udp') {
        return withSenders(target.destinations, io, (senders) => {
          return sendTraffic(traffic, { senders, pace, loop, balance }, io)
        })
      }
      const what = target.kind === 'capture'
        ? describe(await writeTrafficCapture(traffic, target.path, target.format, io))
        : amount(await writeTraffic(traffic, target.path, target.create, io), 'flow')
      io.talk.info(`${what} written to ${target.path}`)
      return 0
    }

    if (target.kind === 'flows') {
      const wanted = 'expected udp://HOST:PORT, or a file .pcap or .pcapng'
      throw new FlowkitError('ERR_OPTION', `Cannot export to "${target.path}" without --generate: ${wanted}`)
    }
    if (loop && args.includes('-')) {
      throw new FlowkitError('ERR_OPTION', 'Cannot use --loop with standard input: it can be read only once')
    }
    const asked = encodingOf(options)
    const { inputs, ...window } = await resolveRequest(args, options, io)
    const faults = faultReporter(io)
    let rounds = 0
    const open = () => {
      const isFirst = rounds++ === 0 // later ones have the same faults
      return readInputs(inputs, { ...window, extras: true }, isFirst ? faults.report : () => {})
    }
    let outcome: ExportedFlows | undefined
    let exitCode: ExitCode = 0
    if (target.kind === 'udp') {
      exitCode = await withSenders(target.destinations, io, async (senders) => {
        const encoding = { ...asked, agent: senders[0].address, byExporter: false }
        return outcome = await sendFlows(open, encoding, sampling, { senders, pace, loop, balance }, io)
      })
    } else {
      const { path, format } = target
      const isRefused = ({ loss }: ExportedFlows) => strict && lossText(loss, asked.version) !== undefined
      outcome = await writeFlowCapture(open(), { path, format, encoding: asked, sampling, isRefused }, io)
      io.talk.info(`${describe(outcome)} ${isRefused(outcome) ? 'not ' : ''}written to ${path}`)
    }
    faults.finish()
    const lost = outcome && lossText(outcome.loss, asked.version)
    if (lost !== undefined) io.talk.warn(lost)
    if (faults.count > 0 && outcome?.flows === 0) return 1
    return faults.count > 0 || (strict && lost !== undefined) ? 3 : exitCode
  },
})

/** Where flows go. */
type Target =
  | { readonly kind: 'udp', readonly destinations: readonly Destination[] }
  | (FileTarget & { readonly kind: 'capture', readonly format: CaptureFormat })
  | (FileTarget & { readonly kind: 'flows', readonly create: Create })

interface FileTarget {
  readonly path: string
  /** What is there already stays. */
  readonly appends: boolean
}

type Create = NonNullable<FlowFormat['create']>

/** @throws FlowkitError ERR_OPTION about a place that this version cannot export to */
function targetOf(places: readonly string[]): Target {
  const isUrl = (place: string) => /^[a-z][\w+.-]*:\/\//i.test(place)
  const other = places.find((place) => isUrl(place) && !place.startsWith('udp://'))
  if (other !== undefined) {
    const scheme = other.slice(0, other.indexOf('://') + 3)
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${other}": this version cannot send to ${scheme}`)
  }
  if (places.length === 0) throw new UsageError('Cannot run export: option --to is missing')
  const path = places.find((place) => !isUrl(place))
  if (path === undefined) return { kind: 'udp', destinations: places.map(parseDestination) }
  if (places.length > 1) {
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${path}" beside others: a file is the only --to`)
  }
  const extension = extname(path)
  const format = extension === '' && path !== '-'
    ? archive : FORMATS.find(({ extensions }) => extensions.includes(extension))
  if (format === netflowPcap) {
    return { kind: 'capture', path, format: extension === '.pcapng' ? 'pcapng' : 'pcap', appends: false }
  }
  if (format?.create) return { kind: 'flows', path, create: format.create, appends: format === archive }
  const known = 'udp://HOST:PORT, a file .pcap, .pcapng or .parquet, or a folder'
  throw new FlowkitError('ERR_OPTION', `Cannot export to "${path}": expected ${known}`)
}

/** What the options say of how flows become datagrams. */
function encodingOf({ version = '10', mtu = 1400, templateRefresh = 60_000, sourceId = 0 }: {
  readonly version?: string
  readonly mtu?: number
  readonly templateRefresh?: number
  readonly sourceId?: number
}): Omit<ExportOptions, 'byExporter'> {
  const common = {
    maxSize: mtu, templateRefresh: templateRefresh * 1000, domain: sourceId, agent: DEFAULT_EXPORT.agent,
  }
  if (version === 'sflow') {
    if (mtu >= MIN_SFLOW) return { ...common, version }
    throw new UsageError(`Cannot use option --mtu: expected at least ${MIN_SFLOW} for sFlow, found "${mtu}"`)
  }
  const [number, scheme] = version.split('.').map(Number)
  if (number < 9 && sourceId > MOST_ENGINES) {
    const wanted = `at most ${MOST_ENGINES} for v${number}`
    throw new UsageError(`Cannot use option --source-id: expected ${wanted}, found "${sourceId}"`)
  }
  const known = number as ExportVersion['version'] // one of VERSIONS
  return { ...common, version: scheme === undefined ? { version: known } : { version: known, scheme } }
}

/** Open sockets, send, and say what became of it. @returns 3 if something could not be sent */
async function withSenders(
  destinations: readonly Destination[], io: Io, send: (senders: readonly UdpSender[]) => Promise<Exported>,
): Promise<ExitCode> {
  const senders: UdpSender[] = []
  let sent: Exported
  try {
    for (const destination of destinations) senders.push(await openSender(destination))
    sent = await send(senders)
  } finally {
    await Promise.all(senders.map((sender) => sender.close()))
  }
  io.talk.info(`${describe(sent)} sent to ${destinations.map(({ name }) => name).join(', ')}`)
  let exitCode: ExitCode = 0
  for (const { destination: { name }, counts: { failed }, reason } of senders) {
    if (failed === 0) continue
    exitCode = 3
    io.talk.warn(`${name}: ${amount(failed, 'datagram')} or more did not arrive: ${reason}`)
  }
  return exitCode
}

/** An option such as `10x`. */
function speedOption(description: string): TTransform<TString, number> {
  const expected = 'a speed such as 1x, 0.5x, 10x or max'
  const schema = Type.String({ title: '1x|10x|max', expected, description })
  return Type.Transform(schema)
    .Decode((text) => {
      const [, digits] = /^(\d+(?:\.\d+)?)x$/.exec(text) ?? []
      if (text === 'max') return Infinity
      if (Number(digits) > 0) return Number(digits)
      throw new FlowkitError('ERR_OPTION', `Cannot use speed "${text}": expected one such as 10x`)
    })
    .Encode((times) => times === Infinity ? 'max' : `${times}x`)
}

/** An option such as `100K/s`. */
function rateOption(description: string): TTransform<TString, number> {
  const expected = 'flows a second such as 500/s or 100K/s'
  const schema = Type.String({ title: 'N/s', expected, description })
  return Type.Transform(schema)
    .Decode((text) => {
      const rate = parseCount(text.replace(/\/s$/, ''))
      if (rate !== undefined && rate > 0) return rate
      throw new FlowkitError('ERR_OPTION', `Cannot use rate "${text}": expected one such as 100K/s`)
    })
    .Encode((flows) => `${flows}/s`)
}
