import { FlowkitError } from '../../flow/errors.ts'
import { parseCount, parseMillis } from '../../flow/quantity.ts'

/** What traffic to generate: how much of it, by whom, and with which faults of the export. */
export interface TrafficOptions {
  /** Flow records, all exporters together. */
  readonly flows: number
  readonly exporters: number
  /** Share of IPv6 among the flows of exporters whose version has it. */
  readonly v6: number
  readonly seed: number
  /** When the first flows are exported, µs since the epoch, in whole seconds. */
  readonly from: number
  /** µs over which exports are spread, in whole milliseconds. */
  readonly span: number
  /** Export versions, which the exporters take in turn. */
  readonly versions: readonly number[]
  /** One packet in so many is observed, which the exporters take in turn; 1: all. */
  readonly sampling: readonly number[]
  /** Share of NAT events among the records of exporters of NetFlow v9 and IPFIX. */
  readonly nat: number
  /** Share of datagrams left out. */
  readonly loss: number
  /** Share of datagrams that change places with the next of their exporter. */
  readonly reorder: number
  /** Datagrams of data that each exporter sends before its templates. */
  readonly lateTemplates: number
  /** Exporters that send the same template ids with other layouts from a second port. */
  readonly conflicts: number
  /** Whether the exporters' uptimes wrap halfway through the span. */
  readonly wrap: boolean
  /** Most bytes of a datagram's payload. */
  readonly mtu: number
}

/** One key of the text that describes traffic. */
export interface TrafficKey {
  readonly name: string
  /** The value it has where it is not given, as text. */
  readonly value: string
  /** One line, to follow the name in a list. */
  readonly doc: string
}

interface Key<T> {
  readonly value: string
  readonly doc: string
  /** What values look like, to follow `expected`. */
  readonly expected: string
  /** The value of a text, or undefined if it has none. */
  readonly read: (text: string) => T | undefined
}

type Keys = { readonly [K in keyof TrafficOptions]: Key<TrafficOptions[K]> }

/** Times stay far below 2^53 µs. */
const MOST_SPAN = 3650 * 86_400e3 // ms

const VERSIONS = [1, 5, 6, 7, 9, 10]
/** Versions with templates: IPv6, NAT events, conflicts. */
export const TEMPLATE_VERSIONS: readonly number[] = [9, 10]

const KEYS: Keys = {
  flows: count('1M', 'flow records', 1, 1e12),
  exporters: count('1', 'exporters, the first of which has the most flows', 1, 10_000),
  v6: share('10%', 'IPv6 flows of exporters that can tell of them'),
  seed: count('1', 'another number gives other traffic', 0, 2 ** 32 - 1),
  from: {
    value: '2026-11-21T13:00:00Z', doc: 'start, in UTC', expected: 'a time such as 2026-11-21T13:00:00Z',
    read: readTime,
  },
  span: {
    value: '1h', doc: 'time over which flows are exported', expected: 'a duration such as 30s',
    read: readDuration,
  },
  versions: {
    value: '9', doc: 'versions the exporters take in turn: 1 5 6 7 9 10',
    expected: 'versions of 1 5 6 7 9 10 such as 5/9',
    read: (text) => readList(text, (part) => VERSIONS.find((version) => `${version}` === part)),
  },
  sampling: {
    value: '1', doc: 'one packet in so many is observed; exporters take the rates in turn',
    expected: 'rates of 1 to 16383 such as 1/100', // v5 has 14 bits for it
    read: (text) => readList(text, (part) => readCount(part, 1, 16_383)),
  },
  nat: share('0%', 'NAT events among the records of v9 and IPFIX'),
  loss: share('0%', 'datagrams left out'),
  reorder: share('0%', 'datagrams that change places with the next of their exporter'),
  lateTemplates: count('0', 'datagrams of data that each exporter sends before its templates', 0, 1e6),
  conflicts: count('0', 'exporters that use their template ids otherwise on a second port', 0, 10_000),
  wrap: {
    value: 'no', doc: "whether the exporters' uptimes wrap halfway", expected: 'yes or no',
    read: (text) => text === 'yes' ? true : text === 'no' ? false : undefined,
  },
  mtu: count('1400', "most bytes of a datagram's payload", 512, 65_507),
}

const NAMES = Object.keys(KEYS) as (keyof TrafficOptions)[]

/** The keys of `parseTraffic` with their defaults, in order. */
export const TRAFFIC_KEYS: readonly TrafficKey[] =
  NAMES.map((name) => ({ name: kebab(name), value: KEYS[name].value, doc: KEYS[name].doc }))

/**
 * The traffic that `text` describes, such as `flows=1M,exporters=4,v6=10%,versions=5/9/10`.
 *
 * Counts are as `parseCount` has them, durations as `parseMillis`; shares end in %, lists have `/` between.
 *
 * @throws FlowkitError ERR_OPTION
 */
export function parseTraffic(text: string): TrafficOptions {
  const given = new Map<string, string>()
  for (const part of text.split(',')) {
    if (part.trim() === '' && text.trim() === '') break
    const [, name = part.trim(), value] = /^\s*([^=]*?)\s*=\s*(.*?)\s*$/.exec(part) ?? []
    const known = NAMES.map(kebab)
    if (!known.includes(name)) throw wrong(text, `one of ${known.join(' ')}`, `"${name}"`)
    if (value === undefined) throw wrong(text, `${name}=VALUE`, `"${name}"`)
    if (given.has(name)) throw wrong(text, `${name} once`, 'it twice')
    given.set(name, value)
  }
  const options: Partial<TrafficOptions> = {}
  for (const name of NAMES) read(options, name, given.get(kebab(name)) ?? KEYS[name].value, text)
  const traffic = options as TrafficOptions // every name has been read
  const most = withTemplates(traffic)
  if (traffic.conflicts > most) {
    throw wrong(text, `at most ${most} conflicts, one an exporter of v9 and IPFIX`, `${traffic.conflicts}`)
  }
  return traffic
}

/** Exporters whose version has templates. */
function withTemplates({ exporters, versions }: TrafficOptions): number {
  let count = 0
  for (let i = 0; i < exporters; i++) if (TEMPLATE_VERSIONS.includes(versions[i % versions.length])) count++
  return count
}

function read<K extends keyof TrafficOptions>(
  options: { -readonly [N in K]?: TrafficOptions[N] }, name: K, value: string, text: string,
): void {
  const result = KEYS[name].read(value)
  if (result === undefined) throw wrong(text, `${kebab(name)} to be ${KEYS[name].expected}`, `"${value}"`)
  options[name] = result
}

function wrong(text: string, wanted: string, found: string): FlowkitError {
  return new FlowkitError('ERR_OPTION', `Cannot generate "${text}": expected ${wanted}, found ${found}`)
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function count(value: string, doc: string, least: number, most: number): Key<number> {
  const expected = `a count of ${least} to ${most}`
  return { value, doc, expected, read: (text) => readCount(text, least, most) }
}

function share(value: string, doc: string): Key<number> {
  return { value, doc: `share of ${doc}`, expected: 'a share of 0% to 100%', read: readShare }
}

function readCount(text: string, least: number, most: number): number | undefined {
  const value = parseCount(text)
  return value !== undefined && value >= least && value <= most ? value : undefined
}

function readShare(text: string): number | undefined {
  const [, digits] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? []
  return digits !== undefined && Number(digits) <= 100 ? Number(digits) / 100 : undefined
}

/** µs. */
function readDuration(text: string): number | undefined {
  const millis = parseMillis(text)
  return millis !== undefined && millis > 0 && millis <= MOST_SPAN ? millis * 1000 : undefined
}

/** A date or time of 2000 to 2099 in UTC, so that it means the same everywhere. */
function readTime(text: string): number | undefined {
  const [, day, clock = '00:00:00'] = /^(20\d\d-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)Z)?$/.exec(text) ?? []
  const whole = `${day}T${clock}.000Z`
  const millis = Date.parse(whole)
  return Number.isNaN(millis) || new Date(millis).toISOString() !== whole ? undefined : millis * 1000
}

function readList<T>(text: string, readPart: (part: string) => T | undefined): readonly T[] | undefined {
  const values = text.split('/').map(readPart)
  return values.includes(undefined) ? undefined : values as T[]
}
