import type { FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { fieldMask } from '../core/flow/fields.ts'
import { parsed } from '../core/flow/parse-bytes.ts'
import { loseFields, newLoss } from '../core/flow/loss.ts'
import type { FlowDecoder, FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, ReadRequest } from './format.ts'
import { CARRIED, goflow2Target, loseSecondMacs } from './goflow2/keys.ts'
import { messageKeys } from './goflow2/message.ts'
import { Goflow2MessageWriter } from './goflow2/message-writer.ts'
import { isSflow, MessageScanner, readVarint } from './goflow2/message-scanner.ts'
import { readMessage, VARINT } from './goflow2/wire.ts'
import { isFull, namedRows, type NamedRowsOptions, type StoreRow } from './named-rows.ts'

/**
 * Protobuf messages of goflow2, version 2 (its flow.proto), each behind its length, with or without the
 * newline behind it that its file transport writes. Written with it, as goflow2 does by default.
 */
export const goflow2Protobuf: FlowFormat = {
  name: 'goflow2-protobuf',
  summary: 'Protobuf messages as goflow2 writes them, each behind its length',
  extensions: [],
  probe: (head) => looksRight(head) ? 75 : 0,
  decoder,
  encoder,
}

const NEWLINE = 10
/** Bytes that a message may have. */
const MOST_BYTES = 1 << 16
/** Lists of keys remembered. */
const MOST_LISTS = 1024
/** Field 1, a varint: the type, with which goflow2 begins its messages. */
const TYPE_TAG = 0x08
/** Messages that must look right for a file to be taken for one. */
const PROBED = 3

function decoder({ extras = false, loss, onFault }: ReadRequest): FlowDecoder {
  const stores = new Map<string, StoreRow>()
  const [plain, sflow] = [false, true].map((is) => new MessageScanner(optionsOf(is)))
  let consumed = 0

  function optionsOf(is: boolean): NamedRowsOptions {
    return { extras, loss, target: (name) => goflow2Target(name, is) }
  }

  function store(bytes: Uint8Array, start: number, end: number, batch: FlowBatch): void {
    const members = readMessage(bytes, start, end)
    const { kind, names, values } = messageKeys(members)
    const list = `${kind}\n${names.join('\n')}`
    let row = stores.get(list)
    if (!row) {
      row = namedRows(names, optionsOf(kind === 'SFLOW_5'))
      if (stores.size < MOST_LISTS) stores.set(list, row)
    }
    row(batch, values)
  }

  function takeAll(bytes: Uint8Array, at: number, batch: FlowBatch, base: number): number {
    while (!isFull(batch)) {
      const start = isSeparator(bytes, at) ? at + 1 : at
      const from = readVarint(bytes, start, bytes.length)
      const offset = base + at
      const length = parsed[0]
      if (from < 0 || length > Number.MAX_SAFE_INTEGER) {
        if (bytes.length - start < VARINT) break
        throw malformed('expected its length', offset)
      }
      if (length > MOST_BYTES) throw malformed(`${length} bytes are too many`, offset)
      const end = from + length
      // a separator that is not there yet belongs to the message before
      if (end > bytes.length) break
      const scanner = isSflow(bytes, from, end) ? sflow : plain
      if (!scanner.take(bytes, from, end)) {
        try {
          store(bytes, from, end, batch)
        } catch (error) {
          if (!(error instanceof FlowkitError)) throw error
          onFault({ code: error.code, reason: error.message, offset })
        }
      }
      at = end
    }
    return at
  }

  return {
    decode(bytes, at, batch) {
      plain.rows.bind(batch)
      sflow.rows.bind(batch)
      try {
        const end = takeAll(bytes, at, batch, consumed - at)
        consumed += end - at
        return end
      } finally {
        plain.rows.settle()
        sflow.rows.settle()
      }
    },
    end: (_, rest = new Uint8Array(0)) => rest.length === 1 && rest[0] === NEWLINE ? 1 : 0,
  }
}

/** Whether a newline stands between messages here: it could also be the length of one of 10 bytes. */
function isSeparator(bytes: Uint8Array, at: number): boolean {
  if (bytes[at] !== NEWLINE) return false
  if (bytes[at + 1] !== TYPE_TAG) return true
  const end = at + 1 + NEWLINE
  return end >= bytes.length || (bytes[end] !== NEWLINE && bytes[end + 1] !== TYPE_TAG)
}

function looksRight(head: Uint8Array): boolean {
  let at = 0
  let count = 0
  while (count < PROBED) {
    const from = readVarint(head, isSeparator(head, at) && at > 0 ? at + 1 : at, head.length)
    if (from < 0 || parsed[0] < 8 || parsed[0] > MOST_BYTES) return false
    if (head[from] !== TYPE_TAG || head[from + 1] > 4) return false
    count++
    at = from + parsed[0]
    try {
      if (at <= head.length) readMessage(head, from, at)
    } catch {
      return false
    }
    if (at === head.length - 1 && head[at] === NEWLINE) at++
    if (at >= head.length) break // the file, or what is looked at of it, ends here
  }
  return at === head.length || count >= 2
}

function malformed(reason: string, offset: number): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot read goflow2 message at byte ${offset}: ${reason}`)
}

function encoder(): FlowEncoder {
  const loss = newLoss()
  const carried = fieldMask(CARRIED)
  const writer = new Goflow2MessageWriter()
  return {
    encode(batch) {
      loseFields(loss, batch, carried, false)
      loseSecondMacs(loss, batch)
      return writer.take(writer.rows(batch))
    },
    loss: () => loss,
  }
}
