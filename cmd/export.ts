import { Type } from '@sinclair/typebox'
import { FlowkitError } from '../core/flow/errors.ts'
import { newLoss } from '../core/flow/loss.ts'
import { DEFAULT_EXPORT } from '../core/netflow/encode/export-streams.ts'
import { parseTraffic, TRAFFIC_KEYS } from '../core/netflow/generate/options.ts'
import { refuseExisting } from '../core/output-file.ts'
import { readInputs } from '../formats/locations.ts'
import { choice, defineCommand, duration, kebab, type Command, type ExitCode } from './command.ts'
import { writeFlowCapture, writeTraffic, writeTrafficCapture } from './export/file.ts'
import { encodingOf, rateOption, refuseByVersion, speedOption } from './export/options.ts'
import { exportLines, exportObject, isLossy, type Export, type Exported } from './export/report.ts'
import { sendFlows, sendTraffic, type SendOptions } from './export/send.ts'
import { refuseByStream, targetOf, trustOf, type Target, type TlsOptions } from './export/targets.ts'
import { VERSIONS, versionName, versionOf } from './export/version.ts'
import { faultReporter, INPUT_OPTIONS, resolveRequest } from './inputs.ts'

/** Flows a second where nothing else is asked for: most collectors keep up with it. */
const DEFAULT_RATE = 50_000
/** Options that say how flows become datagrams, which `--generate` says in its own words. */
const ENCODING = ['version', 'mtu', 'templateRefresh', 'sourceId', 'sampling'] as const
const SELECTING = ['fromFormat', 'since', 'until', 'last', 'filter', 'filterFile', 'strict'] as const
/** Options of sending, which files do without. */
const SENDING = ['speed', 'rate', 'loop', 'balance', 'spoof'] as const
const TLS = ['tlsCa', 'tlsCert', 'tlsKey', 'tlsName'] as const

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
      description: 'udp://HOST:PORT, for IPFIX also tcp:// and tls:// (several get a copy each; ?version=V '
        + 'behind one is its own), or a file: .pcap or .pcapng; with --generate what convert writes',
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
    spoof: Type.Boolean({
      default: false,
      description: "Send from the exporters' addresses, as root or with CAP_NET_RAW; from this machine's own "
        + 'where flows tell none of the family of --to',
    }),
    mtu: Type.Optional(Type.Integer({
      minimum: 512, maximum: 65_507,
      description: "Most bytes of a datagram's payload, or of a message by tcp:// and tls:// (default: 1400, "
        + 'or 16384)',
    })),
    templateRefresh: Type.Optional(duration({
      description: 'How often templates are sent again in datagrams, of a capture by its clock (default: 1m)',
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
    tlsCa: Type.Optional(Type.String({
      title: 'FILE',
      description: 'Authorities, in PEM: collectors at tls:// must show a certificate of theirs (default: '
        + 'those of the system)',
    })),
    tlsCert: Type.Optional(Type.String({
      title: 'FILE', description: 'Certificate for collectors that want one, in PEM',
    })),
    tlsKey: Type.Optional(Type.String({ title: 'FILE', description: 'Its private key, in PEM' })),
    tlsName: Type.Optional(Type.String({
      title: 'NAME',
      description: "What collectors' certificates must be valid for (default: the host of --to)",
    })),
    strict: Type.Boolean({
      default: false, description: 'Exit with 3, and leave no file, if the version cannot carry everything',
    }),
    report: choice(['text', 'json'], {
      default: 'text', description: 'How what was sent and what was lost is told, on stderr',
    }),
    force: Type.Boolean({ default: false, description: 'Overwrite a file' }),
    ...INPUT_OPTIONS,
  }),
  details: 'TRAFFIC is any of these, with commas between; the same text gives the same bytes. Lists have / '
    + 'between.\n'
    + TRAFFIC_KEYS.map(({ name, value, doc }) => `${`${name}=${value}`.padEnd(28)}${doc}`).join('\n')
    + '\n\nFlows are exported by this machine, of which IPFIX and v9 tell where they came from; with '
    + '--spoof, and in a capture, their exporters send them once more. Generated exporters send from '
    + 'addresses of their own to 127.0.0.0/8, else from ports of their own. Files of flows have generated '
    + 'traffic without its faults.\n\nA collector at tcp:// or tls:// that goes away, or takes nothing, is '
    + 'waited for, a minute long, and then sent nothing until it is back. What did not arrive is told at the '
    + 'end, which is then an exit with 3.',
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
      command: 'flowkit export flows --to tls://collector.example:4740 --tls-ca ca.pem --rate 10K/s',
      does: 'An archive as IPFIX by TLS, to a collector whose authority is known',
    },
    {
      command: "flowkit export x.pcap 'proto udp' --version 5 --to v5.pcap",
      does: 'NetFlow of any version as NetFlow v5, into a capture',
    },
  ],
  async run(args, options, io) {
    const { generate, force, strict, report } = options
    const refuse = (names: readonly (keyof typeof options)[], beside: string) => {
      const used = names.find((name) => options[name] !== undefined && options[name] !== false)
      if (used) throw new FlowkitError('ERR_OPTION', `Cannot use --${kebab(used)} ${beside}`)
    }
    const target = targetOf(options.to)
    const targets = target.kind === 'wire' ? target.targets : []
    const destinations = targets.map(({ destination }) => destination)
    if (options.rate !== undefined) refuse(['speed'], 'beside --rate')
    if (target.kind !== 'wire') {
      refuse([...SENDING, ...TLS], `with "${target.path}": a file is written at once`)
      if (!force && target.kind === 'capture') await refuseExisting(target.path)
    } else {
      const stream = destinations.find(({ protocol }) => protocol !== 'udp')
      if (stream) refuse(['spoof'], `with "${stream.name}": only datagrams come from any address`)
      if (!destinations.some(({ protocol }) => protocol === 'tls')) refuse(TLS, 'without a --to of tls://')
      if (destinations.length === 1) refuse(['balance'], 'with one --to')
    }
    const how = sendOptionsOf(target, options)

    function finish(outcome: Exported & Partial<Export>): ExitCode {
      const places = target.kind === 'wire' ? destinations.map(({ name }) => name) : [target.path]
      const done: Export = {
        inputs: 0, faults: 0, readerLoss: newLoss(), undelivered: [], places, isFile: target.kind !== 'wire',
        unit: unitOf(target), format: formatOf(target, options), ...outcome,
      }
      const isLost = strict && isLossy(done)
      const isRefused = target.kind === 'capture' && isLost
      if (report === 'json') io.talk.print(JSON.stringify(exportObject(done, isRefused)))
      else {
        const { summary, warnings } = exportLines(done, isRefused)
        io.talk.info(summary)
        for (const warning of warnings) io.talk.warn(warning)
      }
      if (done.faults > 0 && done.read === 0) return 1
      return done.faults > 0 || isLost || done.undelivered.length > 0 ? 3 : 0
    }

    if (generate !== undefined) {
      refuse(ENCODING, 'beside --generate: its own text says it')
      refuse(SELECTING, 'beside --generate')
      if (args.length > 0) throw new FlowkitError('ERR_OPTION', `Cannot read "${args[0]}" beside --generate`)
      const traffic = parseTraffic(generate)
      const told = targets.find(({ version }) => version !== undefined)
      if (told) {
        const wanted = 'beside --generate: its own text says it'
        throw new FlowkitError('ERR_OPTION', `Cannot use the version of "${told.destination.name}" ${wanted}`)
      }
      for (const number of traffic.versions) {
        const version = versionOf(String(number))
        for (const destination of destinations) refuseByStream(destination, version, 'versions=10')
      }
      if (how) return finish(await sendTraffic(traffic, how, io))
      if (target.kind === 'capture') {
        return finish(await writeTrafficCapture(traffic, target.path, target.format, io))
      }
      if (target.kind === 'flows') return finish(await writeTraffic(traffic, target.path, force, io))
    }

    if (target.kind === 'flows') {
      const wanted = 'expected udp://, tcp:// or tls://HOST:PORT, or a file .pcap or .pcapng'
      throw new FlowkitError('ERR_OPTION', `Cannot export to "${target.path}" without --generate: ${wanted}`)
    }
    if (options.loop && args.includes('-')) {
      throw new FlowkitError('ERR_OPTION', 'Cannot use --loop with standard input: it can be read only once')
    }
    const encoding = encodingOf(options)
    if (target.kind === 'capture') refuseByVersion(encoding.version, encoding)
    for (const { destination, version = encoding.version } of targets) {
      refuseByStream(destination, version, '--version 10')
      refuseByVersion(version, encoding)
    }
    const { inputs, ...window } = await resolveRequest(args, options, io)
    const faults = faultReporter(io)
    const readerLoss = newLoss()
    let rounds = 0
    const open = () => {
      const isFirst = rounds++ === 0 // later ones have the same faults, and lose the same
      const loss = isFirst ? readerLoss : newLoss()
      return readInputs(inputs, { ...window, extras: true, loss }, isFirst ? faults.report : () => {})
    }
    let outcome: Exported
    if (how) outcome = await sendFlows(open, encoding, how, io)
    else {
      const { path, format } = target as Extract<Target, { kind: 'capture' }> // the others have gone
      const isRefused = ({ loss }: Exported) => strict && isLossy({ loss, readerLoss })
      const { sampling, maxSize = DEFAULT_EXPORT.maxSize } = encoding
      const made = { path, format, encoding: { ...encoding, maxSize }, sampling, isRefused }
      outcome = await writeFlowCapture(open(), made, io)
    }
    faults.finish()
    return finish({ ...outcome, inputs: inputs.length, faults: faults.count, readerLoss })
  },
})

/** How flows are sent, if they are. */
function sendOptionsOf(target: Target, options: TlsOptions & {
  readonly speed?: number
  readonly rate?: number
  readonly loop: boolean
  readonly balance: boolean
  readonly spoof: boolean
}): SendOptions | undefined {
  if (target.kind !== 'wire') return undefined
  const { speed, rate = DEFAULT_RATE, loop, balance, spoof } = options
  const pace = speed === undefined ? { rate } : { speed }
  return { targets: target.targets, tls: trustOf(options), pace, loop, balance, spoof }
}

/** What flows go out in. */
function unitOf(target: Target): Export['unit'] {
  if (target.kind === 'flows') return undefined
  const targets = target.kind === 'wire' ? target.targets : []
  return targets.some(({ destination }) => destination.protocol !== 'udp') ? 'message' : 'datagram'
}

/** What flows go out as. */
function formatOf(
  target: Target, { generate, version = '10' }: { readonly generate?: string, readonly version?: string },
): string {
  if (generate !== undefined) return 'generated'
  const usual = versionOf(version)
  const versions = target.kind === 'wire' ? target.targets.map((each) => each.version ?? usual) : [usual]
  return [...new Set(versions.map(versionName))].join(', ')
}
