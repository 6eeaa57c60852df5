import { FlowkitError, type ErrorCode } from './flow/errors.ts'

/** An error as it goes from one thread to another, with what messages are made of. */
export interface PackedError {
  readonly message: string
  readonly isFlowkit: boolean
  readonly properties: Readonly<Record<string, unknown>>
}

const PROPERTIES = ['code', 'errno', 'syscall', 'path', 'dest', 'address', 'port', 'hostname', 'stack']

/** Make an error ready for another thread. */
export function packError(error: unknown): PackedError {
  if (!(error instanceof Error)) return { message: String(error), isFlowkit: false, properties: {} }
  const values = PROPERTIES.map((name) => [name, (error as unknown as Record<string, unknown>)[name]])
  return {
    message: error.message, isFlowkit: error instanceof FlowkitError,
    properties: Object.fromEntries(values.filter(([, value]) => value !== undefined)),
  }
}

/** The error that was packed. */
export function unpackError({ message, isFlowkit, properties }: PackedError): Error {
  if (isFlowkit) return new FlowkitError(properties['code'] as ErrorCode, message)
  return Object.assign(new Error(message), properties)
}
