/** How compressed input that cannot be unpacked is told of. */
import { FlowkitError } from '../flow/errors.ts'

/** What is compressed contradicts its format. @param offset in the compressed bytes */
export function malformed(codec: string, offset: number, found: string): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot unpack ${codec} at byte ${offset}: ${found}`)
}

/** What is compressed ends too early. @param offset of the part of it that is not whole */
export function truncated(codec: string, offset: number): FlowkitError {
  return new FlowkitError('ERR_TRUNCATED', `Cannot unpack ${codec} at byte ${offset}: it ends too early`)
}

/** What was unpacked is not what was packed. @param offset of the stored checksum */
export function mismatched(codec: string, offset: number, what: string): FlowkitError {
  return new FlowkitError('ERR_CHECKSUM', `Cannot unpack ${codec} at byte ${offset}: ${what} does not match`)
}

/** What is compressed is in a way that flowkit cannot unpack. */
export function unsupported(codec: string, offset: number, found: string): FlowkitError {
  return new FlowkitError('ERR_UNSUPPORTED', `Cannot unpack ${codec} at byte ${offset}: ${found}`)
}

/** What is compressed wants more than flowkit grants. */
export function limited(codec: string, offset: number, found: string): FlowkitError {
  return new FlowkitError('ERR_LIMIT', `Cannot unpack ${codec} at byte ${offset}: ${found}`)
}
