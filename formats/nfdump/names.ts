/** Names of the files in nfcapd's directory: `nfcapd.202611211305`, also in folders of days. */

/** Formats of the folders below the directory, by the number that nfcapd -S takes (src/libnffile/flist.c). */
const HIERARCHIES = [
  '', '%Y/%m/%d', '%Y/%m/%d/%H', '%Y/%W/%u', '%Y/%W/%u/%H', '%Y/%j', '%Y/%j/%H', '%F', '%F/%H',
] as const

/** Highest number of a hierarchy. */
export const MOST_HIERARCHY: number = HIERARCHIES.length - 1

const DAY = 86_400_000 // ms

/**
 * The path below nfcapd's directory of an interval's file, in this machine's time zone, as nfcapd has it.
 *
 * @param time when the interval begins, µs since the epoch
 * @param seconds whether the name tells them, as for intervals of less than a minute
 * @param hierarchy 0 to MOST_HIERARCHY
 * @throws RangeError if there is no such hierarchy
 */
export function rotatedName(time: number, seconds: boolean = false, hierarchy: number = 0): string {
  const format = HIERARCHIES[hierarchy]
  if (format === undefined) {
    throw new RangeError(`hierarchy ${hierarchy} is not one of 0 to ${MOST_HIERARCHY}`)
  }
  const date = new Date(time / 1000)
  const folder = format === '' ? '' : `${formatTime(format, date)}/`
  return `${folder}nfcapd.${formatTime(seconds ? '%Y%m%d%H%M%S' : '%Y%m%d%H%M', date)}`
}

/**
 * When the interval of a file begins by its name, in this machine's time zone.
 *
 * @returns µs since the epoch; undefined if nfcapd would not call a file so
 */
export function rotatedTime(name: string): number | undefined {
  const [, digits, seconds = '0'] = /^nfcapd\.(\d{12})(\d\d)?$/.exec(name) ?? []
  if (digits === undefined) return undefined
  const [, year, month, day, hour, minute] = /^(.{4})(..)(..)(..)(..)$/.exec(digits)!.map(Number)
  const time = new Date(year, month - 1, day, hour, minute, Number(seconds)).getTime() * 1000
  return rotatedName(time, seconds !== '0') === name ? time : undefined
}

/**
 * What a file is called before it has its name, in a folder of its own.
 *
 * nfdump -R reads what lies in hidden folders too, and hidden files, but no name with `.stat` in it
 * (src/libnffile/flist.c); the name stays so when something is put before and behind it.
 */
export function unfinishedName(ident: string): string {
  return `nfcapd.current.${ident}.stat`
}

/** As strftime, for what the formats above have. */
function formatTime(format: string, date: Date): string {
  return format.replace(/%(.)/g, (_, letter: string) => {
    switch (letter) {
      case 'Y': return digits(date.getFullYear(), 4)
      case 'm': return digits(date.getMonth() + 1, 2)
      case 'd': return digits(date.getDate(), 2)
      case 'H': return digits(date.getHours(), 2)
      case 'M': return digits(date.getMinutes(), 2)
      case 'S': return digits(date.getSeconds(), 2)
      case 'j': return digits(dayOfYear(date) + 1, 3)
      case 'u': return String(date.getDay() || 7)
      case 'W': return digits(Math.floor((dayOfYear(date) + 7 - (date.getDay() + 6) % 7) / 7), 2)
      default: return formatTime('%Y-%m-%d', date) // F
    }
  })
}

/** Days since the first of January, from 0. */
function dayOfYear(date: Date): number {
  const year = date.getFullYear()
  return (Date.UTC(year, date.getMonth(), date.getDate()) - Date.UTC(year, 0, 1)) / DAY
}

function digits(value: number, count: number): string {
  return String(value).padStart(count, '0')
}
