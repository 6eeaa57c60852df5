import { Type } from '@sinclair/typebox'
import { DEFAULT_SNAPLEN } from '../core/capture/options.ts'
import { loadDuck } from '../core/duck/bindings.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { joinMonitor } from '../core/net/monitor.ts'
import { FLOWEXPORT_FOLDER } from './capture/environment.ts'
import { planOf } from './capture/plan.ts'
import { defineCommand, duration, parsed, size, type Command } from './command.ts'
import { FILTER_OPTIONS } from './filters.ts'
import { SINK_OPTIONS } from './sinks.ts'

/** Largest packet that is taken whole: GRO makes some of several segments. */
const MOST_SNAPLEN = 262_144
const MOST_WORKERS = 64

const OPTIONS = Type.Object({
  interface: Type.Optional(Type.Array(Type.String({ title: 'IFACE' }), {
    short: 'i',
    description: 'Interfaces to capture from; with * at the end all that begin so, also those that come later; '
      + 'any for all (default: that of the default route)',
  })),
  read: Type.Optional(Type.Array(Type.String({ title: 'FILE' }), {
    short: 'r', description: 'Captures to read instead, pcap or pcapng, also compressed, or -',
  })),
  bpf: Type.Optional(Type.String({
    title: 'EXPR', description: 'Packets to take, as tcpdump has it: pcap-filter(7)',
  })),
  snaplen: Type.Integer({
    minimum: 64, maximum: MOST_SNAPLEN, default: DEFAULT_SNAPLEN,
    description: 'Bytes to take of each packet; headers of tunnels need some',
  }),
  activeTimeout: duration({ default: '5m', description: 'Give out a flow that goes on after so much time' }),
  idleTimeout: duration({ default: '15s', description: 'End a flow after so much time without a packet' }),
  maxFlows: Type.Integer({
    minimum: 1, maximum: 1 << 24, default: 1 << 19, title: 'N',
    description: 'Flows to keep at a time; the idlest ends to make room',
  }),
  sample: parsed(parseSample, 'one packet of how many, such as 1/100', {
    title: '1/N', default: '1/1', description: 'Take one packet of N, at random; flows tell the rate',
  }),
  inner: Type.Boolean({
    default: false,
    description: 'Of tunnelled packets (GRE, VXLAN, Geneve, IP in IP, ERSPAN) meter the innermost',
  }),
  biflow: Type.Boolean({ default: false, description: 'Make one flow of both directions' }),
  promiscuous: Type.Boolean({
    default: true, description: 'Take only packets that come to this machine by themselves',
  }),
  ringSize: size({ default: '64Mi', description: 'Memory in which packets of an interface wait' }),
  workers: Type.Integer({
    minimum: 1, maximum: MOST_WORKERS, default: 1,
    description: 'Capture with so many threads: a conversation belongs to one of them; --max-flows and '
      + '--ring-size are for all together, and each writes files of its own',
  }),
  ...FILTER_OPTIONS,
  ...SINK_OPTIONS,
  to: Type.Optional(Type.Array(Type.String({ title: 'OUTPUT' }), {
    description: 'Folders, archives unless --to-format says otherwise; files; - ; and collectors, as '
      + 'udp://HOST:PORT?version=9 (10, IPFIX, unless told) (default: as collect)',
  })),
  force: Type.Boolean({ default: false, description: 'Overwrite a file' }),
  dir: Type.String({
    default: FLOWEXPORT_FOLDER, title: 'FOLDER', description: 'Where files of text go that $MODE asks for',
  }),
  user: Type.Optional(Type.String({
    title: 'NAME', description: 'Open interfaces as root, and do everything else as this user, confined',
  })),
  pidFile: Type.Optional(Type.String({ title: 'FILE', description: 'Keep the process id there' })),
})

/** `flowkit capture`: packets into flows, from interfaces until a signal ends it, or from files. */
export const capture: Command = defineCommand({
  name: 'capture',
  summary: 'Turn packets of interfaces or capture files into flows',
  args: [{ name: 'FILE', description: 'More captures, behind -r', repeated: true }],
  options: OPTIONS,
  details: "It takes the capability CAP_NET_RAW. Packets come by the kernel's ring, or else by libpcap or "
    + 'tcpdump. Flows are in files that begin anew as --rotate says; of capture files the times of the packets '
    + 'are the clock.\n'
    + 'SIGTERM and SIGINT end it with all flows written; SIGHUP and SIGUSR1 begin new files; SIGUSR2 prints '
    + 'counts.\n'
    + 'As the container flowexport, without -i, -r and --to: $INTERFACE (a name, or with * at the end), '
    + '$INTERVAL (s, of timeouts and files), $MODE text (the default: files as nfdump 1.6 prints them, kept '
    + '$MAXAGE days) or netflow (version 9, to $TARGET, HOST:PORT).',
  examples: [
    { command: 'flowkit capture', does: 'The traffic of the default route, into the default archive' },
    {
      command: "flowkit capture -i 'eth*' --bpf 'not port 22' --to /srv/flows --user flowkit",
      does: 'Several interfaces without SSH, as another user',
    },
    {
      command: 'flowkit capture -i eth0 --to udp://192.0.2.9:2055?version=9',
      does: 'Be a NetFlow exporter, as softflowd is',
    },
    {
      command: 'flowkit capture -r dump.pcapng.gz --biflow --to -',
      does: 'Conversations of a capture, as JSON',
    },
    {
      command: 'flowkit capture -r *.pcap --to nfcapd --to-format nfdump --rotate 5m',
      does: 'Captures into files of five minutes each, for nfdump',
    },
  ],
  async run(args, options, io) {
    const plan = await planOf(options, args, io.env) // before rights are given up: it reads files
    if (plan.files.length > 0) {
      if (options.user !== undefined) throw new FlowkitError('ERR_OPTION', 'Cannot use --user beside -r')
      if (options.workers > 1) throw new FlowkitError('ERR_OPTION', 'Cannot use --workers beside -r')
      const { captureFiles } = await import('./capture/files.ts')
      return captureFiles(plan, options, io)
    }
    const child = await joinMonitor(async () => { await loadDuck() })
    if (options.user !== undefined && !child) {
      const { monitorCapture } = await import('./capture/monitor.ts')
      return monitorCapture(plan, options, io)
    }
    const { captureLive } = await import('./capture/live.ts')
    return captureLive(plan, options, io, child)
  },
})

/** `1/100`, or `100`. @throws FlowkitError ERR_OPTION */
function parseSample(text: string): number {
  const [, digits] = /^(?:1\/)?([1-9]\d{0,9})$/.exec(text) ?? []
  if (digits !== undefined && Number(digits) < 2 ** 32) return Number(digits)
  throw new FlowkitError('ERR_OPTION', `Cannot sample "${text}": expected 1/N such as 1/100`)
}
