import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { WriteRequest } from '../../formats/format.ts'
import { findFormat } from '../../formats/locations.ts'
import { formatOf, nfdumpText } from '../../formats/nfdump-text.ts'
import { TOKEN_NAMES } from '../../formats/nfdump-text/tokens.ts'
import { batches, batchOf, bytesOf, ids, largest, plainRow, textOf, type Flow } from './flows.ts'

process.env.TZ = 'UTC'

function micros(time: string): number {
  return Date.parse(`${time}Z`) * 1000
}

/** The lines of one flow. */
function rowOf(name: string, flow: Flow, request: WriteRequest = {}): string {
  return textOf(findFormat(name), [flow], { quiet: true, ...request })
}

const COMMON: Flow = {
  type: FLOW_TYPE.NETFLOW_V9, received: micros('2026-11-21T02:25:20.937'), exporter_addr: '127.0.0.1', observation_domain_id: 42,
  sampling_rate: 100, proto: 6,
}

/** What fixtures/nfdump/texts.txt has been printed of. */
const FLOWS: readonly Flow[] = [
  {
    ...COMMON, flow_start: micros('2026-11-20T23:00:01.260'), flow_end: micros('2026-11-20T23:00:01.270'),
    bytes: 1135, packets: 5, flows: 1, out_bytes: 0, out_packets: 0, src_addr: '10.20.1.161',
    dst_addr: '198.51.100.46', src_port: 43124, dst_port: 80, tcp_flags: 2, direction: 0, in_if: 12, out_if: 10,
    src_as: 4200000001, dst_as: 3320, src_mask: 0, dst_mask: 32, next_hop: '0.0.0.0', bgp_next_hop: '192.0.2.77',
    forwarding_status: 66, src_mac: '02:11:00:00:00:09', dst_mac: '02:33:00:00:01:06',
    post_src_mac: '02:44:00:00:00:04', post_dst_mac: '02:22:00:00:01:06', vlan_id: 300, post_vlan_id: 0,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:52.578'), flow_end: micros('2026-11-20T22:59:52.588'),
    bytes: 848, packets: 2, src_addr: '2001:db8:a:4::22', dst_addr: '2001:db8:ffff::c', src_port: 46046,
    dst_port: 445, tcp_flags: 27, tos: 184, in_if: 11, out_if: 6, src_as: 64501, dst_as: 0, src_mask: 64,
    dst_mask: 128, next_hop: '2001:db8:1::1', bgp_next_hop: '2001:db8:2::2',
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:40.735'), flow_end: micros('2026-11-20T22:59:45.735'),
    bytes: 300, packets: 2, proto: 17, src_addr: '10.20.0.26', dst_addr: '198.51.100.15', src_port: 52072,
    dst_port: 5060, in_if: 10, out_if: 3, src_mask: 0, dst_mask: 0, mpls_label_1: 16003, mpls_label_2: 24003, mpls_label_3: 299776,
    mpls_exp: 0x928,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:27.173'), flow_end: micros('2026-11-20T22:59:27.173'),
    event_time: micros('2026-11-20T22:59:27.173'), bytes: 56879, packets: 0, flows: 1, out_bytes: 60429,
    out_packets: 0, src_addr: '10.20.2.25', dst_addr: '198.51.100.22', src_port: 34663, dst_port: 22, in_if: 6,
    out_if: 6, src_mask: 0, dst_mask: 0, post_nat_src_addr: '192.0.2.16', post_nat_dst_addr: '198.51.100.22', post_napt_src_port: 20650,
    post_napt_dst_port: 22, firewall_event: 2, firewall_ext_event: 0, flow_id: 1704580019n,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:09.833'), flow_end: micros('2026-11-20T22:59:09.833'),
    event_time: micros('2026-11-20T22:59:09.833'), bytes: 0, packets: 0, src_addr: '10.20.1.189',
    dst_addr: '198.51.100.50', src_port: 1580, dst_port: 80, src_vrf: 20, dst_vrf: 0, nat_event: 2,
    post_nat_src_addr: '192.0.2.18', post_nat_dst_addr: '198.51.100.50', post_napt_src_port: 46177,
    post_napt_dst_port: 80,
  },
]

/** What fixtures/nfdump/tokens.txt has been printed of. */
const RICH: readonly Flow[] = [
  {
    ...COMMON, type: FLOW_TYPE.IPFIX, flow_start: micros('2026-11-20T23:00:01.007'),
    flow_end: micros('2026-11-22T00:00:01.270'), bytes: 1_250_000, packets: 999_999, flows: 12,
    out_bytes: 2 ** 40, out_packets: 1_000_000, src_addr: '2001:db8:0:1:2:3:4:5', dst_addr: '2001:db8::46',
    src_mask: 48, dst_mask: 64, proto: 58, icmp_type: 129, icmp_code: 3, min_ttl: 1, max_ttl: 255,
    ip_flags: 0x40, in_if: 12, out_if: 10, next_as: 4_200_000_001, prev_as: 64_496, src_vrf: 7, dst_vrf: 4_000_000_000,
    exporter_addr: '2001:db8:ffff:ffff:ffff:ffff:ffff:1', observation_point_id: 77n, user_name: 'alice',
    application_id: Buffer.from('0d0001bb', 'hex'), tcp_flags: 0xc2,
    pf_action: 1, pf_reason: 4, pf_direction: 1, pf_rule: 42, in_if_name: 'em0',
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:27.173'), flow_end: micros('2026-11-20T22:59:27.173'),
    event_time: micros('2026-11-20T22:59:27.042'), bytes: 5, packets: 1, src_addr: '10.20.2.25',
    dst_addr: '198.51.100.22', src_port: 34663, dst_port: 22, proto: 6, post_nat_src_addr: '192.0.2.16',
    post_nat_dst_addr: '198.51.100.22', post_napt_src_port: 20650, post_napt_dst_port: 22, firewall_event: 9,
    firewall_ext_event: 1003, flow_id: 1704580019n, user_name: 'bob, the second', port_block_start: 1024,
    port_block_end: 2047, port_block_step: 1, port_block_size: 64,
  },
  {
    ...COMMON, exporter_addr: '0.0.0.0', proto: 17, flow_start: 1000, flow_end: 2000, src_addr: '192.0.2.1',
    dst_addr: '192.0.2.2',
  },
]

test('where there are no flows, lines and blocks say so', () => {
  assert.equal(textOf(findFormat('raw'), []), 'No matching flows\n')
  assert.equal(textOf(findFormat('line'), [], { quiet: true }), 'No matching flows\n')
  assert.equal(textOf(findFormat('nfdump-csv-fast'), [], { quiet: true }).split('\n').length, 2)
})

const texts = readFileSync(new URL('../fixtures/nfdump/texts.txt', import.meta.url), 'utf8')

for (const section of texts.split(/^=== /m).slice(1)) {
  const [title] = section.split('\n', 1)
  const [, name, option] = /^(.*?)(?: -([6N]))?$/.exec(title)!
  test(`five flows are printed as by nfdump: ${title}`, () => {
    // nfcapd 1.7.1 leaves the times of flows in events 0
    const flows = name.includes('-1.7.1') || name === 'pipe' ? FLOWS.map((flow) => (
      flow.event_time === undefined ? flow : { ...flow, flow_start: 0, flow_end: 0 }
    )) : FLOWS
    const request = { ipv6Full: option === '6', plainNumbers: option === 'N', quiet: name.startsWith('fmt') }
    const [printed] = textOf(findFormat(name), flows, request).split(/^Summary/m)
    assert.equal(printed, section.slice(title.length + 1))
  })
}

const tokens = readFileSync(new URL('../fixtures/nfdump/tokens.txt', import.meta.url), 'utf8')

for (const section of tokens.split(/^=== /m).slice(1)) {
  const [title] = section.split('\n', 1)
  const [, name, option] = /^(.*?)(?: -([6N]))?$/.exec(title)!
  test(`tokens are printed as by nfdump: ${title}`, () => {
    const [printed] = textOf(findFormat(name), RICH, { plainNumbers: option === 'N' }).split(/^Summary/m)
    assert.equal(printed, section.slice(title.length + 1))
  })
}

test('each format has said all the fields that it looks at', () => {
  for (const format of nfdumpText) {
    const printed = new Set(format.printed!.map((id) => FIELDS[id].name))
    const flows = FLOWS.map((flow): Flow => (
      Object.fromEntries(Object.entries(flow).filter(([name]) => printed.has(name as keyof Flow)))
    ))
    const [ours, all] = [flows, FLOWS].map((each) => textOf(format, each).replace(/^Sys: .*/m, ''))
    assert.equal(ours, all, format.name)
  }
})

test('a text is the same in however many batches the flows come', () => {
  for (const format of nfdumpText) {
    const split = bytesOf(format, [batchOf([]), ...FLOWS.map((flow) => batchOf([flow])), batchOf([])])
    const [ours, all] = [split.toString(), textOf(format, FLOWS)].map((text) => text.replace(/^Sys: .*/m, ''))
    assert.equal(ours, all, format.name)
  }
})

test('the summary ends with counts and times of the run', () => {
  const [, rest] = textOf(findFormat('long'), FLOWS).split(/^(?=Summary)/m)
  assert.match(rest, new RegExp('^' + [
    'Summary: total flows: 5, total bytes: 119591, total packets: 9, avg bps: 18599, avg pps: 0, avg bpp: 13287',
    'Time window: 2026-11-20 22:59:09.833 - 2026-11-20 23:00:01.270, Duration:    00:00:51.437',
    'Total records processed: 5, passed: 5, Blocks skipped: 0, Bytes read: 0',
    'Sys: \\d+\\.\\d{4}s User: \\d+\\.\\d{4}s '
      + 'Wall: \\d+\\.\\d{4}s flows/second: \\d+\\.\\d Runtime: \\d+\\.\\d{4}s\n$',
  ].join('\n')))
  const plain = textOf(findFormat('line'), [{ bytes: 2_300_000 }], { plainNumbers: true })
  assert.ok(plain.includes('total flows: 1, total bytes: 2300000, total packets: 0, avg bps: 0,'))
  const old = textOf(findFormat('nfdump-csv-1.7.1'), FLOWS)
  assert.ok(old.endsWith('\nSummary\nflows,bytes,packets,avg_bps,avg_pps,avg_bpp\n5,119591,9,18599,0,13287\n'))
})

test("line-1.6 is nfdump 1.6's", () => {
  const flows: Flow[] = [
    { ...FLOWS[0], bytes: 1_234_567 }, { proto: 99, src_addr: '192.0.2.1', dst_addr: '192.0.2.2' },
  ]
  const text = textOf(findFormat('line-1.6'), flows)
  const [before, after] = text.split(/^(?=Total)/m)
  assert.equal(before, `\
Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows
2026-11-20 23:00:01.260     0.010 TCP        10.20.1.161:43124 ->    198.51.100.46:80           5    1.2 M     1
1970-01-01 00:00:00.000     0.000 99           192.0.2.1:0     ->        192.0.2.2:0            0        0     1
Summary: total flows: 2, total bytes: 1.2 M, total packets: 5, avg bps: 987.7 M, avg pps: 500, avg bpp: 246913
Time window: 2026-11-20 23:00:01 - 2026-11-20 23:00:01
`)
  assert.match(after, new RegExp('^Total flows processed: 2, Blocks skipped: 0, Bytes read: 0\n'
    + 'Sys: \\d+\\.\\d{3}s flows/second: \\S+ +Wall: \\d+\\.\\d{3}s flows/second: \\S+ +\n$'))
  const none = textOf(findFormat('line-1.6'), []).split('\n')
  assert.deepEqual(none.slice(0, 4), [
    'Date first seen          Duration Proto      Src IP Addr:Port          Dst IP Addr:Port   Packets    Bytes Flows',
    'Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0',
    'Time window: <unknown>', 'Total flows processed: 0, Blocks skipped: 0, Bytes read: 0',
  ])
  assert.equal(textOf(findFormat('line-1.6'), [], { quiet: true }), '')
})

test('formats of tokens hold text, lines by name and other formats', () => {
  const [flow] = FLOWS
  assert.equal(rowOf('fmt:%pr|%sap -> %dap', flow), 'TCP  |     10.20.1.161:43124 ->    198.51.100.46:80   \n')
  assert.equal(rowOf('fmt:%line %ra', flow), `${rowOf('line', flow).slice(0, -1)}        127.0.0.1\n`)
  assert.equal(rowOf('%sa<–>%da', flow), '     10.20.1.161<–>   198.51.100.46\n')
  assert.equal(rowOf('fmt:%sp%n%dp', flow), ' 43124\n    80\n')
  assert.equal(rowOf('fmt:', flow), '\n')
  assert.equal(textOf(findFormat('fmt: %pkt (%sp)'), []).split('\n')[0], '  Packets (Src Pt)'.replace(/[()]/g, ' '))
  assert.equal(rowOf('FMT:%sp', flow), ' 43124\n')
  assert.equal(textOf(findFormat('csv:%sa, %dp,%csv'), [flow]),
    'srcAddr,dstPort,firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n'
    + `10.20.1.161,80,${textOf(findFormat('nfdump-csv'), [flow]).split('\n')[1]}\n`)
  const wide = textOf(findFormat('long'), FLOWS, { ipv6Full: true, quiet: true })
  assert.equal(textOf(findFormat('long6'), FLOWS, { quiet: true }), wide)
  for (const name of ['long', 'json', 'json6', 'fmt', 'LINE', '6']) assert.equal(formatOf(name), undefined)
})

test('what is wrong with a format of tokens is said', () => {
  const wrong = new Map([
    ['fmt:%ts %xyz', /Cannot use format "fmt:%ts %xyz": there is no token %xyz, but .*%ts .*%pkt /],
    ['fmt-1.7.1:%ts %trec', /there is no token %trec, but/],
    ['fmt:100%', /there is no token %, but/], ['%TS', /no token %TS/], ['fmt:%constructor', /no token %constr/],
    ['csv:%sa,%sap', /Cannot use format "csv:%sa,%sap": %sap has no column in a CSV/],
    ['csv:%sa,,%da', /expected a token like %ts, found nothing/], ['csv:sa', /found "sa"/],
    ['csv:%line', /found "%ts %td %pr %sap -> /], ['csv:%sa,%foo', /no token %foo/],
  ])
  for (const [name, message] of wrong) {
    assert.throws(() => formatOf(name), (error: unknown) => {
      assert.ok(error instanceof FlowkitError && error.code === 'ERR_OPTION')
      assert.match(error.message, message)
      return true
    }, name)
  }
})

test('a flow from a tunnel has a line for the tunnel before its own', () => {
  const flow: Flow = {
    ...FLOWS[2], tun_proto: 47, tun_src_addr: '192.0.2.1', tun_dst_addr: '192.0.2.2',
  }
  assert.equal(textOf(findFormat('line'), [flow, FLOWS[0]], { quiet: true }), `\
2026-11-20 22:59:40.735     00:00:05.000 GRE          192.0.2.1:0     ->        192.0.2.2:0            2      300     1
${rowOf('line', FLOWS[2])}${rowOf('line', FLOWS[0])}`)
  assert.equal(rowOf('fmt:%sa %sp', { ...flow, tun_src_addr: null }), '      10.20.0.26  52072\n')
  const object = JSON.parse(rowOf('nfdump-ndjson', flow)) as Record<string, unknown>
  assert.deepEqual([object.src4_tun_ip, object.tun_proto], ['192.0.2.1', 47])
})

test('a tunnel of 1.7.1 has the times of its flow, in data without its addresses', () => {
  const flow: Flow = {
    ...FLOWS[2], tun_proto: 47, tun_src_addr: '192.0.2.1', tun_dst_addr: '192.0.2.2',
  }
  assert.equal(rowOf('line-1.7.1', flow), `\
2026-11-20 22:59:40.735     00:00:05.000 GRE          192.0.2.1:0     ->        192.0.2.2:0            0        0     0
${rowOf('line', FLOWS[2])}`)
  const over6 = { ...flow, tun_src_addr: '2001:db8::1', tun_dst_addr: '2001:db8::2' }
  const [tunnel] = rowOf('nfdump-csv-1.7.1', over6).split('\n')
  assert.match(tunnel, /^2026-11-20 22:59:40,2026-11-20 22:59:45,5\.000,::,::,0,0,GRE,\.{8},0,0,0,0,0,/)
  assert.equal(rowOf('pipe', flow).split('\n')[0], '2|1795215580735|1795215585735|47|'
    + '0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0')
})

test('in the CSV of 1.7.1 a flow that ends before it starts takes nearly 2^64 ms', () => {
  const [flow] = FLOWS
  const swapped = { ...flow, flow_start: flow.flow_end!, flow_end: flow.flow_start! }
  assert.equal(rowOf('nfdump-csv-1.7.1', swapped).split(',')[2], '18446744073709552.000')
  assert.ok(rowOf('line-1.7.1', swapped).includes('    00:00:00.000 '))
})

test('where there are no flows, 1.7.1 counts none', () => {
  assert.match(textOf(findFormat('long-1.7.1'), []), new RegExp([
    '^Date first seen             Duration     Proto .* Flags Tos  Packets    Bytes Flows', 'No matching flows',
    'Summary: total flows: 0, total bytes: 0, total packets: 0, avg bps: 0, avg pps: 0, avg bpp: 0',
    'Time window: <unknown>', 'Total flows processed: 0, passed: 0, Blocks skipped: 0, Bytes read: 0',
    'Sys: 0\\.\\d{4}s User: \\d\\.\\d{4}s Wall: .*\n$',
  ].join('\n')))
})

test('text from exporters cannot break out of its line, cell or string', () => {
  const flow: Flow = { in_if_name: 'a\n"b", c\t\u007f', user_name: '"\\\r\n€', pf_action: 1 }
  assert.equal(rowOf('fmt:%inam|%uname|', flow), ' a?"b", c??|"\\??€|\n')
  assert.equal(textOf(findFormat('csv:%inam,%uname'), [flow]),
    'inIfName,nselUser\n" a?""b""; c??","""\\??€"\n')
  assert.equal((JSON.parse(rowOf('nfdump-ndjson', flow)) as { user_name: string }).user_name, '"\\\r\n€')
  assert.ok(!rowOf('raw', flow).includes('\t'))
})

test('JSON of random batches is JSON, with all the numbers and addresses of the flows', () => {
  fc.assert(fc.property(batches, (batch) => {
    const [pretty, old] = ['nfdump-json', 'nfdump-json-1.7.1']
      .map((name) => JSON.parse(bytesOf(findFormat(name), [batch]).toString()) as Record<string, unknown>[])
    const dense = bytesOf(findFormat('nfdump-ndjson'), [batch]).toString().split('\n').slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
    assert.deepEqual(dense, pretty)
    assert.equal(old.length, batch.length)
    for (const [row, object] of pretty.entries()) {
      const flow = plainRow(batch, row)
      assert.equal(object.in_bytes, flow.bytes ?? 0)
      assert.equal(object.proto, flow.proto ?? 0)
      assert.equal(object.cnt, row + 1)
      assert.equal(old[row].in_packets, flow.packets ?? 0)
    }
  }), { seed: 1, numRuns: 100 })
})

test('every row of a CSV of random batches has all cells', () => {
  const names = ['nfdump-csv', 'nfdump-csv-fast', 'nfdump-csv-1.7.1', 'csv:%sa,%inam,%uname,%td,%mpls1,%evt']
  for (const name of names) {
    fc.assert(fc.property(batches, (batch) => {
      const text = bytesOf(findFormat(name), [batch]).toString().replaceAll(/"(?:[^"]|"")*"/g, '')
      const [head, ...rows] = text.split(/\nSummary/)[0].trimEnd().split('\n').map((row) => row.split(',').length)
      assert.deepEqual(rows, rows.map(() => head))
    }), { seed: 1, numRuns: 50 })
  }
})

test('all formats and all tokens print the largest values', () => {
  const flow: Flow = Object.fromEntries(FIELDS.map((field) => [field.name, largest(field)]))
  const flows = [flow, { ...flow, proto: 1 }, { ...flow, proto: 6, firewall_event: 2 }]
  const all = formatOf(`fmt:${TOKEN_NAMES.map((name) => `%${name}`).join(' ')}`)!
  for (const format of [...nfdumpText, all]) {
    for (const request of [{}, { ipv6Full: true }, { plainNumbers: true, utc: true }]) {
      const text = textOf(format, [...flows, ...flows], request)
      assert.ok(!/undefined|NaN|\[object/.test(text), format.name)
    }
  }
})

test('fields that a format has no place for are counted', () => {
  const encoder = findFormat('nfdump-csv').encoder!({})
  encoder.encode(batchOf(FLOWS))
  const { leftOut } = encoder.loss!()
  assert.equal(leftOut[ID.vlanId], 1)
  assert.deepEqual(ids('bytes', 'src_addr', 'proto', 'flow_start').map((id) => leftOut[id]), [0, 0, 0, 0])
})
