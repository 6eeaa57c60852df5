/** The bytes of a stream: a stretch of them is at hand, grows on request and moves on. */
export class ByteSource {
  /** Bytes at hand. They are never overwritten, so that parts of them can be given out. */
  bytes: Uint8Array = new Uint8Array(0)
  /** The next of them. */
  at = 0
  /** What the stream broke off with: for those who read it, it just ends. */
  failure: unknown

  private base = 0 // offset of `bytes` in the stream
  private isEnded = false
  private readonly chunks: AsyncIterator<Uint8Array>

  constructor(stream: AsyncIterable<Uint8Array>) {
    this.chunks = stream[Symbol.asyncIterator]()
  }

  /** Offset of the next byte in the stream. */
  get offset(): number {
    return this.base + this.at
  }

  /** Bytes at hand from the next on. */
  get left(): number {
    return this.bytes.length - this.at
  }

  /** Have at least `count` bytes at hand. @returns whether there are as many; else all that are left are */
  async fill(count: number): Promise<boolean> {
    let size = this.left
    if (size >= count) return true
    const parts = size > 0 ? [this.bytes.subarray(this.at)] : []
    while (size < count && !this.isEnded) {
      const chunk = await this.next()
      if (chunk === undefined || chunk.length === 0) continue
      parts.push(chunk)
      size += chunk.length
    }
    this.base += this.at
    this.at = 0
    this.bytes = parts.length === 1 ? parts[0] : concat(parts, size)
    return size >= count
  }

  /** All bytes at hand, some at least; none at the end. They are not gone: the reader moves `at`. */
  async some(): Promise<Uint8Array> {
    await this.fill(1)
    return this.bytes.subarray(this.at)
  }

  /** The next `count` bytes, which are at hand. */
  take(count: number): Uint8Array {
    const start = this.at
    this.at += count
    return this.bytes.subarray(start, this.at)
  }

  /** The next 4 bytes as a little-endian number; undefined if there are fewer. */
  async uint32(): Promise<number | undefined> {
    if (!await this.fill(4)) return undefined
    const { bytes, at } = this
    this.at += 4
    return (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0
  }

  /** Leave out the next `count` bytes. @returns whether there are as many */
  async skip(count: number): Promise<boolean> {
    while (count > 0) {
      if (!await this.fill(1)) return false
      const step = Math.min(count, this.bytes.length - this.at)
      this.at += step
      count -= step
    }
    return true
  }

  /** All that is left, in the chunks in which it comes. */
  async* rest(): AsyncGenerator<Uint8Array> {
    while (await this.fill(1)) yield this.take(this.left)
  }

  /** Let go of the stream. */
  async close(): Promise<void> {
    if (!this.isEnded) await this.chunks.return?.()
  }

  private async next(): Promise<Uint8Array | undefined> {
    try {
      const { value, done } = await this.chunks.next()
      if (!done) return value
    } catch (error) {
      this.failure = error
    }
    this.isEnded = true
    return undefined
  }
}

/**
 * Read a source so that what came before it broke off counts: first all that `read` makes of it, then the
 * failure, in place of what `read` says about an end that comes too early.
 */
export async function* readToFailure<Item>(
  source: ByteSource, read: (source: ByteSource) => AsyncIterable<Item>,
): AsyncGenerator<Item> {
  try {
    yield* read(source)
  } catch (error) {
    throw source.failure ?? error
  } finally {
    await source.close()
  }
  if (source.failure !== undefined) throw source.failure
}

function concat(parts: readonly Uint8Array[], size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
