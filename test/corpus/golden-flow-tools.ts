/** The goldens of flow-tools: CSV of flow-export -f2, times as the exporter's clock. */
import type { PeerRecord, PeerValue } from './peers.ts'
import { fieldsOf, headerTime } from './values.ts'

/** Fields by the peer's names. */
const BY_NAME = fieldsOf('flow-tools')

/** The records of a golden. */
export function readFlowTools(text: string): PeerRecord[] {
  const [head, ...lines] = text.trimEnd().split('\n')
  const names = head.replace('#:', '').split(',')
  // v6 has the next hop of the peer at the end, under the name of the next hop
  const last = names.length - 1
  if (names.indexOf('nexthop') !== names.lastIndexOf('nexthop')) names[last] = 'peer_nexthop'
  return lines.map((line) => {
    const cells = line.split(',')
    const all = Object.fromEntries(cells.map((cell, i) => [names[i], cell]))
    return { values: cells.map((cell, i) => valueOf(names[i], cell, all)), all }
  })
}

function valueOf(name: string, cell: string, all: Readonly<Record<string, string>>): PeerValue {
  const field = BY_NAME.get(name)
  if (!field) throw new Error(`flow-tools has a field that is not known: ${name}`)
  if (field !== 'flow_start' && field !== 'flow_end') return { field, text: cell }
  const exported = headerTime(Number(all.unix_secs), Number(all.unix_nsecs))
  return { field, text: String(exported - ((Number(all.sysuptime) - Number(cell)) | 0) * 1000) }
}
