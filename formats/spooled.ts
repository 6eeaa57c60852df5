import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FlowkitError } from '../core/flow/errors.ts'
import type { Fault } from '../core/flow/stream.ts'

/**
 * Read bytes that come one after the other with a reader that needs a file: they lie in a temporary one for
 * as long as it is read.
 *
 * @param name of the input, for messages in place of that of the file
 * @throws what `read` throws, what `chunks` throws, and the system error when there is no room for them
 */
export async function* spooled<Rows, Request extends { onFault(fault: Fault): void }>(
  chunks: AsyncIterable<Uint8Array>, name: string, request: Request,
  read: (path: string, request: Request) => AsyncIterable<Rows>,
): AsyncGenerator<Rows> {
  const folder = await mkdtemp(join(tmpdir(), 'flowkit-'))
  const path = join(folder, 'input')
  const named = (message: string): string => message.replaceAll(path, name)
  const onFault = (fault: Fault): void => request.onFault({ ...fault, reason: named(fault.reason) })
  try {
    await writeFile(path, chunks)
    yield* read(path, { ...request, onFault })
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    throw new FlowkitError(error.code, named(error.message), { cause: error })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
