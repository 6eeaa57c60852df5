/** Values that are addresses: alone, with a port, as a network. */
import { ipv6Storage, type AddressColumn } from '../../core/flow/address.ts'
import { putUint, putWords, toWords } from '../../core/flow/byte-writer.ts'
import { ID } from '../../core/flow/fields.ts'
import { alignRight, padTo } from '../align.ts'
import { putInet6 } from '../inet6.ts'
import { putIcmp, putPort, putRight, putRightIpv4 } from './put.ts'
import type { Context, RowText, Style, Value } from './rows.ts'
import { columnOf, computed, isIcmp } from './values.ts'

const NO_ADDRESS = '0.0.0.0'
const NO_ADDRESS_WORDS = toWords(NO_ADDRESS)
const DOT = 46
const COLON = 58
const SLASH = 47
/** Longest IPv6 address that is not shortened. */
const SHORT = 16

/** Ids of the fields that `icmpOf` looks at. */
export const ICMP_FIELDS: readonly number[] = [ID.proto, ID.icmpType, ID.icmpCode, ID.dstPort]

function placesOf({ csv, ipv6Full }: Style): number {
  return csv ? 0 : ipv6Full ? 39 : SHORT
}

/** Write the address of a row at the right end of `places` bytes; if `isShort`, a long one is shortened. */
function putAddress(
  out: RowText, { family, v4, v6 }: AddressColumn, row: number, places: number, isShort: boolean, at: number,
): number {
  if (family[row] === 4) return putRightIpv4(v4[row], places, out.view, at)
  const { bytes, view } = out
  let end = at + NO_ADDRESS.length
  if (family[row] === 6) {
    end = putInet6(v6, row * 16, view, at)
    if (isShort && end - at > SHORT) { // the first and last 7 of it
      bytes[at + 7] = bytes[at + 8] = DOT
      bytes.copyWithin(at + 9, end - 7, end)
      end = at + SHORT
    }
  } else return putNoAddress(out, places, at)
  return alignRight(bytes, at, end, places)
}

function putNoAddress(out: RowText, places: number, at: number): number {
  putWords(NO_ADDRESS_WORDS, 0, 2, out.view, at)
  return alignRight(out.bytes, at, at + NO_ADDRESS.length, places)
}

/** An address; long IPv6 addresses are shortened to their ends unless the style says otherwise. */
export function address(id: number): Value {
  return addressIn(id, placesOf, ({ csv, ipv6Full }) => !csv && !ipv6Full)
}

/** A whole address, at the right end of at least `width` bytes. */
export function wholeAddress(id: number, width: number): Value {
  return addressIn(id, () => width, () => false)
}

function addressIn(
  id: number, placesOf: (style: Style) => number, isShortened: (style: Style) => boolean,
): Value {
  return {
    fields: [id],
    bind(context) {
      const { out, style } = context
      const places = placesOf(style)
      const isShort = isShortened(style)
      const column = columnOf<AddressColumn>(context, id)
      if (!column) return NO_ADDRESS.padStart(places)
      return (row, at) => putAddress(out, column, row, places, isShort, at)
    },
  }
}

/** What lies between an address and its port where the peer looks up countries and has no data to do so. */
export const NO_COUNTRY = '(..)'

/** An address and a port, `192.0.2.1:80   ` or `2001:db8::1.80   `, with `between` after the address. */
export function endpoint(id: number, portId: number, between: string = ''): Value {
  const isDestination = id === ID.dstAddr
  const words = toWords(between)
  return {
    fields: isDestination ? [id, portId, ...ICMP_FIELDS] : [id, portId],
    bind(context) {
      const { out, style } = context
      const places = placesOf(style)
      const isShort = places === SHORT
      const column = columnOf<AddressColumn>(context, id)
      const ports = columnOf<Uint16Array>(context, portId)
      const icmp = isDestination ? icmpOf(context) : undefined
      return (row, at) => {
        at = column ? putAddress(out, column, row, places, isShort, at) : putNoAddress(out, places, at)
        const { view } = out
        if (between !== '') {
          putWords(words, 0, words.length, view, at)
          at += between.length
        }
        view.setUint8(at, column?.family[row] === 6 ? DOT : COLON)
        at++
        if (icmp === undefined || !isIcmp(icmp.protos[row])) {
          return putPort(ports === undefined ? 0 : ports[row], view, at)
        }
        return padTo(out.bytes, putIcmp(icmp.type(row), icmp.code(row), view, at), at + 5)
      }
    },
  }
}

/** ICMP of the rows of a shape. */
export interface Icmp {
  /** Protocols of the rows, to tell which are of ICMP. */
  readonly protos: Uint8Array
  type(row: number): number
  code(row: number): number
}

/**
 * Type and code, which NetFlow v5 and v9 have in the destination port.
 *
 * @returns undefined where no row has a protocol
 */
export function icmpOf(context: Context): Icmp | undefined {
  const protos = columnOf<Uint8Array>(context, ID.proto)
  const types = columnOf<Uint8Array>(context, ID.icmpType)
  const codes = columnOf<Uint8Array>(context, ID.icmpCode)
  const ports = columnOf<Uint16Array>(context, ID.dstPort)
  return protos && {
    protos,
    type: (row) => types ? types[row] : ports ? ports[row] >> 8 : 0,
    code: (row) => codes ? codes[row] : ports && !types ? ports[row] & 255 : 0,
  }
}

/** The destination port, or type and code of ICMP, at the right end of 6 bytes. */
export const destinationPort: Value = {
  fields: ICMP_FIELDS,
  bind(context) {
    const { out, style } = context
    const places = style.csv ? 0 : 6
    const ports = columnOf<Uint16Array>(context, ID.dstPort)
    const icmp = icmpOf(context)
    if (!ports && !icmp) return '0'.padStart(places)
    return (row, at) => {
      const { view } = out
      if (!icmp || !isIcmp(icmp.protos[row])) return putRight(ports ? ports[row] : 0, places, view, at)
      return alignRight(out.bytes, at, putIcmp(icmp.type(row), icmp.code(row), view, at), places)
    }
  },
}

/** The type of ICMP; 0 for other protocols. */
export const icmpType: Value = computed(ICMP_FIELDS, 6, (context) => {
  const icmp = icmpOf(context)
  return icmp && ((row) => isIcmp(icmp.protos[row]) ? icmp.type(row) : 0)
})
/** The code of ICMP; 0 for other protocols. */
export const icmpCode: Value = computed(ICMP_FIELDS, 6, (context) => {
  const icmp = icmpOf(context)
  return icmp && ((row) => isIcmp(icmp.protos[row]) ? icmp.code(row) : 0)
})

const masked: AddressColumn = { family: new Uint8Array(1), v4: new Uint32Array(1), v6: new Uint8Array(0) }

/** Make `masked` the network of a row's address. */
function maskAddress({ family, v4, v6 }: AddressColumn, row: number, bits: number): void {
  masked.family[0] = family[row]
  if (family[row] === 4) masked.v4[0] = bits === 0 ? 0 : v4[row] & -1 << 32 - Math.min(bits, 32)
  if (family[row] !== 6) return
  const network = ipv6Storage(masked)
  for (let i = 0; i < 16; i++) {
    const kept = Math.min(8, Math.max(0, bits - i * 8))
    network[i] = v6[row * 16 + i] & 0xff00 >> kept
  }
}

/**
 * The network of an address by the prefix length in another field, `10.20.0.0/16`. Where that is 0 the
 * address stays whole, where there is none it is the network of all addresses.
 *
 * @param isFormer whether there are no networks of 0 bits, as in 1.7.1: IPv4 stays whole, of IPv6 half of it
 */
export function network(id: number, maskId: number, isFormer: boolean = false): Value {
  return {
    fields: [id, maskId],
    bind(context) {
      const { out, style } = context
      const places = placesOf(style)
      const column = columnOf<AddressColumn>(context, id)
      const masks = columnOf<Uint8Array>(context, maskId)
      return (row, at) => {
        const bits = masks ? masks[row] : 0
        if (column && isFormer && bits === 0) maskAddress(column, row, 64)
        else if (column) maskAddress(column, row, masks && bits === 0 ? 128 : bits)
        else masked.family[0] = 0
        at = putAddress(out, masked, 0, places, places === SHORT, at)
        out.view.setUint8(at, SLASH)
        const end = putUint(bits, out.view, at + 1)
        return style.csv ? end : padTo(out.bytes, end, at + 3)
      }
    },
  }
}

/** The network of an address alone; nothing where none of `known` is a prefix length. */
export function bareNetwork(id: number, maskId: number, known: readonly number[]): Value {
  return {
    fields: [id, maskId, ...known],
    bind(context) {
      const { out } = context
      const column = columnOf<AddressColumn>(context, id)
      const masks = columnOf<Uint8Array>(context, maskId)
      const lengths = known.map((each) => columnOf<Uint8Array>(context, each))
      if (!column) return ''
      return (row, at) => {
        const isKnown = lengths.some((each) => each !== undefined && each[row] > 0)
        if (column.family[row] === 0 || !isKnown) return at
        maskAddress(column, row, masks ? masks[row] : 0)
        return putAddress(out, masked, 0, 0, false, at)
      }
    },
  }
}
