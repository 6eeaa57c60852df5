import type { FlowFormat } from './format.ts'
import { archive } from './archive.ts'
import { cbor } from './cbor.ts'
import { csv } from './csv.ts'
import { flowdCsv } from './flowd-csv.ts'
import { flowdText, flowdTextV } from './flowd-text.ts'
import { flowd } from './flowd.ts'
import { flowExport } from './flow-export.ts'
import { flowPrint, flowPrintFormats } from './flow-print.ts'
import { flowTools } from './flow-tools.ts'
import { goflow2Json } from './goflow2-json.ts'
import { goflow2Protobuf } from './goflow2-protobuf.ts'
import { ipfixFile } from './ipfix-file.ts'
import { json, jsonArray } from './json.ts'
import { netflowPcap } from './netflow-pcap.ts'
import { nfdumpText } from './nfdump-text.ts'
import { nfdump, nfdump16, nfdump178 } from './nfdump.ts'
import { parquet, vpcParquet } from './parquet.ts'
import { table } from './table.ts'
import { vpcLog } from './vpc-log.ts'

/** Every format flowkit reads or writes, in the order of `flowkit formats`. */
export const FORMATS: readonly FlowFormat[] = [
  archive, parquet, netflowPcap, ipfixFile, nfdump, nfdump16, nfdump178, flowd, flowTools, goflow2Json,
  goflow2Protobuf, vpcLog, vpcParquet, json, jsonArray, csv, cbor, table, ...nfdumpText,
  flowdText, flowdTextV, flowdCsv, flowPrint, flowExport, ...flowPrintFormats,
]
