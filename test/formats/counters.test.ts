import { test } from 'node:test'
import assert from 'node:assert/strict'
import { decodeMultiple } from 'cbor-x'
import { findCounter, type CounterRow } from '../../core/netflow/sflow/counter-row.ts'
import { counterEncoder, type CounterOutput, type CounterWriteRequest } from '../../formats/counters.ts'

const NOON = 1_795_262_400e6 // 2026-11-21T12:00:00Z in µs
const SWITCH: CounterRow = {
  received: NOON + 250_000, exporter_addr: '192.0.2.1', sub_agent_id: 0, sequence: 9, source_type: 0,
  source_index: 7, if_index: 7, if_speed: 10_000_000_000, if_in_octets: 2 ** 53, if_name: 'xe-0/0/7, "up"',
  sfp_temperature_millicelsius: -500, sfp_lane_0_rx_power_uw: 80,
}
const HOST: CounterRow = {
  received: NOON + 1, agent_addr: '2001:db8::1', sub_agent_id: 1, sequence: 1, source_type: 2,
  source_index: 1,
  load_one: 0.25, hostname: '', os_release: '6\n\u001b[2J',
}

function bytesOf(
  output: CounterOutput, rows: readonly CounterRow[][], { fields, ...more }: Partial<CounterWriteRequest>
    & { fields?: string[] } = {},
): Buffer {
  const columns = fields && { columns: fields.map((name) => findCounter(name) ?? assert.fail(name)) }
  const encoder = counterEncoder(output, { extras: false, utc: true, ...columns, ...more })
  const parts = [...rows.map((each) => encoder.encode(each)), encoder.finish?.() ?? '']
  return Buffer.concat(parts.map((part) => Buffer.from(part as string)))
}

const textOf = (...args: Parameters<typeof bytesOf>) => bytesOf(...args).toString()

test('json is an object a line with what the sample has; times are RFC 3339 in UTC', () => {
  assert.equal(textOf('json', [[SWITCH], [HOST]]), [
    '{"received":"2026-11-21T12:00:00.250Z","exporter_addr":"192.0.2.1","sub_agent_id":0,"sequence":9,'
    + '"source_type":0,"source_index":7,"if_index":7,"if_speed":10000000000,"if_in_octets":9007199254740992,'
    + '"if_name":"xe-0/0/7, \\"up\\"","sfp_temperature_millicelsius":-500,"sfp_lane_0_rx_power_uw":80}',
    '{"received":"2026-11-21T12:00:00.000001Z","agent_addr":"2001:db8::1","sub_agent_id":1,"sequence":1,'
    + '"source_type":2,"source_index":1,"load_one":0.25,"hostname":"","os_release":"6\\n\\u001b[2J"}',
    '',
  ].join('\n'))
})

test('json has the columns asked for in their order, and all others behind them on request', () => {
  const fields = ['source_index', 'load_one', 'if_index']
  assert.equal(textOf('json', [[SWITCH, HOST]], { fields }),
    '{"source_index":7,"if_index":7}\n{"source_index":1,"load_one":0.25}\n')
  const [first] = textOf('json', [[SWITCH]], { fields, extras: true }).split('\n')
  assert.deepEqual(Object.keys(JSON.parse(first) as object).slice(0, 4),
    ['source_index', 'if_index', 'received', 'exporter_addr'])
  assert.equal(Object.keys(JSON.parse(first) as object).length, Object.keys(SWITCH).length)
})

test('json-array is one array, of nothing too', () => {
  const fields = ['sequence']
  assert.equal(textOf('json-array', [[SWITCH], [], [HOST]], { fields }),
    '[\n{"sequence":9},\n{"sequence":1}\n]\n')
  assert.equal(textOf('json-array', []), '[]\n')
})

test('csv has the core columns unless told; the missing are empty and an empty text is quoted', () => {
  const [head, line] = textOf('csv', [[SWITCH]]).split('\n')
  assert.equal(head, 'received,exporter_addr,agent_addr,sub_agent_id,sequence,source_type,source_index,'
    + 'if_index,if_type,if_speed,if_direction,if_status,if_in_octets,if_in_ucast_pkts,if_in_multicast_pkts,'
    + 'if_in_broadcast_pkts,if_in_discards,if_in_errors,if_in_unknown_protos,if_out_octets,if_out_ucast_pkts,'
    + 'if_out_multicast_pkts,if_out_broadcast_pkts,if_out_discards,if_out_errors,if_promiscuous_mode')
  assert.equal(line, '2026-11-21T12:00:00.250Z,192.0.2.1,,0,9,0,7,7,,10000000000,,,9007199254740992'
    + ','.repeat(13))
  const fields = ['if_name', 'hostname', 'load_one']
  assert.equal(textOf('csv', [[SWITCH], [HOST]], { fields }),
    'if_name,hostname,load_one\n"xe-0/0/7, ""up""",,\n,"",0.25\n')
  assert.equal(textOf('csv', [], { fields }), 'if_name,hostname,load_one\n')
})

test('csv has all other counters as one JSON object on request', () => {
  const fields = Object.keys(SWITCH).filter((name) => !name.startsWith('sfp'))
  const [head, line] = textOf('csv', [[SWITCH]], { fields, extras: true }).split('\n')
  assert.equal(head, `${fields.join()},extras`)
  const others = '{""sfp_temperature_millicelsius"":-500,""sfp_lane_0_rx_power_uw"":80}'
  assert.ok(line.endsWith(`"${others}"`), line)
})

test('cbor is a header with names and types, and blocks of rows', () => {
  const fields = [
    'received', 'agent_addr', 'sfp_temperature_millicelsius', 'load_one', 'hostname', 'if_in_octets',
  ]
  const items = decodeMultiple(bytesOf('cbor', [[SWITCH, HOST], [SWITCH]], { fields })) as unknown[]
  const first = [1_795_262_400_250_000n, null, -500, null, null, 2n ** 53n]
  assert.deepEqual(items, [
    {
      flowkit: 1, fields, types: ['time', 'address', 'int', 'float', 'text', 'int'],
      time: 'microseconds since 1970-01-01T00:00:00Z',
    },
    [first, [1_795_262_400_000_001n, '2001:db8::1', null, 0.25, '', null]],
    [first],
  ])
  const numbers = bytesOf('cbor', [[{ sequence: 5 }, { sequence: 2 ** 32 }]], { fields: ['sequence'] })
  assert.equal(numbers.toString('hex'),
    `a467${hexOf('flowkit')}0166${hexOf('fields')}8168${hexOf('sequence')}65${hexOf('types')}81`
    + `63${hexOf('int')}64${hexOf('time')}7827${hexOf('microseconds since 1970-01-01T00:00:00Z')}`
    + `828105811b0000000100000000`)
})

test('cbor without columns has those that came so far, and numbered counters in extras', () => {
  const rows = [[{ sequence: 1, sfp_lane_0_index: 3 }], [{ sequence: 2, load_one: 1 }]]
  const items = decodeMultiple(bytesOf('cbor', rows)) as { fields: string[], types: string[] }[]
  assert.deepEqual([items[0].fields, items[0].types], [['sequence', 'extras'], ['int', 'map']])
  assert.deepEqual(items[1], [[1, { sfp_lane_0_index: 3 }]])
  assert.deepEqual(items[2].fields, ['sequence', 'load_one', 'extras'])
  assert.deepEqual(items[3], [[2, 1, null]])
})

test('the table shows interfaces unless told, and no control characters', () => {
  const widths = [23, -15, 4, 10, 12, 15, 15, 10, 10]
  const row = (...cells: string[]) => cells.map((cell, i) => (
    widths[i] < 0 ? cell.padEnd(-widths[i]) : cell.padStart(widths[i])
  )).join('  ')
  const titles = ['Exporter', 'Type', 'Source', 'Speed', 'In octets', 'Out octets', 'In errors', 'Out errors']
  assert.deepEqual(textOf('table', [[SWITCH], [HOST]]).split('\n'), [
    row('Received               ', ...titles),
    row('2026-11-21 12:00:00.250', '192.0.2.1', '0', '7', '10000000000', '9007199254740992', '-', '-', '-'),
    row('2026-11-21 12:00:00.000', '-', '2', '1', '-', '-', '-', '-', '-'),
    '',
  ])
  const fields = ['os_release', 'load_one']
  const [head, line] = textOf('table', [[HOST]], { fields, extras: true }).split('\n')
  assert.equal(head, 'os_release      load_one  extras')
  assert.match(line, /^6\?\?\[2J {14}0\.25 {2}\{"received":1795262400000001,"agent_addr":"2001:db8::1",/)
})

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex')
}
