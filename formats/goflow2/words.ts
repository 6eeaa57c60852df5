/** The numbers in the text of a row, with space between; what is no number is left out. */
export function wordsOf(heap: Uint8Array, pairs: Uint32Array, row: number): string[] {
  const start = pairs[row * 2]
  const text = Buffer.from(heap.buffer, heap.byteOffset + start, pairs[row * 2 + 1]).toString('latin1')
  return text.split(' ').filter((word) => /^\d+$/.test(word))
}
