/** What the benchmarks have in common: samples, their text, tables. */

/** Several measurements of one thing. */
export interface Sample {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** A row of the table: what was done, flowkit's figure, the peer's, and what they make. */
export interface Row {
  readonly work: string
  readonly flowkit: string
  readonly peer?: string
  readonly ratio?: string
}

/** Median, least and most of at least one number. */
export function sampleOf(values: readonly number[]): Sample {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
  return { median, min: sorted[0], max: sorted[sorted.length - 1] }
}

/** Run all `tasks` in turn, `rounds` times over, so that what else the machine does meets all of them. */
export async function interleave<K extends string>(
  rounds: number, tasks: Readonly<Record<K, () => number | Promise<number>>>,
): Promise<Record<K, Sample>> {
  const names = Object.keys(tasks) as K[]
  const values = new Map(names.map((name) => [name, [] as number[]]))
  for (let round = 0; round < rounds; round++) {
    for (const name of names) values.get(name)!.push(await tasks[name]())
  }
  return Object.fromEntries(names.map((name) => [name, sampleOf(values.get(name)!)])) as Record<K, Sample>
}

/** Seconds since `start`, of `process.hrtime.bigint()`. */
export function secondsSince(start: bigint): number {
  return Number(process.hrtime.bigint() - start) / 1e9
}

/** `1.23 s (1.20–1.31)`: the median, and least and most. */
export function spread({ median, min, max }: Sample, unit: string, scale = 1): string {
  const digits = (value: number) => value < 10 ? 2 : value < 100 ? 1 : 0
  const places = digits(median * scale)
  const text = (value: number) => (value * scale).toFixed(places)
  return `${text(median)} ${unit} (${text(min)}–${text(max)})`
}

/** Time for a number of flows, and what that makes a second. */
export function throughput(seconds: Sample, flows: number): string {
  return `${spread(seconds, 's')}, ${count(flows / seconds.median)} flows/s`
}

/** `3.50 × as fast`: the peer's median over one's own. */
export function faster(own: Sample, peer: Sample): string {
  return `${(peer.median / own.median).toFixed(peer.median < own.median * 10 ? 2 : 1)} × as fast`
}

/** A number in three digits or so: `950`, `81 k`, `1.25 M`. */
export function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)} M`
  return value >= 1e4 ? `${Math.round(value / 1e3)} k` : `${Math.round(value)}`
}

/** Bytes as `182 MB`. */
export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}

/** A Markdown table that is readable as it is. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)))
  const line = (cells: readonly string[]) => {
    return `| ${cells.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`
  }
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(head), rule, ...rows.map(line)].join('\n')
}
