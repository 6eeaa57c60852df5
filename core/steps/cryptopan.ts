import { createCipheriv, type Cipheriv } from 'node:crypto'
import type { AddressMap } from './address-map.ts'

/** Bytes of a key: one for AES-128, then what the pad is made from. */
export const CRYPTOPAN_KEY_SIZE = 32

const BLOCK = 16

/**
 * Prefix-preserving pseudonyms: two addresses that share their first n bits share them afterwards, and no
 * more. MAC addresses keep what they share too, in 48 bits.
 *
 * Source: J. Xu, J. Fan, M. Ammar, S. Moon, "Prefix-Preserving IP Address Anonymization", ICNP 2002, with
 * AES-128 as in the authors' Crypto-PAn 1.0; 128 bits for IPv6 likewise.
 *
 * @param key CRYPTOPAN_KEY_SIZE bytes
 */
export function cryptopan(key: Uint8Array): AddressMap {
  const aes = createCipheriv('aes-128-ecb', key.subarray(0, BLOCK), null).setAutoPadding(false)
  const pad = aes.update(key.subarray(BLOCK, CRYPTOPAN_KEY_SIZE))
  const blocks = new Uint8Array(128 * BLOCK)
  return {
    v4(address) {
      const bytes = Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address)
      flip(aes, pad, blocks, bytes, 32)
      return (bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3]) >>> 0
    },
    v6: (address) => flip(aes, pad, blocks, address, 128),
    mac(address) {
      const bytes = new Uint8Array(6)
      for (let i = 5; i >= 0; i--, address = Math.floor(address / 256)) bytes[i] = address % 256
      flip(aes, pad, blocks, bytes, 48)
      return bytes.reduce((sum, byte) => sum * 256 + byte, 0)
    },
  }
}

/**
 * Flip the bits of `address`, each by a function of those before it.
 *
 * @param blocks memory for a block a bit
 */
function flip(aes: Cipheriv, pad: Uint8Array, blocks: Uint8Array, address: Uint8Array, bits: number): void {
  for (let bit = 0; bit < bits; bit++) {
    const at = bit * BLOCK
    const whole = bit >> 3
    const mask = 0xff00 >> (bit & 7) & 0xff
    blocks.set(pad, at)
    for (let i = 0; i < whole; i++) blocks[at + i] = address[i]
    blocks[at + whole] = address[whole] & mask | pad[whole] & ~mask
  }
  const encrypted = aes.update(blocks.subarray(0, bits * BLOCK))
  for (let bit = 0; bit < bits; bit++) address[bit >> 3] ^= (encrypted[bit * BLOCK] & 0x80) >> (bit & 7)
}
