const UNITS: Readonly<Record<string, number>> =
  { ms: 1e3, s: 1e6, m: 60e6, h: 3600e6, d: 86_400e6, w: 604_800e6 } // µs

const RELATIVE = /^([+-])(\d+(?:\.\d+)?)(ms|[smhdw])$/
const DATE = /^(\d{4})(?:[-/](\d\d)(?:[-/](\d\d))?)?$/
// seconds to 60, since RFC 3339 has leap seconds
const CLOCK =
  /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d|60)(?:\.(\d+))?)?(z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/i

/**
 * The time that `text` names, µs since the epoch, or undefined if it names none.
 *
 * RFC 3339; `YYYY[-MM[-DD[ HH:MM[:SS[.fraction]]]]]` in the local zone, with `T`, space or nfdump's `.`
 * between date and clock and `/` for `-`; `now`; `-1h`, `+30s` (ms s m h d w) from now. Nanoseconds are cut
 * off. A local time that occurs twice is the first of the two; one that a clock change skips is an hour
 * later.
 *
 * @param now µs since the epoch
 */
export function parseTime(text: string, now: number): number | undefined {
  if (text.toLowerCase() === 'now') return now
  const relative = RELATIVE.exec(text)
  if (relative) return now + Math.round(Number(`${relative[1]}${relative[2]}`) * UNITS[relative[3]])
  const [, day, clock] = /^([\d/-]{4,10})(?:[T .](.+))?$/i.exec(text) ?? []
  const date = DATE.exec(day ?? '')
  const time = clock === undefined ? ['', '0', '0'] : CLOCK.exec(clock)
  if (!date || !time || (clock !== undefined && date[3] === undefined)) return undefined
  const [year, month, dayOfMonth] = [Number(date[1]), Number(date[2] ?? 1), Number(date[3] ?? 1)]
  const [hours, minutes, seconds] = [Number(time[1]), Number(time[2]), Number(time[3] ?? 0)]
  const start = Date.UTC(year, month - 1, dayOfMonth)
  const check = new Date(start)
  if (check.getUTCMonth() !== month - 1 || check.getUTCDate() !== dayOfMonth || year < 1000) return undefined
  const millis = time[5] === undefined
    ? new Date(year, month - 1, dayOfMonth, hours, minutes, seconds).getTime()
    : start + ((hours * 60 + minutes) * 60 + seconds) * 1e3 - zoneOffset(time[5])
  return millis * 1e3 + Number((time[4] ?? '').slice(0, 6).padEnd(6, '0'))
}

/** Seconds since midnight of `HH:MM[:SS]`, up to 24:00, or undefined. */
export function parseClock(text: string): number | undefined {
  const [, hours, minutes, seconds = '0'] = /^(\d\d?):(\d\d)(?::(\d\d))?$/.exec(text) ?? []
  const total = (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)
  return Number(minutes) < 60 && Number(seconds) < 60 && total <= 86_400 ? total : undefined
}

/** Whether `text` is the clock that may follow a date and a space. */
export function isClock(text: string): boolean {
  return CLOCK.test(text)
}

/** Milliseconds that a zone is ahead of UTC. */
function zoneOffset(zone: string): number {
  if (/^z$/i.test(zone)) return 0
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2))
  return (zone[0] === '-' ? -minutes : minutes) * 60e3
}
