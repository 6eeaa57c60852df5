import type { FlowBatch } from '../../core/flow/batch.ts'

const decoder = new TextDecoder()

/** The text of a row, of a column of pairs (start in heap, length). */
export function heapText({ heap }: FlowBatch, pairs: Uint32Array, row: number): string {
  return decoder.decode(heap.subarray(pairs[row * 2], pairs[row * 2] + pairs[row * 2 + 1]))
}

/** Text with `?` for control characters: a terminal takes no orders from it, and a line stays one. */
export function plainText(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f]/g, '?')
}

/** A cell of a CSV: as `plainText`, with nfdump's `;` for commas; in quotes where it has any (RFC 4180). */
export function csvCell(text: string): string {
  const cell = plainText(text).replaceAll(',', ';')
  return cell.includes('"') ? `"${cell.replaceAll('"', '""')}"` : cell
}
