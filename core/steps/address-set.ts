import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS } from '../flow/fields.ts'

/** Ids of the fields that are IP addresses. */
export const ADDRESS_FIELDS: readonly number[] =
  FIELDS.filter(({ type }) => type === 'addr').map(({ id }) => id)

/** IP addresses, as many as there is room for. */
export interface AddressSet {
  /** Whether there was no room for some. */
  readonly isFull: boolean
  addV4(address: number): void
  /** @param address 16 bytes */
  addV6(address: Uint8Array): void
  /** How many addresses of a batch, of all its fields, are among them. */
  countIn(batch: FlowBatch): number
}

/** Addresses of each family that there is room for. */
const MOST = 1 << 22

/** A set without addresses. */
export function newAddressSet(): AddressSet {
  const v4 = new Set<number>()
  const v6 = new Set<string>()

  function textOf(bytes: Uint8Array): string {
    return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('latin1')
  }

  return {
    get isFull() { return v4.size >= MOST || v6.size >= MOST },
    addV4(address) {
      if (v4.size < MOST) v4.add(address)
    },
    addV6(address) {
      if (v6.size < MOST) v6.add(textOf(address))
    },
    countIn(batch) {
      let count = 0
      for (const id of ADDRESS_FIELDS) {
        if (!batch.has(id)) continue
        const present = batch.present(id)
        const column = batch.column(id) as AddressColumn
        for (let row = 0; row < batch.length; row++) {
          if (present[batch.shape[row]] === 0) continue
          const isIn = column.family[row] === 6
            ? v6.has(textOf(column.v6.subarray(row * 16, row * 16 + 16)))
            : column.family[row] === 4 && v4.has(column.v4[row])
          if (isIn) count++
        }
      }
      return count
    },
  }
}
