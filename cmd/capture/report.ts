import type { InterfaceReport } from '../../core/capture/options.ts'
import type { FlowMeter } from '../../core/meter/meter.ts'

/** What became of packets and flows so far: a line for each interface, then for the flow cache and flows. */
export function meterText(
  interfaces: readonly InterfaceReport[], { active, stats }: FlowMeter, counts: object,
): string {
  return [
    ...interfaces.map(({ name, ...report }) => `  ${name}: ${pairs(report)}`),
    `  cache: active=${active} ${pairs(stats)}`,
    `  all: ${pairs(counts)}`,
  ].join('\n')
}

function pairs(values: object): string {
  return Object.entries(values).map(([key, value]) => `${key}=${value}`).join(' ')
}
