import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'

const MAX_LABELS = 10

/** Writes numbers, most significant byte first, into a buffer that must be large enough. */
export class XdrWriter {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly view: DataView<ArrayBuffer>
  at = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  /** Write 8 bits. */
  u8(value: number): void {
    this.view.setUint8(this.at, value)
    this.at++
  }

  /** Write 16 bits. */
  u16(value: number): void {
    this.view.setUint16(this.at, value)
    this.at += 2
  }

  /** Write 32 bits. */
  u32(value: number): void {
    this.view.setUint32(this.at, value)
    this.at += 4
  }

  /** Write the 6 bytes of a MAC address, unpadded. */
  mac(value: number): void {
    this.u16(value / 2 ** 32)
    this.u32(value % 2 ** 32)
  }

  /** Write `bytes[start..end)`. */
  copy(bytes: Uint8Array, start: number, end: number): void {
    for (let i = start; i < end; i++) this.bytes[this.at++] = bytes[i]
  }

  /** Write zeros up to a multiple of four. */
  pad(): void {
    while (this.at % 4 !== 0) this.u8(0)
  }

  /** Begin a sample or record. @returns what `end` wants */
  begin(format: number): number {
    this.u32(format)
    this.u32(0)
    return this.at
  }

  /** End what began at `start`: write its length. */
  end(start: number): void {
    this.view.setUint32(start - 4, this.at - start)
  }
}

/** How many labels of an MPLS stack a row of this shape has, from the top on. */
export function labelsOf(mask: Uint8Array): number {
  let labels = 0
  while (labels < MAX_LABELS && mask[ID.mplsLabel1 + labels] === 1) labels++
  return labels
}

/** Entry `index` of a row's MPLS stack as in RFC 3032: label, class, bottom, time to live of the top one. */
export function labelEntry(
  batch: FlowBatch, row: number, mask: Uint8Array, index: number, labels: number,
): number {
  const label = (batch.column(ID.mplsLabel1 + index) as Uint32Array)[row]
  const told = mask[ID.mplsExp] ? Math.floor(batch.mplsExp[row] / 16 ** index) % 16 : 0
  const ttl = index === 0 && mask[ID.mplsTtl] ? batch.mplsTtl[row] : 0
  return (label << 12 | (told & 14 | (index === labels - 1 ? 1 : 0)) << 8 | ttl) >>> 0
}
