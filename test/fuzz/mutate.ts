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

/** What readers of text may trip over. */
const WORDS = [
  '', '0', '-0', '-1', '1e400', '1.5', '256', '65536', '4294967296', '9007199254740993',
  '18446744073709551616', '99999999999999999999999999', '0x', '0xff', 'null', 'true', 'NaN', '[]', '{}', '""',
  '"', "'", '\\', '\\u0000', '\\ud800', '\\"', ',', ',,', ':', '::', '::1', '0.0.0.0/0', '/', '@', '#', ';',
  '(', ')', '[', ']', '{', '}',
  '\n', '\r\n', '\0', '\x80', '\xff\xfe', 'é', '1970-01-01T00:00:00Z', '9999-12-31', '-', '!', '*', '\t',
]
const TOKEN = /[\w.:+-]+|\s+|[^\w.:+\s-]/g
/** How often a word may come in a row, for deep nesting and long lists, and bytes of it then. */
const MOST_REPEATS = 3000
const MOST_REPEATED = 1 << 18

/** A text damaged word by word, into which words of another may have come, and `words`. */
export function mutateText(
  original: string, other: string, random: () => number, words: readonly string[] = [],
): string {
  const tokens = original.match(TOKEN) ?? ['']
  const others = other.match(TOKEN) ?? ['']
  for (let n = 1 + random() % 4; n > 0; n--) {
    const at = random() % (tokens.length + 1)
    const some = (of: readonly string[], most: number) => {
      const from = random() % of.length
      return of.slice(from, from + 1 + random() % most)
    }
    switch (random() % 8) {
      case 0: tokens.splice(at, 1 + random() % 3); break
      case 1: tokens.splice(at, 1, WORDS[random() % WORDS.length]); break
      case 2: tokens.splice(at, 0, WORDS[random() % WORDS.length]); break
      case 3: tokens.splice(at, 1, others[random() % others.length]); break
      case 4: tokens.splice(at, 0, ...some(others, 12)); break
      case 5: tokens.splice(at, 0, ' ', words[random() % words.length] ?? '', ' '); break
      case 6: tokens.splice(at, 0, ...some(tokens, 6)); break
      case 7: {
        const piece = tokens.slice(at, at + 1 + random() % 4).join('')
        const times = random() % Math.min(MOST_REPEATS, 1 + MOST_REPEATED / (piece.length + 1) | 0)
        if (random() % 16 === 0) tokens.splice(at, 0, piece.repeat(times))
        else if (at < tokens.length) tokens[at] = String.fromCharCode(random() % 256) + tokens[at].slice(1)
      }
    }
  }
  return tokens.join('')
}

/** Bytes of which a short piece comes again and again: nesting, long runs, more rows than a batch holds. */
export function stretch(bytes: Uint8Array, random: () => number): Uint8Array {
  const start = random() % (bytes.length + 1)
  const piece = bytes.slice(start, start + 1 + random() % 64)
  const times = random() % MOST_REPEATS
  const out = new Uint8Array(bytes.length + piece.length * times)
  out.set(bytes.subarray(0, start))
  for (let i = 0; i < times; i++) out.set(piece, start + i * piece.length)
  out.set(bytes.subarray(start), start + piece.length * times)
  return out
}
