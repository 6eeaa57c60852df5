import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compileFilter, explainFilter, filterToSql, parseFilter, type ReadFile,
} from '../../../core/filter/filter.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { batchOf, type Row } from './rows.ts'

/** Files by path; what a file names lies beside it. */
function files(contents: Readonly<Record<string, string | Uint8Array>>): ReadFile {
  return (name, from) => {
    const path = from === undefined ? name : from.replace(/[^/]*$/, name)
    const content = contents[path] ?? assert.fail(`no ${path}`)
    return { path, bytes: typeof content === 'string' ? Buffer.from(content) : content }
  }
}

function select(text: string, read: ReadFile, rows: readonly Row[]): string {
  const selected = new Uint8Array(rows.length)
  compileFilter(parseFilter(text, { read }))(batchOf(rows), selected)
  return selected.join('')
}

function fault(text: string, read: ReadFile): string {
  try {
    parseFilter(text, { read })
  } catch (error) {
    assert(error instanceof FlowkitError && error.code === 'ERR_SYNTAX', String(error))
    return error.message
  }
  return assert.fail(`"${text}" has no fault`)
}

const HOSTS: readonly Row[] = [
  '10.0.0.1', '10.0.1.0', '10.0.2.200', '192.0.2.77', '198.51.100.9', '2001:db8::1', '2001:db8:1::', '::1',
  '203.0.113.255', '2001:db8:2:3:4:5:6:7', '::ffff:10.0.0.1', '2001:db8:9::1',
].map((src_addr) => ({ src_addr }))
const LIST = `# bad hosts
10.0.0.0/24, 10.0.2.200\t192.0.2.0/26 ; a comment
  198.51.100.9/32
2001:db8::1
2001:DB8:1::/48 # another
2001:db8:2:3:4:5:6:7
203.0.113.0-203.0.113.255
192.0.2/24\r
2001:db8:9::ffff:0:0/96
`

test('addresses are taken from a file, in a list or alone', () => {
  const read = files({ 'bad.txt': LIST })
  for (const text of ['src ip in @bad.txt', 'src ip @bad.txt', 'src ip = @"bad.txt"', 'src ip [@bad.txt]']) {
    assert.equal(select(text, read, HOSTS), '101111101110', text)
  }
  assert.equal(select('src ip in [::1 @bad.txt 2001:db8:9::/48]', read, HOSTS), '101111111111')
  assert.equal(select('src ip not in @bad.txt', read, HOSTS), '010000010001')
  assert.equal(select('src ip not in [@bad.txt ::1]', read, HOSTS), '010000000001')
  assert.equal(select('src ip != @bad.txt', read, HOSTS), '010000010001')
})

test('a file of addresses selects what the same list in the filter does', () => {
  const read = files({ 'bad.txt': LIST })
  const values = LIST.replace(/[#;].*/g, '').replaceAll(',', ' ').split(/\s+/).filter(Boolean)
  assert.equal(
    filterToSql(parseFilter('src ip in @bad.txt', { read })),
    filterToSql(parseFilter(`src ip in [${values.join(' ')}]`)),
  )
})

test('an empty file of addresses selects nothing, and not being in it everything that has one', () => {
  const read = files({ 'none.txt': '# nothing yet\n' })
  assert.equal(select('src ip in @none.txt', read, [...HOSTS, {}]), '0000000000000')
  assert.equal(select('src ip not in @none.txt', read, [...HOSTS, {}]), '1111111111110')
  const sql = filterToSql(parseFilter('src ip in @none.txt', { read }))
  assert.equal(sql, '(src_addr_hi IS NOT NULL AND FALSE)')
})

test('any field takes its values from a file', () => {
  const read = files({
    'ports.txt': '22 80,443\n1000-1002 # more\ndomain', 'as.txt': 'AS64500\n64510-64512\n',
    'users.txt': '# people\nbob\n  Zoë von X \n\n#alice', 'macs.txt': '02:11:00:00:00:01 02-11-00-00-00-02',
    'ids.txt': '1\n18446744073709551615\n',
  })
  const ports = [22, 53, 80, 443, 999, 1001].map((dst_port) => ({ dst_port }))
  assert.equal(select('dst port in @ports.txt', read, ports), '111101')
  assert.equal(select('dst port in [@ports.txt 999]', read, ports), '111111')
  const systems = [64_500, 64_511, 1].map((src_as) => ({ src_as }))
  assert.equal(select('src as in @as.txt', read, systems), '110')
  const users = ['bob', 'Zoë von X', 'alice', '# people'].map((user_name) => ({ user_name }))
  assert.equal(select('user_name in @users.txt', read, users), '1100')
  const macs = ['02:11:00:00:00:02', '02:11:00:00:00:03'].map((src_mac) => ({ src_mac }))
  assert.equal(select('src mac @macs.txt', read, macs), '10')
  const ids = [0n, 1n, 2n ** 64n - 1n].map((observation_point_id) => ({ observation_point_id }))
  assert.equal(select('opid in @ids.txt', read, ids), '011')
})

test('a filter with files is explained with their names', () => {
  const read = files({
    'bad.txt': LIST, 'a b.txt': '::1', 'in/clude.filter': 'dst ip in @list', 'in/list': '10.1.1.1',
  })
  const explained = (text: string): string => explainFilter(parseFilter(text, { read }))
  assert.equal(explained('src ip in @bad.txt'), 'src_addr in [@bad.txt]')
  assert.equal(explained('src ip in [10/8 @bad.txt]'), 'src_addr = 10.0.0.0/8 or src_addr in [@bad.txt]')
  assert.equal(explained('src ip not in [@"a b.txt"]'), 'src_addr not in [@"a b.txt"]')
  assert.equal(explained('@include in/clude.filter'), 'dst_addr in [@in/list]')
  for (const text of ['src_addr in [@bad.txt]', 'src_addr not in [@"a b.txt"]', 'dst_addr in [@in/list]']) {
    assert.equal(explained(text), text)
  }
})

test('a file is included where it is named, and may be any part of a filter', () => {
  const read = files({
    'web.filter': 'dst port 80 or dst port 443 # web', 'tail': ') and not src port 1',
    'a/b.filter': '@include c.filter',
    'a/c.filter': 'proto tcp',
  })
  const included = (text: string): string => explainFilter(parseFilter(text, { read }))
  assert.equal(included('tcp and (@include web.filter)'), 'proto = TCP and (dst_port = 80 or dst_port = 443)')
  // as in nfdump, its words stand where it is named: "and" binds closer than an "or" in the file
  assert.equal(included('tcp and @include web.filter'), '(proto = TCP and dst_port = 80) or dst_port = 443')
  assert.equal(included('(tcp or udp @INCLUDE "tail"'), '(proto = TCP or proto = UDP) and not (src_port = 1)')
  assert.equal(included('@include a/b.filter and any'), 'proto = TCP and any')
})

test('a fault in a file shows the file, the line and the place', () => {
  const read = files({
    'top.filter': 'any and\n@include sub.filter', 'sub.filter': '# first\n\tsrc port foo',
    'bad.txt': '10.0.0.1\n 10.0.0.256 x',
    'ports.txt': '80\n 81,http2 # no', 'open.txt': '\n"x', 'part.filter': 'tcp and',
  })
  assert.equal(fault('@include top.filter', read), [
    'Cannot parse filter: sub.filter, line 2: expected a port number, found "foo"', '  \tsrc port foo',
    '  \t         ^',
  ].join('\n'))
  assert.equal(fault('src ip in @bad.txt', read), [
    'Cannot parse filter: bad.txt, line 2: expected an IP address or network, found "10.0.0.256"',
    '   10.0.0.256 x', '   ^',
  ].join('\n'))
  assert.equal(fault('port in @ports.txt', read), [
    'Cannot parse filter: ports.txt, line 2: expected a port number, found "http2"', '   81,http2 # no',
    '      ^',
  ].join('\n'))
  assert.equal(fault('@include open.txt', read), [
    'Cannot parse filter: open.txt, line 2: expected a quote to end in its line', '  "x', '  ^',
  ].join('\n'))
  assert.equal(fault('@include part.filter', read), [
    'Cannot parse filter: expected a test, found the end', '  @include part.filter',
    '                      ^',
  ].join('\n'))
})

test('files within each other are bounded, and so is their number', () => {
  const loop = files({ 'loop': 'tcp or @include loop', 'wide': '@include empty '.repeat(1001), 'empty': '' })
  assert.equal(fault('@include loop', loop), [
    'Cannot parse filter: loop, line 1: expected no more than 10 files within each other',
    '  tcp or @include loop', '                  ^',
  ].join('\n'))
  assert.match(fault('@include wide', loop), /expected no more than 1000 files\n/)
})

test('what is compared with a file is equal or not', () => {
  const read = files({ 'ports.txt': '80' })
  assert.match(fault('port > @ports.txt', read), /^Cannot parse filter: expected one number, found a file\n/)
})

test('a million networks are one set, whatever their order', () => {
  const bytes = new Uint8Array(32 << 20)
  let end = 0
  const line = (text: string): void => { end += Buffer.from(`${text}\n`).copy(bytes, end) }
  for (let i = 0; i < 500_000; i++) {
    const at = Math.imul(i, 0x9e3779b1) >>> 0 // every number once
    line(`${at >>> 24}.${at >>> 16 & 255}.${at >>> 8 & 255}.${at & 255}/31`)
    line(`2001:${(at >>> 16).toString(16)}:${(at & 0xffff).toString(16)}::/64`)
  }
  const read = files({ big: bytes.subarray(0, end) })
  const has = (i: number): readonly Row[] => {
    const at = Math.imul(i, 0x9e3779b1) >>> 0
    const v4 = `${at >>> 24}.${at >>> 16 & 255}.${at >>> 8 & 255}.${at & 255}`
    const v6 = `2001:${(at >>> 16).toString(16)}:${(at & 0xffff).toString(16)}::99`
    return [{ src_addr: v4 }, { src_addr: v6 }]
  }
  const rows = [0, 1, 250_000, 499_999].flatMap(has)
  assert.equal(select('src ip in @big', read, rows), '11111111')
  assert.equal(select('src ip in @big', read, has(500_001)), '00')
})
