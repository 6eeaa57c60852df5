import type { Emit, ExportClock } from './encoder.ts'

/** The versions that are made of sets. */
export type SetVersion = 9 | 10

const HEADER_SIZES: Readonly<Record<SetVersion, number>> = { 9: 20, 10: 16 }
const SET_HEADER = 4

/** A NetFlow v9 or IPFIX message that is being filled: sets one behind the other, until it is given out. */
export interface OutMessage {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Where the next record goes; who writes there moves it. */
  at: number
  /** Bytes left for records of set `id`, whose header is allowed for. */
  room(id: number): number
  /** Go on in set `id`, opening it if it is not the last. */
  inSet(id: number): void
  /** Count records written: of data (`data`) or of templates. */
  count(records: number, data: boolean): void
  /** Whether no record is in it yet. */
  isEmpty(): boolean
  /** Write the header and give the message out, unless it is empty. */
  finish(clock: ExportClock, emit: Emit): void
}

/** Messages of at most `maxSize` bytes; sequence numbers count messages (v9) or data records (IPFIX). */
export function outMessage(version: SetVersion, maxSize: number, domain: number): OutMessage {
  const headerSize = HEADER_SIZES[version]
  const bytes = new Uint8Array(maxSize)
  const view = new DataView(bytes.buffer)
  let openId = -1
  let openAt = 0
  let records = 0
  let dataRecords = 0
  let sequence = 0

  function closeSet(): void {
    if (openId < 0) return
    while ((message.at - openAt) % 4 !== 0 && message.at < maxSize) bytes[message.at++] = 0
    view.setUint16(openAt + 2, message.at - openAt)
    openId = -1
  }

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
    bytes, view,
    at: headerSize,
    room(id) {
      // up to 3 bytes of padding may end the open set
      return id === openId ? maxSize - message.at : Math.max(0, maxSize - message.at - SET_HEADER - (openId < 0 ? 0 : 3))
    },
    inSet(id) {
      if (id === openId) return
      closeSet()
      openId = id
      openAt = message.at
      view.setUint16(openAt, id)
      message.at += SET_HEADER
    },
    count(n, data) {
      records += n
      if (data) dataRecords += n
    },
    isEmpty: () => message.at === headerSize,
    finish(clock, emit) {
      closeSet()
      if (message.at === headerSize) return
      writeHeader(clock)
      sequence = (sequence + (version === 9 ? 1 : dataRecords)) >>> 0
      emit(bytes.subarray(0, message.at))
      message.at = headerSize
      records = dataRecords = 0
    },
  }
  return message
}
