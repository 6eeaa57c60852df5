import type { FlowBatch } from '../../flow/batch.ts'

/** Sequences of bytes, to look up. */
export interface ByteSet {
  readonly byHash: ReadonlyMap<number, readonly Uint8Array[]>
  /** Bytes of the longest; rows with more are not looked at. */
  readonly longest: number
}

/** A set of sequences of bytes. */
export function toByteSet(values: readonly Uint8Array[]): ByteSet {
  const byHash = new Map<number, Uint8Array[]>()
  let longest = 0
  for (const value of values) {
    const hash = hashOf(value, 0, value.length)
    const others = byHash.get(hash)
    if (others) others.push(value)
    else byHash.set(hash, [value])
    longest = Math.max(longest, value.length)
  }
  return { byHash, longest }
}

/** 1 where the bytes of a row, a pair (start in heap, length), are in the set, or with `not` are not. */
export function selectBytes(
  column: Uint32Array, { heap, length }: FlowBatch, set: ByteSet, not: boolean, out: Uint8Array,
): void {
  const { byHash, longest } = set
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) {
    const start = column[i * 2]
    const end = start + column[i * 2 + 1]
    const found = end - start <= longest ? byHash.get(hashOf(heap, start, end)) : undefined
    out[i] = (found?.some((value) => isEqual(value, heap, start, end)) ? 1 : 0) ^ flip
  }
}

/** FNV-1a, 32 bits. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at], 0x01000193)
  return hash >>> 0
}

function isEqual(value: Uint8Array, heap: Uint8Array, start: number, end: number): boolean {
  if (value.length !== end - start) return false
  for (let i = 0; i < value.length; i++) if (value[i] !== heap[start + i]) return false
  return true
}

/** 1 where the bytes of a row are the pieces and what stands between them, or with `not` are not. */
export function selectPattern(
  column: Uint32Array, { heap, length }: FlowBatch, pieces: readonly Uint8Array[], not: boolean,
  out: Uint8Array,
): void {
  const flip = not ? 1 : 0
  for (let i = 0; i < length; i++) {
    const start = column[i * 2]
    out[i] = Number(hasPieces(heap, start, start + column[i * 2 + 1], pieces)) ^ flip
  }
}

function hasPieces(heap: Uint8Array, start: number, end: number, pieces: readonly Uint8Array[]): boolean {
  const [first] = pieces
  if (pieces.length === 1) return isEqual(first, heap, start, end)
  const last = pieces[pieces.length - 1]
  const from = start + first.length
  let to = end - last.length
  if (from > to || !isEqual(first, heap, start, from) || !isEqual(last, heap, to, end)) return false
  for (let at = from, place = 1; place < pieces.length - 1; place++) {
    const piece = pieces[place]
    while (at + piece.length <= to && !isEqual(piece, heap, at, at + piece.length)) at++
    at += piece.length
    if (at > to) return false
  }
  return true
}
