/** Text in columns. */

const SPACE = 32

/**
 * Move the text `bytes[at..end)` to the right end of `width` bytes; a longer one stays.
 *
 * @returns the offset behind it
 */
export function alignRight(bytes: Uint8Array, at: number, end: number, width: number): number {
  const pad = at + width - end
  if (pad <= 0) return end
  for (let i = end - 1; i >= at; i--) bytes[i + pad] = bytes[i]
  for (let i = at; i < at + pad; i++) bytes[i] = SPACE
  return end + pad
}

/** Write spaces from `at` up to `end`, none if it is past that. @returns the offset behind them */
export function padTo(bytes: Uint8Array, at: number, end: number): number {
  while (at < end) bytes[at++] = SPACE
  return at
}
