import { lossByField, type Loss } from '../core/flow/loss.ts'
import type { ExportOptions } from '../core/netflow/encode/export-streams.ts'

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

/** `1,000 flows`, `1 flow`. */
export function amount(count: number, thing: string): string {
  return `${count.toLocaleString('en-US')} ${thing}${count === 1 ? '' : 's'}`
}

/** What `version` could not carry, a line for each thing; nothing where it could carry all. */
export function lossText(loss: Loss, version: ExportOptions['version']): string | undefined {
  const { ipv6, oversized, empty } = loss.rows
  const fields = lossByField(loss)
  const width = Math.max(0, ...fields.map(({ name }) => name.length))
  const lines = [
    ...ipv6 > 0 ? [`${amount(ipv6, 'IPv6 flow')} left out`] : [],
    ...oversized > 0 ? [`${amount(oversized, 'flow')} left out, too large for a datagram`] : [],
    ...empty > 0 ? [`${amount(empty, 'flow')} left out, with nothing it has a place for`] : [],
    ...fields.map(({ name, leftOut, narrowed }) => {
      const parts = [
        ...leftOut > 0 ? [`left out of ${amount(leftOut, 'flow')}`] : [],
        ...narrowed > 0 ? [`cut in ${amount(narrowed, 'flow')}`] : [],
      ]
      return `${name.padEnd(width)}  ${parts.join(', ')}`
    }),
  ]
  if (lines.length === 0) return undefined
  return [`${versionName(version)} could not carry`, ...lines].join('\n  ')
}

function versionName(version: ExportOptions['version']): string {
  if (version === 'sflow') return 'sFlow'
  if (version.version === 10) return 'IPFIX'
  return version.scheme === undefined ? `NetFlow v${version.version}` : `NetFlow v8.${version.scheme}`
}
