/** Values of what packets had around them: Ethernet, MPLS, fragments, and which application they were of. */
import { ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../core/flow/names.ts'
import { groupsOf } from './groups.ts'
import { putRight } from './put.ts'
import type { Piece, Value } from './rows.ts'
import { csvCell, heapText, plainText } from './text.ts'
import { columnOf, computed, described } from './values.ts'

/**
 * The application by engine and number (RFC 6759), `13..443`, or with an enterprise between, `20..9..1`.
 *
 * @param absent what stands for none
 */
export function application(absent: string = '0..0..0'): Value {
  return described([ID.applicationId], 0, (context) => {
    const { batch: { heap }, style: { csv } } = context
    const pairs = columnOf<Uint32Array>(context, ID.applicationId)
    return pairs ? (row) => {
      const start = pairs[row * 2]
      const id = heap.subarray(start, start + pairs[row * 2 + 1])
      if (id.length === 0) return absent
      const number = (bytes: Uint8Array): number => (
        bytes.reduce((sum, byte) => (sum * 256 + byte) % 2 ** 32, 0)
      )
      const parts = id[0] === 20 && id.length > 5
        ? [number(id.subarray(1, 5)), number(id.subarray(5))] : [number(id.subarray(1))]
      return [String(id[0]).padStart(csv ? 0 : 2), ...parts].join('..')
    } : absent
  })
}

/**
 * The name of the application.
 *
 * @param absent what stands in lines for that of none
 */
export function applicationName(absent: string = '<no nbar>'): Value {
  return described([ID.applicationId, ID.applicationName], 0, (context) => {
    const { batch, shape: { mask }, style: { csv } } = context
    const names = columnOf<Uint32Array>(context, ID.applicationName)
    if (names) return (row) => (csv ? csvCell : plainText)(heapText(batch, names, row))
    if (mask[ID.applicationId]) return csv ? 'no-info' : '<no info>'
    return csv ? 'no-nbar' : absent
  })
}

/** `DF` and `MF` of the fragment flags. */
export const fragment: Value = described([ID.ipFlags], 0, (context) => {
  const flags = columnOf<Uint8Array>(context, ID.ipFlags)
  return flags ? (row) => `${flags[row] & 64 ? 'DF' : '--'}${flags[row] & 32 ? 'MF' : '--'}` : '----'
})

const LABELS = [
  ID.mplsLabel1, ID.mplsLabel2, ID.mplsLabel3, ID.mplsLabel4, ID.mplsLabel5, ID.mplsLabel6, ID.mplsLabel7,
  ID.mplsLabel8, ID.mplsLabel9, ID.mplsLabel10,
]

/** An MPLS label, its traffic class and whether it is the last, `100-3-1`, of label 1 to 10. */
export function mplsLabel(index: number, width: number): Value {
  const id = LABELS[index - 1]
  return {
    fields: [id, ID.mplsExp],
    bind(context) {
      const { out } = context
      const labels = columnOf<Uint32Array>(context, id)
      const classes = columnOf<Float64Array>(context, ID.mplsExp)
      if (!labels) return `${'0'.padStart(width)}-0-0`
      return (row, at) => {
        const told = classes ? Math.floor(classes[row] / 16 ** (index - 1)) % 16 : 0
        at = putRight(labels[row], width, out.view, at)
        out.view.setUint8(at, 45) // -
        out.view.setUint8(at + 1, 48 + (told >> 1))
        out.view.setUint8(at + 2, 45)
        out.view.setUint8(at + 3, 48 + (told & 1))
        return at + 4
      }
    },
  }
}

/** All ten labels, a space behind each. */
export const mplsLabels: readonly Piece[] = LABELS.flatMap((_, i) => [mplsLabel(i + 1, 8), ' '])

/** A VLAN of layer 2: 0 where the flow has another extension for it. */
export function layer2Vlan(id: number, width: number): Value {
  return computed([id], width, (context) => {
    const column = columnOf<Uint16Array>(context, id)
    return column && !groupsOf(context.shape).includes('vlan') ? (row) => column[row] : undefined
  })
}

/** The EtherType, if it is more than that of the addresses, which flows have whether it was told or not. */
export function etherType(show: (value: number) => string): Value {
  return described([ID.etype, ID.srcAddr], 0, (context) => {
    const types = columnOf<Uint16Array>(context, ID.etype)
    if (!types) return show(0)
    return (row) => show(types[row] === ETYPE_IPV4 || types[row] === ETYPE_IPV6 ? 0 : types[row])
  })
}
