/** Values as peers write them, brought to one text: numbers decimal, times in µs since the epoch, octets in hex. */

/** µs since the epoch, as text, of RFC 3339 text in UTC, with or without the `Z`; digits below are rounded. */
export function timeText(text: string): string {
  const match = /^([+-]?\d+)-(\d\d)-(\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d+))?Z?$/.exec(text)
  if (!match) return text
  const [, year, month, day, clock, fraction = ''] = match
  const seconds = Date.parse(`${year}-${month}-${day}T${clock}Z`) / 1000
  return Number.isNaN(seconds) ? text : String(seconds * 1e6 + Math.round(Number(`0.${fraction}`) * 1e6))
}

/** A name without case, underscores and hyphens, so that `octet_delta_count` is `octetDeltaCount`. */
export function plainName(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase()
}

/** JSON in which integers that a double does not hold are text. */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? '') ? context!.source : value)
}
