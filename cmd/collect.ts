import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import { defaultArchive } from '../core/archive/places.ts'
import { startCollector, type Collector } from '../core/collector/collector.ts'
import { compileFilter, parseFilter } from '../core/filter/filter.ts'
import { rowFilter } from '../core/collector/row-filter.ts'
import { archiveSink } from '../core/collector/sink.ts'
import { parseEndpoint } from '../core/net/udp.ts'
import { parseAllowed, parseGroup, parseSamplingRule } from './collect-options.ts'
import { defineCommand, duration, size, type Command, type ExitCode } from './command.ts'
import { explain, UsageError } from './errors.ts'
import { faultLog, reportText } from './collect-log.ts'
import type { Io } from './io.ts'

/** Where NetFlow, IPFIX and sFlow exporters send to by custom. */
const DEFAULT_PORTS = ['2055', '4739', '6343']

/** How often files may begin, in ms. */
const MIN_ROTATE = 1000
const MAX_ROTATE = 86_400_000

/** `flowkit collect`: export datagrams into the archive, until a signal ends it. */
export const collect: Command = defineCommand({
  name: 'collect',
  summary: 'Receive NetFlow, IPFIX and sFlow over UDP into the archive',
  args: [],
  options: Type.Object({
    listen: Type.Optional(Type.Array(Type.String({ title: '[ADDR:]PORT' }), {
      description: `Where to listen (default: ${DEFAULT_PORTS.join(', ')} on all addresses)`,
    })),
    join: Type.Optional(Type.Array(Type.String({ title: 'GROUP' }), {
      description: 'Multicast groups to join, as 239.1.2.3 or ff15::1%eth0',
    })),
    allow: Type.Optional(Type.Array(Type.String({ title: 'CIDR' }), {
      description: 'Listen to exporters in these networks only',
    })),
    to: Type.Optional(Type.Array(Type.String({ title: 'FOLDER' }), {
      description: 'Archives to write (default: $FLOWKIT_ARCHIVE, else for root /var/lib/flowkit, '
        + 'else ~/.local/share/flowkit)',
    })),
    rotate: duration({ default: '1m', description: 'Begin new archive files this often, 1s to 1d' }),
    onRotate: Type.Optional(Type.String({
      title: 'CMD', description: 'Run this for each new file, whose name is in $FLOWKIT_FILE',
    })),
    filter: Type.Optional(Type.String({
      short: 'f', title: 'EXPR', description: 'Keep only flows that match',
    })),
    samplingDefault: Type.Optional(Type.Array(Type.String({ title: 'CIDR=N' }), {
      description: 'One packet in N was sampled by exporters in this network that do not say',
    })),
    samplingOverride: Type.Optional(Type.Array(Type.String({ title: 'CIDR=N' }), {
      description: 'One packet in N was sampled by exporters in this network, whatever they say',
    })),
    receiveBuffer: size({
      default: '64Mi', description: 'Memory that the kernel is asked to keep for each socket',
    }),
    state: Type.Optional(Type.String({
      title: 'FOLDER', description: 'The spool, and what is known of exporters (default: state in the archive)',
    })),
    spoolSize: size({ default: '4Gi', description: 'How large the spool may become' }),
    spoolSync: duration({
      default: '1s', description: 'Make the spool durable this often: what a power cut takes at most',
    }),
  }),
  details: 'The protocol is told from each datagram, on every port. Datagrams go into the spool first: a '
    + 'collector that was killed goes on where it was, and each flow is in the archive once.\n'
    + 'SIGTERM and SIGINT end it with everything written; SIGHUP and SIGUSR1 begin new files; SIGUSR2 prints '
    + 'the ledger, a line for each exporter.',
  examples: [
    { command: 'flowkit collect', does: 'Everything that comes, into the default archive' },
    {
      command: 'flowkit collect --listen 127.0.0.1:2055 --to /srv/flows --rotate 5m',
      does: 'One socket, and new files every five minutes',
    },
  ],
  async run(_args, options, io) {
    const { rotate: every, receiveBuffer, spoolSize, spoolSync, onRotate } = options
    if (every < MIN_ROTATE || every > MAX_ROTATE) {
      throw new UsageError(`Cannot use option --rotate: expected 1s to 1d, found ${every / 1000}s`)
    }
    const places = options.to ?? [defaultArchive(io.env)]
    const faults = faultLog(io)
    const collector = await startCollector({
      listen: (options.listen ?? DEFAULT_PORTS).map(parseEndpoint),
      groups: (options.join ?? []).map(parseGroup),
      allow: (options.allow ?? []).map(parseAllowed),
      sampling: {
        defaults: (options.samplingDefault ?? []).map(parseSamplingRule),
        overrides: (options.samplingOverride ?? []).map(parseSamplingRule),
      },
      ...options.filter !== undefined && { filter: rowFilter(compileFilter(parseFilter(options.filter))) },
      sinks: places.map(archiveSink),
      spool: join(options.state ?? join(places[0], 'state'), 'spool'),
      spoolSize, spoolSync, receiveBuffer,
      onFault: (error, exporter) => faults.say(exporter, error.message),
      onError: (error) => faults.say('', explain(error, '').message),
      onFile: (path, rows) => {
        io.talk.debug(`${rows} rows written to ${path}`)
        if (onRotate !== undefined) runHook(onRotate, path, io)
      },
      onRecovered: (segments) => {
        io.talk.info(`${segments} ${segments === 1 ? 'segment' : 'segments'} of the spool recovered`)
      },
    })
    const ended = untilAborted(io, every, {
      rotate: () => collector.rotate(),
      report: () => io.talk.info(`ledger\n${reportText(collector.report())}`),
    })
    sayReady(collector, places, receiveBuffer, io)
    await ended
    await collector.stop()
    faults.finish()
    return summarize(collector, io)
  },
})

/** Said last: from here on datagrams and signals count. */
function sayReady(collector: Collector, places: readonly string[], wanted: number, io: Io): void {
  const { sockets } = collector.report()
  const smallest = Math.min(...sockets.map(({ receiveBuffer }) => receiveBuffer))
  if (smallest < wanted) {
    io.talk.debug(`the kernel keeps ${smallest} bytes a socket; net.core.rmem_max allows no more`)
  }
  io.talk.info(`collecting on ${sockets.map(({ endpoint }) => endpoint).join(', ')} into ${places.join(', ')}`)
}

function summarize(collector: Collector, io: Io): ExitCode {
  const { counters, sinks, spool } = collector.report()
  const { datagrams, records, filtered, refused, dropped, counterSamples } = counters
  const written = Math.min(...sinks.map(({ rows }) => rows))
  io.talk.info(`${datagrams} datagrams received, ${refused} refused, ${records} flows decoded, `
    + `${filtered} filtered, ${written} written`)
  if (counterSamples > 0) io.talk.info(`${counterSamples} counter samples decoded`)
  if (dropped > 0) io.talk.error(`${dropped} datagrams lost: there was no room in the spool nor in memory`)
  if (spool.waiting > 0) {
    io.talk.warn(`${spool.waiting} segments stay in the spool, ${spool.bytes} bytes: they are written at the `
      + 'next start')
  }
  return dropped + spool.waiting > 0 ? 3 : 0
}

/** Run the command for a file; what it prints goes where our talk goes. */
function runHook(command: string, path: string, io: Io): void {
  const child = spawn(command, { shell: true, env: { ...io.env, FLOWKIT_FILE: path }, stdio: ['ignore', 2, 2] })
  child.on('error', (error) => io.talk.error(`Cannot run "${command}": ${error.message}`))
  child.on('exit', (code, signal) => {
    if (code !== 0) io.talk.error(`Cannot run "${command}": it ended with ${signal ?? `exit code ${code}`}`)
  })
}

/** Wait for the end; rotate on time and on SIGHUP and SIGUSR1, report on SIGUSR2. */
function untilAborted(io: Io, every: number, actions: { rotate(): void, report(): void }): Promise<void> {
  if (io.signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    // files begin on the wall clock's multiples of the interval
    let timer = setTimeout(tick, every - Date.now() % every)
    function tick(): void {
      actions.rotate()
      timer = setTimeout(tick, every - Date.now() % every)
    }
    process.on('SIGHUP', actions.rotate)
    process.on('SIGUSR1', actions.rotate)
    process.on('SIGUSR2', actions.report)
    io.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      process.off('SIGHUP', actions.rotate)
      process.off('SIGUSR1', actions.rotate)
      process.off('SIGUSR2', actions.report)
      resolve()
    }, { once: true })
  })
}
