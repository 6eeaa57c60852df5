import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { flowPrint, flowPrintFormats } from '../../formats/flow-print.ts'
import { batches, batchOf, bytesOf, textOf, type Flow } from './flows.ts'

process.env.TZ = 'UTC'

function micros(time: string): number {
  return Date.parse(time) * 1000
}

const FLOW: Flow = {
  flow_start: micros('2026-11-21T13:04:05.006Z'), flow_end: micros('2026-11-21T13:05:35.256Z'),
  exporter_addr: '192.0.2.1', src_addr: '10.20.0.0', dst_addr: '198.51.100.7', in_if: 12, out_if: 300,
  packets: 7, bytes: 1500, flows: 5, src_port: 4839, dst_port: 53, proto: 17, tos: 16, tcp_flags: 27,
  src_mask: 16, dst_mask: 24, src_as: 64511, dst_as: 15, router_sc: '10.9.9.9', in_encaps: 4, out_encaps: 6,
  peer_next_hop: '10.8.8.8', extra_packets: 99, marked_tos: 8, src_tag: 255, dst_tag: 0x10203,
}

/** The lines of flow-print for that flow, by format, the trailing spaces of each as `~`. */
const LINES: readonly string[] = [
  '000c 10.20.0.0        012c 198.51.100.7      11 12e7 35    7          1500~~~~~~',
  '000c 10.20.0.0        012c 198.51.100.7      11 12e7 35    7          1500~~~~~~\n'
    + ' 1121.13:04:05.006  1121.13:05:35.256     90.250 214 10 1b\n',
  '',
  '10.20.0.0        198.51.100.7     17    4839     53       1500        7~~~~~~~~~',
  '10.20/16           198.51.100.7/24    17    64511  15     1500        7~~~~~~~~~',
  '1121.13:04:05.006 1121.13:05:35.256 12    10.20.0.0       4839  300   198.51.100.7    53    17  3  '
    + '7          1500~~~~~~',
  ' 10.20.0.0        198.51.100.7                     7                1500',
  '10.20/16            198.51.100.7/24     10.9.9.9         17     4839            53              '
    + '1500        7~~~~~~~~~',
  '10.20/16            198.51.100.7/24     10.8.8.8         4    6     17     4839            '
    + '53              1500        7~~~~~~~~~',
  '0x000000ff  0x00010203  10.20.0.0        198.51.100.7     1500        7~~~~~~~~~',
  '64511  15     12     300    5           1500        7           90250~~~~~~~',
  '4839     53       17     5           1500        7           90250~~~~~~~',
  '10.20/16            64511  12     5           1500        7           90250~~~~~~~',
  '198.51.100.7/24     15     300    5           1500        7           90250~~~~~~~',
  '10.20/16            64511  198.51.100.7/24     15     12     300    5           1500        7           '
    + '90250~~~~~~~',
  '198.51.100.7     10.9.9.9         300    16   8    99          1500        7~~~~~~~~~',
  '10.20.0.0        198.51.100.7     10.9.9.9         12     300    16   8    99          1500        '
    + '7~~~~~~~~~',
  '10.20.0.0        198.51.100.7     10.9.9.9         12     300    4839   53     17   16   8    99          '
    + '1500        7~~~~~~~~~',
  '16   64511  15     12     300    5           1500        7           90250~~~~~~~',
  '17   4839     53       17     5           1500        7           90250~~~~~~~', // the protocol under ToS
  '16   10.20/16            64511  12     5           1500        7           90250~~~~~~~',
  '16   198.51.100.7/24     15     300    5           1500        7           90250~~~~~~~',
  // the prefix under srcAS, and the other way round
  '16   10.20/16            198.5  64511               15     12     300    5           1500        '
    + '7           90250~~~~~~~',
  '16   10.20/16            198.51.100.7/24     17   4839   53     12     300    5           1500        '
    + '7           90250~~~~~~~',
  '000c 10.20.0.0        012c 198.51.100.7     11 4839  53    7          1500         '
    + '2026-11-21 13:04:05.006  2026-11-21 13:05:35.256  192.0.2.1       10.9.9.9           '
    + '90.250 214   10 1b  64511 15~~~',
]

for (const [number, line] of LINES.entries()) {
  test(`format ${number} is that of flow-print -f ${number}`, () => {
    const format = flowPrintFormats[number]
    assert.equal(format.name, `flow-print-${number}`)
    assert.equal(textOf(format, [FLOW], { quiet: true }), line === '' ? '' : `${line.replaceAll('~', ' ')}\n`)
  })
}

test('there is a format for each of flow-print', () => {
  assert.equal(flowPrintFormats.length, LINES.length)
})

const HEADS: Readonly<Record<number, string>> = {
  0: 'Sif  SrcIPaddress     Dif  DstIPaddress      Pr SrcP DstP  Pkts       Octets\n',
  3: 'srcIP            dstIP            prot  srcPort  dstPort  octets      packets\n',
  5: 'Start             End               Sif   SrcIPaddress    SrcP  DIf   DstIPaddress    DstP    P Fl Pkts'
    + '       Octets\n\n',
  7: 'srcIP               dstIP               router_sc        prot   srcPort         dstPort         '
    + 'octets      packets\n',
  8: 'srcIP               dstIP               peer_nexthop     encap i/o  prot   srcPort         '
    + 'dstPort         octets      packets\n',
  9: 'srcTag      dstTag      srcIP            dstIP            octets      packets\n',
  10: 'srcAS  dstAS  in     out    flows       octets      packets     duration\n',
  23: 'ToS  srcPrefix           dstPrefix           Pr   SrcP   DstP    input  output flows       '
    + 'octets      packets     duration\n',
}

test('without flows a header is printed, without header nothing', () => {
  for (const [number, head] of Object.entries(HEADS)) {
    assert.equal(textOf(flowPrintFormats[Number(number)], []), head)
    assert.equal(bytesOf(flowPrintFormats[Number(number)], []).toString(), head)
    assert.equal(bytesOf(flowPrintFormats[Number(number)], [], { quiet: true }).length, 0)
  }
})

test('unless told the format is the one that flow-print takes for flows of that version', () => {
  const v5: Flow = { ...Object.fromEntries(Object.entries(FLOW).slice(0, 19)) }
  const headOf = (flow: Flow) => textOf(flowPrint, [flow, v5]).split('\n')[0]
  const cases: [Flow, number][] = [
    [v5, 3], [{ ...v5, type: 5 }, 3], [{ ...v5, router_sc: '10.9.9.9' }, 7], [{ ...v5, out_encaps: 1 }, 8],
    [{ ...v5, dst_tag: 1 }, 9],
  ]
  for (const [flow, number] of cases) assert.equal(headOf(flow), HEADS[number].split('\n')[0])
  for (const [aggregation, number] of [[1, 10], [14, 23]]) {
    assert.equal(textOf(flowPrint, [{ ...v5, aggregation }]).split('\n')[0], HEADS[number].split('\n')[0])
  }
  assert.equal(bytesOf(flowPrint, []).toString(), HEADS[3])
  const late = bytesOf(flowPrint, [batchOf([]), batchOf([{ ...v5, aggregation: 1 }])]).toString()
  assert.ok(late.startsWith(HEADS[10]))
})

test('flows without packets are left out where flow-print divides by them', () => {
  for (const number of [1, 24]) {
    const format = flowPrintFormats[number]
    assert.equal(textOf(format, [{ ...FLOW, packets: 0 }, { proto: 6 }], { quiet: true }), '')
    assert.notEqual(textOf(format, [FLOW], { quiet: true }), '')
  }
})

test('format 2 prints TCP flows of two packets with nothing but SYN', () => {
  const syn = { ...FLOW, proto: 6, tcp_flags: 2, packets: 2, bytes: 80 }
  const others = [
    { ...syn, proto: 17 }, { ...syn, tcp_flags: 18 }, { ...syn, packets: 1, bytes: 40 },
    { ...syn, bytes: 88 },
  ]
  assert.equal(textOf(flowPrintFormats[2], [...others, syn, ...others], { quiet: true }),
    '0c  10.20.0.0        12c  198.51.100.7    06 12e7 35   2          80        \n'
    + ' 1121.13:04:05.006  1121.13:05:35.256     90.250 40  10 02\n\n')
})

test('what a flow lacks is 0, a count of flows 1', () => {
  const lines = (number: number) => (
    textOf(flowPrintFormats[number], [{ packets: 1 }], { quiet: true }).trimEnd()
  )
  assert.equal(lines(0), '0000 0.0.0.0          0000 0.0.0.0           00 0    0     1          0')
  assert.equal(lines(4), '0/0                0/0                0     0      0      0           1')
  assert.equal(lines(9), '0x00000000  0x00000000  0.0.0.0          0.0.0.0          0           1')
  assert.equal(lines(10), '0      0      0      0      1           0           1           0')
  assert.equal(lines(1), '0000 0.0.0.0          0000 0.0.0.0           00 0    0     1          0         \n'
    + ' 0101.00:00:00.000  0101.00:00:00.000      0.000 0   00 00')
})

test('prefixes lose the octets at their end that are 0, and lengths over 32 are none', () => {
  const prefixOf = (src_addr: string, src_mask: number) => (
    textOf(flowPrintFormats[4], [{ src_addr, src_mask }], { quiet: true }).slice(0, 18).trimEnd()
  )
  assert.equal(prefixOf('10.0.0.0', 8), '10/8')
  assert.equal(prefixOf('0.0.0.0', 0), '0/0')
  assert.equal(prefixOf('10.0.1.0', 24), '10.0.1/24')
  assert.equal(prefixOf('0.0.0.1', 33), '0.0.0.1/0')
  assert.equal(prefixOf('255.255.255.255', 32), '255.255.255.255/32')
})

test('IPv6 addresses, which flow-print does not have, are printed whole', () => {
  const flow = { ...FLOW, src_addr: '2001:db8::1', dst_addr: '2001:db8:1:2:3:4:5:6' }
  assert.equal(textOf(flowPrintFormats[3], [flow], { quiet: true }),
    '2001:db8::1      2001:db8:1:2:3:4:5:6  17    4839     53       1500        7         \n')
  const prefixes = textOf(flowPrintFormats[4], [flow], { quiet: true })
  assert.match(prefixes, /^2001:db8::1\/16 +2001:db8:1:2:3:4:5:6\/24 17/)
})

test('times are in the zone of the machine, or in UTC', () => {
  process.env.TZ = 'Asia/Kolkata'
  try {
    const start = (utc: boolean) => textOf(flowPrintFormats[5], [FLOW], { quiet: true, utc }).slice(0, 17)
    assert.equal(start(false), '1121.18:34:05.006')
    assert.equal(start(true), '1121.13:04:05.006')
  } finally {
    process.env.TZ = 'UTC'
  }
})

test('counters over 32 bits push what is behind them', () => {
  const line = textOf(flowPrintFormats[3], [{ ...FLOW, bytes: 2 ** 53, packets: 2 ** 40 }], { quiet: true })
  assert.equal(line,
    '10.20.0.0        198.51.100.7     17    4839     53       9007199254740992  1099511627776\n')
})

test('every format prints a line for each of whatever flows there are', () => {
  fc.assert(fc.property(batches, fc.constantFrom(0, 3, 4, 5, 6, 7, 8, 9, 10, 16, 22, 23), (batch, number) => {
    const text = bytesOf(flowPrintFormats[number], [batch], { quiet: true }).toString()
    assert.equal(text.split('\n').length - 1, batch.length)
  }), { numRuns: 200 })
  const twice = bytesOf(flowPrintFormats[3], [batchOf([FLOW]), batchOf([FLOW])], { quiet: true })
  assert.equal(twice.length, 2 * 81)
})
