import { parseIpv4 } from '../../flow/address.ts'
import { addressList, type AddressList, type AddressSet } from '../evaluate/address-set.ts'
import { mergeRanges } from '../evaluate/sets.ts'
import { allOf, anyOf, type Leaf, type Node, type SetLeaf, type Source } from '../node.ts'
import { isClock } from '../time-text.ts'
import { addRange, parseAddresses, parseNetmask, type AddressRange } from './addresses.ts'
import type { Cursor } from './cursor.ts'
import { fault, readFrom, type ReadFile } from './lexer.ts'
import { listedTexts, readAddresses } from './list-file.ts'
import { describe, parseBytes, parseNumbers, parseWide, typeOf } from './values.ts'

/** Finds the addresses of a host, as text; none if it has none. */
export type FindHost = (name: string) => readonly string[]

/** What a filter is read with. */
export interface ParseContext {
  /** µs since the epoch, which times like `-1h` count from. */
  readonly now: number
  /** Undefined where files may not be read. */
  readonly read: ReadFile | undefined
  /** Undefined where names may not be looked up. */
  readonly hosts: FindHost | undefined
  /** Sets of the files of addresses read so far, by path. */
  readonly sets: Map<string, AddressSet>
}

/** Values read so far, in the form that their source's type needs. */
export interface Values {
  /** Whose values they are; all sources of a comparison have the same type. */
  readonly source: Source
  readonly numbers: number[]
  readonly wide: bigint[]
  readonly addresses: AddressList
  readonly bytes: Uint8Array[]
  /** Networks whose mask has gaps. */
  readonly masked: { readonly mask: number, readonly bits: number }[]
  /** Values from files: each a path, and its values or addresses. */
  readonly files: { readonly path: string, readonly values: Values, readonly set: AddressSet | undefined }[]
}

/** No values yet. */
export function noValues(source: Source): Values {
  return { source, numbers: [], wide: [], addresses: addressList(), bytes: [], masked: [], files: [] }
}

/**
 * Read one value, a range, or a file of them, into `values`.
 *
 * @param short whether networks may be written short
 * @param masked whether a netmask may follow an address
 */
export function readValue(
  cursor: Cursor, context: ParseContext, values: Values, short: boolean, masked: boolean,
): void {
  const { source } = values
  const { kind, text } = cursor.token
  if (kind === 'file') return readFile(cursor, context, values)
  if (kind !== 'word' && kind !== 'text') throw cursor.expected(describe(source, text))
  if (typeOf(source) === 'addr') return readAddress(cursor, context, values, short, masked)
  if (typeOf(source) === 'time') {
    const clock = cursor.peek(1)
    const joined = clock.kind === 'word' && isClock(clock.text)
      ? parseNumbers(source, `${text} ${clock.text}`, context.now) : undefined
    if (joined) {
      values.numbers.push(...joined)
      return cursor.advance(2)
    }
  }
  if (!addText(values, text, context.now)) {
    throw cursor.fault(`expected ${describe(source, text)}, found ${cursor.shown()}`)
  }
  cursor.advance()
}

/** Add what a text stands for, which is no address. @returns whether it stands for something */
function addText(values: Values, text: string, now: number): boolean {
  const { source } = values
  switch (typeOf(source)) {
    case 'u64': return add(values.wide, parseWide(text))
    case 'text': case 'octets': {
      const bytes = parseBytes(source, text)
      return add(values.bytes, bytes && [bytes])
    }
    default: return add(values.numbers, parseNumbers(source, text, now))
  }
}

function add<T>(to: T[], found: readonly T[] | undefined): boolean {
  if (found) to.push(...found)
  return found !== undefined
}

function readFile(cursor: Cursor, context: ParseContext, values: Values): void {
  const { source } = values
  const file = readFrom(cursor.token, cursor.token.text, context.read)
  const { path } = file
  const own = noValues(source)
  let set: AddressSet | undefined
  if (typeOf(source) === 'addr') {
    set = context.sets.get(path) ?? readAddresses(file)
    context.sets.set(path, set)
  } else {
    for (const place of listedTexts(file, typeOf(source) === 'text')) {
      if (addText(own, place.text, context.now)) continue
      throw fault(place, `expected ${describe(source, place.text)}, found "${place.text}"`)
    }
  }
  values.files.push({ path, values: own, set })
  cursor.advance()
}

/**
 * Read `A`, `A/LENGTH`, `A-B`, the name of a host or, with `masked`, `A MASK`; spaces may stand about the
 * slash.
 */
function readAddress(
  cursor: Cursor, { hosts }: ParseContext, values: Values, short: boolean, masked: boolean,
): void {
  const [first, second, third] = cursor.words(3)
  let { text } = cursor.token
  let count = 1
  let range
  if (second === '/' && third !== undefined) {
    text += `/${third}`
    count = 3
  } else if (second?.startsWith('/') || (first?.endsWith('/') && second !== undefined)) {
    text += second
    count = 2
  } else if (masked && second !== undefined && parseIpv4(second) >= 0 && parseIpv4(text) >= 0) {
    count = 2
    range = parseNetmask(text, second)
    if (!range) {
      const mask = parseIpv4(second)
      values.masked.push({ mask, bits: (parseIpv4(text) & mask) >>> 0 })
      return cursor.advance(count)
    }
  }
  range ??= parseAddresses(text, short)
  if (!range && hosts && !short && isHostName(text)) {
    for (const address of addressesOf(cursor, hosts, text)) addRange(values.addresses, address)
    return cursor.advance(count)
  }
  if (!range) throw cursor.fault(`expected ${describe(values.source, text)}, found ${cursor.shown()}`)
  addRange(values.addresses, range)
  cursor.advance(count)
}

/** Whether a text may name a host: it has a letter, and says nothing else. */
export function isHostName(text: string): boolean {
  return /^(?=.*[a-z])[a-z\d_]([\w.-]*\w)?\.?$/i.test(text) && !/^(and|or|not|in|any)$/i.test(text)
}

/** The addresses of the host that the token names. */
export function addressesOf(cursor: Cursor, hosts: FindHost, name: string): AddressRange[] {
  if (name.toLowerCase() === 'tor') {
    throw cursor.fault('cannot test "tor": give its nodes as a list, in @FILE')
  }
  // a link's own address has a zone behind it
  const found = hosts(name).flatMap((each) => parseAddresses(each.replace(/%.*/, ''), false) ?? [])
  if (found.length === 0) throw cursor.fault(`cannot find the address of "${name}"`)
  return found
}

/** The test of whether a source's value is one of these; `not` as leaves have it. */
export function testOf(values: Values): (source: Source, not: boolean) => Node {
  const leaves = leavesOf(values)
  return (source, not) => {
    const nodes = leaves.map((leaf) => (
      'source' in leaf ? { ...leaf, source, not } : { ...leaf, field: source as number, not }
    ))
    return not ? allOf(nodes) : anyOf(nodes)
  }
}

/** The leaves for values: their own, which is left out if there are only others, and one for each file. */
function leavesOf(values: Values): Leaf[] {
  const { numbers, wide, addresses, bytes, masked, files } = values
  const field = values.source as number
  const count = numbers.length + wide.length + addresses.count + bytes.length
  const own = count > 0 || masked.length + files.length === 0 ? [leafOf(values, undefined)] : []
  return [
    ...own,
    ...masked.map((each): Leaf => ({ kind: 'bits', field, not: false, ...each })),
    ...files.map(({ path, values: listed, set }) => ({ ...leafOf(listed, set), file: path })),
  ]
}

function leafOf({ source, numbers, wide, addresses, bytes }: Values, set: AddressSet | undefined): SetLeaf {
  const type = typeOf(source)
  const field = source as number
  switch (type) {
    case 'addr': return { kind: 'address', field, not: false, set: set ?? addresses.toSet() }
    case 'u64': return { kind: 'wide', field, not: false, ranges: mergeRanges(wide, 1n) }
    case 'text': case 'octets': return { kind: 'bytes', field, not: false, values: bytes }
    default: {
      // neighbours stay apart where a range has no text
      const gap = type === 'time' || type === 'mac' || type === 'real' ? 0 : 1
      return { kind: 'number', source, not: false, ranges: mergeRanges(numbers, gap) }
    }
  }
}
