import { FlowkitError } from '../flow/errors.ts'

/** Takes the message `bytes[start..end)`, which is valid during the call. */
export type TakeMessage = (bytes: Uint8Array, start: number, end: number) => void

/** Cuts a stream of bytes into IPFIX messages: their headers tell their lengths (RFC 7011 §3.1). */
export interface MessageCutter {
  /** Bytes of a message that is not complete yet; 0 between messages. */
  readonly held: number
  /** Bytes that it needs, for which there is memory: those up to its length, as long as that has not come. */
  readonly wanted: number
  /**
   * Take the next bytes of the stream, and hand over the messages that are complete.
   *
   * @throws FlowkitError ERR_MALFORMED where no message can begin; nothing after that can be told apart
   */
  push(chunk: Uint8Array): void
}

const VERSION = 10
const HEADER_SIZE = 16
const PREFIX_SIZE = 4 // version and length
const NOTHING = new Uint8Array(0)

/**
 * Cut a stream, handing its messages to `take`.
 *
 * A message that lies whole in a chunk is handed over in it; others are joined, in 65,535 bytes at most.
 */
export function messageCutter(take: TakeMessage): MessageCutter {
  let part: Uint8Array = NOTHING // as long as what is wanted
  let held = 0

  /** Add what the chunk has of the message that is not complete. @returns the offset behind it */
  function complete(chunk: Uint8Array): number {
    let at = 0
    while (part.length > 0 && at < chunk.length) {
      const next = Math.min(at + part.length - held, chunk.length)
      part.set(chunk.subarray(at, next), held)
      held += next - at
      at = next
      if (held < part.length) break
      if (held === PREFIX_SIZE) part = beginMessage(part, 0)
      else {
        const message = part
        part = NOTHING
        held = 0
        take(message, 0, message.length)
      }
    }
    return at
  }

  return {
    get held() { return held },
    get wanted() { return part.length },
    push(chunk) {
      const end = chunk.length
      let at = complete(chunk)
      while (end - at >= PREFIX_SIZE) {
        const next = at + lengthAt(chunk, at)
        if (next > end) break
        take(chunk, at, next)
        at = next
      }
      if (at === end) return
      part = end - at < PREFIX_SIZE ? new Uint8Array(PREFIX_SIZE) : beginMessage(chunk, at)
      part.set(chunk.subarray(at))
      held = end - at
    },
  }
}

/** Memory for the message at `at`, with its version and length. */
function beginMessage(bytes: Uint8Array, at: number): Uint8Array {
  const message = Buffer.allocUnsafeSlow(lengthAt(bytes, at)) // not of a pool, which would be kept with it
  message.set(bytes.subarray(at, at + PREFIX_SIZE))
  return message
}

/** The length of the message at `at`, of which at least version and length are there. */
function lengthAt(bytes: Uint8Array, at: number): number {
  const version = bytes[at] << 8 | bytes[at + 1]
  const length = bytes[at + 2] << 8 | bytes[at + 3]
  if (version === VERSION && length >= HEADER_SIZE) return length
  const wanted = `version ${VERSION} and a length of ${HEADER_SIZE} or more expected`
  const found = `version ${version} and length ${length} found`
  throw new FlowkitError('ERR_MALFORMED', `Cannot read IPFIX message: ${wanted}, ${found}`)
}
