/** What some tools begin a text of UTF-8 with. */
const MARK = [0xef, 0xbb, 0xbf]

/** Where a text begins at the start of an input: behind a byte order mark. -1 if more bytes must tell. */
export function textStart(bytes: Uint8Array, at: number): number {
  for (let i = 0; i < MARK.length; i++) {
    if (at + i === bytes.length) return i === 0 ? at : -1
    if (bytes[at + i] !== MARK[i]) return at
  }
  return at + MARK.length
}
