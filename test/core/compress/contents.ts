/** What the vectors beside this hold. */

/** Lines of text that resemble each other. */
export function lines(count: number): Uint8Array {
  const line = (i: number) => `flow ${i}: 10.0.${i % 7}.4 > 192.0.2.${i * 31 % 97} tcp ${i * i % 997} bytes\n`
  return new TextEncoder().encode(Array.from({ length: count }, (_, i) => line(i)).join(''))
}

/** Bytes that cannot be packed, the same for the same seed. */
export function noise(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => {
    seed = Math.imul(seed, 1103515245) + 12345 | 0
    return seed >>> 16
  })
}

/** Noise, which comes again 20,000 zeros later, and other noise. */
export function distant(): Uint8Array {
  return Buffer.concat([noise(300, 1), new Uint8Array(20_000), noise(300, 1), noise(40, 2)])
}

/** The bytes in chunks of `size`. */
export async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** What is said of damage. */
export function saying(code: string, codec: string, offset: number, found: string): string {
  return `${code} Cannot unpack ${codec} at byte ${offset}: ${found}`
}

/** What is said of bytes that contradict their format. */
export function malformed(codec: string, offset: number, found: string): string {
  return saying('ERR_MALFORMED', codec, offset, found)
}

/** What is said of a checksum. */
export function mismatched(codec: string, offset: number, what: string): string {
  return saying('ERR_CHECKSUM', codec, offset, `${what} does not match`)
}

/** What is said of input that ends too early. */
export function early(codec: string, offset: number): string {
  return saying('ERR_TRUNCATED', codec, offset, 'it ends too early')
}

/** What came of a stream, and what it broke off with. */
export interface Drained {
  readonly bytes: Uint8Array
  readonly sizes: readonly number[]
  readonly error: unknown
}

/** Read a stream to its end. */
export async function drain(stream: AsyncIterable<Uint8Array>): Promise<Drained> {
  const chunks: Uint8Array[] = []
  let error: unknown
  try {
    for await (const chunk of stream) chunks.push(chunk)
  } catch (reason) {
    error = reason
  }
  return { bytes: Buffer.concat(chunks), sizes: chunks.map((chunk) => chunk.length), error }
}
