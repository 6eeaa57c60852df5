import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'

/** How far a file has been read. */
export interface Place {
  readonly path: string
  /** Of the file, whatever it is called: `fileId`. */
  readonly id: string
  /** Bytes read. */
  readonly offset: number
  /** Flows taken of what they hold. */
  readonly rows: number
  /** `tailHash` of the bytes before `offset`; empty for what is read only as a whole. */
  readonly tail: string
  /** When the file was last changed, ms since the epoch. */
  readonly changed: number
}

/** Bytes before a place that tell whether a file is still the same. */
export const TAIL_SIZE = 256

/** What a file is known by while it is renamed. */
export function fileId({ dev, ino }: { readonly dev: number, readonly ino: number }): string {
  return `${dev}:${ino}`
}

/** A short hash of bytes that lie before a place. */
export function tailHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16)
}

/** Whether what a place says was read of a file is what `path` has there. @throws the system error */
export async function continues(path: string, { offset, tail }: Place): Promise<boolean> {
  const length = Math.min(offset, TAIL_SIZE)
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(Buffer.alloc(length), 0, length, offset - length)
  return bytesRead === length && tailHash(buffer) === tail
}
