import assert from 'node:assert/strict'
import {
  appendFileSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { hourFolder, segmentTime } from '../../../core/archive/names.ts'
import { readLedger } from '../../../core/archive/ledger-files.ts'
import { openArchiveWriter } from '../../../core/archive/writer.ts'
import { ledgerOf, type LedgerRow } from '../../../core/collector/ledger.ts'
import { recover, type ReplayOptions } from '../../../core/collector/replay.ts'
import type { CollectorCounters } from '../../../core/collector/report.ts'
import { startSegments } from '../../../core/collector/segments.ts'
import { archiveSink, type Sink } from '../../../core/sinks/sink.ts'
import { listSegments } from '../../../core/spool/files.ts'
import { readState } from '../../../core/spool/state.ts'
import { openSpool, type Spool } from '../../../core/spool/spool.ts'
import { openDuck, quote } from '../../../core/duck/duck.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import type { Exporters } from '../../../core/netflow/exporters.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { restoreExporters, saveExporters } from '../../../core/netflow/snapshot.ts'
import { collector, ipfix, set, template, u32, v9 } from '../netflow/messages.ts'
import { memorySink, type MemorySink } from './memory-sink.ts'
import { blocksOf, datagramOf, temporaryFolder } from '../spool/spooled.ts'

const EXPORTER = '198.51.100.1'

/** Flows of `bytes` by template 256, which is not in the datagram. */
function data(sequence: number, ...bytes: number[]): Uint8Array {
  return v9({ sequence }, set(256, u32(...bytes)))
}

const TEMPLATE = set(0, template(256, [1, 4]))
/** The same with the template. */
function announced(sequence: number, ...bytes: number[]): Uint8Array {
  return v9({ sequence }, TEMPLATE, set(256, u32(...bytes)))
}

/** A spool as a killed process left it: segments of datagrams; a state stands for what was decoded before. */
async function spoolOf(
  t: TestContext, segments: readonly { datagrams: readonly Uint8Array[], state?: Uint8Array }[],
): Promise<{ folder: string, ids: string[] }> {
  const folder = join(temporaryFolder(t), 'spool')
  const spool = await openSpool(folder)
  const ids: string[] = []
  for (const { datagrams, state } of segments) {
    ids.push(spool.segment)
    if (state) await spool.writeState(spool.segment, state)
    for (const datagram of datagrams) {
      const blocks = blocksOf(datagramOf(datagram, EXPORTER))
      spool.append(blocks, 0, blocks.length)
    }
    spool.cut()
  }
  await spool.close()
  return { folder, ids }
}

/** The state of a decoder that has had these datagrams. */
function stateAfter(...datagrams: Uint8Array[]): Uint8Array {
  const { decoder, send } = collector()
  for (const datagram of datagrams) send(datagram, EXPORTER)
  return saveExporters(decoder.exporters)
}

interface Recovered {
  readonly first: string
  readonly exporters: Exporters
  /** How many segments were decoded again, if that was told. */
  readonly replayed: number
  readonly errors: string[]
  readonly files: [string, number][]
  /** Ids of the segments that stay. */
  readonly left: string[]
}

/** Recover a spool as a collector does that is stopped at once, with calls of it going to `faulty` first. */
async function recovered(
  folder: string, sinks: readonly Sink[], faulty: Partial<Spool> = {},
): Promise<Recovered> {
  const spool = await openSpool(folder)
  const errors: string[] = []
  const files: [string, number][] = []
  let replayed = 0
  const options = {
    onError: (error: unknown) => errors.push(String(error)),
    onFault: (error: unknown) => errors.push(String(error)),
    onFile: (path: string, rows: number) => files.push([path, rows]),
  } satisfies ReplayOptions
  const settings = { sampling: NO_RULES }
  const first = spool.segment
  const older = (await listSegments(folder)).filter(({ id }) => id !== first)
  const used = Object.assign(Object.create(spool) as Spool, faulty)
  const { exporters, formers } = await recover(used, older, first, settings, options)
  const counters: CollectorCounters = {
    datagrams: 0, refused: 0, dropped: 0, unspooled: 0, records: 0, filtered: 0, counterSamples: 0,
  }
  const segments = startSegments({
    ...options, spool: used, directory: folder, sinks, first, exporters, formers, settings, counters,
    settingsFrom: () => undefined, onReady() {}, onRecovered: (count) => { replayed = count },
  })
  await segments.stop()
  await spool.close()
  const left = (await listSegments(folder)).map(({ id }) => id)
  return { exporters, first, replayed, errors, files, left }
}

function bytesOf(sink: MemorySink): Record<string, number[]> {
  return Object.fromEntries([...sink.segments].map(([id, { rows }]) => {
    return [id, [...rows.bytes.subarray(0, rows.length)]]
  }))
}

test('segments come into the sinks in order, each with what was announced before, and go', async (t) => {
  const { folder, ids } = await spoolOf(t, [
    { datagrams: [announced(0, 1, 2)] }, { datagrams: [data(1, 3)] }, { datagrams: [data(3, 4), data(4, 5)] },
  ])
  const sink = memorySink()
  const { replayed, errors, exporters, first, left, files } = await recovered(folder, [sink])
  assert.deepEqual([...sink.segments.keys()], ids)
  assert.deepEqual(bytesOf(sink), { [ids[0]]: [1, 2], [ids[1]]: [3], [ids[2]]: [4, 5] })
  assert.deepEqual([replayed, errors], [3, []])
  assert.deepEqual(files, [[ids[0], 2], [ids[1], 1], [ids[2], 2]])
  // the ledgers go on from each to the next: message 2 is missing
  assert.deepEqual([...sink.segments.values()].map(({ ledger: [row] }) => {
    const { records, missing_messages: missing } = row as LedgerRow
    return [records, missing]
  }), [[2, 0], [3, 0], [5, 1]])
  assert.equal(ledgerOf(exporters)[0].records, 5)
  // the state of the segment that is written to now
  assert.deepEqual(left, [first])
  assert.equal(sink.writers, 0)
})

test('a state that is missing or damaged is made by decoding the segment before', async (t) => {
  for (const damage of ['missing', 'damaged']) {
    const { folder, ids } = await spoolOf(t, [
      { datagrams: [announced(0, 1)] }, { datagrams: [data(1, 2)], state: stateAfter(announced(0, 1)) },
    ])
    const state = readdirSync(folder).find((name) => name.endsWith('.state'))!
    if (damage === 'missing') rmSync(join(folder, state))
    else truncateSync(join(folder, state), 30)
    const sink = memorySink()
    const { errors } = await recovered(folder, [sink])
    assert.deepEqual(bytesOf(sink), { [ids[0]]: [1], [ids[1]]: [2] })
    assert.equal(errors.length, damage === 'damaged' ? 1 : 0)
  }
})

test('a segment that a sink has is not brought there again, and the next has its state', async (t) => {
  const first = announced(0, 1)
  for (const state of [stateAfter(first), undefined]) {
    const { folder, ids } = await spoolOf(t, [
      { datagrams: [first] }, { datagrams: [data(1, 2)], ...state && { state } },
    ])
    const [has, lacks] = [memorySink(), memorySink('other')]
    has.segments.set(ids[0], { rows: new FlowBatch(), samples: [], ledger: [] })
    const one = await recovered(folder, [has])
    assert.deepEqual(bytesOf(has), { [ids[0]]: [], [ids[1]]: [2] })
    assert.deepEqual([one.replayed, one.left], [1, [one.first]])
    const again = await spoolOf(t, [
      { datagrams: [first] }, { datagrams: [data(1, 2)], ...state && { state } },
    ])
    has.segments.clear()
    has.segments.set(again.ids[0], { rows: new FlowBatch(), samples: [], ledger: [] })
    await recovered(again.folder, [has, lacks])
    assert.deepEqual(bytesOf(has), { [again.ids[0]]: [], [again.ids[1]]: [2] })
    assert.deepEqual(bytesOf(lacks), { [again.ids[0]]: [1], [again.ids[1]]: [2] })
  }
})

test('connections end with their process: their state is not kept for what comes after', async (t) => {
  const folder = join(temporaryFolder(t), 'spool')
  const spool = await openSpool(folder)
  const message = ipfix({}, set(2, template(256, [1, 4])), set(256, u32(1)))
  const blocks = blocksOf(
    { ...datagramOf(message, EXPORTER, 4739), session: true }, datagramOf(announced(0, 2), EXPORTER),
  )
  spool.append(blocks, 0, blocks.length)
  await spool.close()
  const sink = memorySink()
  const { exporters, errors, left, first } = await recovered(folder, [sink])
  assert.deepEqual([Object.values(bytesOf(sink)), errors, left], [[[1, 2]], [], [first]])
  const [{ statePath }] = await listSegments(folder)
  const { bytes } = await readState(statePath)
  for (const all of [exporters, restoreExporters(bytes!)]) {
    const [{ sessionDomains, domains, counters }] = all.byKey.values()
    assert.deepEqual([sessionDomains, domains.size, counters.records], [0, 1, 2])
  }
})

test('a segment without datagrams hands its state on', async (t) => {
  const { folder, ids } = await spoolOf(t, [
    { datagrams: [], state: stateAfter(announced(0, 1)) }, { datagrams: [data(1, 2)] },
  ])
  const sink = memorySink()
  const { replayed, left, first } = await recovered(folder, [sink])
  assert.deepEqual([bytesOf(sink), replayed], [{ [ids[1]]: [2] }, 1])
  assert.deepEqual(left, [first])
})

test('a cut end of the last segment is dropped, damage before it is told and skipped', async (t) => {
  const { folder, ids } = await spoolOf(t, [{ datagrams: [announced(0, 1), data(1, 2), data(2, 3)] }])
  const [{ path, size }] = await listSegments(folder)
  truncateSync(path, size - 3)
  const sink = memorySink()
  const cut = await recovered(folder, [sink])
  assert.deepEqual([bytesOf(sink), cut.errors], [{ [ids[0]]: [1, 2] }, []])

  const other = await spoolOf(t, [{ datagrams: [announced(0, 1), data(1, 2), data(2, 3)] }])
  const [segment] = await listSegments(other.folder)
  const bytes = readFileSync(segment.path)
  const block = bytes.readUInt32LE(48 + 4) // the first datagram's length
  bytes.fill(0xff, 48 + block, 48 + block + 8)
  writeFileSync(segment.path, bytes)
  sink.segments.clear()
  const damaged = await recovered(other.folder, [sink])
  assert.deepEqual(bytesOf(sink), { [other.ids[0]]: [1, 3] })
  assert.match(damaged.errors.join(), /^FlowkitError: Cannot read spool segment .* bytes are skipped$/)
})

test('a sink that fails gets its segments later, the others and what comes behind have theirs', async (t) => {
  for (const failing of [{ open: true }, { write: true }, { rotate: true }]) {
    const [sink, broken] = [memorySink(), memorySink('broken')]
    broken.failing = failing
    const { folder, ids } = await spoolOf(t, [{ datagrams: [announced(0, 1)] }, { datagrams: [data(1, 2)] }])
    const first = await recovered(folder, [sink, broken])
    assert.deepEqual(bytesOf(sink), { [ids[0]]: [1], [ids[1]]: [2] })
    assert.deepEqual([first.left, first.replayed], [[...ids, first.first], 0])
    assert.ok(first.errors.length > 0 && first.errors.every((error) => /disk full|cannot open/.test(error)))
    broken.failing = {}
    const second = await recovered(folder, [sink, broken])
    assert.deepEqual(bytesOf(broken), bytesOf(sink))
    assert.deepEqual([second.replayed, second.errors, second.left], [2, [], [second.first]])
    assert.deepEqual([sink.writers, broken.writers], [0, 0])
  }
})

test('a segment stays until the next has its state', async (t) => {
  const { folder, ids } = await spoolOf(t, [{ datagrams: [announced(0, 1)] }, { datagrams: [data(1, 2)] }])
  const sink = memorySink()
  const full = async (): Promise<void> => { throw new Error('disk full') }
  const first = await recovered(folder, [sink], { writeState: full })
  assert.deepEqual(first.errors, Array(3).fill('Error: disk full'))
  assert.deepEqual([bytesOf(sink), first.left], [{ [ids[0]]: [1], [ids[1]]: [2] }, ids])
  assert.equal(ledgerOf(first.exporters)[0].records, 2) // collecting goes on with what is known
  const second = await recovered(folder, [sink])
  assert.deepEqual([bytesOf(sink), second.errors], [{ [ids[0]]: [1], [ids[1]]: [2] }, []]) // once
  assert.deepEqual(second.left, [second.first])
})

test('a segment that cannot be read is told and stays, and the others are recovered', async (t) => {
  const { folder, ids } = await spoolOf(t, [
    { datagrams: [announced(0, 1)] }, { datagrams: [data(1, 2)] },
    { datagrams: [data(2, 3)], state: stateAfter(announced(0, 1), data(1, 2)) },
  ])
  const { path } = (await listSegments(folder))[1]
  rmSync(path)
  mkdirSync(path)
  const sink = memorySink()
  const { errors, left, first } = await recovered(folder, [sink])
  assert.match(errors.join(), /EISDIR/)
  assert.deepEqual(bytesOf(sink), { [ids[0]]: [1], [ids[2]]: [3] })
  assert.deepEqual(left, [ids[1], first])
})

/** What the flows of an archive have for bytes. */
async function archived(archive: string): Promise<number[]> {
  const duck = await openDuck({ threads: 1 })
  try {
    const files = quote(`${archive}/flows/*/*/*.parquet`)
    const rows = await duck.rows(`SELECT bytes FROM read_parquet(${files}) ORDER BY 1`)
    return rows.map(([bytes]) => Number(bytes))
  } finally {
    await duck.close()
  }
}

test('files that a sudden end left between two names are replaced', async (t) => {
  const { folder, ids: [id] } = await spoolOf(t, [{ datagrams: [announced(0, 1, 2), data(1, 3)] }])
  const archive = join(folder, '..', 'archive')
  const writer = await openArchiveWriter(archive, { segment: id })
  const { batch, send } = collector()
  send(announced(0, 1, 2))
  await writer.write(batch)
  await writer.rotate({ ledger: [{ exporter: 'x' }] })
  await writer.close()
  const ledger = join(archive, 'ledger', hourFolder(segmentTime(id)), `${id}.parquet`)
  rmSync(ledger) // it would have had its name next
  assert.deepEqual(await archived(archive), [1, 2])
  const { errors, files } = await recovered(folder, [archiveSink(archive)])
  assert.deepEqual(errors, [])
  assert.deepEqual(await archived(archive), [1, 2, 3])
  assert.equal(files.length, 1)
  assert.ok(readFileSync(ledger).length > 0)
  assert.deepEqual(readdirSync(archive).filter((name) => name.startsWith('.tmp')), [])
})

test('a segment that the archive has, ledger and all, is left as it is', async (t) => {
  const { folder } = await spoolOf(t, [{ datagrams: [announced(0, 1, 2)] }])
  const archive = join(folder, '..', 'archive')
  const kept = join(folder, '..', 'kept')
  const [{ path }] = await listSegments(folder)
  writeFileSync(kept, readFileSync(path))
  await recovered(folder, [archiveSink(archive)])
  appendFileSync(path, readFileSync(kept)) // as if it had not been removed
  const { replayed, left, first } = await recovered(folder, [archiveSink(archive)])
  assert.deepEqual(await archived(archive), [1, 2])
  assert.deepEqual([replayed, left], [0, [first]])
})

test('a clock that is set back an hour changes neither the order of segments nor their flows', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 9, 25, 1, 0, 5) })
  const archive = join(temporaryFolder(t), 'archive')
  const sink = memorySink()
  const folder = join(archive, '..', 'spool')
  const spool = await openSpool(folder)
  const ids: string[] = []
  for (const [i, datagram] of [announced(0, 1), data(1, 2), data(2, 3)].entries()) {
    ids.push(spool.segment)
    const blocks = blocksOf(datagramOf(datagram, EXPORTER))
    spool.append(blocks, 0, blocks.length)
    t.mock.timers.setTime(Date.UTC(2026, 9, 25, 0, 0, 6 + i))
    spool.cut()
  }
  await spool.close()
  assert.deepEqual(ids.map((id) => id.slice(9, 15)), ['010005', '000006', '000007'])
  const { errors, left, first } = await recovered(folder, [sink, archiveSink(archive)])
  assert.deepEqual(bytesOf(sink), { [ids[0]]: [1], [ids[1]]: [2], [ids[2]]: [3] })
  assert.deepEqual([...sink.segments.keys()], ids)
  const ledgers = [...sink.segments.values()].map(({ ledger: [row] }) => row as LedgerRow)
  assert.deepEqual(ledgers.map(({ records }) => records), [1, 2, 3])
  assert.deepEqual(await archived(archive), [1, 2, 3])
  const [latest] = await readLedger(archive, { onFault: ({ reason }) => assert.fail(reason) })
  assert.equal(latest.records, 3)
  assert.deepEqual([errors, left], [[], [first]])
})
