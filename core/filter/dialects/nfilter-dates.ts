import { parseTime } from '../time-text.ts'

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const SECONDS: Readonly<Record<string, number>> = {
  sec: 1, second: 1, min: 60, minute: 60, hour: 3600, day: 86_400, week: 604_800, fortnight: 1_209_600,
}
const SECOND = 1e6 // µs

/**
 * The time that a date of flow-nfilter means, µs since the epoch, or undefined: `January 23, 1987 10:05pm`,
 * `23 Jan 1987`, `1/23/1987 10:05:07`, `2 hours ago`, `yesterday`, and what filters have; in the local zone.
 *
 * @param now µs since the epoch
 */
export function parseDate(text: string, now: number): number | undefined {
  const plain = text.trim().replace(/\s+/g, ' ')
  const time = parseTime(plain, now)
  if (time !== undefined) return time
  const words = plain.toLowerCase()
  if (words === 'today') return now
  if (words === 'yesterday') return now - SECONDS['day'] * SECOND
  if (words === 'tomorrow') return now + SECONDS['day'] * SECOND
  const ago = /^(an?|\d+) ([a-z]+?)s? ago$/.exec(words)
  if (ago) return before(now, /^a/.test(ago[1]) ? 1 : Number(ago[1]), ago[2])
  const [, date, clock] = /^(.*?)(?:(?<=\S) (\d{1,2}(?::\d\d){1,2} ?(?:[ap]m)?))?$/.exec(words) ?? []
  const day = dayOf(date ?? '')
  const seconds = clock === undefined ? 0 : clockOf(clock)
  if (!day || seconds === undefined) return undefined
  const [year, month, dayOfMonth] = day
  const start = new Date(year, month, dayOfMonth)
  const valid = start.getMonth() === month && start.getDate() === dayOfMonth
  return valid ? new Date(year, month, dayOfMonth, 0, 0, seconds).getTime() * 1e3 : undefined
}

function before(now: number, count: number, unit: string): number | undefined {
  if (Object.hasOwn(SECONDS, unit)) return now - count * SECONDS[unit] * SECOND
  if (unit !== 'month' && unit !== 'year') return undefined
  const date = new Date(now / 1e3)
  date.setMonth(date.getMonth() - count * (unit === 'year' ? 12 : 1))
  return date.getTime() * 1e3
}

/** Year, month from 0, and day. */
function dayOf(text: string): readonly [number, number, number] | undefined {
  const slashes = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(text)
  if (slashes) return [Number(slashes[3]), Number(slashes[1]) - 1, Number(slashes[2])]
  const american = /^([a-z]{3,})\.? (\d{1,2}),? (\d{4})$/.exec(text)
  const other = /^(\d{1,2})[ -]([a-z]{3,})\.?[ -](\d{4})$/.exec(text)
  const [name, day, year] = american ? american.slice(1) : other ? [other[2], other[1], other[3]] : []
  const month = name === undefined ? -1 : MONTHS.indexOf(name.slice(0, 3))
  return month < 0 ? undefined : [Number(year), month, Number(day)]
}

/** Seconds since midnight. */
function clockOf(text: string): number | undefined {
  const [, hours, minutes, seconds = '0', half] = /^(\d+):(\d\d)(?::(\d\d))? ?([ap]m)?$/.exec(text) ?? []
  const hour = half === undefined ? Number(hours) : Number(hours) % 12 + (half === 'pm' ? 12 : 0)
  const valid = (half === undefined ? hour < 24 : Number(hours) >= 1 && Number(hours) <= 12)
    && Number(minutes) < 60 && Number(seconds) < 60
  return valid ? (hour * 60 + Number(minutes)) * 60 + Number(seconds) : undefined
}
