/** Values of records of firewalls and NAT devices. */
import { ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { groupsOf } from './groups.ts'
import {
  extendedEvent, firewallEvent, formerExtendedEvent, formerFirewallEvent, formerNatEvent, natEvent,
} from './names.ts'
import { putRight } from './put.ts'
import type { Context, Value } from './rows.ts'
import { columnOf, computed, described } from './values.ts'

/**
 * Which rows tell of an event of a firewall or NAT, and not of a flow: nfdump says so of NetFlow, not of
 * IPFIX.
 *
 * @returns undefined where no row of the shape does
 */
export function eventsOf(context: Context): ((row: number) => boolean) | undefined {
  const groups = groupsOf(context.shape)
  if (!groups.includes('firewall') && !groups.includes('natEvent')) return undefined
  const types = columnOf<Uint8Array>(context, ID.type)
  return (row) => types === undefined || types[row] !== FLOW_TYPE.IPFIX
}

/** Ids of the fields that `eventsOf` looks at. */
export const EVENT_FIELDS: readonly number[] =
  [ID.type, ID.firewallEvent, ID.firewallExtEvent, ID.natEvent, ID.natPoolId, ID.eventTime]

/** What the firewall did, or failing that the NAT. */
export const event: Value = {
  fields: EVENT_FIELDS,
  bind(context) {
    const { out, shape, style: { csv, plain } } = context
    const firewall = columnOf<Uint8Array>(context, ID.firewallEvent)
    const nat = columnOf<Uint8Array>(context, ID.natEvent)
    const asNumber = csv || plain
    const isNat = groupsOf(shape).includes('natEvent')
    if (!firewall && !isNat) return asNumber ? '0' : '<no-evt>'
    return (row, at) => {
      const first = firewall ? firewall[row] : 0
      const isOther = isNat && first === 0
      const value = isOther ? nat ? nat[row] : 0 : first
      if (asNumber) return putRight(value, 0, out.view, at)
      return out.text((isOther ? natEvent(value) : firewallEvent(value)).padStart(8), at)
    }
  },
}

/** Why the firewall did it. */
export const reason: Value = described([ID.firewallEvent, ID.firewallExtEvent], 7, (context) => {
  const events = columnOf<Uint16Array>(context, ID.firewallExtEvent)
  if (events) return (row) => extendedEvent(events[row])
  if (context.shape.mask[ID.firewallEvent]) return extendedEvent(0)
  return context.style.csv ? 'no-evt' : '<no-evt>'
})

/**
 * What a firewall or a NAT did in the words of 1.7.1, which takes it for a firewall where there is a reason.
 */
export const formerEvent: Value = described(EVENT_FIELDS, 7, (context) => {
  const firewall = columnOf<Uint8Array>(context, ID.firewallEvent)
  const nat = columnOf<Uint8Array>(context, ID.natEvent)
  const reasons = columnOf<Uint16Array>(context, ID.firewallExtEvent)
  const events = firewall ?? nat
  return (row) => {
    const value = events ? events[row] : 0
    return (reasons && reasons[row] !== 0 ? formerFirewallEvent : formerNatEvent)(value)
  }
})

/** Why the firewall did it, in the words of 1.7.1. */
export const formerReason: Value = described([ID.firewallExtEvent], 7, (context) => {
  const reasons = columnOf<Uint16Array>(context, ID.firewallExtEvent)
  return (row) => formerExtendedEvent(reasons ? reasons[row] : 0)
})

/** The three numbers of an access list, each made text by `part`. */
export function accessList(id: number, separator: string, part: (value: number) => string): Value {
  const none = [0, 0, 0].map(part).join(separator)
  return described([id], 0, (context) => {
    const { batch: { heap } } = context
    const pairs = columnOf<Uint32Array>(context, id)
    return pairs ? (row) => {
      const start = pairs[row * 2]
      if (pairs[row * 2 + 1] < 12) return none
      const view = new DataView(heap.buffer, heap.byteOffset + start, 12)
      return [0, 4, 8].map((at) => part(view.getUint32(at))).join(separator)
    } : none
  })
}

/** The connection that a firewall numbers, of 32 bits. */
export const connection: Value = computed([ID.flowId], 10, (context) => {
  const pairs = columnOf<Uint32Array>(context, ID.flowId)
  return pairs && ((row) => pairs[row * 2])
})
