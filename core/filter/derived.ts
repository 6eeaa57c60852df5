import type { FlowBatch } from '../flow/batch.ts'
import { FIELDS, type FieldName } from '../flow/fields.ts'

/** Names of the numbers that filters know beside the fields. */
export type DerivedName =
  | 'flowCount' | 'duration' | 'pps' | 'bps' | 'bpp' | 'icmpType' | 'icmpCode' | 'starts' | 'ends'
  | 'timeOfDay' | 'mplsBottom' | `mplsExp${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}`
  | 'inAcl' | 'inAce' | 'inXace' | 'outAcl' | 'outAce' | 'outXace'

/** A number worked out from the fields of a row; a row has it or has not. */
export interface Derived {
  /** The words for it in a filter. */
  readonly words: string
  /** Fields it is worked out from, in the order `compute` takes them. */
  readonly fields: readonly number[]
  /** What its values are: as the type of a field, or seconds since local midnight. */
  readonly type: 'u8' | 'u32' | 'count' | 'time' | 'clock'
  /** Largest value a test may name. */
  readonly max: number
  /**
   * Turn the values of the fields (NaN where absent; of `octets`, where in the heap they begin) into its own,
   * in the first column.
   */
  readonly compute: (columns: readonly Float64Array[], length: number, batch: FlowBatch) => void
  /** The same in DuckDB's SQL; NULL where there is none. */
  readonly sql: string
}

const MAX_LABEL = 2 ** 20 - 1
const DAY = 86_400 // s
const ICMP = 1
const ICMP6 = 58
const ACL_SIZE = 12 // list, entry and extended entry, 32 bits each
const LABELS = ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const).map((place) => `mpls_label_${place}` as const)

/** In ms, of times cut to ms as nfdump stores them, so that it is what nfdump would find. */
const DURATION = '(floor(epoch_us(flow_end) / 1000) - floor(epoch_us(flow_start) / 1000))'

/** Every derived number, by name. */
export const DERIVED: Readonly<Record<DerivedName, Derived>> = {
  flowCount: {
    words: 'flows', ...ofType('count', 'flows'), sql: 'coalesce(flows, 1)',
    compute([flows], length) {
      for (let i = 0; i < length; i++) if (Number.isNaN(flows[i])) flows[i] = 1
    },
  },
  duration: {
    words: 'duration', ...ofType('count', 'flow_start', 'flow_end'), sql: DURATION, compute: duration,
  },
  pps: rate('pps', 1000, 'packets'),
  bps: rate('bps', 8000, 'bytes'), // bits, and ms
  bpp: {
    words: 'bpp', ...ofType('count', 'bytes', 'packets'),
    sql: 'CASE WHEN packets = 0 THEN bytes * 0 ELSE floor(bytes::DOUBLE / packets) END',
    compute([bytes, packets], length) {
      for (let i = 0; i < length; i++) {
        bytes[i] = packets[i] === 0 ? bytes[i] * 0 : Math.floor(bytes[i] / packets[i])
      }
    },
  },
  icmpType: icmp('icmp type', 'icmp_type', 256),
  icmpCode: icmp('icmp code', 'icmp_code', 1),
  starts: firstOf('starts', 'flow_start', 'flow_end', 'event_time', 'received'),
  ends: firstOf('ends', 'flow_end', 'flow_start', 'event_time', 'received'),
  timeOfDay: {
    words: 'tod', ...ofType('clock', 'flow_start'), compute: timeOfDay,
    get sql() {
      const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone
      return `floor(epoch(timezone('${zone}', timezone('UTC', flow_start))::TIME))`
    },
  },
  mplsBottom: {
    words: 'mpls eos', ...ofType('u32', 'mpls_exp', ...LABELS), max: MAX_LABEL, compute: bottomLabel,
    get sql() {
      const cases = LABELS.map((label, place) => `WHEN ${bitsBelow(place)} & 1 = 1 THEN ${label}`)
      return `CASE ${cases.join(' ')} END`
    },
  },
  mplsExp1: trafficClass(1), mplsExp2: trafficClass(2), mplsExp3: trafficClass(3), mplsExp4: trafficClass(4),
  mplsExp5: trafficClass(5), mplsExp6: trafficClass(6), mplsExp7: trafficClass(7), mplsExp8: trafficClass(8),
  mplsExp9: trafficClass(9), mplsExp10: trafficClass(10),
  inAcl: aclWord('ingress acl id', 'in_acl', 0),
  inAce: aclWord('ingress ace', 'in_acl', 1),
  inXace: aclWord('ingress xace', 'in_acl', 2),
  outAcl: aclWord('egress acl id', 'out_acl', 0),
  outAce: aclWord('egress ace', 'out_acl', 1),
  outXace: aclWord('egress xace', 'out_acl', 2),
}

/**
 * Load the values of a field: NaN where it is absent.
 *
 * For `octets` it is where the value begins in the heap, and NaN unless it is an access list's 12 bytes.
 */
export function loadField(batch: FlowBatch, id: number, out: Float64Array): void {
  const { length, shape } = batch
  if (!batch.has(id)) {
    out.fill(NaN, 0, length)
    return
  }
  const present = batch.present(id)
  const column = batch.column(id) as Float64Array
  if (FIELDS[id].type === 'octets') {
    for (let i = 0; i < length; i++) {
      out[i] = present[shape[i]] === 1 && column[i * 2 + 1] === ACL_SIZE ? column[i * 2] : NaN
    }
  } else for (let i = 0; i < length; i++) out[i] = present[shape[i]] === 1 ? column[i] : NaN
}

function ofType<T extends Derived['type']>(
  type: T, ...names: FieldName[]
): { readonly type: T, readonly fields: readonly number[], readonly max: number } {
  return { type, fields: ids(names), max: type === 'clock' ? DAY : Number.MAX_SAFE_INTEGER }
}

function ids(names: readonly FieldName[]): number[] {
  return names.map((name) => FIELDS.findIndex((field) => field.name === name))
}

function duration([start, end]: readonly Float64Array[], length: number): void {
  for (let i = 0; i < length; i++) start[i] = Math.floor(end[i] / 1000) - Math.floor(start[i] / 1000)
}

/** As nfdump has it: whole numbers, and 0 where the flow took no time. */
function rate(words: string, factor: number, counter: 'bytes' | 'packets'): Derived {
  return {
    words, ...ofType('count', 'flow_start', 'flow_end', counter),
    sql: `CASE WHEN ${DURATION} > 0 THEN floor(${factor} * ${counter}::DOUBLE / ${DURATION}) `
      + `ELSE ${DURATION} * 0 + ${counter} * 0 END`,
    compute(columns, length) {
      const [time, , counts] = columns
      duration(columns, length)
      for (let i = 0; i < length; i++) {
        time[i] = time[i] > 0 ? Math.floor(factor * counts[i] / time[i]) : time[i] * 0 + counts[i] * 0
      }
    },
  }
}

/** Where the field is absent, as NetFlow v5 has it: the destination port is type * 256 + code. */
function icmp(words: string, name: 'icmp_type' | 'icmp_code', unit: number): Derived {
  return {
    words, type: 'u8', max: 255, fields: ids([name, 'proto', 'dst_port']),
    sql: `CASE WHEN proto IN (${ICMP}, ${ICMP6}) THEN coalesce(${name}, dst_port // ${unit} % 256) END`,
    compute([value, proto, port], length) {
      for (let i = 0; i < length; i++) {
        if (proto[i] !== ICMP && proto[i] !== ICMP6) value[i] = NaN
        else if (Number.isNaN(value[i])) value[i] = Math.floor(port[i] / unit) % 256
      }
    },
  }
}

/** The first of several times that is present. */
function firstOf(words: string, ...names: FieldName[]): Derived {
  return {
    words, ...ofType('time', ...names), sql: `coalesce(${names.join(', ')})`,
    compute([time, ...others], length) {
      for (const other of others) {
        for (let i = 0; i < length; i++) if (Number.isNaN(time[i])) time[i] = other[i]
      }
    },
  }
}

/** Seconds of the day in the local zone, whose distance from UTC changes only at quarters of an hour. */
function timeOfDay([time]: readonly Float64Array[], length: number): void {
  const quarter = 900e6 // µs
  let known = NaN
  let offset = 0 // s
  for (let i = 0; i < length; i++) {
    const micros = time[i]
    if (Number.isNaN(micros)) continue
    const current = Math.floor(micros / quarter)
    if (current !== known) {
      known = current
      offset = new Date(current * quarter / 1e3).getTimezoneOffset() * -60
    }
    const seconds = Math.floor(micros / 1e6) + offset
    time[i] = seconds - Math.floor(seconds / DAY) * DAY
  }
}

/** The four bits below a label on the wire: traffic class, and 1 for the bottom of the stack. */
function bitsBelow(place: number): string {
  return `(mpls_exp >> ${place * 4})`
}

function trafficClass(number: 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10): Derived {
  const label = LABELS[number - 1]
  const unit = 2 ** (number * 4 - 3)
  return {
    words: `mpls exp${number}`, type: 'u8', max: 7, fields: ids(['mpls_exp', label]),
    sql: `CASE WHEN ${label} IS NOT NULL THEN ${bitsBelow(number - 1)} >> 1 & 7 END`,
    compute([bits, labels], length) {
      for (let i = 0; i < length; i++) {
        bits[i] = Number.isNaN(labels[i]) ? NaN : Math.floor(bits[i] / unit) % 8
      }
    },
  }
}

function bottomLabel([bits, ...labels]: readonly Float64Array[], length: number): void {
  for (let i = 0; i < length; i++) {
    let place = 0
    let rest = bits[i]
    while (place < labels.length && rest % 2 !== 1) {
      rest = Math.floor(rest / 16)
      place++
    }
    bits[i] = place < labels.length ? labels[place][i] : NaN
  }
}

function aclWord(words: string, name: 'in_acl' | 'out_acl', place: number): Derived {
  const digits = `substr(hex(${name}), ${place * 8 + 1}, 8)`
  return {
    words, type: 'u32', max: 0xffffffff, fields: ids([name]),
    sql: `CASE WHEN octet_length(${name}) = ${ACL_SIZE} THEN ('0x' || ${digits})::UINTEGER END`,
    compute([value], length, { heap }) {
      for (let i = 0; i < length; i++) {
        const at = value[i] + place * 4
        if (Number.isNaN(at)) continue
        value[i] = (heap[at] << 24 | heap[at + 1] << 16 | heap[at + 2] << 8 | heap[at + 3]) >>> 0
      }
    },
  }
}
