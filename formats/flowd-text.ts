import { ID } from '../core/flow/fields.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { RecordWriter, type RecordOptions } from './flowd/encode.ts'
import { RecordLines } from './flowd/text.ts'
import type { FlowFormat, WriteRequest } from './format.ts'

/** What `flowd-reader` prints without options. */
const BRIEF = [
  ID.tag, ID.received, ID.proto, ID.tcpFlags, ID.tos, ID.exporterAddr, ID.srcAddr, ID.dstAddr, ID.srcPort,
  ID.dstPort, ID.packets, ID.bytes,
]

/**
 * What `flowd-reader` prints, byte for byte: a line a flow, with the fields that it has. `fields` asks for
 * others than it prints without options; they come in their groups, as in flowd's logs.
 */
export const flowdText: FlowFormat = {
  name: 'flowd-text',
  summary: 'What flowd-reader prints, one line a flow',
  extensions: [],
  printed: BRIEF,
  encoder: (request) => encoder({ fields: BRIEF, ...request }, 'none'),
}

/**
 * What `flowd-reader -v` prints, byte for byte: a line that names the file, and all fields. The checksum is
 * that of the record which flowd stores of the flow; those of NetFlow v9 and IPFIX have none.
 */
export const flowdTextV: FlowFormat = {
  name: 'flowd-text-v',
  summary: 'What flowd-reader -v prints, one line a flow',
  extensions: [],
  clock: true,
  heading: (name) => `LOGFILE ${name}\n`,
  encoder: (request) => encoder(request, 'fixed'),
}

function encoder(
  { fields, utc = false }: WriteRequest, checksums: RecordOptions['checksums'],
): FlowEncoder {
  const records = new RecordWriter({ checksums, ...fields && { fields } })
  const lines = new RecordLines(!utc)
  return { encode: (batch) => lines.take(lines.lines(records.records(batch))) }
}
