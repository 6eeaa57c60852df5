/**
 * Floods a decoder with templates that are never meant, from addresses, ports and domains that are never the
 * same, and tells how much memory it keeps. Started by memory.test.ts, with `--expose-gc`.
 *
 * Arguments: `templates`, or `records` for a data record behind each template; then after how many templates
 * to measure, several numbers in rising order.
 */
import { FlowBatch } from '../../../core/flow/batch.ts'
import { VARIABLE_LENGTH } from '../../../core/flow/shape.ts'
import { datagramDecoder } from '../../../core/netflow/datagram.ts'
import { newDatagram } from '../../../core/netflow/message.ts'
import { EXPORTED, RECEIVED } from './messages.ts'

/** What is kept after some templates. */
export interface Kept {
  /** Templates sent, and those that are remembered. */
  readonly sent: number
  readonly templates: number
  /** Plans that are ready. */
  readonly plans: number
  /** Records decoded. */
  readonly records: number
  /** Bytes of heap and buffers, less what there was before the first; those of the batch are among them. */
  readonly bytes: number
}

const TEMPLATES = 25
const FIELDS = 20
const V9_HEADER = 20
const IPFIX_HEADER = 16
/** Lengths of fields; IPFIX has variable ones too. */
const LENGTHS = [1, 2, 4, 4, 4, 8, 16, VARIABLE_LENGTH]

let state = 0x9e3779b9
/** A number below `limit`, the same in every run (xorshift32). */
function random(limit: number): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  return (state >>> 0) % limit
}

const message = Buffer.alloc(65_536)
const view = new DataView(message.buffer, message.byteOffset, message.length)

/** Make the next message. @returns its length */
function writeMessage(withRecords: boolean): number {
  const ipfix = random(2) === 1
  let at = ipfix ? IPFIX_HEADER : V9_HEADER
  const set = at
  const records: number[] = [] // of each template's record: its bytes
  view.setUint16(set, ipfix ? 2 : 0)
  at += 4
  for (let i = 0; i < TEMPLATES; i++) {
    view.setUint16(at, 256 + i)
    view.setUint16(at + 2, FIELDS)
    at += 4
    let size = 0
    for (let field = 0; field < FIELDS; field++) {
      const length = LENGTHS[random(LENGTHS.length - (ipfix ? 0 : 1))]
      const enterprise = ipfix && random(8) === 0
      view.setUint16(at, 1 + random(500) + (enterprise ? 0x8000 : 0))
      view.setUint16(at + 2, length)
      if (enterprise) view.setUint32(at + 4, random(60_000))
      at += enterprise ? 8 : 4
      size += length === VARIABLE_LENGTH ? 2 : length
    }
    records.push(size)
  }
  view.setUint16(set + 2, at - set)
  for (const [i, size] of withRecords ? records.entries() : []) {
    view.setUint16(at, 256 + i)
    view.setUint16(at + 2, 4 + size)
    message.fill(1, at + 4, at + 4 + size) // of a variable length: 1, and the byte
    at += 4 + size
  }
  view.setUint16(0, ipfix ? 10 : 9)
  view.setUint16(2, ipfix ? at : TEMPLATES)
  if (!ipfix) view.setUint32(4, 600_000)
  view.setUint32(ipfix ? 4 : 8, EXPORTED)
  view.setUint32(ipfix ? 12 : 16, random(2 ** 32))
  return at
}

function flood(withRecords: boolean, checkpoints: readonly number[]): Kept[] {
  const decoder = datagramDecoder({ extras: true })
  const { exporters } = decoder
  const batch = new FlowBatch()
  const datagram = newDatagram()
  datagram.bytes = message
  datagram.view = view
  datagram.received = RECEIVED
  let [sent, records] = [0, 0]
  const before = used()
  return checkpoints.map((checkpoint) => {
    for (; sent < checkpoint; sent += TEMPLATES) {
      datagram.end = writeMessage(withRecords)
      datagram.v4 = random(2 ** 32)
      datagram.port = random(65_536)
      records += decoder.decode(datagram, batch)
      batch.clear()
    }
    const { templates, plans } = exporters
    return { sent, templates, plans: plans.byLayout.size, records, bytes: used() - before }
  })
}

function used(): number {
  globalThis.gc!()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const [what, ...checkpoints] = process.argv.slice(2)
console.log(JSON.stringify(flood(what === 'records', checkpoints.map(Number))))
