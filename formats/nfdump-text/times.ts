/** Values that are times or lie between times. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { putWords, toWords, type TimeWriter } from '../../core/flow/byte-writer.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { putDuration, putRightCount, putScaled } from './put.ts'
import type { Context, RowText, Value } from './rows.ts'
import { columnOf, computed, thousandths } from './values.ts'

/** What stands for a time that is not known. */
export const NO_TIME = '0000-00-00 00:00:00.000'

/** The time of a row's first packet, µs; of a record of an event, which has none, that of the event. */
export function startOf(
  { batch, shape: { mask } }: { readonly batch: FlowBatch, readonly shape: Shape },
): Float64Array | undefined {
  return mask[ID.flowStart] ? batch.flowStart : mask[ID.eventTime] ? batch.eventTime : undefined
}

/** How long flows took, in ms; 0 where an end is missing or before the start. */
function durationOf(context: Context): ((row: number) => number) | undefined {
  const start = startOf(context)
  const end = columnOf<Float64Array>(context, ID.flowEnd)
  return start && end && ((row) => {
    const first = Math.floor(start[row] / 1000)
    const last = Math.floor(end[row] / 1000)
    return first !== 0 && last > first ? last - first : 0
  })
}

/** Which time of a row; `first` is the start of the flow alone, not that of an event. */
export type Moment = 'start' | 'first' | 'end' | 'received' | 'event'

const MOMENT_FIELDS: Readonly<Record<Moment, readonly number[]>> = {
  start: [ID.flowStart, ID.eventTime], first: [ID.flowStart], end: [ID.flowEnd], received: [ID.received],
  event: [ID.eventTime],
}

function momentOf(context: Context, moment: Moment): Float64Array | undefined {
  switch (moment) {
    case 'start': return startOf(context)
    case 'end': return columnOf(context, ID.flowEnd)
    case 'first': return columnOf(context, ID.flowStart)
    case 'received': return columnOf(context, ID.received)
    case 'event': return columnOf(context, ID.eventTime)
  }
}

/** nfdump's times are milliseconds, and 0 is none. */
function isKnown(micros: number): boolean {
  return micros >= 1000 || micros < 0
}

/** How a time looks. */
export interface TimeLook {
  /** Which of the writers of `out`. */
  readonly timesOf?: (out: RowText) => TimeWriter
  /** Digits of the second. */
  readonly digits?: 0 | 3
  /** What stands for a time that is 0 or not there; undefined: the epoch. */
  readonly absent?: string | undefined
}

/** Times as in JSON. */
export const ISO_TIME: TimeLook = { timesOf: ({ isoTimes }) => isoTimes }

const EPOCH = new Float64Array(1)

/** A time as `2019-07-11 10:30:11.274`. */
export function time(
  moment: Moment, { timesOf = ({ times }) => times, digits = 3, absent }: TimeLook = { absent: NO_TIME },
): Value {
  const none = toWords(absent ?? '')
  return {
    fields: MOMENT_FIELDS[moment],
    bind(context) {
      const { out } = context
      const times = timesOf(out)
      const column = momentOf(context, moment)
      return (row, at) => {
        if (column !== undefined && isKnown(column[row])) {
          return times.put(column, row, 0, digits, out.view, at)
        }
        if (absent === undefined) return times.put(EPOCH, 0, 0, digits, out.view, at)
        putWords(none, 0, none.length, out.view, at)
        return at + absent.length
      }
    },
  }
}

/** A time as milliseconds since the epoch, at the right end of `width` bytes. */
export function millis(moment: Moment, width: number): Value {
  return computed(MOMENT_FIELDS[moment], width, (context) => {
    const column = momentOf(context, moment)
    return column && ((row) => Math.max(0, Math.floor(column[row] / 1000)))
  })
}

/** A time as seconds since the epoch, `1562840411.274`, at the right end of `width` bytes. */
export function seconds(moment: Moment, width: number = 14): Value {
  return thousandths(MOMENT_FIELDS[moment], width, (context) => {
    const column = momentOf(context, moment)
    return column && ((row) => Math.max(0, Math.floor(column[row] / 1000)))
  })
}

const DURATION_FIELDS = [ID.flowStart, ID.flowEnd, ID.eventTime]

/** How long the flow took, in seconds. */
export function durationSeconds(width: number): Value {
  return thousandths(DURATION_FIELDS, width, durationOf)
}

const plainDuration = durationSeconds(16)

/** How long the flow took, as `    00:00:01.971`, or where numbers are plain in seconds. */
export const duration: Value = {
  fields: DURATION_FIELDS,
  bind(context) {
    const { out, style: { csv, plain } } = context
    if (csv || plain) return plainDuration.bind(context)
    const start = startOf(context)
    const end = columnOf<Float64Array>(context, ID.flowEnd)
    if (!start || !end) return '    00:00:00.000'
    return (row, at) => {
      const first = Math.floor(start[row] / 1000)
      const last = Math.floor(end[row] / 1000)
      return putDuration(first !== 0 && last > first ? last - first : 0, out.view, at)
    }
  },
}

const rate = new Float64Array(1)

/**
 * What of a counter passed in a second, times `factor`; scaled like a counter.
 *
 * @param isFloating whether it is divided by seconds in floating point, which may round otherwise; in a CSV
 * it always is
 */
export function perSecond(id: number, factor: number, width: number, isFloating: boolean = false): Value {
  return {
    fields: [id, ID.flowStart, ID.flowEnd],
    bind(context) {
      const { out, style: { csv, plain } } = context
      const places = csv ? 0 : width
      const inSeconds = csv || isFloating
      const column = columnOf<Float64Array>(context, id)
      const millis = durationOf(context)
      if (!column || !millis) return '0'.padStart(places)
      return (row, at) => {
        const time = millis(row)
        rate[0] = time === 0 ? 0
          : Math.floor(inSeconds ? column[row] * factor / (time / 1000) : column[row] * factor * 1000 / time)
        if (csv || plain) return putRightCount(rate, 0, places, out.view, at)
        return putScaled(rate, 0, places, out.view, at)
      }
    },
  }
}
