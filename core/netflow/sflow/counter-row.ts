/** The table of counter samples: a row a sample, a column a counter. */
import { COUNTER_LISTS, LANE_LIST } from './counter-list.ts'
import type { CounterSample } from './counters.ts'

/**
 * A counter sample as a row, by name: where and when it was taken, then its counters.
 *
 * Times are µs since the epoch, addresses text. What is not known is missing.
 */
export type CounterRow = Record<string, number | string>

/** A stream of rows. The array is reused: it is valid until the next step. */
export type CounterReader = AsyncIterable<CounterRow[]>

/** What a column of the table holds; `int` may be negative. */
export type CounterType = 'time' | 'address' | 'int' | 'float' | 'text'

/** A column of the table. */
export interface CounterColumn {
  readonly name: string
  readonly type: CounterType
}

/** What a sample has beside its counters. */
export const ORIGIN_COLUMNS: readonly CounterColumn[] = [
  { name: 'received', type: 'time' },
  { name: 'exporter_addr', type: 'address' },
  { name: 'agent_addr', type: 'address' },
  { name: 'sub_agent_id', type: 'int' },
  { name: 'sequence', type: 'int' },
  { name: 'source_type', type: 'int' },
  { name: 'source_index', type: 'int' },
]

/** Types by how COUNTER_LISTS says a value is stored; all others are `int`. */
const TYPES: Readonly<Record<string, CounterType>> = {
  f: 'float', '%': 'float', s: 'text', mac: 'text', hex8: 'text', hex16: 'text',
}

/** Record 1, the generic counters of an interface: every switch sends them. */
const INTERFACE = 1

/** The columns that every file and every line of CSV has. */
export const CORE_COUNTERS: readonly CounterColumn[] = [
  ...ORIGIN_COLUMNS, ...columnsOf(COUNTER_LISTS[INTERFACE]),
]

/** All columns; the counters of lists within a record (lanes, adapters) are numbered and have none. */
export const COUNTER_COLUMNS: readonly CounterColumn[] = [
  ...ORIGIN_COLUMNS, ...Object.values(COUNTER_LISTS).flatMap(columnsOf),
]

const BY_NAME: ReadonlyMap<string, CounterColumn> =
  new Map(COUNTER_COLUMNS.map((column) => [column.name, column]))

const LANE_NAMES = columnsOf(LANE_LIST).map(({ name }) => name).join('|')
const NUMBERED_INT = new RegExp(`^(sfp_lane_\\d+_(${LANE_NAMES})|adapter_\\d+_if_index)$`)
const NUMBERED_TEXT = /^adapter_\d+_mac_\d+$/

/** Whether the counter called `name` has a column of its own. */
export function hasColumn(name: string): boolean {
  return BY_NAME.has(name)
}

/** What is called `name`: a column, or a numbered counter as `sfp_lane_0_rx_power_uw`. */
export function findCounter(name: string): CounterColumn | undefined {
  const column = BY_NAME.get(name)
  if (column) return column
  if (NUMBERED_INT.test(name)) return { name, type: 'int' }
  return NUMBERED_TEXT.test(name) ? { name, type: 'text' } : undefined
}

/** A sample as a row. */
export function counterRow(sample: CounterSample): CounterRow {
  const { received, exporterAddr, agentAddr, subAgentId, sequence, sourceType, sourceIndex, values } = sample
  return {
    received,
    ...exporterAddr !== '' && { exporter_addr: exporterAddr },
    ...agentAddr !== '' && { agent_addr: agentAddr },
    sub_agent_id: subAgentId,
    sequence,
    source_type: sourceType,
    source_index: sourceIndex,
    ...values,
  }
}

function columnsOf(list: string): CounterColumn[] {
  return list.split(/\s+/).filter(Boolean).map((word) => {
    const [name, kind = ''] = word.split(':')
    return { name, type: TYPES[kind] ?? 'int' }
  })
}
