import { rowsLost, type Loss } from '../../core/flow/loss.ts'
import { amount, isLoss, lossObject, lossSection } from '../loss-report.ts'

/** What became of flows on their way from one format to another. */
export interface Conversion {
  readonly read: number
  readonly inputs: number
  /** Things in the inputs that could not be read. */
  readonly faults: number
  /** What was done between: `duplicates removed`, how many. */
  readonly counts: readonly (readonly [what: string, count: number])[]
  /** Flows that the steps between left, if not all. */
  readonly kept?: number
  readonly place: string
  /** The name of the format written. */
  readonly format: string
  readonly readerLoss: Loss
  readonly writerLoss: Loss
}

/** Whether anything was lost that stood in the inputs and was asked for. */
export function isLossy({ readerLoss, writerLoss }: Conversion): boolean {
  return isLoss(readerLoss) || isLoss(writerLoss)
}

/** What was read, written and lost: lines for people, or one JSON object. */
export function conversionText(
  conversion: Conversion, kind: 'text' | 'json', isRefused: boolean,
): string {
  const { read, kept = read, inputs, counts, place, format, faults, readerLoss, writerLoss } = conversion
  const written = isRefused ? 0 : kept - rowsLost(writerLoss)
  if (kind === 'json') {
    return JSON.stringify({
      read, written, inputs, place, format, faults, ...Object.fromEntries(counts),
      reader: lossObject(readerLoss), writer: lossObject(writerLoss),
    })
  }
  const target = `${place === '-' ? 'standard output' : place} as ${format}`
  const refused = isRefused ? ', since --strict lets nothing be lost' : ''
  return [
    `${amount(read, 'flow')} read, ${written.toLocaleString('en-US')} written to ${target}${refused}`,
    ...counts.map(([what, count]) => `${count.toLocaleString('en-US')} ${what}`),
    ...lossSection('flowkit has no place for', readerLoss),
    ...lossSection(`${format} has no place for`, writerLoss),
  ].join('\n  ')
}
