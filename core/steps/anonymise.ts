import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import { hasPrefix, mapIpv4, type Prefix } from '../flow/prefix.ts'
import { dropExtras } from '../flow/reshape.ts'
import type { FlowReader } from '../flow/stream.ts'
import { remembered, type AddressMap } from './address-map.ts'
import { ADDRESS_FIELDS, MAC_FIELDS, type AddressSet } from './address-set.ts'
import type { FlowStep } from './step.ts'

/** How addresses are replaced. */
export interface AnonymiseOptions {
  readonly map: AddressMap
  /** Addresses that stay as they are. */
  readonly keep: readonly Prefix[]
  /** Takes the addresses that are replaced, to be looked for afterwards. */
  readonly replaced?: AddressSet
}

/** Fields of networks, and of how many of their bits count. */
const NETWORKS = [[ID.srcPrefix, ID.srcMask], [ID.dstPrefix, ID.dstMask]] as const

/** A route distinguisher of this type begins with an IPv4 address (RFC 4364 §4.2). */
const RD_ADDRESS = 1
const RD_SIZE = 8

const REPLACED = 'addresses replaced'
const REPLACED_MACS = 'MAC addresses replaced'
const DROPPED = 'flows whose elements without a field are left out: they may hold addresses'

/**
 * Replace all addresses of flows, of every field that has some: IPv4, IPv6 and MAC, and those in route
 * distinguishers. What is left of networks ends where they end. Elements without a field are left out, since
 * nobody knows what is in them.
 */
export function anonymiser({ map: plain, keep, replaced: originals }: AnonymiseOptions): FlowStep {
  const map = remembered(plain)
  const counts = new Map<string, number>()
  const mapped = new Uint8Array(16)
  const before = new Uint8Array(16)

  function count(what: string, more: number): void {
    if (more > 0) counts.set(what, (counts.get(what) ?? 0) + more)
  }

  function isKept(address: Uint8Array): boolean {
    return keep.some((prefix) => hasPrefix(address, prefix))
  }

  function replaceAddresses(batch: FlowBatch, id: number): void {
    const { length, shape } = batch
    const present = batch.present(id)
    const column = batch.column(id) as AddressColumn
    const { family, v4 } = column
    let replaced = 0
    for (let row = 0; row < length; row++) {
      if (present[shape[row]] === 0) continue
      if (family[row] === 4) {
        if (keep.length > 0 && isKept(mapIpv4(v4[row], mapped))) continue
        v4[row] = replaceV4(v4[row])
      } else if (family[row] === 6) {
        const address = ipv6Storage(column).subarray(row * 16, row * 16 + 16)
        if (isKept(address)) continue
        before.set(address)
        map.v6(address)
        originals?.addV6(before, address)
      } else continue
      replaced++
    }
    count(REPLACED, replaced)
  }

  function replaceV4(address: number): number {
    const replacement = map.v4(address)
    originals?.addV4(address, replacement)
    return replacement
  }

  function replaceMacs(batch: FlowBatch, id: number): void {
    const { length, shape } = batch
    const present = batch.present(id)
    const column = batch.column(id) as Float64Array
    let replaced = 0
    for (let row = 0; row < length; row++) {
      if (present[shape[row]] === 0) continue
      const mac = map.mac(column[row])
      originals?.addMac(column[row], mac)
      column[row] = mac
      replaced++
    }
    count(REPLACED_MACS, replaced)
  }

  function replaceDistinguishers(batch: FlowBatch): void {
    const { length, shape } = batch
    const present = batch.present(ID.mplsVpnRd)
    const column = batch.column(ID.mplsVpnRd) as Uint32Array
    let replaced = 0
    for (let row = 0; row < length; row++) {
      if (present[shape[row]] === 0 || column[row * 2 + 1] !== RD_SIZE) continue
      const start = column[row * 2]
      const value = Buffer.from(batch.heap.subarray(start, start + RD_SIZE)) // rows may share the bytes
      if (value.readUInt16BE(0) !== RD_ADDRESS) continue
      const address = value.readUInt32BE(2)
      if (keep.length > 0 && isKept(mapIpv4(address, mapped))) continue
      value.writeUInt32BE(replaceV4(address), 2)
      column[row * 2] = batch.addBytes(value, 0, RD_SIZE)
      replaced++
    }
    count(REPLACED, replaced)
  }

  function countExtras({ length, shape, shapes }: FlowBatch): number {
    let rows = 0
    for (let row = 0; row < length; row++) if (shapes[shape[row]].extras.length > 0) rows++
    return rows
  }

  async function* run(reader: FlowReader): FlowReader {
    for await (const batch of reader) {
      for (const id of ADDRESS_FIELDS) if (batch.has(id)) replaceAddresses(batch, id)
      for (const id of MAC_FIELDS) if (batch.has(id)) replaceMacs(batch, id)
      if (batch.has(ID.mplsVpnRd)) replaceDistinguishers(batch)
      for (const [network, bits] of NETWORKS) if (batch.has(network)) cutNetworks(batch, network, bits)
      count(DROPPED, countExtras(batch))
      dropExtras(batch)
      yield batch
    }
  }

  return { run, counts }
}

/** Let nothing stand behind the bits of a network. */
function cutNetworks(batch: FlowBatch, network: number, bits: number): void {
  if (!batch.has(bits)) return
  const { length, shape } = batch
  const networks = batch.present(network)
  const lengths = batch.present(bits)
  const column = batch.column(network) as AddressColumn
  const mask = batch.column(bits) as Uint8Array
  for (let row = 0; row < length; row++) {
    if (networks[shape[row]] === 0 || lengths[shape[row]] === 0) continue
    if (column.family[row] === 4) {
      if (mask[row] < 32) column.v4[row] &= mask[row] === 0 ? 0 : -1 << 32 - mask[row]
    } else if (column.family[row] === 6) {
      const address = ipv6Storage(column).subarray(row * 16, row * 16 + 16)
      for (let i = 0; i < 16; i++) address[i] &= 0xff00 >> Math.max(0, Math.min(8, mask[row] - i * 8))
    }
  }
}
