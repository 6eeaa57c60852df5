import { relative, resolve } from 'node:path'
import { lossByField, rowsLost, type Loss } from '../core/flow/loss.ts'

/** `1,000 flows`, `1 flow`. */
export function amount(count: number, thing: string): string {
  const plural = thing.endsWith('s') ? 'es' : 's'
  return `${count.toLocaleString('en-US')} ${thing}${count === 1 ? '' : plural}`
}

/** Whether anything was lost. */
export function isLoss(loss: Loss): boolean {
  return rowsLost(loss) > 0 || lossByField(loss).length > 0
}

/** What was lost, a line for each thing below the title; none where nothing was. */
export function lossSection(title: string, loss: Loss): string[] {
  const { ipv6, oversized, empty, unknown } = loss.rows
  const fields = lossByField(loss)
  const width = Math.max(0, ...fields.map(({ name }) => name.length))
  const lines = [
    ...ipv6 > 0 ? [`${amount(ipv6, 'IPv6 flow')} left out`] : [],
    ...oversized > 0 ? [`${amount(oversized, 'flow')} left out, too large for a record`] : [],
    ...empty > 0 ? [`${amount(empty, 'flow')} left out, with nothing it has a place for`] : [],
    ...unknown > 0 ? [`${amount(unknown, 'record')} left out, which are no flows`] : [],
    ...fields.map(({ name, leftOut, narrowed }) => {
      const parts = [
        ...leftOut > 0 ? [`left out of ${amount(leftOut, 'flow')}`] : [],
        ...narrowed > 0 ? [`cut in ${amount(narrowed, 'flow')}`] : [],
      ]
      return `${name.padEnd(width)}  ${parts.join(', ')}`
    }),
  ]
  return lines.length === 0 ? [] : [title, ...lines.map((line) => `  ${line}`)]
}

/** What was lost, for JSON: records left out whole by why, and by field. */
export function lossObject(loss: Loss): object {
  return {
    rows: loss.rows,
    fields: Object.fromEntries(lossByField(loss).map(({ name, leftOut, narrowed }) => [
      name, { left_out: leftOut, narrowed },
    ])),
  }
}

/**
 * Says which fields the files of places are without, each once for each format.
 *
 * @returns to be told of each file
 */
export function leftOutLog(
  places: readonly { readonly path: string, readonly format: string }[], say: (text: string) => void,
): (file: string, leftOut?: readonly string[]) => void {
  const said = new Map<string, ReadonlySet<string>>()
  const innerFirst = places.map(({ path, format }) => ({ path: resolve(path), format }))
    .sort((a, b) => b.path.length - a.path.length)
  return (file, leftOut = []) => {
    const place = innerFirst.find(({ path }) => relative(path, file).split('/')[0] !== '..')
    const known = said.get(place?.format ?? '')
    const fresh = leftOut.filter((name) => !known?.has(name))
    if (!place || fresh.length === 0) return
    said.set(place.format, new Set([...known ?? [], ...fresh]))
    say(`files of ${place.format} are without ${fresh.join(', ')}`)
  }
}
