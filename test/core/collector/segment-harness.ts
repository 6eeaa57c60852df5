/** Segments over a spool, for tests. */
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { newBacklog, type Backlog } from '../../../core/collector/backlog.ts'
import type { CollectorCounters } from '../../../core/collector/report.ts'
import { startSegments, type Segments, type SegmentsOptions } from '../../../core/collector/segments.ts'
import type { Sink } from '../../../core/sinks/sink.ts'
import { openSpool, type Spool } from '../../../core/spool/spool.ts'
import { newExporters } from '../../../core/netflow/exporters.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { set, template, u32, v9 } from '../netflow/messages.ts'
import { datagramOf, temporaryFolder } from '../spool/spooled.ts'

const MIB = 2 ** 20

/** Segments over a spool, and what is told. */
export interface SegmentHarness {
  readonly spool: Spool
  readonly folder: string
  readonly backlog: Backlog
  readonly segments: Segments
  readonly counters: CollectorCounters
  readonly errors: string[]
  readonly files: string[]
  /** Send flows of these bytes, without their template, and decode as far as that is possible. */
  send(...bytes: number[]): Promise<void>
  /** Send datagrams of so many flows, each of 1 byte; decode as above. */
  sendMany(datagrams: number, flows: number): Promise<void>
  /** End the segment. @returns its id, once it is decoded */
  cut(): Promise<string>
  /** Decode until nothing can be. */
  run(): Promise<void>
  /** Resolves once it holds. */
  until(holds: () => boolean): Promise<void>
}

/** Segments over a spool whose calls go to `faulty` first, that have a template to begin with. */
export async function segmentHarness(
  t: TestContext, sinks: readonly Sink[], faulty: Partial<Spool> = {}, limit: number = Infinity,
  more: Partial<SegmentsOptions> = {},
): Promise<SegmentHarness> {
  let real: Spool | undefined
  t.after(() => real?.close().catch(() => {})) // before its folder is removed; a test may have done that
  const folder = join(temporaryFolder(t), 'spool')
  real = await openSpool(folder, limit)
  const spool = observed(Object.assign(Object.create(real) as Spool, faulty))
  const counters: CollectorCounters = {
    datagrams: 0, refused: 0, dropped: 0, unspooled: 0, records: 0, filtered: 0, counterSamples: 0,
  }
  let underWay = 0
  const errors: string[] = []
  const files: string[] = []
  const onError = (error: unknown): void => void errors.push(String(error))
  const backlog = newBacklog({
    spool, counters, memory: 4 * MIB, allocate: (size) => new Uint8Array(size), onReady() {}, onError,
    makeRoom: () => segments.makeRoom(),
  })
  const segments = startSegments({
    spool, directory: folder, sinks, first: spool.segment, exporters: newExporters(), formers: [], counters,
    settings: { sampling: NO_RULES }, settingsFrom: () => undefined, onError, onFault: onError,
    onFile: (path) => files.push(path), onRecovered() {}, onReady() {}, ...more,
  })
  let sequence = 0

  /** A spool whose calls are counted while they are under way. */
  function observed(inner: Spool): Spool {
    const outer = Object.create(inner) as Spool
    for (const name of ['read', 'writeState', 'readState', 'remove'] as const) {
      const call = inner[name].bind(inner) as (...args: unknown[]) => Promise<unknown>
      Object.assign(outer, {
        [name]: (...args: unknown[]) => {
          underWay++
          return call(...args).finally(() => underWay--)
        },
      })
    }
    return outer
  }

  async function run(): Promise<void> {
    // what has been begun may go on in the next turns
    for (let idle = 0; idle < 20; idle++) {
      if (segments.decode(backlog) || underWay > 0) idle = 0
      await new Promise(setImmediate)
    }
  }

  async function until(holds: () => boolean): Promise<void> {
    while (!holds()) await run()
  }

  const harness: SegmentHarness = {
    spool, folder, backlog, segments, counters, errors, files, run, until,
    async send(...bytes) {
      backlog.put(datagramOf(v9({ sequence: sequence++ }, set(256, u32(...bytes)))), 2055)
      backlog.commit()
      await run()
    },
    async sendMany(datagrams, flows) {
      const bytes = new Uint8Array(flows * 4)
      for (let i = 3; i < bytes.length; i += 4) bytes[i] = 1
      for (let i = 0; i < datagrams; i++) {
        backlog.put(datagramOf(v9({ sequence: sequence++ }, set(256, bytes))), 2055)
        backlog.commit()
      }
      await run()
    },
    async cut() {
      const { segment } = spool
      backlog.cut()
      await until(() => backlog.isEmpty)
      return segment
    },
  }
  backlog.put(datagramOf(v9({ sequence: sequence++ }, set(0, template(256, [1, 4])))), 2055)
  backlog.commit()
  await run()
  return harness
}

/** Promises that are resolved by hand. */
export function gate(): { readonly passed: Promise<void>, open(): void } {
  let open = (): void => {}
  const passed = new Promise<void>((resolve) => { open = resolve })
  return { passed, open: () => open() }
}

