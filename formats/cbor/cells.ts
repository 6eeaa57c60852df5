import { ipv6Storage, type AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import type { Field } from '../../core/flow/fields.ts'
import { fieldTarget, MICROS, type Target } from '../named-rows.ts'

const utf8 = new TextEncoder()

/**
 * The target of a field whose values are those of CBOR: text may be empty, and what has bytes can come so.
 *
 * @param micros whether times are integers that count µs, which say nothing of their digits
 */
export function cellTarget(field: Field, micros: boolean): Target {
  const { id, type } = field
  const plain = fieldTarget(field)
  switch (type) {
    case 'time':
      if (!micros) return plain
      return {
        ids: [id],
        kind: MICROS,
        store(batch, row, value) {
          const time = typeof value === 'string' && value !== '' ? Number(value) : value
          if (typeof time !== 'number' || !Number.isInteger(time) || Math.abs(time) > 2 ** 53) return false
          const column = batch.column(id) as Float64Array
          column[row] = time
          return true
        },
      }
    case 'text': return {
      ids: [id], kind: plain.kind, store: (batch, row, value) => storeText(batch, id, row, value),
    }
    case 'octets': case 'addr': case 'mac': return {
      ids: plain.ids,
      kind: plain.kind,
      store(batch, row, value) {
        if (value instanceof Uint8Array) return storeBytes(batch, field, row, value)
        return plain.store(batch, row, value)
      },
    }
  }
  return plain
}

function storeText(batch: FlowBatch, id: number, row: number, value: unknown): boolean {
  if (value instanceof Uint8Array) return storeHeap(batch, id, row, value)
  if (typeof value === 'object') return false
  return storeHeap(batch, id, row, utf8.encode(String(value)))
}

function storeBytes(batch: FlowBatch, { id, type }: Field, row: number, bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (type) {
    case 'octets': return storeHeap(batch, id, row, bytes)
    case 'addr': {
      const column = batch.column(id) as AddressColumn
      if (bytes.length !== 4 && bytes.length !== 16) return false
      column.family[row] = bytes.length === 4 ? 4 : 6
      column.v4[row] = bytes.length === 4 ? view.getUint32(0) : 0
      if (bytes.length === 16) ipv6Storage(column).set(bytes, row * 16)
      return true
    }
    default: {
      const column = batch.column(id) as Float64Array
      if (bytes.length !== 6) return false
      column[row] = view.getUint16(0) * 2 ** 32 + view.getUint32(2)
      return true
    }
  }
}

function storeHeap(batch: FlowBatch, id: number, row: number, bytes: Uint8Array): boolean {
  const column = batch.column(id) as Uint32Array
  column[row * 2] = batch.addBytes(bytes, 0, bytes.length)
  column[row * 2 + 1] = bytes.length
  return true
}
