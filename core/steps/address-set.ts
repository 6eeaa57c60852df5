import type { AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS } from '../flow/fields.ts'

/** Ids of the fields that are IP addresses. */
export const ADDRESS_FIELDS: readonly number[] =
  FIELDS.filter(({ type }) => type === 'addr').map(({ id }) => id)
/** Ids of the fields that are MAC addresses. */
export const MAC_FIELDS: readonly number[] = FIELDS.filter(({ type }) => type === 'mac').map(({ id }) => id)

/** Addresses that were replaced, and by which, as many as there is room for. */
export interface AddressSet {
  /** Whether there was no room for some. */
  readonly isFull: boolean
  addV4(address: number, replacement: number): void
  /** @param address 16 bytes, as `replacement` */
  addV6(address: Uint8Array, replacement: Uint8Array): void
  addMac(address: number, replacement: number): void
  /**
   * How many addresses of a batch, of all its fields, were to be replaced.
   *
   * Those that took another's place are not counted, nor are those of zeros, which are nobody's.
   */
  countIn(batch: FlowBatch): number
}

/** Addresses of each kind that there is room for. */
const MOST = 1 << 22
const NOBODY = '\0'.repeat(16)

/** A set without addresses. */
export function newAddressSet(): AddressSet {
  const v4 = replacedKeys(0)
  const v6 = replacedKeys(NOBODY)
  const macs = replacedKeys(0)

  function hasAddress(column: AddressColumn, row: number): boolean {
    if (column.family[row] === 4) return v4.has(column.v4[row])
    return column.family[row] === 6 && v6.has(textOf(column.v6.subarray(row * 16, row * 16 + 16)))
  }

  return {
    get isFull() { return [v4, v6, macs].some(({ size }) => size() >= MOST) },
    addV4: v4.add,
    addV6: (address, replacement) => { v6.add(textOf(address), textOf(replacement)) },
    addMac: macs.add,
    countIn(batch) {
      let count = 0
      for (const id of ADDRESS_FIELDS) {
        if (!batch.has(id)) continue
        const present = batch.present(id)
        const column = batch.column(id) as AddressColumn
        for (let row = 0; row < batch.length; row++) {
          if (present[batch.shape[row]] === 1 && hasAddress(column, row)) count++
        }
      }
      for (const id of MAC_FIELDS) {
        if (!batch.has(id)) continue
        const present = batch.present(id)
        const column = batch.column(id) as Float64Array
        for (let row = 0; row < batch.length; row++) {
          if (present[batch.shape[row]] === 1 && macs.has(column[row])) count++
        }
      }
      return count
    },
  }
}

/** What was replaced, each by what; `nobody` does not count. */
function replacedKeys<Key>(nobody: Key): {
  readonly add: (key: Key, replacement: Key) => void
  readonly has: (key: Key) => boolean
  readonly size: () => number
} {
  const originals = new Set<Key>()
  const replacements = new Set<Key>()
  return {
    add(key, replacement) {
      if (key === nobody) return
      if (originals.size < MOST) originals.add(key)
      if (replacement !== key && replacements.size < MOST) replacements.add(replacement)
    },
    has: (key) => originals.has(key) && !replacements.has(key),
    size: () => originals.size,
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString('latin1')
}
