import type { Loss } from '../core/flow/loss.ts'
import type { ExportOptions } from '../core/netflow/encode/export-streams.ts'
import { amount, lossLines } from './loss-report.ts'

/** What was exported. */
export interface Exported {
  readonly flows: number
  readonly datagrams: number
}

/** What became of it, and what the version could not carry. */
export interface ExportedFlows extends Exported {
  readonly loss: Loss
}

/** `1,000 flows in 42 datagrams`. */
export function describe({ flows, datagrams }: Exported): string {
  return `${amount(flows, 'flow')} in ${amount(datagrams, 'datagram')}`
}

/** What `version` could not carry, a line for each thing; nothing where it could carry all. */
export function lossText(loss: Loss, version: ExportOptions['version']): string | undefined {
  const lines = lossLines(loss)
  return lines.length === 0 ? undefined : [`${versionName(version)} could not carry`, ...lines].join('\n  ')
}

function versionName(version: ExportOptions['version']): string {
  if (version === 'sflow') return 'sFlow'
  if (version.version === 10) return 'IPFIX'
  return version.scheme === undefined ? `NetFlow v${version.version}` : `NetFlow v8.${version.scheme}`
}
