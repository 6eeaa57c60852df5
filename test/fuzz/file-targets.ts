/** What is read through DuckDB, as targets of the fuzz: folders of damaged Parquet files. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { archive } from '../../formats/archive.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { parquet, vpcParquet } from '../../formats/parquet.ts'
import { runPlain } from '../core/duck/plain.ts'
import { join, u32 } from '../core/netflow/messages.ts'
import { checkRow } from './check-row.ts'
import type { Target } from './driver.ts'
import { batches, written } from './format-seeds.ts'
import { mutate } from './mutate.ts'

/** Files of an input: to open and to close a DuckDB takes as long as to read one. */
const FILES = 32
const CHECKED_ROWS = 16

const REQUEST = { fields: FIELDS.map(({ id }) => id), extras: true }

/** VPC flow logs: with the columns of AWS, of other types, and with few. */
const VPC_QUERIES = [
  `SELECT 5 AS version, '1' AS account_id, 'eni-1' AS interface_id, '10.0.0.1' AS srcaddr,
    '2001:db8::1' AS dstaddr, 443 AS srcport, 49152 AS dstport, 6 AS protocol, 20::BIGINT AS packets,
    4249::BIGINT AS bytes,
    1418530010::BIGINT AS start, 1418530070::BIGINT AS "end", 'ACCEPT' AS action, 'OK' AS log_status,
    'vpc-1' AS vpc_id, 19 AS tcp_flags, 'IPv4' AS type, 'egress' AS flow_direction, 8 AS traffic_path
    FROM range(5)`,
  `SELECT '10.0.0.' || i AS srcaddr, i::DOUBLE AS bytes, make_timestamp(1418530010000000 + i) AS start,
    CASE WHEN i % 2 = 0 THEN 'NODATA' END AS log_status FROM range(9) AS r(i)`,
]

async function parquetOf(query: string): Promise<Uint8Array> {
  const folder = mkdtempSync(joinPath(tmpdir(), 'flowkit-fuzz-'))
  const path = joinPath(folder, 'seed.parquet')
  try {
    await runPlain(`COPY (${query}) TO '${path}' (FORMAT parquet)`)
    return new Uint8Array(await readFile(path))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function readOne(format: FlowFormat, path: string): Promise<void> {
  const onFault = ({ reason }: { readonly reason: string }) => assert.ok(reason.length > 0)
  try {
    for await (const batch of format.open!(path, { ...REQUEST, onFault })) {
      for (let row = 0; row < Math.min(batch.length, CHECKED_ROWS); row++) checkRow(batch, row)
    }
    for await (const rows of format.openCounters?.(path, { onFault, onNote() {} }) ?? []) rows.length
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
}

/** Folders of files that were damaged, read as one input, and one of them by itself. */
function folders(
  name: string, format: FlowFormat, single: FlowFormat, seedsOf: () => Promise<readonly Uint8Array[]>,
): Target {
  return {
    name,
    async start() {
      const seeds = await seedsOf()
      const folder = mkdtempSync(joinPath(tmpdir(), 'flowkit-fuzz-'))
      let inputs = 0
      return {
        mutants: FILES,
        make: (random) => join(...Array.from({ length: FILES }, () => {
          const bytes = mutate(seeds[random() % seeds.length], seeds[random() % seeds.length], random)
          return join(u32(bytes.length), bytes)
        })),
        async check(input) {
          const place = joinPath(folder, String(inputs++))
          mkdirSync(place)
          const paths = filesOf(input).map((bytes, i) => {
            const path = joinPath(place, `${i}.parquet`)
            writeFileSync(path, bytes)
            return path
          })
          await readOne(format, place)
          await readOne(single, paths[0])
          rmSync(place, { recursive: true }) // what fails, or ends the process, stays
        },
        close: () => rmSync(folder, { recursive: true }),
      }
    },
  }
}

/** The files that an input is made of, each behind its length. */
function filesOf(input: Uint8Array): Uint8Array[] {
  const view = new DataView(input.buffer, input.byteOffset, input.length)
  const files: Uint8Array[] = []
  for (let at = 0; at < input.length;) {
    const end = at + 4 + view.getUint32(at)
    files.push(input.subarray(at + 4, end))
    at = end
  }
  return files
}

async function flowSeeds(): Promise<Uint8Array[]> {
  const own = await Promise.all(batches().map((batch) => written(parquet, batch)))
  const text = await written(parquet, batches()[1], { textAddresses: true })
  return [...own, text, await parquetOf(VPC_QUERIES[0])]
}

async function vpcSeeds(): Promise<Uint8Array[]> {
  return [...await Promise.all(VPC_QUERIES.map(parquetOf)), await written(parquet, batches()[0])]
}

/** Folders of flowkit's own files and of VPC flow logs. */
export const FILE_TARGETS: readonly Target[] = [
  folders('archive', archive, parquet, flowSeeds), folders('vpc-parquet', vpcParquet, vpcParquet, vpcSeeds),
]
