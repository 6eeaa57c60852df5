import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilter, explainFilter, parseFilter } from '../../../core/filter/filter.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { parseDate } from '../../../core/filter/dialects/nfilter-dates.ts'
import { batchOf, type Row } from './rows.ts'

function explain(text: string, definition = ''): string {
  return explainFilter(parseFilter(text, { dialect: 'flow-nfilter', definition }))
}

function select(text: string, rows: readonly Row[], definition = ''): string {
  const selected = new Uint8Array(rows.length)
  compileFilter(parseFilter(text, { dialect: 'flow-nfilter', definition }))(batchOf(rows), selected)
  return selected.join('')
}

/** A definition that matches one primitive. */
function primitive(match: string, type: string, ...lines: readonly string[]): string {
  return ['filter-primitive P', `  type ${type}`, ...lines.map((line) => `  ${line}`), 'filter-definition D',
    `  match ${match} P`].join('\n')
}

type Translation = readonly [match: string, type: string, lines: readonly string[], filter: string]

const TRANSLATED: readonly Translation[] = [
  ['ip-protocol', 'ip-protocol', ['permit tcp'], 'proto = TCP'],
  ['ip-protocol', 'ip-protocol', ['deny udp', 'default permit'], 'defined proto and not (proto = UDP)'],
  ['ip-destination-port', 'ip-port', ['permit https,8080-8082'], 'dst_port in [8080-8082] or dst_port = 443'],
  // of numbers the last line decides, and ! turns a line about
  ['ip-source-port', 'ip-port', ['permit 1-100', 'deny 50', 'permit 50-51'],
    'src_port in [50-51] or (src_port in [1-100] and not (src_port = 50))'],
  ['source-as', 'as', ['permit !64500', 'default permit'], 'defined src_as and not (src_as = 64500)'],
  ['src-as', 'as', ['deny 0', 'permit 64500'], 'src_as = 64500'],
  ['ip-source-address-prefix-len', 'ip-address-prefix-len', ['permit 16-24'], 'src_mask in [16-24]'],
  ['input-interface', 'ifindex', ['permit 1,3'], 'in_if = 3 or in_if = 1'],
  ['engine-id', 'engine', ['permit 0'], 'engine_id = 0'],
  ['ip-tos', 'ip-tos', ['permit 0xB8'], 'tos = 184'],
  ['ip-tos', 'ip-tos', ['mask 0xA0', 'permit 0xA0', 'permit 0xE0'], 'tos & 160'],
  ['ip-tcp-flags', 'ip-tcp-flags', ['mask 0x12', 'permit 0x02'], 'tcp_flags & SA = S'],
  ['ip-tcp-flags', 'ip-tcp-flags', ['permit 27'], 'tcp_flags & FSRPAUEC = FSPA'],
  ['ip-source-address', 'ip-address', ['permit 10.0.0.1', 'permit 10.0.0.2'],
    'src_addr = 10.0.0.2 or src_addr = 10.0.0.1'],
  ['ip-exporter-address', 'ip-address-mask', ['permit 10.20.0.0 255.255.0.1'],
    'exporter_addr & 255.255.0.1 = 10.20.0.0'],
  // of prefixes the longest decides
  ['ip-destination-address', 'ip-address-prefix', ['deny 10.1/16', 'permit 10.0.0.0/8', 'permit 10.1.2.0/24'],
    'dst_addr = 10.1.2.0/24 or (dst_addr = 10.0.0.0/8 and not (dst_addr = 10.1.0.0/16))'],
  ['ip-nexthop-address', 'ip-address-prefix', ['permit 10.0.0.0', 'permit 172.16.0.0', 'permit 192.0.2.1'],
    'next_hop = 192.0.2.1 or next_hop = 172.16.0.0/16 or next_hop = 10.0.0.0/8'],
  // of comparisons the first line decides
  ['octets', 'counter', ['permit gt 10000'], 'bytes > 10000'],
  ['packets', 'counter', ['deny lt 5', 'permit le 0x10', 'deny eq 20', 'default permit'],
    '(packets <= 16 or (defined packets and not (packets = 20))) and not (packets < 5)'],
  ['flows', 'counter', ['permit ne 1'], 'flows != 1'],
  ['duration', 'counter', ['permit ge 60000'], 'duration >= 60000'],
  ['pps', 'double', ['permit lt 32.5'], 'exact pps < 32.5'],
  ['bps', 'double', ['permit gt 100'], 'exact bps > 100'],
  ['start-time', 'time', ['permit lt 23:05:00'], 'tod < 23:05:00'],
  ['end-time', 'time', ['permit ge 5'], 'last tod >= 05:00:00'],
  ['source-tag', 'tag', ['permit 0xFF'], 'src_tag = 255'],
  ['destination-tag', 'tag-mask', ['permit 0xF000 0xFF00'], 'dst_tag & 65280 = 61440'],
]

for (const [match, type, lines, filter] of TRANSLATED) {
  test(`${match} of ${type} ${lines.join(', ')} is ${filter}`, () => {
    assert.equal(explain(primitive(match, type, ...lines)), filter)
  })
}

test('what a flow does not have is neither permitted nor, by default, denied', () => {
  const rows: readonly Row[] = [{ proto: 17 }, { proto: 6 }, {}]
  assert.equal(select(primitive('ip-protocol', 'ip-protocol', 'permit udp'), rows), '100')
  assert.equal(select(primitive('ip-protocol', 'ip-protocol', 'deny udp', 'default permit'), rows), '010')
})

const FILE = `# web and other things
filter-primitive WEB
  type ip-port
  permit @{PORT:-80}

filter-primitive tcp
  type ip-protocol
  permit tcp
filter-definition web
  match ip-destination-port web
  match ip-protocol TCP
  or
  match ip-source-port WEB
filter-definition other
  invert
  match ip-protocol TCP
  match ip-destination-port WEB
FILTER-DEFINITION default
  match ip-protocol tcp
`

test('a definition is chosen by its name, and its variables are given', () => {
  assert.equal(explain(FILE, 'web'), '(dst_port = 80 and proto = TCP) or src_port = 80')
  assert.equal(explain(FILE, 'WEB PORT=443'), '(dst_port = 443 and proto = TCP) or src_port = 443')
  assert.equal(explain(FILE, 'other'), 'not (proto = TCP and dst_port = 80)')
  assert.equal(explain(FILE), 'proto = TCP')
  assert.equal(explain(FILE, 'PORT=1'), 'proto = TCP')
  assert.equal(explain('filter-definition none'), 'not (any)')
  assert.equal(explain('filter-definition all\n invert'), 'any')
})

test('dates are those of flow-nfilter, in the local zone', () => {
  const zone = process.env['TZ']
  process.env['TZ'] = 'Europe/Zurich'
  try {
    const now = Date.parse('2026-11-21T12:00:00Z') * 1e3
    for (const [text, expected] of [
      ['January 1, 2020 00:00:00', '2019-12-31T23:00:00Z'], ['Dec 12, 2002 5:13:21', '2002-12-12T04:13:21Z'],
      ['january 23, 1987 10:05pm', '1987-01-23T21:05:00Z'], ['23 Jul 1987', '1987-07-22T22:00:00Z'],
      ['3/31/1992 10:00:07', '1992-03-31T08:00:07Z'], ['2026-11-21 13:00', '2026-11-21T12:00:00Z'],
      ['2 hours ago', '2026-11-21T10:00:00Z'], ['a fortnight ago', '2026-11-07T12:00:00Z'],
      ['1 month ago', '2026-10-21T11:00:00Z'], ['yesterday', '2026-11-20T12:00:00Z'],
      ['now', '2026-11-21T12:00:00Z'],
    ] as const) assert.equal(new Date(parseDate(text, now)! / 1e3).toISOString(),
    expected.replace('Z', '.000Z'), text)
    const wrong = ['', 'soon', 'Foo 1, 2020', 'January 32, 2020', 'January 1, 2020 24:00', '1:00', '13:00pm']
    for (const text of wrong) {
      assert.equal(parseDate(text, now), undefined, text)
    }
  } finally {
    if (zone === undefined) delete process.env['TZ']
    else process.env['TZ'] = zone
  }
  const at = Date.UTC(2020, 0, 1) * 1e3 // whole seconds are compared
  const rows: readonly Row[] = [-1, 0, 999_999, 1_000_000].map((past) => ({ flow_start: at + past }))
  const date = new Date(at / 1e3)
  const text = `${date.getMonth() + 1}/${date.getDate()}/${date.getFullYear()} ${date.getHours()}:00`
  for (const [operator, expected] of [
    ['lt', '1000'], ['le', '1110'], ['eq', '0110'], ['ne', '1001'], ['ge', '0111'], ['gt', '0001'],
  ]) assert.equal(select(primitive('start-time', 'time-date', `permit ${operator} ${text}`), rows), expected)
})

const FAULTS: readonly (readonly [text: string, reason: string, line: string, column: number])[] = [
  ['filter-foo x', 'line 1: expected filter-primitive or filter-definition, found "filter-foo"',
    'filter-foo x', 0],
  ['filter-primitive', 'line 1: expected a name, found the end of the line', 'filter-primitive', 16],
  ['filter-primitive P\n type foo', 'line 2: expected the type of a primitive, as ip-port, found "foo"',
    ' type foo', 6],
  ['filter-primitive P\n type rate', 'line 2: filters take no random samples', ' type rate', 6],
  ['filter-primitive P\n permit 1', 'line 1: expected "type" before "permit" and "deny"',
    'filter-primitive P', 17],
  ['filter-primitive P\n type ip-port\n permit 80 443', 'line 3: expected the end of the line, found "443"',
    ' permit 80 443', 11],
  ['filter-primitive P\n type ip-port\n permit foo',
    'line 3: expected numbers (0 to 65535) as 1,5-9, found "foo"',
    ' permit foo', 8],
  ['filter-primitive P\n type ip-port\n permit 9-5',
    'line 3: expected numbers (0 to 65535) as 1,5-9, found "9-5"',
    ' permit 9-5', 8],
  ['filter-primitive P\n type counter\n permit about 5',
    'line 3: expected lt, gt, eq, ne, ge or le, found "about"',
    ' permit about 5', 8],
  ['filter-primitive P\n type ip-address\n permit www', 'line 3: expected an IPv4 address, found "www"',
    ' permit www', 8],
  ['filter-primitive P\n type time-date\n permit gt soon',
    'line 3: expected a date, as January 23, 2026 10:05:00, found "soon"', ' permit gt soon', 11],
  ['filter-primitive P\n type ip-port\n mask 1',
    'line 3: only primitives of type ip-tos and ip-tcp-flags have a mask',
    ' mask 1', 1],
  ['filter-primitive P\n type ip-port\n default maybe', 'line 3: expected permit or deny, found "maybe"',
    ' default maybe', 9],
  ['filter-primitive P\n type ip-port\nfilter-primitive p',
    'line 3: expected a new name, "p" is defined above',
    'filter-primitive p', 17],
  ['filter-definition D\n permit 1', 'line 2: expected match, or, or invert, found "permit"', ' permit 1', 1],
  ['filter-definition D\n match ip-protocol',
    'line 2: expected the name of a primitive, found the end of the line',
    ' match ip-protocol', 18],
  ['filter-definition D\n match ip-protocol P', 'line 2: expected the name of a primitive, found "P"',
    ' match ip-protocol P', 19],
  ['filter-primitive P\n type ip-port\nfilter-definition D\n match ip-protocol P',
    'line 4: expected a primitive of type ip-protocol, "P" is ip-port', ' match ip-protocol P', 19],
  ['filter-primitive P\nfilter-definition D\n match colour P',
    'line 3: expected what to match, as ip-source-port, found "colour"', ' match colour P', 7],
  ['filter-definition D\n match random-sample P', 'line 2: filters take no random samples',
    ' match random-sample P', 7],
  ['filter-primitive P\n type ip-port\n permit @{PORT', 'line 3: expected "}" behind "@{"',
    ' permit @{PORT', 8],
]

for (const [text, reason, line, column] of FAULTS) {
  test(`a file is refused: ${reason}`, () => {
    assert.throws(() => parseFilter(text, { dialect: 'flow-nfilter', path: 'filter.cfg' }), {
      code: 'ERR_SYNTAX',
      message: `Cannot parse filter: filter.cfg, ${reason}\n  ${line}\n  ${' '.repeat(column)}^`,
    })
  })
}

test('a definition that is not there is refused with the names of those that are', () => {
  assert.throws(() => explain(FILE, 'nope'), {
    message: 'Cannot parse filter: expected the name of a definition (there are: web other default), '
      + 'found "nope"\n  nope\n  ^',
  })
  assert.throws(() => explain('# nothing'), /\(there are: none\), found "default"/)
  assert.throws(() => explain(FILE, 'web other'), /the name of one definition, and NAME=VALUE, found "other"/)
})

test('lines in any order make a filter or a fault, and nothing else', () => {
  const lines = fc.constantFrom(
    'filter-primitive P', 'filter-primitive Q', 'filter-definition D', 'type ip-port', 'type ip-tos',
    'type counter',
    'type ip-address-prefix', 'type time-date', 'type tag-mask', 'permit 80', 'permit 1-5,!7',
    'deny 10.1/16', 'permit gt 5',
    'permit gt 1 month ago', 'deny 1 2', 'mask 0x12', 'default permit', 'match ip-source-port P',
    'match octets Q',
    'match ip-tos P', 'match start-time Q', 'or', 'invert', '@X', '# x', '',
  )
  fc.assert(fc.property(fc.array(lines, { maxLength: 14 }), (list) => {
    try {
      explain(list.join('\n'), 'D')
    } catch (error) {
      assert(error instanceof FlowkitError && error.code === 'ERR_SYNTAX', String(error))
    }
  }), { seed: 12, numRuns: 5000 })
})

test('permits and denies by turns are bounded', () => {
  function turns(count: number): string {
    const lines = Array.from({ length: count }, (_, i) => `${i % 2 ? 'permit' : 'deny'} gt ${i}`)
    return primitive('octets', 'counter', ...lines)
  }
  assert.equal(select(turns(500), [{ bytes: 0 }]), '0')
  assert.throws(() => explain(turns(502)), /no more than 500 turns between permit and deny/)
})
