/** OpenNMS' goldens: a JSON array of flows beside the datagrams' file. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readPairs, type Golden, type Reading } from './compare.ts'
import { packetsOf, type Listed } from './corpus.ts'
import { parseJson } from './values.ts'

/** flowkit's fields by OpenNMS' names; of times the unit is ms, all else is as flowkit has it. */
const NAMES: Readonly<Record<string, string>> = {
  inputSnmpIfindex: 'in_if', outputSnmpIfindex: 'out_if', srcAddress: 'src_addr', dstAddress: 'dst_addr',
  srcPort: 'src_port', dstPort: 'dst_port', numBytes: 'bytes', numPackets: 'packets', protocol: 'proto',
  tos: 'tos', tcpFlags: 'tcp_flags', direction: 'direction', firstSwitched: 'flow_start',
  lastSwitched: 'flow_end', flowSeqNum: 'sequence_num', nodeIdentifier: 'observation_domain_id',
}
const DIRECTIONS: Readonly<Record<string, string>> = { INGRESS: '0', EGRESS: '1' }

/** OpenNMS' goldens and the readings of each. */
export function* opennms(corpus: string, list: readonly Listed[]): Generator<Golden> {
  for (const { path, golden } of list) {
    if (!/opennms.*\.json$/.test(golden)) continue
    const flows = parseJson(readFileSync(join(corpus, golden), 'utf8')) as Record<string, unknown>[]
    const pairs = readPairs(packetsOf(corpus, path)).filter(({ row }) => row)
    const readings: Reading[] = []
    for (let record = 0; record < Math.max(flows.length, pairs.length); record++) {
      const base = { peer: 'opennms', golden, record, ...pairs[record], all: flows[record] }
      if (!base.row || !flows[record]) {
        const theirs = flows[record] && 'a record'
        readings.push({ ...base, field: 'record', ours: base.row && 'a flow', theirs })
        continue
      }
      for (const [name, field] of Object.entries(NAMES)) {
        const text = String(flows[record][name])
        const theirs = field.startsWith('flow_') ? `${text}000` : DIRECTIONS[text] ?? text
        readings.push({ ...base, field, ours: base.row.fields.get(field), theirs })
      }
    }
    yield { path: golden, files: [path], records: flows.length, readings }
  }
}
