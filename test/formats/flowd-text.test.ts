import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import { flowdCsv } from '../../formats/flowd-csv.ts'
import { flowdText, flowdTextV } from '../../formats/flowd-text.ts'
import { ALL, batchOfLog, FULL, record } from './flowd-records.ts'
import { batches, batchOf, bytesOf, textOf } from './flows.ts'

process.env.TZ = 'UTC'

const CSV_HEADER = '#:unix_secs,unix_nsecs,sysuptime,exaddr,dpkts,doctets,first,last,engine_type,engine_id,'
  + 'srcaddr,dstaddr,nexthop,input,output,srcport,dstport,prot,tos,tcp_flags,src_mask,dst_mask,src_as,'
  + 'dst_as\n'

/** What `flowd-reader` prints of FULL, as store_format_flow puts it together. */
const BRIEF = 'FLOW tag 42 recv_time 2026-05-22T07:04:32.800000 proto 6 tcpflags 1b tos 28 agent [192.0.2.1] '
  + 'src [10.0.0.1]:33333 dst [198.51.100.1]:443 packets 3 octets 2748 \n'
const VERBOSE = BRIEF.replace('packets', 'gateway [192.0.2.254] packets').slice(0, -1)
  + 'in_if 4 out_if 5 sys_uptime_ms 1d6h0s.000 time_sec 2026-05-22T07:04:31 time_nanosec 434606784 '
  + 'netflow ver 5 flow_start 1d5h59m53s.540 flow_finish 1d5h59m58s.298 src_AS 64500 src_masklen 24 '
  + 'dst_AS 15169 dst_masklen 16 engine_type 256 engine_id 1792 seq 1000 source 9 '
const CHECKSUM = `crc32 ${FULL.subarray(116).toString('hex')} `

/** The text of a log. */
function print(log: Uint8Array, format = flowdText, request = {}): string {
  return bytesOf(format, [batchOfLog(log)], request).toString()
}

test('a line has what flowd-reader shows without options', () => {
  assert.equal(print(FULL), BRIEF)
  assert.equal(print(Buffer.concat([FULL, FULL])), BRIEF + BRIEF)
  assert.equal(print(record(0, '')), 'FLOW \n')
})

test('with -v it has all, and the checksum of the record', () => {
  assert.equal(print(FULL, flowdTextV), `${VERBOSE}${CHECKSUM}\n`)
  assert.equal(print(FULL, flowdText, { fields: ALL }), `${VERBOSE}\n`)
  assert.equal(print(FULL, flowdText, { fields: [ALL.length - 1] }), 'FLOW \n')
})

test('records of v9 and IPFIX show no checksum, as flowd gives them none', () => {
  const shown = [FLOW_TYPE.NETFLOW_V1, FLOW_TYPE.NETFLOW_V9, FLOW_TYPE.IPFIX]
    .map((type) => textOf(flowdTextV, [{ type, export_secs: 0 }]).includes('crc32'))
  assert.deepEqual(shown, [true, false, false])
})

test('addresses without ports, and IPv6 as the C library writes it', () => {
  const plain = record(0x00000150, `20010db8 00000000 00000000 00000001
    fe800000 00000000 00000000 00000002  00000000 00000000 00000000 01020304`)
  assert.equal(print(plain), 'FLOW agent [2001:db8::1] src [fe80::2] dst [::1.2.3.4] \n')
  const mapped = record(0x00000840, '00000000 00000000 0000ffff 01020304 0001 ffff')
  assert.equal(print(mapped), 'FLOW src [::ffff:1.2.3.4]:1 \n')
})

test('microseconds have five digits at least', () => {
  const times = [0, 9, 12_345, 99_999, 100_000, 999_999]
    .map((micros) => print(record(2, `6a100000 ${hex32(micros)}`)))
    .map((line) => /\.\d+/.exec(line)![0])
  assert.deepEqual(times, ['.00000', '.00009', '.12345', '.99999', '.100000', '.999999'])
})

test('uptimes are weeks to seconds, of which only what is there is shown', () => {
  const uptimes = [0, 999, 60_000, 86_400_000, 604_800_000 + 3_600_000 + 1, 0xffffffff]
    .map((uptime) => record(0x8000, `${hex32(uptime)} 00000000 00000000 00090000`))
    .map((log) => print(log, flowdText, { fields: ALL }))
    .map((line) => /sys_uptime_ms (\S+)/.exec(line)![1])
  assert.deepEqual(uptimes, ['0s.000', '0s.999', '1m0s.000', '1d0s.000', '1w1h0s.001', '7w17h2m47s.295'])
})

function hex32(value: number): string {
  return value.toString(16).padStart(8, '0')
}

test('interfaces are printed with their sign, counters in full', () => {
  const log = record(0x7000, '001fffffffffffff 0000000100000000 ffffffff 7fffffff')
  assert.equal(print(log, flowdText, { fields: ALL }),
    'FLOW packets 9007199254740991 octets 4294967296 in_if -1 out_if 2147483647 \n')
})

test('times are of the local zone, or in UTC', { skip: process.platform === 'win32' && 'no TZ' }, (t) => {
  t.after(() => { process.env.TZ = 'UTC' })
  process.env.TZ = 'America/New_York'
  const log = Buffer.concat([record(2, '6a100000 00000000'), record(2, '6a200000 00000000')])
  const [first, second] = ['2026-05-22T03:04:32', '2026-06-03T06:20:48']
  assert.equal(print(log), `FLOW recv_time ${first}.00000 \nFLOW recv_time ${second}.00000 \n`)
  assert.match(print(log, flowdText, { utc: true }), /^FLOW recv_time 2026-05-22T07:04:32.00000 \n/)
  assert.match(print(FULL, flowdTextV, { utc: true }), / time_sec 2026-05-22T07:04:31 /)
})

test('CSV has the fields of flow-import, and says of an address that it is not there', () => {
  assert.equal(print(FULL, flowdCsv), CSV_HEADER
    + '1779433471,434606784,108000000,192.0.2.1,3,2748,107993540,107998298,256,1792,'
    + '10.0.0.1,198.51.100.1,192.0.2.254,4,5,33333,443,6,40,27,24,16,64500,15169\n')
  assert.equal(print(record(0, ''), flowdCsv, { quiet: true }),
    '0,0,0,(null),0,0,0,0,0,0,(null),(null),(null),0,0,0,0,0,0,0,0,0,0,0\n')
  const six = record(0x40007040, `20010db8 00000000 00000000 00000001
    001fffffffffffff 0000000000000000 ffffffff 00000001`)
  assert.equal(print(six, flowdCsv, { quiet: true }),
    '0,0,0,(null),9007199254740991,0,0,0,0,0,2001:db8::1,(null),(null),4294967295,1,0,0,0,0,0,0,0,0,0\n')
})

test('the header of CSV comes once, also where no flows do', () => {
  assert.equal(bytesOf(flowdCsv, [batchOf([{}]), batchOf([{}])]).toString().split('#').length, 2)
  assert.equal(bytesOf(flowdCsv, []).toString(), CSV_HEADER)
  assert.equal(bytesOf(flowdCsv, [], { quiet: true }).toString(), '')
  assert.equal(bytesOf(flowdTextV, []).toString(), '')
})

test('any flows come out, a line each', () => {
  fc.assert(fc.property(batches, (batch) => {
    for (const line of bytesOf(flowdTextV, [batch]).toString().split('\n').slice(0, -1)) {
      assert.match(line, /^FLOW ([a-z]\w* (ver )?\[?[-:\da-f]\S* )*$/i)
      assert.doesNotMatch(line, /undefined|NaN|\0/)
    }
    const rows = bytesOf(flowdCsv, [batch], { quiet: true }).toString().split('\n')
    assert.deepEqual(rows.slice(0, -1).map((row) => row.split(',').length), new Array(batch.length).fill(24))
  }))
})

test('lines may be as long as they can', () => {
  const all = 'ffffffff'
  const log = record(0x4007fd57, `${all} ${all} 0000270f ffffff00 ${all.repeat(16)} ${all}
    001fffffffffffff 001fffffffffffff ${all.repeat(2)} ${all.repeat(3)} 0005 0000 ${all.repeat(2)}
    ${all.repeat(2)} ffff 0000 00ff 00ff ${all.repeat(2)}`)
  for (const format of [flowdText, flowdTextV, flowdCsv]) {
    const text = print(Buffer.concat(new Array(500).fill(log)), format, { quiet: true })
    const [line] = text.split('\n')
    assert.equal(text, `${line}\n`.repeat(500))
  }
})
