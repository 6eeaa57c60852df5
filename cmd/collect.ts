import { Type } from '@sinclair/typebox'
import { defaultArchive } from '../core/archive/places.ts'
import { openArchiveWriter, type ArchiveWriter } from '../core/archive/writer.ts'
import { startCollector, type Collector } from '../core/collector/collector.ts'
import { ledgerOf } from '../core/collector/ledger.ts'
import { compileFilter, parseFilter } from '../core/filter/filter.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import { formatEndpoint, parseEndpoint } from '../core/net/udp.ts'
import { defineCommand, duration, size, type Command } from './command.ts'
import { explain, UsageError } from './errors.ts'
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
    to: Type.Optional(Type.String({
      title: 'FOLDER',
      description: 'The archive (default: $FLOWKIT_ARCHIVE, else for root /var/lib/flowkit, '
        + 'else ~/.local/share/flowkit)',
    })),
    rotate: duration({ default: '1m', description: 'Begin new archive files this often, 1s to 1d' }),
    filter: Type.Optional(Type.String({
      short: 'f', title: 'EXPR', description: 'Keep only flows that match',
    })),
    receiveBuffer: size({
      default: '64Mi', description: 'Memory that the kernel is asked to keep for each socket',
    }),
  }),
  details: 'The protocol is told from each datagram, on every port.\n'
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
    const { rotate: every, receiveBuffer } = options
    if (every < MIN_ROTATE || every > MAX_ROTATE) {
      throw new UsageError(`Cannot use option --rotate: expected 1s to 1d, found ${every / 1000}s`)
    }
    const endpoints = (options.listen ?? DEFAULT_PORTS).map(parseEndpoint)
    const filter = options.filter === undefined ? undefined : batchFilter(options.filter)
    const place = options.to ?? defaultArchive(io.env)
    let collector: Collector // the writer asks for its ledger only once it runs
    const writer = await openArchiveWriter(place, { ledger: () => ledgerOf(collector.decoder.exporters) })
    const faults = faultLog(io)
    try {
      collector = await startCollector({
        listen: endpoints, receiveBuffer, writer, writeCounters: (samples) => writer.writeCounters(samples),
        ...filter && { filter },
        onFault: (error, exporter) => faults.say(exporter, error.message),
        onWriteError: (error) => {
          io.talk.error(`${explain(error, '').message}; what the files begun held is lost and counted`)
        },
      })
    } catch (error) {
      await writer.abort()
      throw error
    }
    const ended = untilAborted(io, every, {
      rotate: () => void rotate(collector, writer, io),
      report: () => io.talk.info(`ledger\n${ledgerText(collector)}`),
    })
    const { listeners } = collector
    const smallest = Math.min(...listeners.map((listener) => listener.receiveBuffer))
    if (smallest < receiveBuffer) {
      io.talk.debug(`the kernel keeps ${smallest} bytes a socket; net.core.rmem_max allows no more`)
    }
    // said last: from here on datagrams and signals count
    const names = listeners.map((listener) => formatEndpoint(listener.endpoint))
    io.talk.info(`collecting on ${names.join(', ')} into ${place}`)
    await ended
    await collector.stop()
    await writer.close()
    faults.finish()
    const { datagrams, records, filtered, refused, counterSamples } = collector.counters
    const { rows, lost, counters, lostCounters } = writer.stats
    io.talk.info(`${datagrams} datagrams received, ${records} flows decoded, ${filtered} filtered, `
      + `${rows} written, ${lost} lost, ${refused} datagrams refused`)
    if (counterSamples > 0) {
      io.talk.info(`${counterSamples} counter samples decoded, ${counters} written, ${lostCounters} lost`)
    }
    return lost + lostCounters + refused > 0 ? 3 : 0
  },
})

/** Finish the archive files begun. A failure is said, and the next ones tried all the same. */
async function rotate(collector: Collector, writer: ArchiveWriter, io: Io): Promise<void> {
  try {
    await collector.flush()
    for (const { table, path, rows } of await writer.rotate()) {
      io.talk.debug(`${rows} ${table} written to ${path}`)
    }
  } catch (error) {
    io.talk.error(explain(error, '').message)
  }
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

/** Drops from a batch the flows that do not match. @returns what does so and tells how many they were */
function batchFilter(text: string): (batch: FlowBatch) => number {
  const select = compileFilter(parseFilter(text))
  let selected = new Uint8Array(0)
  return (batch) => {
    if (selected.length < batch.capacity) selected = new Uint8Array(batch.capacity)
    const { length } = batch
    if (select(batch, selected) < length) batch.keep(selected)
    return length - batch.length
  }
}

/** Says each kind of fault once for each exporter, a hundred in all, and counts the rest. */
function faultLog(io: Io): { say(exporter: string, reason: string): void, finish(): void } {
  const said = new Set<string>()
  const most = 100
  let silent = 0
  return {
    say(exporter, reason) {
      const key = `${exporter} ${reason.replace(/\d+/g, '#')}`
      if (said.has(key) || said.size >= most) silent++
      else {
        said.add(key)
        io.talk.warn(`${exporter}: ${reason}`)
      }
    },
    finish() {
      if (silent > 0) io.talk.warn(`${silent} more datagrams with such faults`)
    },
  }
}

function ledgerText({ decoder, counters }: Collector): string {
  const rows = ledgerOf(decoder.exporters).map(({ exporter, ...row }) => `  ${exporter}: ${pairs(row)}`)
  return [...rows, `  all: ${pairs(counters)}`].join('\n')
}

function pairs(values: object): string {
  const known = Object.entries(values).filter(([, value]) => value !== null)
  return known.map(([key, value]) => `${key}=${value}`).join(' ')
}
