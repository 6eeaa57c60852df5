import { markAsUntransferable } from 'node:worker_threads'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc } from './ffi.ts'

/**
 * A function that gives memory of a size, which begins at a multiple of `alignment`; anywhere, where the C
 * library cannot be asked for addresses.
 */
export async function alignedMemory(alignment: number): Promise<(size: number) => Uint8Array> {
  try {
    const { addressOf } = await loadLibc()
    return (size) => {
      const memory = new ArrayBuffer(size + alignment)
      markAsUntransferable(memory) // it would be elsewhere then
      return new Uint8Array(memory, -addressOf(memory) & alignment - 1, size)
    }
  } catch (error) {
    if (!(error instanceof FlowkitError) || error.code !== 'ERR_UNSUPPORTED') throw error
    return (size) => new Uint8Array(size)
  }
}
