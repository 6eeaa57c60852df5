import type { AddressColumn } from '../flow/address.ts'
import { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import type { Source } from '../pcap/write.ts'

const ICMP = 1
const ICMP6 = 58

/**
 * Splits batches among `count` receivers: by addresses, ports and protocol, so that both directions of a
 * conversation go to the same.
 *
 * @returns what gives a batch for each, valid until the next call
 */
export function balancer(count: number): (batch: FlowBatch) => readonly FlowBatch[] {
  const parts = Array.from({ length: count }, () => new FlowBatch())
  return (batch) => {
    for (const part of parts) part.clear()
    const { length, shape, shapes, srcAddr, dstAddr, srcPort, dstPort, proto } = batch
    for (let row = 0; row < length; row++) {
      const { mask } = shapes[shape[row]]
      const source = mask[ID.srcAddr] ? addressHash(srcAddr, row) : 0
      const target = mask[ID.dstAddr] ? addressHash(dstAddr, row) : 0
      const protocol = mask[ID.proto] ? proto[row] : 0
      const hasPorts = protocol !== ICMP && protocol !== ICMP6 // ICMP's hold what kind of message it is
      const sourcePort = hasPorts && mask[ID.srcPort] ? srcPort[row] : 0
      const targetPort = hasPorts && mask[ID.dstPort] ? dstPort[row] : 0
      // a sum, so that it is the same for both directions
      const ends = stir(source, sourcePort) + stir(target, targetPort) | 0
      parts[stir(ends, protocol) % count].append(batch, row)
    }
    return parts
  }
}

/** The receiver, of `count`, of the datagrams of an exporter. */
export function receiverOf({ family, v4, v6 }: Source, count: number): number {
  return (family === 6 ? hashBytes(v6, 0) : stir(0, v4)) % count
}

function addressHash({ family, v4, v6 }: AddressColumn, row: number): number {
  return family[row] === 6 ? hashBytes(v6, row * 16) : v4[row]
}

function hashBytes(v6: Uint8Array, at: number): number {
  let hash = 0
  for (const end = at + 16; at < end; at++) hash = stir(hash, v6[at])
  return hash
}

/** A hash of 32 bits and a number (the finisher is Wellons' lowbias32). */
function stir(hash: number, value: number): number {
  let x = hash + Math.imul(value, 0x9e3779b1) | 0
  x = Math.imul(x ^ x >>> 16, 0x7feb352d)
  x = Math.imul(x ^ x >>> 15, 0x846ca68b)
  return (x ^ x >>> 16) >>> 0
}
