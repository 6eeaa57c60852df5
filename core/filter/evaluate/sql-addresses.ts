import type { AddressSet } from './address-set.ts'

/** Ranges up to which each is a comparison of its own, which DuckDB can hold against a file's statistics. */
const FEW = 16
const V4_BASE = 0xffff00000000 // low word of the IPv4-mapped addresses, whose high word is 0
const MAX_SIGNED = 2n ** 63n - 1n
const ALL_ONES = 0xffffffff

/** A set as a DuckDB expression over the columns of an address field, `NAME_hi` and `NAME_lo`. */
export function addressesToSql(name: string, { v4, v6 }: AddressSet): string {
  const [high, low] = [`${name}_hi`, `${name}_lo`]
  const few = v4.length / 2 + v6.length / 8 <= FEW
  const tests: string[] = []
  if (v4.length > 0) tests.push(`(${high} = 0 AND ${few ? ranges4(low, v4) : prefixes4(low, v4)})`)
  if (v6.length > 0) tests.push(few ? ranges6(high, low, v6) : prefixes6(high, low, v6))
  return anyTest(tests)
}

/** One of several tests. */
export function anyTest(tests: readonly string[]): string {
  if (tests.length === 0) return 'FALSE'
  return tests.length === 1 ? tests[0] : `(${tests.join(' OR ')})`
}

/** Without the cast DuckDB would take a number over 63 bits for one of 128, and compare as such. */
export function unsigned(value: bigint): string {
  return value > MAX_SIGNED ? `${value}::UBIGINT` : String(value)
}

/** Ranges of IPv4: single addresses as one list, and the others one by one. */
function ranges4(low: string, pairs: Uint32Array): string {
  const values: string[] = []
  const tests: string[] = []
  for (let i = 0; i < pairs.length; i += 2) {
    const [first, last] = [V4_BASE + pairs[i], V4_BASE + pairs[i + 1]]
    if (first === last) values.push(String(first))
    else tests.push(`${low} BETWEEN ${first} AND ${last}`)
  }
  if (values.length === 1) tests.unshift(`${low} = ${values[0]}`)
  else if (values.length > 1) tests.unshift(`${low} IN (${values.join(', ')})`)
  return anyTest(tests)
}

/** Ranges of IPv6, each as comparisons of its two words. */
function ranges6(high: string, low: string, words: Uint32Array): string {
  const tests: string[] = []
  for (let at = 0; at < words.length; at += 8) {
    const [firstHigh, firstLow, lastHigh, lastLow] = [0, 2, 4, 6].map((i) => wordOf(words, at + i))
    const [fh, fl, lh, ll] = [firstHigh, firstLow, lastHigh, lastLow].map(unsigned)
    const highs = fh === lh ? `${high} = ${fh}` : `${high} BETWEEN ${fh} AND ${lh}`
    if (firstLow === 0n && lastLow === 2n ** 64n - 1n) tests.push(highs)
    else if (firstHigh !== lastHigh) {
      const edges = `(${high} > ${fh} OR ${low} >= ${fl}) AND (${high} < ${lh} OR ${low} <= ${ll})`
      tests.push(`(${highs} AND ${edges})`)
    } else if (firstLow === lastLow) tests.push(`(${highs} AND ${low} = ${fl})`)
    else tests.push(`(${highs} AND ${low} BETWEEN ${fl} AND ${ll})`)
  }
  return anyTest(tests)
}

/** Many ranges of IPv4 as prefixes: those of one length are a list that DuckDB looks up by hash. */
function prefixes4(low: string, pairs: Uint32Array): string {
  const byFree = new Map<number, number[]>()
  for (let i = 0; i < pairs.length; i += 2) {
    const last = pairs[i + 1]
    for (let at = pairs[i]; at <= last;) {
      let size = at === 0 ? 2 ** 32 : (at & -at) >>> 0
      while (at + size - 1 > last) size /= 2
      append(byFree, Math.log2(size), (V4_BASE + at) / size)
      at += size
    }
  }
  return anyTest(Array.from(byFree, ([free, values]) => (
    `${shifted(low, free)} IN (SELECT ${listed(values)})`
  )))
}

/** The same for IPv6, where a prefix of 64 bits or less is about the high word alone. */
function prefixes6(high: string, low: string, words: Uint32Array): string {
  const byFree = new Map<number, bigint[]>()
  for (let at = 0; at < words.length; at += 8) {
    const free = freeBits(words, at)
    if (free >= 0) append(byFree, free, wordOf(words, at) << 64n | wordOf(words, at + 2))
    else {
      const last = wordOf(words, at + 4) << 64n | wordOf(words, at + 6)
      for (let from = wordOf(words, at) << 64n | wordOf(words, at + 2); from <= last;) {
        let bits = 0
        while ((from >> BigInt(bits) & 1n) === 0n && from + (2n << BigInt(bits)) - 1n <= last) bits++
        append(byFree, bits, from)
        from += 1n << BigInt(bits)
      }
    }
  }
  return anyTest(Array.from(byFree, ([free, starts]) => {
    const highs = starts.map((start) => start >> BigInt(Math.max(free, 64)))
    if (free >= 64) return `${shifted(high, free - 64)} IN (SELECT ${listed(highs)})`
    const lows = starts.map((start) => (start & 2n ** 64n - 1n) >> BigInt(free))
    return `(${high}, ${shifted(low, free)}) IN (SELECT ${listed(highs)}, ${listed(lows)})`
  }))
}

/** How many bits behind its prefix a range leaves free, or -1 where it is no prefix. */
function freeBits(words: Uint32Array, at: number): number {
  let free = 0
  for (let i = 3; i >= 0; i--) {
    const [low, high] = [words[at + i], words[at + i + 4]]
    const differ = (low ^ high) >>> 0
    if ((differ & (differ + 1)) !== 0 || (low & differ) !== 0) return -1
    if (differ !== 0 && free !== (3 - i) * 32) return -1 // what lies below is not all free
    free += differ === ALL_ONES ? 32 : 32 - Math.clz32(differ)
  }
  return free
}

function append<T>(lists: Map<number, T[]>, key: number, value: T): void {
  const list = lists.get(key)
  if (list) list.push(value)
  else lists.set(key, [value])
}

/** Numbers as rows: a text that DuckDB reads far faster than as many expressions. */
function listed(values: readonly (number | bigint)[]): string {
  return `unnest('[${values.join()}]'::UBIGINT[])`
}

function shifted(column: string, bits: number): string {
  return bits === 0 ? column : `(${column} >> ${bits})`
}

/** The 64 bits of two words. */
function wordOf(words: Uint32Array, at: number): bigint {
  return BigInt(words[at]) << 32n | BigInt(words[at + 1])
}
