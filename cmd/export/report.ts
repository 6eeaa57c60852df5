import { addLoss, newLoss, type Loss } from '../../core/flow/loss.ts'
import { amount, isLoss, lossObject, lossSection } from '../loss-report.ts'

/** What was exported, and what the version could not carry. */
export interface Exported {
  /** Flows that were read or generated; of these, those with a record. */
  readonly read: number
  readonly flows: number
  /** Datagrams, or messages of connections. */
  readonly messages: number
  readonly loss: Loss
  /** The same by the name of what could not carry it, where that is not one. */
  readonly losses?: ReadonlyMap<string, Loss>
}

/** What of it did not arrive. */
export interface Undelivered {
  /** `udp://collector:2055` */
  readonly place: string
  /** How many, as far as that is known; 0 where something may have been lost that nobody could count. */
  readonly count: number
  readonly unit: 'flow' | 'message' | 'datagram'
  readonly reason: string
}

/** An export that has ended. */
export interface Export extends Exported {
  /** Of those that were read; generated ones have none. */
  readonly inputs: number
  readonly faults: number
  /** What the flows could not be given of what the inputs hold. */
  readonly readerLoss: Loss
  /** `IPFIX`, or what else they are called as. */
  readonly format: string
  readonly places: readonly string[]
  /** Whether they are files. */
  readonly isFile: boolean
  readonly unit: 'message' | 'datagram' | undefined
  readonly undelivered: readonly Undelivered[]
}

/** Whether anything was lost that stood in the inputs. */
export function isLossy({ readerLoss, loss }: Pick<Export, 'readerLoss' | 'loss'>): boolean {
  return isLoss(readerLoss) || isLoss(loss)
}

/** What was exported and what was lost: lines for people. */
export function exportLines(
  { flows, messages, unit, isFile, places, undelivered, format, readerLoss, loss, losses }: Export,
  isRefused: boolean,
): { readonly summary: string, readonly warnings: readonly string[] } {
  const what = amount(flows, 'flow') + (unit ? ` in ${amount(messages, unit)}` : '')
  const verb = isFile ? 'written' : 'sent'
  const lost = [
    lossSection('flowkit has no place for', readerLoss),
    ...Array.from(losses ?? [[format, loss] as const], ([name, loss]) => {
      return lossSection(`${name} could not carry`, loss)
    }),
  ]
  return {
    summary: `${what} ${isRefused ? 'not ' : ''}${verb} to ${places.join(', ')}`,
    warnings: [
      ...undelivered.map(({ place, count, unit, reason }) => {
        const known = `${amount(count, unit)} or more did not arrive`
        return `${place}: ${count > 0 ? known : 'some flows may not have arrived'}: ${reason}`
      }),
      ...lost.filter((lines) => lines.length > 0).map((lines) => lines.join('\n')),
    ],
  }
}

/** The same as one JSON object, as `convert` has it. */
export function exportObject(
  { read, flows, messages, inputs, places, format, faults, undelivered, readerLoss, loss }: Export,
  isRefused: boolean,
): object {
  return {
    read, written: isRefused ? 0 : flows, inputs, place: places.join(','), format, faults, messages,
    undelivered: undelivered.map(({ place, count, unit, reason }) => {
      return { place, [`${unit}s`]: count, reason }
    }),
    reader: lossObject(readerLoss), writer: lossObject(loss),
  }
}

/**
 * What several have lost: all of it, if they share the flows, else, of each thing, as much as the one that
 * lost most.
 */
export function totalLoss(losses: readonly Loss[], isShared: boolean): Loss {
  if (isShared) return losses.reduce(addLoss, newLoss())
  const worst = newLoss()
  for (const { rows, leftOut, narrowed, elements } of losses) {
    for (const reason of Object.keys(rows) as (keyof typeof rows)[]) {
      worst.rows[reason] = Math.max(worst.rows[reason], rows[reason])
    }
    for (let id = 0; id < leftOut.length; id++) {
      worst.leftOut[id] = Math.max(worst.leftOut[id], leftOut[id])
      worst.narrowed[id] = Math.max(worst.narrowed[id], narrowed[id])
    }
    for (const [name, count] of elements) {
      worst.elements.set(name, Math.max(worst.elements.get(name) ?? 0, count))
    }
  }
  return worst
}
