import { formatIpv4, formatIpv6, formatMac } from '../../flow/address.ts'
import type { Datagram } from '../message.ts'
import { COUNTER_LISTS, LANE_LIST } from './counter-list.ts'
import type { SflowMessage } from './message.ts'

/** What an agent counted at one of its sources. */
export interface CounterSample {
  /** When the collector received the datagram, µs since the epoch. */
  readonly received: number
  /** Text of the datagram's source address; empty if it is unknown. */
  readonly exporterAddr: string
  /** Text of the address that the agent gives itself; empty if it is unknown. */
  readonly agentAddr: string
  readonly subAgentId: number
  /** Number of the sample, counted per source. */
  readonly sequence: number
  /** 0 interface, 1 VLAN, 2 physical entity, 3 logical entity. */
  readonly sourceType: number
  readonly sourceIndex: number
  /**
   * By name, see COUNTER_LISTS: numbers exact to 2^53 and no larger; MAC addresses, bytes and strings as
   * text. Counters that the agent does not have are missing.
   */
  readonly values: Record<string, number | string>
}

interface CounterField {
  readonly name: string
  readonly kind: string
}

const SIZES: Readonly<Record<string, number>> = { 64: 8, 8: 1, mac: 8, hex8: 8, hex16: 16 }
const LAYOUTS: ReadonlyMap<number, readonly CounterField[]> =
  new Map(Object.entries(COUNTER_LISTS).map(([format, list]) => [Number(format), fieldsOf(list)]))
const LANE = fieldsOf(LANE_LIST)
const LANE_SIZE = LANE.length * 4

const OPTICS = 10
const ADAPTERS = 2001

/**
 * The counter sample `bytes[at..end)`, which `checkSamples` has checked.
 *
 * Records may be longer than flowkit knows, since newer agents add to them, or shorter: what is missing at
 * their end is missing in `values`. The largest number stands for a counter that the agent does not have
 * (sFlow version 5, section 5: "unknown counter"), a negative load or percentage for one it does not know.
 *
 * @param onUnknown is given the format of each record that flowkit does not read
 */
export function takeCounters(
  datagram: Datagram, message: SflowMessage, at: number, end: number, expanded: boolean,
  onUnknown: (format: number) => void,
): CounterSample {
  const { bytes, view, received, family, v4, v6 } = datagram
  const values: Record<string, number | string> = {}
  const sample: CounterSample = {
    received,
    exporterAddr: addressText(family, v4, v6),
    agentAddr: addressText(message.agentFamily, message.agentV4, message.agentV6),
    subAgentId: message.subAgentId,
    sequence: view.getUint32(at),
    sourceType: expanded ? view.getUint32(at + 4) : bytes[at + 4],
    sourceIndex: expanded ? view.getUint32(at + 8) : view.getUint32(at + 4) & 0xffffff,
    values,
  }
  at += expanded ? 16 : 12
  const records = view.getUint32(at - 4)
  for (let i = 0; i < records; i++) {
    const format = view.getUint32(at)
    const body = at + 8
    const bodyEnd = body + view.getUint32(at + 4)
    const layout = LAYOUTS.get(format)
    if (!layout) onUnknown(format)
    else if (format === ADAPTERS) takeAdapters(bytes, view, body, bodyEnd, values)
    else {
      const next = takeFields(layout, '', bytes, view, body, bodyEnd, values)
      if (format === OPTICS && next >= 0) takeLanes(bytes, view, next, bodyEnd, values)
    }
    at = Math.min(end, body + Math.ceil((bodyEnd - body) / 4) * 4)
  }
  return sample
}

/** Take the values of a list. @returns where they end, or -1 if the record ends before */
function takeFields(
  layout: readonly CounterField[], prefix: string, bytes: Uint8Array, view: DataView, at: number, end: number,
  values: Record<string, number | string>,
): number {
  for (const { name, kind } of layout) {
    let size = SIZES[kind] ?? 4
    if (kind === 's') {
      if (end - at < 4) return -1
      size = 4 + view.getUint32(at)
    }
    if (end - at < size) return -1
    const value = valueAt(kind, bytes, view, at, size)
    if (value !== undefined) values[prefix + name] = value
    at = kind === 's' ? Math.min(end, at + Math.ceil(size / 4) * 4) : at + size
  }
  return at
}

function valueAt(
  kind: string, bytes: Uint8Array, view: DataView, at: number, size: number,
): number | string | undefined {
  switch (kind) {
    case '64': {
      const [high, low] = [view.getUint32(at), view.getUint32(at + 4)]
      if (high === 0xffffffff && low === 0xffffffff) return undefined
      return Math.min(high * 2 ** 32 + low, 2 ** 53)
    }
    case 'f': {
      const value = view.getFloat32(at)
      return value >= 0 && value < Infinity ? shortFloat(value) : undefined
    }
    case 'i': return view.getInt32(at)
    case '%': {
      const value = view.getInt32(at)
      return value >= 0 ? value / 100 : undefined
    }
    case '8': return bytes[at]
    case 's': return new TextDecoder().decode(bytes.subarray(at + 4, at + size))
    case 'mac': return formatMac(view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2))
    case 'hex8': case 'hex16': return Buffer.from(bytes.subarray(at, at + size)).toString('hex')
    default: {
      const value = view.getUint32(at)
      return value === 0xffffffff ? undefined : value
    }
  }
}

/** The shortest decimal that a float stands for: 0.01, where the double of its value is 0.009999999776. */
function shortFloat(value: number): number {
  for (let digits = 6; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return short
  }
  return value
}

/** Lanes of an optical module, as `sfp_lane_0_tx_power_uw` and so on. */
function takeLanes(
  bytes: Uint8Array, view: DataView, at: number, end: number, values: Record<string, number | string>,
): void {
  if (end - at < 4) return
  const lanes = view.getUint32(at)
  at += 4
  for (let i = 0; i < lanes && end - at >= LANE_SIZE; i++, at += LANE_SIZE) {
    takeFields(LANE, `sfp_lane_${i}_`, bytes, view, at, end, values)
  }
}

/** Network adapters of a host, as `adapter_0_if_index` and `adapter_0_mac_0`. */
function takeAdapters(
  bytes: Uint8Array, view: DataView, at: number, end: number, values: Record<string, number | string>,
): void {
  if (end - at < 4) return
  const adapters = view.getUint32(at)
  at += 4
  for (let i = 0; i < adapters && end - at >= 8; i++) {
    const macs = view.getUint32(at + 4)
    values[`adapter_${i}_if_index`] = view.getUint32(at)
    at += 8
    if (macs > (end - at) / 8) return
    for (let j = 0; j < macs; j++, at += 8) {
      values[`adapter_${i}_mac_${j}`] = valueAt('mac', bytes, view, at, 8)!
    }
  }
}

function fieldsOf(list: string): CounterField[] {
  return list.split(/\s+/).filter(Boolean).map((word) => {
    const [name, kind = '32'] = word.split(':')
    return { name, kind }
  })
}

function addressText(family: number, v4: number, v6: Uint8Array): string {
  if (family === 4) return formatIpv4(v4)
  return family === 6 ? formatIpv6(v6, 0) : ''
}
