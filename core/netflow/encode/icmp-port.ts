import type { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import type { Loss } from '../../flow/loss.ts'
import { shapeOf } from './row-runs.ts'

const ICMP = 1

/**
 * Put ICMP type and code of rows of one shape into the ports of their destinations, as routers do, where
 * those are free; what finds no place is entered into `loss`.
 *
 * @param at of the first row's port in `view`; the others follow every `stride` bytes
 */
export function writeIcmpPorts(
  batch: FlowBatch, row: number, end: number, view: DataView, at: number, stride: number, loss: Loss,
): void {
  const { mask } = shapeOf(batch, row)
  if (!mask[ID.icmpType] && !mask[ID.icmpCode]) return
  const { proto, icmpType, icmpCode } = batch
  const isTold = mask[ID.icmpType] === 1 && mask[ID.proto] === 1
  for (; row < end; row++, at += stride) {
    const told = icmpType[row] << 8 | (mask[ID.icmpCode] ? icmpCode[row] : 0)
    const port = view.getUint16(at)
    if (isTold && port === 0 && proto[row] === ICMP) view.setUint16(at, told)
    else if (!isTold || port !== told) {
      loss.leftOut[ID.icmpType] += mask[ID.icmpType]
      loss.leftOut[ID.icmpCode] += mask[ID.icmpCode]
    }
  }
}
