import { BATCH_SIZE, type FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { fieldMask } from '../core/flow/fields.ts'
import type { FlowDecoder } from '../core/flow/stream.ts'
import { datagramDecoder, type DatagramDecoder } from '../core/netflow/datagram.ts'
import { fileEncoder } from '../core/netflow/encode/file.ts'
import { newDatagram } from '../core/netflow/message.ts'
import type { FlowFormat, ReadRequest } from './format.ts'
import { candidateAt, firstSetFits, FOUND, HEADER_SIZE, lengthAt, messageAt } from './ipfix-file/cut.ts'

/**
 * IPFIX files, RFC 5655: the messages of any number of observation domains, one behind the other.
 *
 * Nobody knows when and from whom messages came: flows have `received` and `exporter_addr` where their
 * records tell them, as those that flowkit writes do (elements 258, 130 and 131).
 */
export const ipfixFile: FlowFormat = {
  name: 'ipfix-file',
  summary: 'IPFIX messages in a file (RFC 5655)',
  extensions: ['.ipfix'],
  probe,
  decoder,
  encoder: fileEncoder,
}

/** There was no IPFIX before: 2000-01-01, seconds since the epoch. */
const FIRST_EXPORT = 946_684_800
/** Set headers are looked at, too. */
const PROBE_SIZE = HEADER_SIZE + 4
const EXPORT_TIME = 4
const DOMAIN = 12

function probe(head: Uint8Array): number {
  if (head.length < PROBE_SIZE) return 0
  const exportSecs = viewOf(head).getUint32(EXPORT_TIME)
  const length = lengthAt(head, 0)
  return length >= PROBE_SIZE && exportSecs >= FIRST_EXPORT && firstSetFits(head, 0, length) ? 85 : 0
}

function decoder({ fields, extras = false, onFault }: ReadRequest): FlowDecoder {
  const ipfix = datagramDecoder({ extras, arrival: false, ...fields && { fields: fieldMask(fields) } })
  const message = newDatagram()
  let consumed = 0 // bytes of the input before the ones at hand
  let seeking = false // the next message, after damage

  function decodeMessage(bytes: Uint8Array, at: number, end: number, batch: FlowBatch): void {
    if (message.bytes !== bytes) {
      message.bytes = bytes
      message.view = viewOf(bytes)
    }
    message.start = at
    message.end = end
    // domains of a file have nothing in common: each has the state of an exporter
    message.v4 = message.view.getUint32(at + DOMAIN)
    try {
      ipfix.decode(message, batch)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      onFault({ code: error.code, reason: error.message, offset: consumed + at })
    }
  }

  /** Say that no message is at `at`, and go on behind it. */
  function lose(bytes: Uint8Array, at: number): number {
    const version = bytes[at] << 8 | bytes[at + 1]
    const length = bytes[at + 2] << 8 | bytes[at + 3]
    const wanted = 'version 10 and a length that leads to the next message expected'
    const reason = `Cannot read IPFIX message: ${wanted}, version ${version} and length ${length} found`
    onFault({ code: 'ERR_MALFORMED', reason, offset: consumed + at })
    seeking = true
    return at + 1
  }

  /** Decode the messages of `bytes[at..]`; `consumed` is that of its beginning. @returns where it stopped */
  function run(bytes: Uint8Array, at: number, batch: FlowBatch, final: boolean): number {
    while (at < bytes.length && (final || batch.length < BATCH_SIZE)) {
      const outcome = seeking ? candidateAt(bytes, at, final) : messageAt(bytes, at, final)
      if (outcome === FOUND.message) {
        const end = at + lengthAt(bytes, at)
        seeking = false
        decodeMessage(bytes, at, end, batch)
        at = end
      } else if (outcome === FOUND.none) at = seeking ? at + 1 : lose(bytes, at)
      else if (final && leadsOn(bytes, at)) at = lose(bytes, at) // it is not the input that ends too early
      else break
    }
    return at
  }

  return {
    decode(bytes, at, batch) {
      consumed -= at
      const end = run(bytes, at, batch, false)
      consumed += end
      return end
    },
    end(batch, rest = new Uint8Array(0)) {
      const taken = run(rest, 0, batch, true)
      const sets = undecoded(ipfix)
      if (sets > 0) {
        const reason = `Cannot decode ${sets} data sets: their templates did not come`
        onFault({ code: 'ERR_MALFORMED', reason })
      }
      if (taken === 0 || taken === rest.length) return taken
      const reason = `Cannot read IPFIX message: the input ends ${rest.length - taken} bytes into it`
      onFault({ code: 'ERR_TRUNCATED', reason, offset: consumed + taken })
      return rest.length
    },
  }
}

/** Whether another message lies behind the beginning of one at `at` that the input's end cuts. */
function leadsOn(bytes: Uint8Array, at: number): boolean {
  for (let next = at + 1; next < bytes.length; next++) {
    if (candidateAt(bytes, next, true) === FOUND.message) return true
  }
  return false
}

/** Data sets that have waited for their templates in vain. */
function undecoded({ exporters }: DatagramDecoder): number {
  const domains = exporters.byKey.values()
  return domains.reduce((sum, { counters: { heldSets, lateSets } }) => sum + heldSets - lateSets, 0)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
