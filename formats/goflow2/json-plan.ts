/** How rows of a shape look as goflow2's JSON: literals, and the values between them. */
import { toWords } from '../../core/flow/byte-writer.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPES, PROTOCOLS } from '../../core/flow/names.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { extraNames } from '../extras.ts'
import { ADDRESS, FIRST_FREE_KIND, KINDS } from '../kinds.ts'
import { KEYS, LABEL_FIELDS, MAPPED_KEYS, type Key } from './keys.ts'

// Further kinds of values
export const NAME: number = FIRST_FREE_KIND
export const ETYPE: number = FIRST_FREE_KIND + 1
export const NET: number = FIRST_FREE_KIND + 2
/** What stands for no network where there is an address, or an EtherType. */
export const NO_NET: number = FIRST_FREE_KIND + 3
export const NO_NET_OF_ETYPE: number = FIRST_FREE_KIND + 4
/** Text of words as a list of numbers. */
export const WORD_LIST: number = FIRST_FREE_KIND + 5
/** A VLAN that is 0 in sFlow. */
export const VLAN: number = FIRST_FREE_KIND + 6

/** Words of values of 8 bits, and how long each is. */
export interface Names {
  readonly words: readonly Int32Array[]
  readonly lengths: Uint8Array
}

/** One value of a row: its kind, and the field that it or what decides about it is in. */
export interface Cell {
  readonly kind: number
  readonly field: number
  /** The literal before it, and that before an IPv6 address, which is as long. */
  readonly before: string
  readonly before6: string
  readonly names?: Names | undefined
}

/** A row of a shape. */
export interface Layout {
  readonly cells: readonly Cell[]
  /** The literal behind the last cell, without the brace. */
  readonly tail: string
  /** Keys of the elements without a field that are written. */
  readonly extras: readonly string[]
}

/** Keys that goflow2 writes of packets it has parsed, without a field, and what it writes for nothing. */
const OF_PACKETS: readonly (readonly [key: string, nothing: string])[] = [
  ['layer_stack', '[]'], ['layer_size', '[]'], ['ipv6_routing_header_addresses', '[]'],
  ['ipv6_routing_header_seg_left', '0'],
]

/** Whether goflow2 has lists under a key for which there is no field. */
export function isListKey(name: string): boolean {
  return OF_PACKETS.some(([key, nothing]) => key === name && nothing === '[]')
}

const TAKEN = [...KEYS, ...MAPPED_KEYS].map(({ name }) => name)

/** Names of protocols as goflow2 has them where they differ from flowkit's. */
const PROTOCOL_NAMES: Readonly<Record<number, string>> = { 58: 'IPv6-ICMP', 89: 'OSPFIGP' }

const TYPES = namesOf((value) => `"${FLOW_TYPES[value] ?? 'FLOWUNKNOWN'}"`)
const PROTOS = namesOf((value) => {
  const name = PROTOCOL_NAMES[value] ?? PROTOCOLS[value]
  return name === undefined ? `${value}` : `"${name}"`
})

function namesOf(textOf: (value: number) => string): Names {
  const texts = Array.from({ length: 256 }, (_, value) => textOf(value))
  return { words: texts.map(toWords), lengths: Uint8Array.from(texts, ({ length }) => length) }
}

/** The field of the address whose prefix length a field is. */
export function addressOf(field: number): number {
  return field === ID.srcMask ? ID.srcAddr : ID.dstAddr
}

/** Puts literals and values one behind the other. */
class Builder {
  readonly cells: Cell[] = []
  literal = ''

  value(kind: number, field: number, names?: Names, literal6: string = this.literal): void {
    this.cells.push({ kind, field, before: this.literal, before6: literal6, names })
    this.literal = ''
  }
}

/**
 * How rows of a shape look: all keys that goflow2 always has, and the mapped ones that the shape has.
 *
 * @param hasExtras whether elements without a field are written too, under their names
 */
export function layoutOf({ mask, extras }: Shape, hasExtras: boolean): Layout {
  const names = hasExtras ? extraNames(extras, TAKEN) : []
  const row = new Builder()
  row.literal = '{'
  for (const key of KEYS) {
    row.literal += `"${key.name}":`
    const isOwn = key.name === 'dst_mac' && mask[key.field] === 0 // the packet's, in sFlow
    addMember(row, isOwn ? { ...key, field: ID.dstMac } : key, mask)
    row.literal += ','
  }
  row.literal += OF_PACKETS.filter(([key]) => !names.includes(key))
    .map(([key, none]) => `"${key}":${none}`).join()
  if (row.literal.endsWith(',')) row.literal = row.literal.slice(0, -1)
  for (const key of MAPPED_KEYS) {
    if (mask[key.field] === 0 || key.name.includes('ipv6')) continue
    const { literal } = row
    row.literal += `,"${key.name}":`
    if (key.kind === 'address') {
      row.literal += '"'
      row.value(ADDRESS, key.field, undefined, `${literal},"${key.name.replace('ipv4', 'ipv6')}":"`)
      row.literal = '"'
    } else addMember(row, key, mask)
  }
  return { cells: row.cells, tail: row.literal, extras: names }
}

function addMember(row: Builder, key: Key, mask: Uint8Array): void {
  const { name, kind, field } = key
  if (kind === 'net') return addNet(row, field, mask)
  if (mask[field] === 0) {
    row.literal += nothing(key)
    return
  }
  const { type } = FIELDS[field]
  switch (kind) {
    case 'type': return row.value(NAME, field, TYPES)
    case 'proto': return row.value(NAME, field, PROTOS)
    case 'etype': return row.value(ETYPE, field)
    case 'number':
      return row.value(name === 'vlan_id' && mask[ID.type] === 1 ? VLAN : KINDS[type], field)
    case 'time': return row.value(KINDS[type], field)
  }
  const [open, close] = kind === 'addresses' ? ['["', '"]']
    : kind === 'address' || kind === 'mac' ? ['"', '"'] : ['[', ']']
  row.literal += open
  if (kind === 'labels') {
    for (const [i, id] of LABEL_FIELDS.filter((each) => mask[each] === 1).entries()) {
      if (i > 0) row.literal += ','
      row.value(KINDS[FIELDS[id].type], id)
    }
  } else row.value(kind === 'words' ? WORD_LIST : KINDS[type], field)
  row.literal += close
}

/** The network of an address: that of none where nobody says how many bits it has. */
function addNet(row: Builder, field: number, mask: Uint8Array): void {
  const address = addressOf(field)
  row.literal += '"'
  if (mask[address] === 1) row.value(mask[field] === 1 ? NET : NO_NET, mask[field] === 1 ? field : address)
  else if (mask[ID.etype] === 1) row.value(NO_NET_OF_ETYPE, ID.etype)
  else row.literal += '0.0.0.0/0'
  row.literal += '"'
}

/** What goflow2 writes for nothing. */
function nothing({ kind }: Key): string {
  switch (kind) {
    case 'type': return '"FLOWUNKNOWN"'
    case 'etype': case 'address': return '""'
    case 'proto': return '"HOPOPT"'
    case 'mac': return '"00:00:00:00:00:00"'
    case 'words': case 'numbers': case 'labels': case 'addresses': return '[]'
    default: return '0'
  }
}
