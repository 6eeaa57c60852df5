import { Type } from '@sinclair/typebox'
import { defaultArchive } from '../core/archive/places.ts'
import { openArchiveWriter, type ArchiveWriter } from '../core/archive/writer.ts'
import { startCollector, type Collector } from '../core/collector/collector.ts'
import { ledgerOf, type LedgerRow } from '../core/collector/ledger.ts'
import { compileFilter, parseFilter } from '../core/filter/filter.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import { formatEndpoint, parseEndpoint } from '../core/net/udp.ts'
import { defineCommand, duration, size, type Command } from './command.ts'
import { explain } from './errors.ts'
import type { Io } from './io.ts'

/** Where NetFlow, IPFIX and sFlow exporters send to by custom. */
const DEFAULT_PORTS = ['2055', '4739', '6343']

/** `flowkit collect`: export datagrams into the archive, until a signal ends it. */
export const collect: Command = defineCommand({
  name: 'collect',
  summary: 'Receive NetFlow and IPFIX over UDP into the archive',
  args: [],
  options: Type.Object({
    listen: Type.Optional(Type.Array(Type.String({ title: '[ADDR:]PORT' }), {
      description: `Where to listen (default: ${DEFAULT_PORTS.join(', ')} on all addresses)`,
    })),
    to: Type.Optional(Type.String({ title: 'FOLDER', description: 'The archive (default: $FLOWKIT_ARCHIVE, or the default place)' })),
    rotate: duration({ default: '1m', description: 'Begin a new archive file this often' }),
    filter: Type.Optional(Type.String({ short: 'f', title: 'EXPR', description: 'Keep only flows that match' })),
    receiveBuffer: size({ default: '32Mi', description: 'Memory the kernel is asked to keep for each socket' }),
  }),
  details: `Signals: SIGTERM and SIGINT end it with everything written; SIGUSR1 begins a new file; SIGUSR2 prints the
ledger, a line for each exporter. The protocol is told from each datagram, on every port.`,
  examples: [
    { command: 'flowkit collect', does: 'everything that comes, into the default archive' },
    { command: 'flowkit collect --listen 127.0.0.1:2055 --to /srv/flows --rotate 5m', does: 'one socket, five-minute files' },
  ],
  async run(_args, options, io) {
    const endpoints = (options.listen ?? DEFAULT_PORTS).map(parseEndpoint)
    const filter = options.filter === undefined ? undefined : batchFilter(options.filter)
    const place = options.to ?? defaultArchive(io.env)
    const writer = await openArchiveWriter(place, { ledger: () => ledgerOf(collector.decoder.exporters) })
    const faults = faultLog(io)
    let collector: Collector
    try {
      collector = await startCollector({
        listen: endpoints, receiveBuffer: options.receiveBuffer, writer, ...filter && { filter },
        onFault: (error, exporter) => faults.say(exporter, error.message),
        onWriteError: (error) => io.talk.error(`${explain(error, '').message}; the flows of this file are lost and counted`),
      })
    } catch (error) {
      await writer.abort()
      throw error
    }
    const names = collector.listeners.map((listener) => formatEndpoint(listener.endpoint)).join(', ')
    io.talk.info(`collecting on ${names} into ${place}`)
    const smallest = Math.min(...collector.listeners.map((listener) => listener.receiveBuffer))
    if (smallest < options.receiveBuffer) io.talk.debug(`the kernel keeps ${smallest} bytes a socket; net.core.rmem_max allows no more`)
    await untilAborted(io, options.rotate, {
      rotate: () => void rotate(collector, writer, io),
      report: () => io.talk.info(`ledger\n${ledgerText(collector)}`),
    })
    await collector.stop()
    await writer.close()
    faults.finish()
    const { datagrams, records, written, filtered, lost, refused } = collector.counters
    io.talk.info(`${datagrams} datagrams received, ${records} flows decoded, ${filtered} filtered, ${written} written, ` +
      `${lost} lost, ${refused} datagrams refused`)
    return lost + refused > 0 ? 3 : 0
  },
})

/** Finish the archive files begun. A failure is said, and the next ones tried all the same. */
async function rotate(collector: Collector, writer: ArchiveWriter, io: Io): Promise<void> {
  try {
    await collector.flush()
    for (const { path, rows } of await writer.rotate()) io.talk.debug(`${rows} flows written to ${path}`)
  } catch (error) {
    io.talk.error(explain(error, '').message)
  }
}

/** Wait for the end signal; rotate on time and on SIGUSR1, report on SIGUSR2. */
function untilAborted(io: Io, every: number, actions: { rotate(): void, report(): void }): Promise<void> {
  return new Promise((resolve) => {
    // files begin on the wall clock's multiples of the interval
    let timer = setTimeout(tick, every - Date.now() % every)
    function tick(): void {
      actions.rotate()
      timer = setTimeout(tick, every - Date.now() % every)
    }
    process.on('SIGUSR1', actions.rotate)
    process.on('SIGUSR2', actions.report)
    io.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      process.off('SIGUSR1', actions.rotate)
      process.off('SIGUSR2', actions.report)
      resolve()
    }, { once: true })
  })
}

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

/** Says each fault once for each exporter, up to a number of exporters; the rest is in the ledger. */
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

function ledgerText(collector: Collector): string {
  const rows = ledgerOf(collector.decoder.exporters)
  const total = collector.counters
  return [
    ...rows.map((row) => `  ${row.exporter}: ${(Object.keys(row) as (keyof LedgerRow)[]).slice(1).map((key) => `${key}=${row[key]}`).join(' ')}`),
    `  all: ${Object.entries(total).map(([key, value]) => `${key}=${value}`).join(' ')}`,
  ].join('\n')
}
