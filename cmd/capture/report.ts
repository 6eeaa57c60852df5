import type { InterfaceReport } from '../../core/capture/options.ts'
import type { MeterStats } from '../../core/meter/options.ts'

/** What became of packets and flows so far. */
export interface CaptureReport {
  readonly interfaces: readonly InterfaceReport[]
  /** Flows that go on. */
  readonly active: number
  readonly meter: Readonly<MeterStats>
  /** Flows that ended, and of these the ones that the filter wants. */
  readonly flows: number
  readonly wanted: number
  /** Flows that each output will never have. */
  readonly lost: readonly number[]
  /** Datagrams, and flows by connections, that collectors did not get; known in the end. */
  readonly undelivered: number
}

/**
 * The reports of workers, which share packets and outputs, as one.
 *
 * @param reports at least one
 */
export function sumReports(reports: readonly CaptureReport[]): CaptureReport {
  const sum = (of: (report: CaptureReport) => number): number => {
    return reports.reduce((total, report) => total + of(report), 0)
  }
  const [{ meter, lost }] = reports
  const names = Object.keys(meter) as (keyof MeterStats)[]
  const sums = names.map((name) => [name, sum((report) => report.meter[name])])
  return {
    interfaces: sumInterfaces(reports.flatMap(({ interfaces }) => interfaces)),
    active: sum(({ active }) => active),
    meter: Object.fromEntries(sums) as Record<keyof MeterStats, number>,
    flows: sum(({ flows }) => flows), wanted: sum(({ wanted }) => wanted),
    lost: lost.map((_, i) => sum((report) => report.lost[i])),
    undelivered: sum(({ undelivered }) => undelivered),
  }
}

function sumInterfaces(reports: readonly InterfaceReport[]): InterfaceReport[] {
  return [...Map.groupBy(reports, ({ name }) => name).values()].map((same) => ({
    ...same[0],
    isOpen: same.some(({ isOpen }) => isOpen),
    received: same.reduce((sum, { received }) => sum + received, 0),
    dropped: same.reduce((sum, { dropped }) => sum + dropped, 0),
    freezes: same.reduce((sum, { freezes }) => sum + freezes, 0),
  }))
}

/** A report as text: a line for each interface, then for the flow cache and flows. */
export function reportText({ interfaces, active, meter, flows, wanted }: CaptureReport): string {
  return [
    ...interfaces.map(({ name, ...report }) => `  ${name}: ${pairs(report)}`),
    `  cache: active=${active} ${pairs(meter)}`,
    `  all: ${pairs({ flows, wanted })}`,
  ].join('\n')
}

function pairs(values: object): string {
  return Object.entries(values).map(([key, value]) => `${key}=${value}`).join(' ')
}
