import type { AddressColumn } from '../../core/flow/address.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { makeShape } from '../../core/flow/shape.ts'
import { bindPieces, putBound, sizeOf, type Piece, type Value } from './rows.ts'

/** What a tunnel has of the flow in it. */
const SHARED = [
  ID.flowStart, ID.flowEnd, ID.received, ID.bytes, ID.packets, ID.tcpFlags, ID.tos, ID.forwardingStatus,
]
/** What it has of its own, and what that stands for. */
const OWN: ReadonlyMap<number, number> = new Map([
  [ID.srcAddr, ID.tunSrcAddr], [ID.dstAddr, ID.tunDstAddr], [ID.proto, ID.tunProto],
])

/** The line of the tunnel that a flow came through, which nfdump prints before that of the flow. */
export function tunnelLine(pieces: readonly Piece[]): Value {
  return {
    fields: [...OWN.values()],
    size: sizeOf(pieces),
    bind(context) {
      const { batch, shape: { mask }, out } = context
      if (mask[ID.tunSrcAddr] === 0) return ''
      const own = [...OWN.keys()].filter((id) => mask[OWN.get(id)!] === 1)
      const shape = makeShape([...SHARED.filter((id) => mask[id] === 1), ...own])
      const column = { value: (id: number) => batch.column(OWN.get(id) ?? id) }
      const stand: FlowBatch = Object.create(batch, { column })
      const bound = bindPieces(pieces, { ...context, batch: stand, shape })
      const { family } = batch.column(ID.tunSrcAddr) as AddressColumn
      return (row, at) => family[row] === 0 ? at : putBound(bound, out, row, at)
    },
  }
}
