import type { Emit } from './encoder.ts'
import type { ExportClock } from './clock.ts'
import type { SetVersion } from './layout.ts'

const HEADER_SIZES: Readonly<Record<SetVersion, number>> = { 9: 20, 10: 16 }
const SET_HEADER = 4

/** What has been exported, for the records that tell of it. */
export interface ExportCounts {
  messages: number
  bytes: number
  /** Flow records, without options. */
  flows: number
}

/** A NetFlow v9 or IPFIX message that is being filled: sets one behind the other, until it is given out. */
export interface OutMessage {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** What was exported before this message. */
  readonly sent: ExportCounts
  /** Where the next record goes; who writes there moves it. */
  at: number
  /** Bytes left for records of set `id`, whose header is allowed for. */
  room(id: number): number
  /**
   * Go on in set `id`, opening it if it is not the last.
   *
   * @param least bytes of a record: padding that could be taken for one is left away (RFC 7011 §3.3.1)
   */
  inSet(id: number, least: number): void
  /** End the last set, so that the next record begins one. */
  closeSet(): void
  /** Count records written: of flows, of options, or templates. */
  count(records: number, kind: 'flows' | 'options' | 'templates'): void
  /** Whether nothing is in it yet. */
  isEmpty(): boolean
  /** Write the header and give the message out, unless it is empty. */
  finish(clock: ExportClock, emit: Emit): void
}

/**
 * Messages of at most `maxSize` bytes.
 *
 * The count of v9 is of records of all kinds (RFC 3954 §5.1); sequence numbers count messages there, and data
 * records, options among them, in IPFIX (RFC 7011 §3.1).
 */
export function outMessage(version: SetVersion, maxSize: number, domain: number): OutMessage {
  const headerSize = HEADER_SIZES[version]
  const bytes = new Uint8Array(maxSize)
  const view = new DataView(bytes.buffer)
  const sent: ExportCounts = { messages: 0, bytes: 0, flows: 0 }
  let openId = -1
  let openAt = 0
  let leastRecord = 0
  let records = 0
  let dataRecords = 0
  let flows = 0
  let sequence = 0

  function writeHeader({ exportSecs, sysUptime }: ExportClock): void {
    view.setUint16(0, version)
    view.setUint16(2, version === 9 ? records : message.at)
    let at = 4
    if (version === 9) {
      view.setUint32(at, sysUptime)
      at += 4
    }
    view.setUint32(at, exportSecs)
    view.setUint32(at + 4, sequence)
    view.setUint32(at + 8, domain)
  }

  const message: OutMessage = {
    bytes, view, sent,
    at: headerSize,
    room(id) {
      if (id === openId) return maxSize - message.at
      const padding = openId < 0 ? 0 : 3 // that may end the open set
      return Math.max(0, maxSize - message.at - padding - SET_HEADER)
    },
    inSet(id, least) {
      if (id === openId) return
      message.closeSet()
      openId = id
      openAt = message.at
      leastRecord = least
      view.setUint16(openAt, id)
      message.at += SET_HEADER
    },
    closeSet() {
      if (openId < 0) return
      const padding = (4 - (message.at - openAt) % 4) % 4
      if (padding < leastRecord && padding <= maxSize - message.at) {
        bytes.fill(0, message.at, message.at + padding)
        message.at += padding
      }
      view.setUint16(openAt + 2, message.at - openAt)
      openId = -1
    },
    count(n, kind) {
      records += n
      if (kind !== 'templates') dataRecords += n
      if (kind === 'flows') flows += n
    },
    isEmpty: () => message.at === headerSize,
    finish(clock, emit) {
      message.closeSet()
      if (message.at === headerSize) return
      writeHeader(clock)
      emit(bytes.subarray(0, message.at))
      sequence = (sequence + (version === 9 ? 1 : dataRecords)) >>> 0
      sent.messages++
      sent.bytes += message.at
      sent.flows += flows
      message.at = headerSize
      records = dataRecords = flows = 0
    },
  }
  return message
}
