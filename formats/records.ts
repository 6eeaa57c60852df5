/** Flows as objects: what `flowkit read` prints as JSON, for programs. */
import type { ElementValue } from '../core/flow/element-value.ts'
import type { FieldName, FieldTypes, FlowToolsName } from '../core/flow/fields.ts'
import type { NameSet, Py3flowtoolsName } from '../core/flow/labels.ts'
import type { FLOW_TYPES } from '../core/flow/names.ts'
import type { FlowReader } from '../core/flow/stream.ts'
import { json } from './json.ts'

/** Fields that a record has: the nanoseconds are digits of others. */
type RecordField = Exclude<FieldName, 'flow_start_ns' | 'flow_end_ns'>

type ValueOf<N extends FieldName> =
  N extends 'type' ? (typeof FLOW_TYPES)[number] :
  FieldTypes[N] extends 'u8' | 'u16' | 'u32' | 'count' ? number :
  FieldTypes[N] extends 'u64' ? number | bigint :
  string

/** Address fields that flow-tools has, in its names. */
type FlowToolsAddress = {
  [N in FieldName]: FieldTypes[N] extends 'addr' ? FlowToolsName<N> : never
}[FieldName]

/**
 * A flow by flowkit's names, with the fields that it has and no others.
 *
 * Times are RFC 3339 text in UTC with the digits that the input had, addresses and MACs their usual text,
 * octets hexadecimal; integers are numbers, and beyond 2^53 bigint.
 */
export type FlowRecord = { readonly [N in RecordField]?: ValueOf<N> }

/** The same by the attributes of py3flowtools: its addresses are integers too, as in `srcaddr_raw`. */
export type Py3flowtoolsRecord =
  & { readonly [N in RecordField as Py3flowtoolsName<N>]?: ValueOf<N> }
  & { readonly [A in FlowToolsAddress as `${A}_raw`]?: number | bigint }

/** A value of a record; lists are of elements without a field. */
export type RecordValue = ElementValue | bigint

/** A flow by any names. */
export type NamedRecord = Readonly<Record<string, RecordValue | undefined>>

/** What records are, by the set of names asked for. */
export interface RecordsByNames {
  readonly flowkit: FlowRecord
  readonly py3flowtools: Py3flowtoolsRecord
  readonly iana: NamedRecord
  readonly nfdump: NamedRecord
  readonly goflow2: NamedRecord
}

/** An integer that a double may not have all digits of. */
const LARGE = /:\d{16}/
const MOST = 2n ** 53n

/** How records are to be. */
export interface RecordsRequest<N extends NameSet> {
  readonly names: N
  /** Ids of the fields that they have, if there; all unless told. */
  readonly fields?: readonly number[]
  /** Whether elements without a field are members too. */
  readonly extras: boolean
}

/** The flows of `reader` as objects. */
export async function* readRecords<N extends NameSet>(
  reader: FlowReader, request: RecordsRequest<N>,
): AsyncGenerator<RecordsByNames[N], void, undefined> {
  const { encode } = json.encoder!(request)
  for await (const batch of reader) {
    const bytes = encode(batch)
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8')
    for (let at = 0; at < text.length;) {
      const end = text.indexOf('\n', at)
      const line = text.slice(at, end)
      yield (LARGE.test(line) ? JSON.parse(line, exact) : JSON.parse(line)) as RecordsByNames[N]
      at = end + 1
    }
  }
}

function exact(_name: string, value: unknown, { source = '' }: { readonly source?: string } = {}): unknown {
  if (typeof value !== 'number' || !/^\d{16,}$/.test(source)) return value
  const whole = BigInt(source)
  return whole > MOST ? whole : value
}
