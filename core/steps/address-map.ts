import { createHmac } from 'node:crypto'

/** Gives each address another in its place, always the same for the same one. */
export interface AddressMap {
  /** Of an IPv4 address, host order. */
  v4(address: number): number
  /** Of an IPv6 address, 16 bytes, in its place. */
  v6(address: Uint8Array): void
  /** Of a MAC address, 48 bits. */
  mac(address: number): number
}

/** Bit of a MAC address that says it was not given by the maker of the device (IEEE 802). */
const LOCAL_MAC = 2 ** 41

/**
 * Keep the first bits of addresses only.
 *
 * @param v4 bits of IPv4, 0 to 32
 * @param v6 bits of IPv6, 0 to 128; of MAC addresses the first 24 stay, which name the maker
 */
export function truncation(v4: number, v6: number): AddressMap {
  const mask4 = v4 === 0 ? 0 : -1 << 32 - v4
  return {
    v4: (address) => (address & mask4) >>> 0,
    v6(address) {
      for (let i = 0; i < 16; i++) {
        const kept = Math.max(0, Math.min(8, v6 - i * 8))
        address[i] &= 0xff00 >> kept
      }
    },
    mac: (address) => Math.floor(address / 2 ** 24) * 2 ** 24,
  }
}

/** Pseudonyms by HMAC-SHA-256 (RFC 2104), cut to the length of the address. */
export function hmacPseudonyms(key: Uint8Array): AddressMap {
  const digest = (address: Uint8Array) => createHmac('sha256', key).update(address).digest()
  return {
    v4(address) {
      const bytes = Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address)
      return digest(bytes).readUInt32BE(0)
    },
    v6: (address) => address.set(digest(address).subarray(0, 16)),
    mac(address) {
      const bytes = new Uint8Array(6)
      for (let i = 5, rest = address; i >= 0; i--, rest = Math.floor(rest / 256)) bytes[i] = rest % 256
      const local = digest(bytes).readUIntBE(0, 6)
      return Math.floor(local / LOCAL_MAC) % 2 === 1 ? local : local + LOCAL_MAC
    },
  }
}

/** Addresses that are remembered with what they became, of each kind. */
const MOST_REMEMBERED = 1 << 18

/** `map`, which is asked only once for addresses that come often. */
export function remembered(map: AddressMap): AddressMap {
  const v4 = new Map<number, number>()
  const v6 = new Map<string, Uint8Array>()
  const mac = new Map<number, number>()
  function recall<Key, Value>(known: Map<Key, Value>, key: Key, make: () => Value): Value {
    let value = known.get(key)
    if (value !== undefined) return value
    if (known.size >= MOST_REMEMBERED) known.clear()
    known.set(key, value = make())
    return value
  }
  return {
    v4: (address) => recall(v4, address, () => map.v4(address)),
    v6(address) {
      const key = Buffer.from(address.buffer, address.byteOffset, 16).toString('latin1')
      address.set(recall(v6, key, () => {
        map.v6(address)
        return address.slice()
      }))
    },
    mac: (address) => recall(mac, address, () => map.mac(address)),
  }
}
