/** What became of the flows of marked-flows.ts. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { readDatagram } from '../../core/spool/datagram-block.ts'
import { listSegments, type SpoolSegment } from '../../core/spool/files.ts'
import { readSegment } from '../../core/spool/segment.ts'
import { openDuck, quote, type Duck } from '../../core/duck/duck.ts'
import { formatIpv4 } from '../../core/flow/address.ts'
import { newDatagram } from '../../core/netflow/message.ts'
import { FLOWS, SAMPLING, type MarkedExporter, type MarkedTraffic } from './marked-flows.ts'

/** The numbers of datagrams that have been in a spool, by exporter. */
export type Spooled = Map<string, Set<number>>

/** Add what is in a spool that nobody writes to. */
export async function addSpooled(spooled: Spooled, folder: string, traffic: MarkedTraffic): Promise<void> {
  const byAddress = new Map(traffic.exporters.map((exporter) => [exporter.address, exporter]))
  const datagram = newDatagram()
  for (const { path, size } of await segmentsBelow(folder)) {
    if (size === 0) continue
    for await (const { bytes, view, start, end } of readSegment(path, (error) => assert.fail(error))) {
      for (let at = start; (at = readDatagram(bytes, view, at, end, datagram)) >= 0;) {
        const address = formatIpv4(datagram.v4)
        const number = numberIn(byAddress.get(address)!, view, datagram.start)
        if (number < 0) continue
        const numbers = spooled.get(address) ?? new Set()
        spooled.set(address, numbers.add(number))
      }
    }
  }
}

/** The segments of a spool and of the spools of lanes in it. */
async function segmentsBelow(folder: string): Promise<SpoolSegment[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  const lanes = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  return (await Promise.all([folder, ...lanes].map(listSegments))).flat()
}

function numberIn({ version, numberOf }: MarkedExporter, view: DataView, start: number): number {
  return numberOf(view.getUint32(start + (version === 5 ? 16 : version === 9 ? 12 : 8)))
}

/** What was found. */
export interface Found {
  /** Datagrams of flows sent, and of these archived. */
  readonly sent: number
  readonly archived: number
  readonly files: number
}

/**
 * Assert that each flow is in the archive once or not at all, that what was spooled is there, that the ledger
 * says what is missing, and that nothing else is left behind.
 */
export async function checkArchive(
  archive: string, spool: string, traffic: MarkedTraffic, spooled: Spooled,
): Promise<Found> {
  await assertTidy(archive, spool)
  const duck = await openDuck({ threads: 2 })
  try {
    let archived = 0
    for (const exporter of traffic.exporters) {
      archived += await checkExporter(duck, archive, exporter, spooled.get(exporter.address) ?? new Set())
    }
    const all = quote(`${archive}/*/*/*/*.parquet`)
    const [[files]] = await duck.rows(`SELECT count(DISTINCT file_name) FROM parquet_metadata(${all})`)
    const [[rows]] = await duck.rows(`SELECT count(*) FROM read_parquet(${allOf(archive, 'flows')})`)
    assert.equal(Number(rows), archived * FLOWS)
    return { sent: traffic.sent, archived, files: Number(files) }
  } finally {
    await duck.close()
  }
}

function allOf(archive: string, table: string): string {
  return `${quote(`${archive}/${table}/*/*/*.parquet`)}, union_by_name = true, filename = true`
}

/** Nothing half-written: no temporary file, and no segment with data. */
async function assertTidy(archive: string, spool: string): Promise<void> {
  const names = await readdir(archive, { recursive: true })
  assert.deepEqual(names.filter((name) => /tmp/.test(name)), [])
  assert.deepEqual((await segmentsBelow(spool)).filter(({ size }) => size > 0), [])
}

/** @returns how many of its datagrams are archived */
async function checkExporter(
  duck: Duck, archive: string, { address, sent, missing }: MarkedExporter, spooled: ReadonlySet<number>,
): Promise<number> {
  const key = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  const from = `read_parquet(${allOf(archive, 'flows')}) WHERE exporter_addr_lo & 4294967295 = ${key}`
  const numbers = await duck.rows(`
    SELECT bytes // ${FLOWS}, count(*), count(DISTINCT bytes), min(sampling_rate), max(sampling_rate)
    FROM ${from} GROUP BY 1`)
  const archived = new Set<number>()
  for (const [number, ...counts] of numbers) {
    const whole = [FLOWS, FLOWS, SAMPLING, SAMPLING]
    assert.deepEqual(counts.map(Number), whole, `datagram ${number} of ${address}`)
    assert.ok(Number(number) < sent)
    archived.add(Number(number))
  }
  const absent = [...spooled].filter((number) => !archived.has(number))
  assert.deepEqual(absent, [], `${address}: spooled, not archived`)
  const [[records, lost, faulty, restarts, reordered]] = await duck.rows(`
    SELECT records, ${missing.column}, faulty, restarts, reordered
    FROM read_parquet(${allOf(archive, 'ledger')})
    WHERE exporter = ${quote(address)} ORDER BY as_of_ms DESC LIMIT 1`)
  assert.deepEqual({
    records: Number(records), lost: Number(lost), faulty: Number(faulty), restarts: Number(restarts),
    reordered: Number(reordered),
  }, {
    records: archived.size * FLOWS, lost: (sent - archived.size) * missing.units, faulty: 0, restarts: 0,
    reordered: 0,
  }, address)
  return archived.size
}
