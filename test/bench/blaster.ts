/**
 * Sends NetFlow v5 as fast as it is told, from several addresses, in a process of its own.
 *
 * Datagrams are made once, and only numbered and dated when they are sent.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { openUdpBlaster, type UdpBlaster } from '../../core/net/udp-blast.ts'
import { fixedEncoder } from '../../core/netflow/encode/fixed.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'

/** Records of a datagram: as many as v5 allows. */
export const RECORDS = 30
/** Exporters, at 127.0.0.2 and on. */
export const EXPORTERS = 8

/** What to send. */
export interface BlastOrder {
  readonly port: number
  /** Datagrams a second, all exporters together. */
  readonly rate: number
  readonly seconds: number
}

/** What was sent. */
export interface BlastResult {
  readonly sent: number
  /** How long it took: longer than ordered where the sender is too slow. */
  readonly seconds: number
}

/** A sender that is ready. */
export interface Blaster {
  blast(order: BlastOrder): Promise<BlastResult>
  close(): void
}

/** Start the process. */
export async function startBlaster(): Promise<Blaster> {
  const child = fork(import.meta.filename)
  await once(child, 'message')
  return {
    async blast(order) {
      child.send(order)
      const [result] = await once(child, 'message') as [BlastResult]
      return result
    },
    close: () => child.disconnect(),
  }
}

const HEADER = 24
const SIZE = HEADER + RECORDS * 48
/** Different datagrams of each exporter. */
const DATAGRAMS = 1024
/** Of one exporter, before the next has its turn. */
const MOST_AT_ONCE = 64
/** ms between looks at the clock while there is nothing to send. */
const PAUSE = 0.25

/** What one exporter sends. */
interface Exporter {
  readonly view: DataView
  readonly blaster: UdpBlaster
  next: number
  sequence: number
}

function makeDatagrams(seed: number): Uint8Array {
  const bytes = new Uint8Array(DATAGRAMS * SIZE)
  let at = 0
  const flows = 2 * DATAGRAMS * RECORDS // some datagrams are not full
  const encoder = fixedEncoder(5, { maxSize: SIZE, domain: 0 })
  for (const batch of generateFlows({ ...parseTraffic('v6=0%,span=10s'), flows, seed })) {
    encoder.encode(batch, (datagram) => {
      if (datagram.length !== SIZE || at === bytes.length) return
      bytes.set(datagram, at)
      at += SIZE
    })
  }
  if (at < bytes.length) throw new Error(`Cannot make datagrams: ${DATAGRAMS} wanted, ${at / SIZE} found`)
  return bytes
}

async function openExporter(bytes: Uint8Array, port: number, index: number): Promise<Exporter> {
  const offsets = Uint32Array.from({ length: DATAGRAMS + 1 }, (_, i) => i * SIZE)
  const source = `127.0.0.${index + 2}`
  const blaster = await openUdpBlaster({ address: '127.0.0.1', port, source, bytes, offsets, inRuns: true })
  return { view: new DataView(bytes.buffer), blaster, next: 0, sequence: 0 }
}

/** Send some datagrams. @returns how many */
function send(exporter: Exporter, count: number, seconds: number): number {
  const { view, blaster, next } = exporter
  const end = Math.min(next + count, DATAGRAMS)
  for (let i = next; i < end; i++) {
    view.setUint32(i * SIZE + 8, seconds)
    view.setUint32(i * SIZE + 16, exporter.sequence + (i - next) * RECORDS)
  }
  const sent = blaster.send(next, end)
  exporter.next = (next + sent) % DATAGRAMS
  exporter.sequence = exporter.sequence + sent * RECORDS >>> 0
  return sent
}

/** Gives up where it is too slow by half. */
async function blast(
  bytes: readonly Uint8Array[], { port, rate, seconds }: BlastOrder,
): Promise<BlastResult> {
  const exporters = await Promise.all(bytes.map((each, i) => openExporter(each, port, i)))
  const nap = new Int32Array(new SharedArrayBuffer(4))
  const most = Math.round(rate * seconds)
  const begun = performance.now()
  let sent = 0
  for (let turn = 0; sent < most; turn++) {
    const elapsed = performance.now() - begun
    if (elapsed > seconds * 1500) break
    const due = Math.min(most, Math.ceil(elapsed / 1000 * rate)) - sent
    const date = Math.floor(Date.now() / 1000)
    if (due > 0) sent += send(exporters[turn % EXPORTERS], Math.min(due, MOST_AT_ONCE), date)
    else Atomics.wait(nap, 0, 0, PAUSE)
  }
  const result = { sent, seconds: (performance.now() - begun) / 1000 }
  for (const { blaster } of exporters) blaster.close()
  return result
}

if (import.meta.main) {
  const bytes = Array.from({ length: EXPORTERS }, (_, i) => makeDatagrams(i + 1))
  process.on('message', async (order: BlastOrder) => {
    process.send!(await blast(bytes, order))
  })
  process.send!('ready')
}
