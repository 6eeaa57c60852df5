import { ipv6Storage } from './address.ts'
import { isAddress, isPair, type FlowBatch } from './batch.ts'
import { FIELDS } from './fields.ts'
import { EMPTY_SHAPE } from './shape.ts'

/** Append rows `start` up to `end` of another batch, with all they have: what `append` does, by columns. */
export function appendRows(batch: FlowBatch, other: FlowBatch, start: number, end: number): void {
  const to = batch.length
  batch.reserve(end - start)
  appendShapes(batch, other, start, end)
  for (const { id, type } of FIELDS) {
    if (!other.has(id)) continue
    const source = other.column(id)
    const target = batch.column(id)
    if (isAddress(source) && isAddress(target)) {
      target.family.set(source.family.subarray(start, end), to)
      target.v4.set(source.v4.subarray(start, end), to)
      if (source.v6.length > 0) ipv6Storage(target).set(source.v6.subarray(start * 16, end * 16), to * 16)
    } else if (type === 'u64') {
      (target as Uint32Array).set((source as Uint32Array).subarray(start * 2, end * 2), to * 2)
    } else if (isPair(type)) {
      const pairs = (source as Uint32Array).subarray(start * 2, end * 2)
      appendBytes(batch, target as Uint32Array, other, pairs, start, other.present(id))
    } else (target as Float64Array).set((source as Float64Array).subarray(start, end), to)
  }
  const hasExtras = Uint8Array.from(other.shapes, ({ extras }) => extras.length > 0 ? 1 : 0)
  if (hasExtras.includes(1)) {
    const pairs = other.extras.subarray(start * 2, end * 2)
    appendBytes(batch, batch.useExtras(), other, pairs, start, hasExtras)
  }
  batch.length += end - start
}

function appendShapes(batch: FlowBatch, other: FlowBatch, start: number, end: number): void {
  const { shape, shapes } = other
  const known = new Int32Array(shapes.length + 1).fill(-1)
  for (let row = start, to = batch.length; row < end; row++, to++) {
    const index = shape[row]
    if (known[index] < 0) known[index] = batch.intern(shapes[index] ?? EMPTY_SHAPE)
    batch.shape[to] = known[index]
  }
}

/** Copy what `pairs`, those of the rows from `start` on, point to, where the shape says that there is something. */
function appendBytes(
  batch: FlowBatch, target: Uint32Array, { heap, shape }: FlowBatch, pairs: Uint32Array, start: number,
  present: Uint8Array,
): void {
  for (let i = 0, at = batch.length * 2; i < pairs.length; i += 2, at += 2) {
    if (present[shape[start + i / 2]] !== 1) continue
    target[at] = batch.addBytes(heap, pairs[i], pairs[i] + pairs[i + 1])
    target[at + 1] = pairs[i + 1]
  }
}
