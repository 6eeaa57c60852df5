import type { FlowBatch } from '../../core/flow/batch.ts'
import { LIMITS } from '../../core/netflow/limits.ts'
import { RECORD } from './exporters.ts'

const ARRAY_HEADER = 8
/** Lengths of id, name and description of the applications of a record. */
const APPLICATION_HEADER = 6
/** Where an array of names begins: its first number is the length of the names. */
const NAMES_HEADER = 4
/** Bytes before the contents of an element in the arrays of 1.7.0, which have a header each. */
const ELEMENT_HEADER = 4

/** One name, and where it lies in the heap of the batch that it was put into last. */
interface Name {
  readonly bytes: Uint8Array
  start: number
  turn: number
}

/** Names that records of a file tell of, for all its exporters. */
export class Names {
  /** Applications by their ids, each byte a character. */
  private readonly applications = new Map<string, Name>()
  private readonly interfaces = new Map<number, Name>()
  private readonly vrfs = new Map<number, Name>()
  private turn = 0

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.applications.size + this.interfaces.size + this.vrfs.size === 0
  }

  /** Rows are added to a batch whose heap may have lost what was put there before. */
  begin(): void {
    this.turn++
  }

  /**
   * Learn the names of an array (src/nfdump/nbar.c, ifvrf.c).
   *
   * @param at where the record begins: its type and its size
   * @returns whether it is well formed
   */
  learn(bytes: Uint8Array, view: DataView, at: number, type: number, size: number): boolean {
    if (size < ARRAY_HEADER) return false
    const count = view.getUint16(at + 4, true)
    const elementSize = view.getUint16(at + 6, true)
    const end = at + size
    let from = at + ARRAY_HEADER
    if (type !== RECORD.applications) {
      from += NAMES_HEADER
      if (elementSize < 4 || from + count * elementSize > end) return false
      const names = type === RECORD.interfaces ? this.interfaces : this.vrfs
      for (let i = 0; i < count; i++, from += elementSize) {
        this.set(names, view.getUint32(from, true), bytes, from + 4, from + elementSize)
      }
      return true
    }
    if (elementSize > 0) {
      const first = from + APPLICATION_HEADER
      if (first + count * elementSize > end) return false
      for (let i = 0; i < count; i++) {
        this.setApplication(bytes, view, from, first + i * elementSize, elementSize)
      }
      return true
    }
    for (let i = 0; i < count; i++) {
      if (from + ELEMENT_HEADER + APPLICATION_HEADER > end) return false
      const length = view.getUint16(from + 2, true)
      const body = length - ELEMENT_HEADER - APPLICATION_HEADER
      if (body < 0 || from + length > end) return false
      const header = from + ELEMENT_HEADER
      this.setApplication(bytes, view, header, header + APPLICATION_HEADER, body)
      from += length
    }
    return true
  }

  /** Put the name of the application `bytes[at..at + length)` into a row. @returns whether there is one */
  putApplication(
    bytes: Uint8Array, at: number, length: number, column: Uint32Array, row: number, batch: FlowBatch,
  ): boolean {
    return this.put(this.applications.get(keyOf(bytes, at, length)), column, row, batch)
  }

  /** Likewise the name of an interface by its number. */
  putInterface(number: number, column: Uint32Array, row: number, batch: FlowBatch): boolean {
    return this.put(this.interfaces.get(number), column, row, batch)
  }

  /** Likewise the name of a VRF. */
  putVrf(number: number, column: Uint32Array, row: number, batch: FlowBatch): boolean {
    return this.put(this.vrfs.get(number), column, row, batch)
  }

  private put(name: Name | undefined, column: Uint32Array, row: number, batch: FlowBatch): boolean {
    if (!name) return false
    const { bytes } = name
    if (name.turn !== this.turn) {
      name.start = batch.addBytes(bytes, 0, bytes.length)
      name.turn = this.turn
    }
    column[row * 2] = name.start
    column[row * 2 + 1] = bytes.length
    return true
  }

  private setApplication(bytes: Uint8Array, view: DataView, header: number, at: number, size: number): void {
    const idLength = view.getUint16(header, true)
    const nameLength = view.getUint16(header + 2, true)
    if (idLength + nameLength > size) return
    this.set(this.applications, keyOf(bytes, at, idLength), bytes, at + idLength, at + idLength + nameLength)
  }

  /** The name ends before its first 0. */
  private set<Key>(names: Map<Key, Name>, key: Key, bytes: Uint8Array, at: number, end: number): void {
    const { size } = names
    if (size >= LIMITS.names && !names.has(key)) return
    const zero = bytes.subarray(at, end).indexOf(0)
    const name = bytes.slice(at, zero < 0 ? end : at + zero)
    if (name.length > 0) names.set(key, { bytes: name, start: 0, turn: -1 })
  }
}

function keyOf(bytes: Uint8Array, at: number, length: number): string {
  let key = ''
  for (let i = at; i < at + length; i++) key += String.fromCharCode(bytes[i])
  return key
}
