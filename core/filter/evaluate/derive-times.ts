import type { FieldName } from '../../flow/fields.ts'
import { idsOf, type Derived } from './derive.ts'

const QUARTER = 900e6 // µs
const DAY = 86_400 // s
const THURSDAY = 4 // the first day of the epoch

/** In ms, of times cut to ms as nfdump stores them, so that it is what nfdump would find. */
const DURATION = '(floor(epoch_us(flow_end) / 1000) - floor(epoch_us(flow_start) / 1000))'

/** How long a flow took, in ms; negative where it ends before it begins. */
export const duration: Derived = {
  words: 'duration', type: 'count', max: Number.MAX_SAFE_INTEGER, fields: idsOf(['flow_start', 'flow_end']),
  sql: DURATION, compute: toDuration,
}

/** Packets or bits a second as nfdump has it: whole numbers, and 0 where the flow took no time. */
export function rate(words: string, factor: number, counter: 'bytes' | 'packets'): Derived {
  return {
    words, type: 'count', max: Number.MAX_SAFE_INTEGER, fields: idsOf(['flow_start', 'flow_end', counter]),
    sql: `CASE WHEN ${DURATION} > 0 THEN floor(${factor} * ${counter}::DOUBLE / ${DURATION}) `
      + `ELSE ${DURATION} * 0 + ${counter} * 0 END`,
    compute(columns, length) {
      const [time, , counts] = columns
      toDuration(columns, length)
      for (let i = 0; i < length; i++) {
        time[i] = time[i] > 0 ? Math.floor(factor * counts[i] / time[i]) : time[i] * 0 + counts[i] * 0
      }
    },
  }
}

/** The same as flow-tools has it: with a fraction. */
export function exactRate(words: string, factor: number, counter: 'bytes' | 'packets'): Derived {
  return {
    words, type: 'real', max: Number.MAX_SAFE_INTEGER, fields: idsOf(['flow_start', 'flow_end', counter]),
    sql: `CASE WHEN ${DURATION} > 0 THEN ${factor} * ${counter}::DOUBLE / ${DURATION} `
      + `ELSE ${DURATION} * 0 + ${counter} * 0 END`,
    compute(columns, length) {
      const [time, , counts] = columns
      toDuration(columns, length)
      for (let i = 0; i < length; i++) {
        time[i] = time[i] > 0 ? factor * counts[i] / time[i] : time[i] * 0 + counts[i] * 0
      }
    },
  }
}

/** The first of several times that is present. */
export function firstOf(words: string, ...names: FieldName[]): Derived {
  return {
    words, type: 'time', max: Number.MAX_SAFE_INTEGER, fields: idsOf(names),
    sql: `coalesce(${names.join(', ')})`,
    compute([time, ...others], length) {
      for (const other of others) {
        for (let i = 0; i < length; i++) if (Number.isNaN(time[i])) time[i] = other[i]
      }
    },
  }
}

/** Seconds of the day in the local zone. */
export function timeOfDay(words: string, name: FieldName): Derived {
  return {
    words, type: 'clock', max: DAY, fields: idsOf([name]),
    get sql() { return `floor(epoch(${localSql(name)}::TIME))` },
    compute([time], length) {
      toLocalSeconds(time, length)
      for (let i = 0; i < length; i++) time[i] -= Math.floor(time[i] / DAY) * DAY
    },
  }
}

/** The hour of the day in the local zone. */
export function hourOfDay(words: string, name: FieldName): Derived {
  return {
    words, type: 'hour', max: 23, fields: idsOf([name]),
    get sql() { return `hour(${localSql(name)})` },
    compute([time], length) {
      toLocalSeconds(time, length)
      for (let i = 0; i < length; i++) {
        time[i] = Math.floor((time[i] - Math.floor(time[i] / DAY) * DAY) / 3600)
      }
    },
  }
}

/** The day of the week in the local zone, from Sunday, which is 0. */
export function dayOfWeek(words: string, name: FieldName): Derived {
  return {
    words, type: 'day', max: 6, fields: idsOf([name]),
    get sql() { return `dayofweek(${localSql(name)})` },
    compute([time], length) {
      toLocalSeconds(time, length)
      for (let i = 0; i < length; i++) {
        const days = Math.floor(time[i] / DAY) + THURSDAY
        time[i] = days - Math.floor(days / 7) * 7
      }
    },
  }
}

function toDuration([start, end]: readonly Float64Array[], length: number): void {
  for (let i = 0; i < length; i++) start[i] = Math.floor(end[i] / 1000) - Math.floor(start[i] / 1000)
}

/** Turn µs since the epoch into seconds by the local clock, which is set only at quarters of an hour. */
function toLocalSeconds(time: Float64Array, length: number): void {
  let known = NaN
  let offset = 0 // s
  for (let i = 0; i < length; i++) {
    const micros = time[i]
    if (Number.isNaN(micros)) continue
    const current = Math.floor(micros / QUARTER)
    if (current !== known) {
      known = current
      offset = new Date(current * QUARTER / 1e3).getTimezoneOffset() * -60
    }
    time[i] = Math.floor(micros / 1e6) + offset
  }
}

/** A time by the local clock. */
function localSql(name: FieldName): string {
  const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone
  return `timezone('${zone}', timezone('UTC', ${name}))`
}
