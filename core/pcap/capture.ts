import { FlowkitError } from '../flow/errors.ts'
import { CapturedPacket, type CaptureDecoder, readUint32 } from './packet.ts'
import { isPcapMagic, PcapDecoder } from './pcap.ts'
import { isPcapngMagic, PcapngDecoder } from './pcapng.ts'

const EMPTY = new Uint8Array(0)
const MAGIC_SIZE = 4

/** Whether a file that begins with `head` is a packet capture, pcap or pcapng; 4 bytes suffice. */
export function isCapture(head: Uint8Array): boolean {
  return head.length >= MAGIC_SIZE && decoderFor(head, 0) !== undefined
}

/**
 * Reader of pcap and pcapng files, fed with chunks of any size and asked for packets one by one.
 *
 * ```ts
 * const reader = new CaptureReader()
 * for (const chunk of chunks) {
 *   reader.push(chunk)
 *   while (reader.next()) use(reader.packet)
 * }
 * reader.end()
 * ```
 * A caller that keeps the bytes itself sets a `window` instead of pushing, and finds in `at` how far it got.
 */
export class CaptureReader {
  /** The packet that `next` found, valid until the reader is called again. */
  readonly packet: CapturedPacket = new CapturedPacket()
  /** Offset in the window of the first byte not yet read. */
  at = 0
  private bytes: Uint8Array = EMPTY
  private limit = 0
  private origin = 0 // offset in the file of bytes[0]
  private store: Uint8Array = EMPTY // own memory, for records that straddle chunks
  private borrowed = false // bytes belong to the caller, who may reuse them once next() was false
  private finished = false
  private decoder: CaptureDecoder | undefined

  /** Whether no packet can follow: the end has come, or damage that cannot be stepped over. */
  get isFinished(): boolean {
    return this.finished
  }

  /** Append the file's next bytes, which must stay as they are until `next` returns false. */
  push(chunk: Uint8Array): void {
    if (this.finished) return
    if (this.at === this.limit) {
      this.window(chunk, 0, chunk.length)
      this.borrowed = true
      return
    }
    this.makeRoom(chunk.length)
    this.store.set(chunk, this.limit)
    this.limit += chunk.length
  }

  /** Go on with `bytes` from `start` to `end`: what the last window left unread, and what follows it. */
  window(bytes: Uint8Array, start: number, end: number): void {
    this.origin += this.at - start
    this.bytes = bytes
    this.at = start
    this.limit = end
    this.borrowed = false
  }

  /**
   * Go to the next packet.
   *
   * @returns whether there is one; if not, the reader wants more bytes or is finished
   * @throws FlowkitError on a damaged record, with its offset in the file; the next call goes on behind it
   *   where the format allows it (a pcapng block), and otherwise returns false
   */
  next(): boolean {
    while (!this.finished) {
      const decoder = this.decoder ?? this.chooseDecoder()
      if (decoder === undefined) break
      try {
        if (!decoder.decode(this.bytes, this.at, this.limit, this.origin, this.packet)) break
      } catch (error) {
        this.finished = decoder.next === this.at
        this.at = decoder.next
        throw error
      }
      this.at = decoder.next
      if (decoder.found) return true
    }
    if (this.borrowed) this.makeRoom(0)
    return false
  }

  /**
   * Declare the end of the file, once `next` has returned false.
   *
   * @throws FlowkitError ERR_TRUNCATED when the file ends inside a record or before its header
   */
  end(): void {
    if (this.finished) return
    this.finished = true
    const rest = this.limit - this.at
    const offset = this.origin + this.at
    if (rest === 0 && offset > 0) return
    const wanted = this.decoder?.wanted ?? MAGIC_SIZE
    throw new FlowkitError(
      'ERR_TRUNCATED',
      `Cannot read capture at byte ${offset}: ${wanted} bytes wanted, ${rest} found`,
    )
  }

  private chooseDecoder(): CaptureDecoder | undefined {
    if (this.limit - this.at < MAGIC_SIZE) return undefined
    this.decoder = decoderFor(this.bytes, this.at)
    if (this.decoder === undefined) {
      this.finished = true
      const magic = readUint32(this.bytes, this.at, false).toString(16).padStart(8, '0')
      throw new FlowkitError(
        'ERR_MALFORMED',
        `Cannot read capture: magic number of pcap or pcapng wanted, 0x${magic} found`,
      )
    }
    return this.decoder
  }

  /** Bring the unread bytes into own memory with room for `more` behind them. */
  private makeRoom(more: number): void {
    if (this.bytes === this.store && this.limit + more <= this.store.length) return
    const unread = this.bytes.subarray(this.at, this.limit)
    // twice the need, so that bytes are moved seldom however small the chunks are
    const size = 2 * (unread.length + more)
    if (this.store.length < size) this.store = new Uint8Array(size)
    this.store.set(unread)
    this.window(this.store, 0, unread.length)
  }
}

/**
 * Go to what `reader` finds next in `capture`, over damaged records that the format can step over.
 *
 * @param onDamage told of each of them
 * @returns as `reader.next`
 * @throws FlowkitError on damage that ends the reading
 */
export function nextSound(
  reader: { next(): boolean }, capture: CaptureReader, onDamage: (error: FlowkitError) => void,
): boolean {
  for (;;) {
    try {
      return reader.next()
    } catch (error) {
      if (!(error instanceof FlowkitError) || capture.isFinished) throw error
      onDamage(error)
    }
  }
}

function decoderFor(bytes: Uint8Array, at: number): CaptureDecoder | undefined {
  const magic = readUint32(bytes, at, false)
  if (isPcapngMagic(magic)) return new PcapngDecoder()
  if (isPcapMagic(magic) || isPcapMagic(readUint32(bytes, at, true))) return new PcapDecoder()
  return undefined
}
