/** Damage for fuzzing, the same for a seed. */

const INTERESTING = [
  0, 1, 2, 3, 4, 5, 7, 8, 10, 16, 127, 128, 255, 256, 257, 1024, 0x7fff, 0x8000, 0xfffe, 0xffff,
]

/** Random 32-bit numbers, the same for a seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
}

/** A damaged copy of some bytes, into which parts of others may have come. */
export function mutate(original: Uint8Array, other: Uint8Array, random: () => number): Uint8Array {
  let bytes = original.slice()
  for (let n = 1 + random() % 4; n > 0 && bytes.length > 0; n--) {
    const at = random() % bytes.length
    switch (random() % 8) {
      case 0: bytes[at] ^= 1 << random() % 8; break
      case 1: bytes[at] = random(); break
      case 2: case 3: { // a length, a count, an id
        const value = INTERESTING[random() % INTERESTING.length]
        bytes[at & ~1] = value >> 8
        bytes[at | 1] = value
        break
      }
      case 4: bytes = bytes.slice(0, at); break
      case 5: bytes.copyWithin(at, random() % bytes.length); break
      case 6: bytes = join(bytes.subarray(0, at), bytes.subarray(random() % bytes.length)); break
      case 7: bytes = join(bytes.subarray(0, at), other.subarray(random() % other.length)); break
    }
  }
  return bytes
}

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}
