import type { FlowDecoder, FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, ReadRequest, WriteRequest } from './format.ts'
import { appendRecords } from './flowd/append.ts'
import { recordReader, type RecordReader } from './flowd/decode.ts'
import { RecordWriter } from './flowd/encode.ts'
import { probeFlowd } from './flowd/probe.ts'
import { checkV2Header, V2_HEADER_SIZE, V2_MAGIC, v2Reader } from './flowd/v2.ts'

/**
 * flowd's binary logs. Version 3, records one behind the other, is read and written; version 2, with a header
 * before them, is read.
 *
 * Logs are there to be followed: what is written goes behind what a file has already. `fields` says what
 * records are made of, as `store` does in flowd.conf; each ends in a checksum.
 *
 * Source: flowd's store.h and store.c, store-v2.h and store-v2.c.
 */
export const flowd: FlowFormat = {
  name: 'flowd',
  summary: "flowd's binary log: version 3, and 2 for reading",
  extensions: ['.flowd'],
  appends: true,
  compressions: ['none'],
  clock: true,
  probe: probeFlowd,
  decoder,
  encoder,
  create: (path, request) => appendRecords(path, recordWriter(request)),
}

function recordWriter({ fields }: WriteRequest): RecordWriter {
  return new RecordWriter({ checksums: 'all', ...fields && { fields } })
}

function encoder(request: WriteRequest): FlowEncoder {
  const writer = recordWriter(request)
  return { encode: (batch) => writer.records(batch), loss: () => writer.loss }
}

function decoder(request: ReadRequest): FlowDecoder {
  let reader: RecordReader | undefined
  let position = 0 // of the first byte not consumed, in the input
  return {
    decode(bytes, at, batch) {
      const start = at
      if (at === bytes.length) return at
      if (!reader && bytes[at] !== V2_MAGIC >>> 24) reader = recordReader(request)
      if (!reader) {
        if (bytes.length - at < V2_HEADER_SIZE) return at
        checkV2Header(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), at)
        reader = v2Reader(request)
        at += V2_HEADER_SIZE
      }
      at = reader.read(bytes, at, bytes.length, position + at - start, batch)
      position += at - start
      return at
    },
  }
}
