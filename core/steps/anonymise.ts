import { ipv6Storage, type AddressColumn } from '../flow/address.ts'
import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS, ID } from '../flow/fields.ts'
import { hasPrefix, mapIpv4, type Prefix } from '../flow/prefix.ts'
import { dropExtras } from '../flow/reshape.ts'
import type { FlowReader } from '../flow/stream.ts'
import { remembered, type AddressMap } from './address-map.ts'
import { ADDRESS_FIELDS, type AddressSet } from './address-set.ts'
import type { FlowStep } from './step.ts'

/** How addresses are replaced. */
export interface AnonymiseOptions {
  readonly map: AddressMap
  /** Addresses that stay as they are. */
  readonly keep: readonly Prefix[]
  /** Takes the addresses that are replaced, to be looked for afterwards. */
  readonly replaced?: AddressSet
}

const MACS = FIELDS.filter(({ type }) => type === 'mac').map(({ id }) => id)
/** Fields of networks, and of how many of their bits count. */
const NETWORKS = [[ID.srcPrefix, ID.srcMask], [ID.dstPrefix, ID.dstMask]] as const

const REPLACED = 'addresses replaced'
const DROPPED = 'flows whose elements without a field are left out: they may hold addresses'

/**
 * Replace all addresses of flows, of every field that has some: IPv4, IPv6 and MAC. What is left of networks
 * ends where they end. Elements without a field are left out, since nobody knows what is in them.
 */
export function anonymiser({ map: plain, keep, replaced: originals }: AnonymiseOptions): FlowStep {
  const map = remembered(plain)
  const counts = new Map<string, number>()
  const mapped = new Uint8Array(16)

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
        originals?.addV4(v4[row])
        v4[row] = map.v4(v4[row])
      } else if (family[row] === 6) {
        const address = ipv6Storage(column).subarray(row * 16, row * 16 + 16)
        if (isKept(address)) continue
        originals?.addV6(address)
        map.v6(address)
      } else continue
      replaced++
    }
    count(REPLACED, replaced)
  }

  function replaceMacs(batch: FlowBatch, id: number): void {
    const { length, shape } = batch
    const present = batch.present(id)
    const column = batch.column(id) as Float64Array
    for (let row = 0; row < length; row++) {
      if (present[shape[row]] === 1) column[row] = map.mac(column[row])
    }
  }

  function countExtras({ length, shape, shapes }: FlowBatch): number {
    let rows = 0
    for (let row = 0; row < length; row++) if (shapes[shape[row]].extras.length > 0) rows++
    return rows
  }

  async function* run(reader: FlowReader): FlowReader {
    for await (const batch of reader) {
      for (const id of ADDRESS_FIELDS) if (batch.has(id)) replaceAddresses(batch, id)
      for (const id of MACS) if (batch.has(id)) replaceMacs(batch, id)
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
