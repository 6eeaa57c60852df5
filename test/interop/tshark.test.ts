import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { datagramEncoder, type ExportVersion } from '../../core/netflow/encode/encode.ts'
import { V8_SCHEMES } from '../../core/netflow/v8.ts'
import { batchOf, encodeAll } from '../core/netflow/encode/rows.ts'
import { EXPORTED } from '../core/netflow/messages.ts'
import { missing, throughTshark } from './peers.ts'
import { interopRows } from './rows.ts'

const skip = missing('tshark')
const OPTIONS = { maxSize: 1400, domain: 7, templateRefresh: 60e6, statistics: true }
const SAMPLING = { sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.config }
const BOOT = EXPORTED - 604_800 // s: a week before the export

function exported(version: ExportVersion, more: Record<string, number> = {}): Uint8Array[] {
  const rows = interopRows.filter(({ fields }) => version.version > 8 || fields['etype'] === 0x800)
  const sources = rows.map(({ fields }) => ({ fields: { ...fields, ...more } }))
  return encodeAll(datagramEncoder(version, OPTIONS), batchOf(...sources))
}

/** Values of fields of all records, in their order. */
function fieldsOf(datagrams: readonly Uint8Array[], ...names: readonly string[]): string[][] {
  const wanted = names.flatMap((name) => ['-e', `cflow.${name}`])
  const text = throughTshark(datagrams, '-T', 'fields', '-E', 'aggregator=|', ...wanted)
  const frames = text.replace(/\n$/, '').split('\n').map((line) => line.split('\t'))
  return names.map((_, i) => frames.flatMap((values) => values[i] === '' ? [] : values[i].split('|')))
}

function assertFlawless(datagrams: readonly Uint8Array[]): void {
  const flaw = '_ws.malformed or _ws.expert or cflow.unknown_field_type'
  assert.equal(throughTshark(datagrams, '-Y', flaw, '-V', '-O', 'cflow'), '')
  assert.doesNotMatch(throughTshark(datagrams, '-V', '-O', 'cflow'), /unknown|no template|\[malformed/i)
}

// tshark does not dissect version 6
for (const version of [1, 5, 7, 9, 10] as const) {
  test(`tshark reads the flows that are exported as version ${version}`, { skip }, () => {
    const datagrams = exported({ version })
    assertFlawless(datagrams)
    const rows = interopRows.map(({ fields }) => fields).filter((row) => version > 8 || row['etype'] === 0x800)
    const all = (name: string) => rows.map((row) => String(row[name] ?? 0))
    const four = (name: string) => all(name).filter((address) => !address.includes(':'))
    const six = (name: string) => all(name).filter((address) => address.includes(':'))
    const [src, dst, src6, dst6, octets, packets, protocol] =
      fieldsOf(datagrams, 'srcaddr', 'dstaddr', 'srcaddrv6', 'dstaddrv6', 'octets', 'packets', 'protocol')
    assert.deepEqual([src, dst, src6, dst6], [four('src_addr'), four('dst_addr'), six('src_addr'), six('dst_addr')])
    assert.deepEqual([octets, packets, protocol], [all('bytes'), all('packets'), all('proto')])

    const [srcPort, dstPort] = fieldsOf(datagrams, 'srcport', 'dstport')
    // versions without a place for ICMP type and code have them in the destination port
    assert.deepEqual(srcPort, version > 8 ? ['50000', '53', '50001'] : ['50000', '53', '0'])
    assert.deepEqual(dstPort, version > 8 ? ['443', '40000', '80'] : ['443', '40000', '769'])

    if (version === 10) {
      const [start, end] = fieldsOf(datagrams, 'abstimestart', 'abstimeend')
      assert.deepEqual(start, rows.map(() => 'Nov 20, 2026 08:59:50.250000000 UTC'))
      assert.deepEqual(end, rows.map(() => 'Nov 20, 2026 08:59:58.500000000 UTC'))
    } else {
      const [start, end] = fieldsOf(datagrams, 'timestart', 'timeend')
      assert.deepEqual(start.map((time) => BOOT + Number(time)), rows.map(() => EXPORTED - 9.75))
      assert.deepEqual(end.map((time) => BOOT + Number(time)), rows.map(() => EXPORTED - 1.5))
    }
  })
}

for (const scheme of Object.keys(V8_SCHEMES).map(Number)) {
  test(`tshark reads aggregated flows of scheme ${scheme} of version 8`, { skip }, () => {
    const datagrams = exported({ version: 8, scheme })
    assertFlawless(datagrams)
    const [octets, packets] = fieldsOf(datagrams, 'octets', 'packets')
    const sum = (values: readonly string[]) => values.reduce((total, value) => total + Number(value), 0)
    assert.deepEqual([sum(octets), sum(packets)], [2 ** 31 + 5 + 2 * 3456, 2 ** 31 + 1 + 2 * 12])
  })
}

for (const version of [9, 10] as const) {
  test(`tshark reads the options of version ${version}`, { skip }, () => {
    const datagrams = exported({ version }, SAMPLING)
    assertFlawless(datagrams)
    const told = fieldsOf(
      datagrams, 'sampling_interval', 'sampling_packet_interval', 'sampling_packet_space', 'packetsexp',
    )
    assert.deepEqual(told, [['100'], ['1'], ['99'], ['0']])
  })
}
