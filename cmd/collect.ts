import { Type } from '@sinclair/typebox'
import { loadDuck } from '../core/duck/bindings.ts'
import { parseEndpoint } from '../core/net/endpoint.ts'
import { joinMonitor } from '../core/net/monitor.ts'
import { examineSockets, listenFds } from '../core/net/systemd.ts'
import {
  FORWARD, GROUP, NETWORK, parseForward, parseGroup, parseNetwork, parseSamplingRule, SAMPLING_RULE,
} from './collect/options.ts'
import { describePlan, planInside, planOf } from './collect/plan.ts'
import { isOpenedByMonitor, laneSockets, openSockets } from './collect/sockets.ts'
import { defineCommand, duration, parsed, size, type Command } from './command.ts'
import { FILTER_OPTIONS } from './filters.ts'
import { SINK_OPTIONS } from './sinks.ts'

const MOST_WORKERS = 64
const ENDPOINT = '[udp://|tcp://|tls://][ADDRESS:]PORT such as 2055 or [::1]:4739'

const OPTIONS = Type.Object({
  listen: Type.Optional(Type.Array(parsed(parseEndpoint, ENDPOINT, { title: '[ADDR:]PORT' }), {
    description: 'Where to listen (default: the sockets of the service manager, else 2055, 4739, 6343 on '
      + 'all addresses); tcp:// and tls:// before it for IPFIX by connections',
  })),
  join: Type.Optional(Type.Array(parsed(parseGroup, GROUP, { title: 'GROUP' }), {
    description: 'Multicast groups to join, as 239.1.2.3 or ff15::1%eth0',
  })),
  allow: Type.Optional(Type.Array(parsed(parseNetwork, NETWORK, { title: 'CIDR' }), {
    description: 'Listen to exporters in these networks only',
  })),
  forward: Type.Optional(Type.Array(parsed(parseForward, FORWARD, { title: 'HOST:PORT' }), {
    description: 'Send each datagram of UDP on to other collectors as it came; for them it comes from here',
  })),
  ...SINK_OPTIONS,
  ...FILTER_OPTIONS,
  samplingDefault: Type.Optional(Type.Array(parsed(parseSamplingRule, SAMPLING_RULE, { title: 'CIDR=N' }), {
    description: 'Exporters in this network that do not say sample one packet in N',
  })),
  samplingOverride: Type.Optional(Type.Array(parsed(parseSamplingRule, SAMPLING_RULE, { title: 'CIDR=N' }), {
    description: 'Exporters in this network sample one packet in N, whatever they say',
  })),
  receiveBuffer: size({
    default: '64Mi', description: 'Memory that the kernel is asked to keep for each socket',
  }),
  metrics: Type.Optional(parsed(parseEndpoint, '[ADDRESS:]PORT such as 127.0.0.1:9116', {
    title: 'ADDR:PORT', description: 'Serve metrics for Prometheus there, at /metrics',
  })),
  state: Type.Optional(Type.String({
    title: 'FOLDER',
    description: 'For the spool, and what is known of exporters (default: state in the archive, else .state '
      + 'in the folder, of nfdump FOLDER.state)',
  })),
  spoolSize: Type.Optional(size({
    description: 'How large the spool may become; room for it is kept on the disk (default: 4Gi, not kept)',
  })),
  spoolSync: duration({
    default: '1s', description: 'Make the spool durable this often: what a power cut takes at most',
  }),
  tlsKey: Type.Optional(Type.String({ title: 'FILE', description: 'Private key for tls://, in PEM' })),
  tlsCert: Type.Optional(Type.String({ title: 'FILE', description: 'Certificate for tls://, in PEM' })),
  tlsCa: Type.Optional(Type.String({
    title: 'FILE', description: 'Authorities, in PEM: exporters must then show a certificate of theirs',
  })),
  workers: Type.Integer({
    minimum: 1, maximum: MOST_WORKERS, default: 1,
    description: 'Collect with so many threads: each exporter belongs to one of them, by its address, and '
      + 'each keeps as many exporters, templates and waiting data as one alone',
  }),
  user: Type.Optional(Type.String({
    title: 'NAME', description: 'Open sockets as root, and do everything else as this user, confined',
  })),
  chroot: Type.Optional(Type.String({
    title: 'FOLDER',
    description: 'With --user: see only this folder. SIGHUP reads the configuration again if it lies in it',
  })),
  pidFile: Type.Optional(Type.String({ title: 'FILE', description: 'Keep the process id there' })),
  config: Type.Optional(Type.String({
    title: 'FILE', description: 'Read options from a TOML file, by their long names, or from a flowd.conf',
  })),
  check: Type.Boolean({ default: false, description: 'Check everything, say what would run, and end' }),
})

/** `flowkit collect`: export datagrams into the archive, until a signal ends it. */
export const collect: Command = defineCommand({
  name: 'collect',
  summary: 'Receive NetFlow, IPFIX and sFlow into the archive',
  args: [],
  options: OPTIONS,
  configOption: 'config',
  details: 'The protocol is told from each datagram, on every port. Datagrams go into the spool first: a '
    + 'collector that was killed goes on where it was, and each flow is in the archive once.\n'
    + 'SIGTERM and SIGINT end it with everything written; SIGUSR1 begins new files; SIGHUP does so too, and '
    + 'reads the configuration again; SIGUSR2 prints the ledger, a line for each of the busiest exporters.',
  examples: [
    { command: 'flowkit collect', does: 'Everything that comes, into the default archive' },
    {
      command: 'flowkit collect --listen 127.0.0.1:2055 --to /srv/flows --rotate 5m',
      does: 'One socket, and new files every five minutes',
    },
    {
      command: 'flowkit collect --to /srv/flows,/srv/json --to-format archive,json --max-age 7d',
      does: 'JSON beside the archive, and both for a week',
    },
    {
      command: 'flowkit collect --to /var/cache/nfdump --to-format nfdump --compression lz4 --rotate 5m',
      does: "Files that nfdump reads, with nfcapd's names",
    },
    {
      command: 'flowkit collect --config /etc/flowkit/collect.toml --check',
      does: 'Check a configuration',
    },
  ],
  async run(_args, options, io, configuration) {
    const passed = await listenFds(io.env, process.pid)
    const plan = await planOf(options, io.env, passed) // before rights are given up: it reads keys
    const child = await joinMonitor(async () => { await loadDuck() })
    if (child) {
      const inherited = await examineSockets(child.descriptors.map((fd) => ({ fd, name: 'inherited' })))
      const { runCollector } = await import('./collect/run.ts')
      const inside = planInside(plan, options, inherited)
      const lanes = await laneSockets(child, inside.listen.filter(isOpenedByMonitor), options, io)
      return runCollector(inside, lanes, options, configuration, io, child)
    }
    for (const warning of configuration.warnings) io.talk.warn(warning)
    if (passed.length > 0 && options.listen) {
      io.talk.warn('the sockets of the service manager are not used, since --listen is given')
    }
    if (options.check) return void await io.write(describePlan(plan, options))
    if (options.user !== undefined) {
      const { monitorCollector } = await import('./collect/monitor.ts')
      return monitorCollector(plan, options, io)
    }
    const { runCollector } = await import('./collect/run.ts')
    const lanes = await openSockets(plan.listen, options, io)
    return runCollector(plan, lanes, options, configuration, io, undefined)
  },
})
