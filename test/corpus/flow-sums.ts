/** What flows of the same key tell together, as text by field. */

/** What one flow tells: its key, and its fields. */
export interface Told {
  readonly key: string
  readonly fields: readonly (readonly [field: string, text: string])[]
}

/** All flows of a key together: counters are added up, values that occur are listed. */
export type Sums = ReadonlyMap<string, string>

/** A key as text: protocol, source and its port, destination and its. */
export function keyText(proto: string, src: string, srcPort: string, dst: string, dstPort: string): string {
  return [proto, src, srcPort, dst, dstPort === '0.0' ? '0' : dstPort].join(' ')
}

/** What there is of each key, together. */
export function sumUp(flows: Iterable<Told>): Map<string, Sums> {
  const table = new Map<string, Map<string, string>>()
  for (const { key, fields } of flows) {
    let sums = table.get(key)
    if (!sums) table.set(key, sums = new Map())
    for (const [field, text] of fields) sums.set(field, merge(field, sums.get(field), text))
  }
  return table
}

function merge(field: string, a: string | undefined, b: string): string {
  if (a === undefined) return b
  if (field === 'bytes' || field === 'packets') return String(Number(a) + Number(b))
  if (field === 'tcp_flags') return String(Number(a) | Number(b))
  const [x, y] = [Number.parseInt(a), Number.parseInt(b)]
  if (field === 'flow_start') return x <= y ? a : b
  if (field === 'flow_end') return x >= y ? a : b
  return [...new Set([...a.split(','), b])].sort().join(',')
}
