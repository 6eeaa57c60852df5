import { FlowkitError } from '../core/flow/errors.ts'
import type { FlowFormat } from './format.ts'

/** Least score that is taken for an answer. */
const MIN_SCORE = 50

/**
 * The format that an input beginning with `head` is in: the surest of all, and the only one so sure.
 *
 * @param name of the input, for messages
 * @throws FlowkitError ERR_INPUT when there is nothing, ERR_UNSUPPORTED when no format is sure enough,
 * ERR_OPTION when several are as sure
 */
export function tellFormat(head: Uint8Array, name: string, formats: readonly FlowFormat[]): FlowFormat {
  if (head.length === 0) throw new FlowkitError('ERR_INPUT', `Cannot read "${name}": it is empty`)
  let best: FlowFormat[] = []
  let score = MIN_SCORE
  for (const format of formats) {
    const own = format.probe?.(head) ?? 0
    if (own < score) continue
    if (own > score) best = []
    best.push(format)
    score = own
  }
  if (best.length === 1) return best[0]
  const message = `Cannot tell the format of "${name}"`
  if (best.length === 0) throw new FlowkitError('ERR_UNSUPPORTED', `${message}: name it with --from-format`)
  const found = best.map((format) => format.name).join(' and ')
  throw new FlowkitError('ERR_OPTION', `${message}: it can be ${found}, name it with --from-format`)
}
