/** What went wrong, in a form a program can test. */
export type ErrorCode =
  | 'ERR_TRUNCATED' // the input ends inside a header or record
  | 'ERR_MALFORMED' // a length, count or magic number contradicts the format
  | 'ERR_UNSUPPORTED' // well formed, but a version or feature flowkit does not handle
  | 'ERR_CHECKSUM' // a stored checksum does not match the bytes
  | 'ERR_OPTION' // the request asks for something impossible
  | 'ERR_SYNTAX' // an expression does not parse
  | 'ERR_LIMIT' // a bound that was set is reached
  | 'ERR_INPUT' // there is nothing readable at the place named

/**
 * An error about the input, not about flowkit: callers catch it, count it and go on
 * (collect, export) or print one line and exit 1 (every other command).
 */
export class FlowkitError extends Error {
  override readonly name = 'FlowkitError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
