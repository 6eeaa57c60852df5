import type { FlowFormat } from './format.ts'
import { archive } from './archive.ts'
import { cbor } from './cbor.ts'
import { csv } from './csv.ts'
import { json, jsonArray } from './json.ts'
import { line } from './line.ts'
import { netflowPcap } from './netflow-pcap.ts'
import { parquet } from './parquet.ts'
import { table } from './table.ts'

/** Every format flowkit reads or writes, in the order of `flowkit formats`. */
export const FORMATS: readonly FlowFormat[] = [
  archive, parquet, netflowPcap, json, jsonArray, csv, cbor, table, line,
]
