import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { flowExport } from '../../formats/flow-export.ts'
import { EXPORTED, fileOf, readBatch, RECORDS, valuesOf, type Members } from './flow-tools-files.ts'
import { batches, bytesOf, ids, textOf, type Flow } from './flows.ts'

const CLOCK = 'unix_secs,unix_nsecs,sysuptime,exaddr'
const COUNTERS = 'dpkts,doctets,first,last'
const FIRST = `${CLOCK},${COUNTERS}`
const ENGINE = 'engine_type,engine_id'
const V1 = 'srcaddr,dstaddr,nexthop,input,output,srcport,dstport,prot,tos,tcp_flags'
const V5 = `${FIRST},${ENGINE},${V1},src_mask,dst_mask,src_as,dst_as`
const TOTALS = `${CLOCK},dflows,${COUNTERS},${ENGINE}`

/** flow-export's headers by version. */
const HEADS: Readonly<Record<string, string>> = {
  '1': `${FIRST},${V1}`,
  '5': V5,
  '6': `${V5},in_encaps,out_encaps,nexthop`, // that of the peer
  '7': `${V5},router_sc`,
  '8.1': `${TOTALS},input,output,src_as,dst_as`,
  '8.2': `${TOTALS},srcport,dstport,prot`,
  '8.3': `${TOTALS},srcaddr,input,src_mask,src_as`,
  '8.4': `${TOTALS},dstaddr,output,dst_mask,dst_as`,
  '8.5': `${TOTALS},srcaddr,dstaddr,input,output,src_mask,dst_mask,src_as,dst_as`,
  '8.6': `${FIRST},${ENGINE},dstaddr,output,tos,router_sc,extra_pkts,marked_tos`,
  '8.7': `${FIRST},${ENGINE},srcaddr,dstaddr,input,output,tos,router_sc,extra_pkts,marked_tos`,
  '8.8': `${FIRST},${ENGINE},srcaddr,dstaddr,input,output,srcport,dstport,prot,tos,router_sc,extra_pkts,`
    + 'marked_tos',
  '8.9': `${TOTALS},input,output,tos,src_as,dst_as`,
  '8.10': `${TOTALS},srcport,dstport,prot,tos`, // without interfaces
  '8.11': `${TOTALS},srcaddr,input,tos,src_mask,src_as`,
  '8.12': `${TOTALS},dstaddr,output,tos,dst_mask,dst_as`,
  '8.13': `${TOTALS},srcaddr,dstaddr,input,output,tos,src_mask,dst_mask,src_as,dst_as`,
  '8.14': `${TOTALS},srcaddr,dstaddr,input,output,srcport,dstport,prot,tos,src_mask,dst_mask`,
  '1005': `${V5},src_tag,dst_tag`,
}
const ADDRESSES = ['exaddr', 'srcaddr', 'dstaddr', 'nexthop', 'peer_nexthop', 'router_sc']

/** The line that flow-export prints of a record. */
function lineOf(version: string, values: Members): string {
  const entries = Object.entries(values).map(([name, value]) => [name.toLowerCase(), value])
  const lower: Members = Object.fromEntries(entries)
  const names = HEADS[version].split(',')
  return names.map((name, i) => {
    if (name === 'nexthop' && i > names.indexOf('nexthop')) return text('peer_nexthop', lower.peer_nexthop)
    // their values are the other way round
    if (name === 'extra_pkts') return text(name, lower.marked_tos)
    return text(name, name === 'marked_tos' ? lower.extra_pkts : lower[name])
  }).join()
}

function text(name: string, value: number): string {
  if (!ADDRESSES.includes(name)) return String(value)
  return [24, 16, 8, 0].map((shift) => value >>> shift & 255).join('.')
}

for (const version of Object.keys(RECORDS)) {
  test(`flows of version ${version} are exported as flow-export does`, () => {
    const values = { ...valuesOf(version), Last: 4_294_967_000 }
    const other = { ...values, sysUpTime: 0, First: 4_000_000_000, Last: 4_000_000_001, unix_nsecs: 0 }
    assert.equal(bytesOf(flowExport, [readBatch(fileOf(version, [values, other]))]).toString(),
      `#:${HEADS[version]}\n${lineOf(version, values)}\n${lineOf(version, other)}\n`)
  })
}

test('the fields asked for are exported in the order that flow-export has', () => {
  const values = { ...EXPORTED, srcaddr: 0x0a000001, dPkts: 3, dOctets: 200, prot: 6 }
  const batch = readBatch(fileOf('5', [values]))
  const exported = (...names: Parameters<typeof ids>) => (
    bytesOf(flowExport, [batch], { fields: ids(...names) }).toString()
  )
  assert.equal(exported('proto', 'bytes', 'export_secs', 'src_addr'),
    '#:unix_secs,doctets,srcaddr,prot\n1700000000,200,10.0.0.1,6\n')
  assert.equal(exported('src_tag', 'packets', 'vlan_id'), '#:dpkts,src_tag\n3,0\n')
  assert.equal(exported('vlan_id'), '#:\n')
})

test('without flows there is the header of version 5', () => {
  assert.equal(bytesOf(flowExport, []).toString(), `#:${V5}\n`)
  assert.equal(bytesOf(flowExport, [], { fields: ids('bytes') }).toString(), '#:doctets\n')
  assert.equal(bytesOf(flowExport, [], { quiet: true }).toString(), '')
})

test('flows of others get a clock by which their times are uptimes', () => {
  const end = Date.parse('2024-05-01T12:00:01.250Z') * 1000
  const flow: Flow = { flow_start: end - 750_000, flow_end: end, packets: 1, bytes: 40, proto: 6 }
  const request = { fields: ids('export_secs', 'export_nsecs', 'sys_uptime', 'flow_start', 'flow_end') }
  assert.equal(textOf(flowExport, [flow, { proto: 6 }], request),
    '#:unix_secs,unix_nsecs,sysuptime,first,last\n'
    + '1714564801,250000000,604800000,604799250,604800000\n1714564801,250000000,604800000,0,0\n')
})

test('every line has a value for each name, whatever flows there are', () => {
  fc.assert(fc.property(batches, (batch) => {
    const [head, ...lines] = bytesOf(flowExport, [batch]).toString().trimEnd().split('\n')
    assert.equal(lines.length, batch.length)
    for (const line of lines) assert.equal(line.split(',').length, head.split(',').length)
  }), { numRuns: 200 })
})
