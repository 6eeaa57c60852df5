/** Counts, sizes and durations as people write them. */

const UNITS = { '': 1, K: 1e3, M: 1e6, G: 1e9, T: 1e12, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40 }
const MILLISECONDS = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3 }

/**
 * A count or size: `1500`, `500K` (thousands), `64Mi` (of 1024), `1.5G`.
 *
 * @returns undefined if it is none, or 2^53 or more
 */
export function parseCount(text: string): number | undefined {
  const [, digits, unit] = /^(\d+|\d+\.\d+(?=[KMGT]))((?:[KMGT]i?)?)$/.exec(text) ?? []
  return digits === undefined ? undefined : whole(Number(digits) * UNITS[unit as keyof typeof UNITS])
}

/**
 * A duration in milliseconds: `500ms 30s 5m 1h 7d`, also `1.5h`.
 *
 * @returns undefined if it is none, or 2^53 or more
 */
export function parseMillis(text: string): number | undefined {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  if (digits === undefined) return undefined
  return whole(Number(digits) * MILLISECONDS[unit as keyof typeof MILLISECONDS])
}

function whole(value: number): number | undefined {
  const rounded = Math.round(value)
  return Number.isSafeInteger(rounded) ? rounded : undefined
}
