import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  compileFilter, explainFilter, filterFields, filterFlows, parseFilter,
} from '../../../core/filter/filter.ts'
import { readFlowdLines } from '../../../core/filter/dialects/flowd-lexer.ts'
import { flowdFilter, parseFlowdRule } from '../../../core/filter/dialects/flowd-rules.ts'
import { ID } from '../../../core/flow/fields.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'
import { batchOf, type Row } from './rows.ts'

function filterOf(text: string): string {
  const lines = readFlowdLines('flowd.conf', text)
  return flowdFilter(lines.map((line) => parseFlowdRule(line) ?? assert.fail('no rule')))
}

function select(filter: string, rows: readonly Row[]): boolean[] {
  const selected = new Uint8Array(rows.length)
  compileFilter(parseFilter(filter))(batchOf(rows), selected)
  return Array.from(selected, (each) => each === 1)
}

test('rules are translated one by one', () => {
  const translated: readonly (readonly [rule: string, filter: string])[] = [
    ['accept all', 'any'],
    ['accept', 'any'],
    ['discard quick all', 'not any'],
    ['discard agent 192.0.2.1', 'not (exporter_addr = 192.0.2.1)'],
    ['discard agent !192.0.2.0/24', 'not (not (exporter_addr = 192.0.2.0/24))'],
    ['discard in_ifndx 1 out_ifndx !0x10', 'not (in_if = 1 and not (out_if = 16))'],
    ['discard inet', 'not ipv4'],
    ['discard !inet6', 'not (not ipv6)'],
    ['discard src any dst [2001:db8::]/32', 'not (dst_addr = 2001:db8::/32)'],
    ['discard src 10.0.0.0/8 port 010 dst any port !80 proto UDP',
      'not (src_addr = 10.0.0.0/8 and src_port = 8 and not (dst_port = 80) and proto = 17)'],
    ['discard proto !"ipv6-icmp"', 'not (not (proto = 58))'],
    ['discard tos 0x80', 'not (tos = 128)'],
    ['discard tos !0', 'not (not (tos = 0 or not defined tos))'],
    ['discard proto tcp tcp_flags mask 0x06 equals 0x02',
      'not (proto = 6 and (tcp_flags & 2 and not (tcp_flags & 4)))'],
    ['discard proto tcp tcp_flags mask 0x04 !equals 0x04', 'not (proto = 6 and not (tcp_flags & 4))'],
    ['discard proto tcp tcp_flags mask 2 equals 4', 'not (proto = 6 and not any)'],
    ['discard days mon-Friday after 08:30 before 17:30:00',
      'not (received day in [mon-fri] and received tod >= 08:30 and received tod <= 17:30:00)'],
    ['discard days SAT,sunday', 'not (received day in [sat sun])'],
    ['discard proto 17 before 8:00', 'not (proto = 17 and received tod <= 8:00)'],
  ]
  for (const [rule, filter] of translated) {
    const lines = `accept all\n${rule}`
    assert.equal(filterOf(lines), filter, rule)
    parseFilter(filter)
  }
})

test('flows get the tag of the rule that decides: the first quick one, else the last', async () => {
  const rules = [
    'accept tag 10 quick src 10.20.1.0/24', 'discard quick proto 17', 'accept tag 20 all',
    'accept tag 30 src 10.20.0.0/16', 'accept src 10.20.9.0/24',
  ]
  const filter = parseFilter(rules.join('\n'), { dialect: 'flowd' })
  assert.deepEqual(filterFields(filter), [ID.proto, ID.srcAddr])
  const batch = batchOf([
    { src_addr: '10.20.1.1', proto: 17 }, { src_addr: '10.20.2.1', proto: 17 },
    { src_addr: '10.20.2.1', proto: 6 }, { src_addr: '192.0.2.1', proto: 6, tag: 7 },
    { src_addr: '10.20.9.1', proto: 6, tag: 8 }, { src_addr: '10.20.9.2', proto: 6 },
  ])
  async function* reader(): FlowReader {
    yield batch
  }
  for await (const flows of filterFlows(reader(), filter)) {
    const has = flows.present(ID.tag)
    const tags = Array.from(flows.tag.subarray(0, flows.length), (tag, row) => has[flows.shape[row]] && tag)
    assert.deepEqual(tags, [10, 30, 20, 8, 0])
  }
  assert.equal(parseFilter('accept all', { dialect: 'flowd' }).tags, undefined)
})

test('dates are of when a flow was received, in the local zone, and excluded themselves', () => {
  const [after, before] = [new Date(2026, 0, 2), new Date(2026, 10, 21, 13, 30, 5)]
  assert.equal(
    filterOf('discard all\naccept after date 20260102 before date 20261121133005'),
    `(received >= ${new Date(after.getTime() + 1000).toISOString()} and received < ${before.toISOString()})`,
  )
  const rows = [after.getTime() + 999, after.getTime() + 1000, before.getTime() - 1, before.getTime()]
    .map((millis) => ({ received: millis * 1e3 }))
  const filter = filterOf('discard all\naccept after date 20260102 before date 20261121133005')
  assert.deepEqual(select(filter, rows), [false, true, true, false])
  const years = [new Date(2026, 0, 1), new Date(2026, 11, 1)].map((date) => date.toISOString())
  assert.equal(
    filterOf('discard all\naccept after date 2026 before date 202612'),
    `(received >= ${years[0].replace('00.000', '01.000')} and received < ${years[1]})`,
  )
})

test('days and times of day are of when a flow was received, in the local zone, and included', () => {
  const rows = [[7, 59], [8, 0], [8, 1], [17, 30], [17, 31]].map(([hours, minutes]) => (
    { received: new Date(2026, 10, 20, hours, minutes).getTime() * 1e3 } // a Friday
  ))
  const hours = 'after 08:00 before 17:30'
  assert.deepEqual(select(filterOf(`discard all\naccept ${hours}`), rows), [false, true, true, true, false])
  assert.deepEqual(
    select(filterOf(`discard all\naccept days thu-sat ${hours}`), rows), [false, true, true, true, false],
  )
  assert(select(filterOf('accept all\ndiscard days sat-mon'), rows).every((kept) => kept))
  assert(select(filterOf('accept all\ndiscard days fri-mon'), rows).every((kept) => !kept))
})

test('the last rule that is for a flow decides, unless one before it is quick', () => {
  assert.equal(filterOf(''), 'any')
  assert.equal(filterOf('discard all\naccept agent 127.0.0.1'), 'exporter_addr = 127.0.0.1')
  assert.equal(filterOf('discard proto tcp\ndiscard proto udp'), 'not (proto = 17) and not (proto = 6)')
  assert.equal(filterOf('discard quick all\naccept all'), 'not any')
  assert.equal(
    filterOf('discard all\naccept src 10.0.0.0/8\ndiscard proto udp\naccept quick dst 10.0.0.1'),
    'dst_addr = 10.0.0.1 or (not (proto = 17) and (src_addr = 10.0.0.0/8))',
  )
})

test('any rules keep what flowd keeps', () => {
  // each test as flowd.conf has it, and as flowd's filter.c does it, where what a flow lacks is 0
  const tests: readonly (readonly [string, (row: Row) => boolean])[] = [
    ['all', () => true],
    ['agent 192.0.2.0/24', (row) => row['exporter_addr'] === '192.0.2.9'],
    ['src 10.0.0.0/8', (row) => row['src_addr'] === '10.1.2.3'],
    ['src !10.0.0.0/8', (row) => row['src_addr'] !== '10.1.2.3'],
    ['inet6', (row) => row['src_addr'] === '2001:db8::1'],
    ['dst any port 80 proto tcp', (row) => row['dst_port'] === 80 && row['proto'] === 6],
    ['dst any port !80 proto tcp', (row) => row['dst_port'] !== 80 && row['proto'] === 6],
    ['proto !tcp', (row) => row['proto'] !== 6],
    ['proto tcp tcp_flags mask 0x12 equals 0x02',
      (row) => row['proto'] === 6 && (Number(row['tcp_flags'] ?? 0) & 0x12) === 2],
    ['proto tcp tcp_flags equals 0', (row) => row['proto'] === 6 && (row['tcp_flags'] ?? 0) === 0],
    ['tos 0', (row) => (row['tos'] ?? 0) === 0],
  ]
  const rows: Row[] = []
  for (const src of ['10.1.2.3', '172.16.0.1', '2001:db8::1']) {
    for (const rest of [
      { proto: 17 }, { proto: 6, dst_port: 80, tcp_flags: 0x02, tos: 0 }, { proto: 6, tcp_flags: 0x13 },
      { proto: 6, dst_port: 81, tcp_flags: 0, tos: 8 },
    ]) {
      rows.push({ src_addr: src, exporter_addr: '192.0.2.9', ...rest }, { src_addr: src, ...rest })
    }
  }
  const rule = fc.record({
    accept: fc.boolean(), quick: fc.boolean(), test: fc.constantFrom(...tests),
  })
  fc.assert(fc.property(fc.array(rule, { maxLength: 8 }), (rules) => {
    const text = rules.map(({ accept, quick, test: [words] }) => {
      return `${accept ? 'accept' : 'discard'} ${quick ? 'quick ' : ''}${words}\n`
    })
    const expected = rows.map((row) => {
      let kept = true
      for (const { accept, quick, test: [, matches] } of rules) {
        if (!matches(row)) continue
        kept = accept
        if (quick) break
      }
      return kept
    })
    assert.deepEqual(select(filterOf(text.join('')), rows), expected)
  }))
})

test('macros, comments, quotes and joined lines are as flowd reads them', () => {
  const text = [
    'net = "192.0.2.0"  # quoted', "both = '10.0.0.0/8 port 80'", 'discard \\', '  all # and \\', ' more',
    'accept src $net/24', 'accept src $both proto "tcp" # $undefined',
  ].join('\r\n')
  assert.equal(
    filterOf(text), '(src_addr = 10.0.0.0/8 and src_port = 80 and proto = 6) or src_addr = 192.0.2.0/24',
  )
  assert.deepEqual(readFlowdLines('x', text).map(({ number }) => number), [3, 6, 7])
  assert.equal(readFlowdLines('x', 'a = "$b"\nb = c\nlogfile $a').at(0)?.takeValue(), undefined)
})

test('what flowd refuses, and what filters cannot say, is refused with its line', () => {
  const faults: readonly (readonly [string, string])[] = [
    ['discard tag 1 all', 'a tag is for what is accepted'],
    ['discard src any port 80', 'a test of ports needs "proto tcp" or "proto udp"'],
    ['discard tcp_flags equals 2', 'a test of tcp_flags needs "proto tcp"'],
    ['discard proto tcp tcp_flags mask 0x04 !equal 0x04', 'expected "equals", found "equal"'],
    ['discard src 10.0.0.1/8', 'expected a network without bits behind its length, found "10.0.0.1/8"'],
    ['discard src 10.0.0.0/8 dst ::1', 'addresses of IPv4 and of IPv6 are not in one flow'],
    ['discard inet src ::1', 'addresses of IPv4 and of IPv6 are not in one flow'],
    ['discard src !any', 'expected an address or network, found "any"'],
    ['discard agent any', 'expected an address or network, found "any"'],
    ['discard agent', 'expected an address or network, found the end of the line'],
    ['discard agent x', 'expected an address or network, found "x"'],
    ['discard in_ifndx 0', 'expected an interface from 1 to 65535, found "0"'],
    ['discard proto 256', 'expected a protocol by name or number, found "256"'],
    ['discard tos 256', 'expected a number from 0 to 255, found "256"'],
    ['discard tos 09', 'expected a number from 0 to 255, found "09"'],
    ['discard proto udp src 10.0.0.1',
      'expected a test, in the order of flowd.conf(5), or the end of the line, found "src"'],
    ['discard days foo', 'expected a day such as mon, found "foo"'],
    ['discard days', 'expected a day such as mon, found the end of the line'],
    ['discard before', 'expected "date", or a time of day such as 17:30, found the end of the line'],
    ['discard before 24:00', 'expected a time of day such as 17:30, found "24:00"'],
    ['discard after 12:00 before 08:00', 'the first time of day is not before the second'],
    ['discard after date 202', 'expected a date such as 20261121 or 20261121130000, found "202"'],
    ['discard after date 20260231', 'expected a date such as 20261121 or 20261121130000, found "20260231"'],
    ['discard after date 20261121 before date 20261121', 'the first date is not before the second'],
    ['discard src $net', 'macro "net" is not set'],
    ['discard src "10.0.0.1', 'expected a quote to end'],
    ['net = 10.0.0.0/8', 'expected the end of the line, found "/"'],
    ['all = 1', 'expected the name of a macro, found "all"'],
  ]
  for (const [line, reason] of faults) {
    assert.throws(() => filterOf(`\n# first\n${line}\n`), {
      code: 'ERR_SYNTAX', message: `Cannot use flowd.conf: line 3: ${reason}`,
    })
  }
})

test('as a filter, the rules of a whole flowd.conf are taken, and a fault shows its place', () => {
  const others = 'logfile "/var/log/flowd"\nlisten on 127.0.0.1:9\nstore ALL\n'
  const text = `${others}discard all\naccept tag 3 src 10.0.0.0/8\n`
  const filter = parseFilter(text, { dialect: 'flowd' })
  assert.equal(explainFilter(filter), 'src_addr = 10.0.0.0/8')
  assert.equal(filter.text, text)
  const faults: readonly (readonly [text: string, reason: string, line: string, column: number])[] = [
    ['accept all\ndiscard proto tcp tcp_flags mask 4 !equal 4', 'line 2: expected "equals", found "equal"',
      'discard proto tcp tcp_flags mask 4 !equal 4', 36],
    ['discard src 10.0.0.1/8',
      'line 1: expected a network without bits behind its length, found "10.0.0.1/8"',
      'discard src 10.0.0.1/8', 21],
    ['accept \\\n  proto \\\n  foo', 'line 3: expected a protocol by name or number, found "foo"', '  foo',
      2],
    ['a = "src 10.0.0.0/8 x"\naccept $a',
      'line 2: expected a test, in the order of flowd.conf(5), or the end of the line, found "x"',
      'accept $a', 7],
    ['\naccept src $b', 'line 2: macro "b" is not set', 'accept src $b', 11],
    ['accept src', 'line 1: expected an address or network, found the end of the line', 'accept src', 10],
    ['accept src "10', 'line 1: expected a quote to end', 'accept src "10', 11],
    ['permit all', 'line 1: expected "accept" or "discard", found "permit"', 'permit all', 0],
  ]
  for (const [rules, reason, line, column] of faults) {
    assert.throws(() => parseFilter(rules, { dialect: 'flowd', path: 'flowd.conf' }), {
      code: 'ERR_SYNTAX',
      message: `Cannot parse filter: flowd.conf, ${reason}\n  ${line}\n  ${' '.repeat(column)}^`,
    })
  }
})
