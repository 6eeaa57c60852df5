import { open } from 'node:fs/promises'

/** What is in use at a time: the chunk at hand, the one before, whose end may be wanted still, the next. */
const BUFFERS = 3

/**
 * The bytes of a file in chunks, of which the next is read while one is used. A chunk, and the one before it,
 * are valid until the next but one is asked for.
 *
 * @param size bytes of a chunk at most
 * @throws the system error
 */
export async function* chunksOfFile(path: string, size: number): AsyncGenerator<Uint8Array> {
  await using file = await open(path)
  const buffers = Array.from({ length: BUFFERS }, () => new Uint8Array(size))
  let turn = 0

  function read(): Promise<Uint8Array> {
    const reading = file.read(buffers[turn++ % BUFFERS])
      .then(({ buffer, bytesRead }) => buffer.subarray(0, bytesRead))
    reading.catch(() => {}) // it is heard of once it is waited for
    return reading
  }

  let next = read()
  try {
    for (let chunk = await next; chunk.length > 0; chunk = await next) {
      next = read()
      yield chunk
    }
  } finally {
    await next.catch(() => {}) // the file is closed behind it
  }
}
