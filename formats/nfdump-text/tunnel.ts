import type { AddressColumn } from '../../core/flow/address.ts'
import { BATCH_SIZE, type Column, type FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { makeShape } from '../../core/flow/shape.ts'
import { bindPieces, putBound, sizeOf, type Piece, type Value } from './rows.ts'

/** What a tunnel has of the flow in it. */
const SHARED: readonly number[] = [
  ID.flowStart, ID.flowEnd, ID.received, ID.bytes, ID.packets, ID.tcpFlags, ID.tos, ID.forwardingStatus,
]
/** What it has of its own, and what that stands for. */
const OWN: ReadonlyMap<number, number> = new Map([
  [ID.srcAddr, ID.tunSrcAddr], [ID.dstAddr, ID.tunDstAddr], [ID.proto, ID.tunProto],
])

/** What it has in 1.7.1: when, but not how much. */
export const TIMES_ONLY: readonly number[] = [ID.flowStart, ID.flowEnd]

/** What the line of a tunnel tells. */
export interface TunnelLook {
  /** Ids of the fields that it has of the flow. */
  readonly shared?: readonly number[]
  /** Whether it leaves out the addresses, but not of which family they are. */
  readonly isBare?: boolean
}

/** The line of the tunnel that a flow came through, which nfdump prints before that of the flow. */
export function tunnelLine(
  pieces: readonly Piece[], { shared = SHARED, isBare = false }: TunnelLook = {},
): Value {
  return {
    fields: [...OWN.values()],
    size: sizeOf(pieces),
    bind(context) {
      const { batch, shape: { mask }, out } = context
      if (mask[ID.tunSrcAddr] === 0) return ''
      const own = [...OWN.keys()].filter((id) => mask[OWN.get(id)!] === 1)
      const shape = makeShape([...shared.filter((id) => mask[id] === 1), ...own])
      const columnOf = (id: number): Column => {
        const column = batch.column(OWN.get(id) ?? id)
        return isBare && OWN.has(id) && id !== ID.proto ? withoutBytes(column as AddressColumn) : column
      }
      const column = { value: columnOf }
      const stand: FlowBatch = Object.create(batch, { column })
      const bound = bindPieces(pieces, { ...context, batch: stand, shape })
      const { family } = batch.column(ID.tunSrcAddr) as AddressColumn
      return (row, at) => family[row] === 0 ? at : putBound(bound, out, row, at)
    },
  }
}

const NO_BYTES = { v4: new Uint32Array(BATCH_SIZE), v6: new Uint8Array(BATCH_SIZE * 16) }

function withoutBytes({ family }: AddressColumn): AddressColumn {
  return { family, ...NO_BYTES }
}
