import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { compileFilter, explainFilter, filterToSql, parseFilter } from '../../../core/filter/filter.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { FIELDS } from '../../../core/flow/fields.ts'
import { batchOf } from './rows.ts'

const NOW = Date.UTC(2026, 10, 21, 12) * 1e3 // µs

function explain(text: string): string {
  return explainFilter(parseFilter(text, { now: NOW }))
}

/** The lines of the message that parsing ends with. */
function fault(text: string): string[] {
  try {
    parseFilter(text, { now: NOW })
  } catch (error) {
    assert(error instanceof FlowkitError)
    assert.equal(error.code, 'ERR_SYNTAX')
    return error.message.split('\n')
  }
  return assert.fail(`"${text}" has no fault`)
}

test('a fault shows what was wanted, what was found, and a caret under it', () => {
  assert.deepEqual(fault('src port foo'), [
    'Cannot parse filter: expected a port number, found "foo"',
    '  src port foo',
    '           ^',
  ])
})

test('a fault shows its own line, and tabs before it as they are', () => {
  assert.deepEqual(fault('proto tcp\n\tand port x # why\nand any'), [
    'Cannot parse filter: expected a port number, found "x"',
    '  \tand port x # why',
    '  \t         ^',
  ])
})

test('a fault at the end has its caret behind the last word', () => {
  assert.deepEqual(fault('proto tcp and\n# more\n'), [
    'Cannot parse filter: expected a test, found the end',
    '  proto tcp and',
    '               ^',
  ])
})

test('a fault far into a long line shows the part about it', () => {
  const [reason, line, caret] = fault(`${'port 80 or '.repeat(1000)}prt 80 ${'or port 80 '.repeat(1000)}`)
  assert.equal(reason, 'Cannot parse filter: expected a test, found "prt" (did you mean "port"?)')
  assert(line.length < 110)
  assert.equal(line.slice(caret.length - 1, caret.length + 2), 'prt')
})

const FAULTS: readonly (readonly [string, string, number])[] = [
  ['hosts', 'expected a test, found "hosts" (did you mean "host"?)', 0],
  ['tcp and prooto udp', 'expected a test, found "prooto" (did you mean "proto"?)', 8],
  ['src_prot = 80', 'expected a test, found "src_prot" (did you mean "src_port"?)', 0],
  ['port', 'expected a port number, found the end', 4],
  ['port 99999', 'expected a port number (0 to 65535), found "99999"', 5],
  ['port 80 90', 'expected "and" or "or", found "90"', 8],
  ['port > 80-90', 'expected one number, found a range', 7],
  ['port 90-80', 'expected the lower end of a range first, found "90-80"', 5],
  ['ip 10.0.0.9-10.0.0.1', 'expected the lower end of a range first, found "10.0.0.9-10.0.0.1"', 3],
  ['ip 2001:db8::2-2001:db8::1', 'expected the lower end of a range first, found "2001:db8::2-2001:db8::1"', 3],
  ['port 80-90-95', 'expected a port number (0 to 65535), found "80-90-95"', 5],
  ['port in 80', 'expected "[" or "@" and a file, found "80"', 8],
  ['port in []', 'expected a port number, found "]"', 9],
  ['port in [80,]', 'expected a port number, found "]"', 12],
  ['port in [80', 'expected a port number, found the end', 11],
  ['port not 80', 'expected "in", found "80"', 9],
  ['src 80', 'expected ip or host or net or nat or xlate or xip or nip or xnet or port or xport or nport or tos '
    + 'or as or mask or vlan or mac or tun or tunip behind "src", found "80"', 4],
  ['src and dst as_path 1', 'expected what both directions have, as "port", found "as_path"', 12],
  ['(tcp', 'expected "and", "or" or ")", found the end', 4],
  ['tcp)', 'expected "and" or "or", found ")"', 3],
  ['tcp and', 'expected a test, found the end', 7],
  ['and tcp', 'expected a test, found "and" (did you mean "any"?)', 0],
  ['proto nosuch', 'expected a protocol name or number, found "nosuch"', 6],
  ['proto 256', 'expected a protocol name or number, found "256"', 6],
  ['src ip < 10.0.0.1', 'expected = != &, found "<"', 7],
  ['src ip & 10.0.0.0/8', 'expected an IPv4 address, found "10.0.0.0/8"', 9],
  ['bytes & 1', 'expected = != < <= > >=, found "&"', 6],
  ['tcp_flags & 1-2', 'expected TCP flags, as SA, or their number, found "1-2"', 12],
  ['user_name like', 'expected a text, found the end', 14],
  ['user_name not "bob"', 'expected "in", "like" or "contains", found "bob"', 14],
  ['hour 24', 'expected an hour (0 to 23), found "24"', 5],
  ['day in [mon foo]', 'expected a day of the week, as mon, found "foo"', 12],
  ['src net 10.0.0.0/33', 'expected an IP address or network, found "10.0.0.0/33"', 8],
  ['ip 198.51.100', 'expected an IP address or network, found "198.51.100"', 3],
  ['host example.org', 'expected an IP address or network, found "example.org"', 5],
  ['bytes > 1.5', 'expected a number (0 to 9007199254740991), found "1.5"', 8],
  ['bytes > 9007199254740992', 'expected a number (0 to 9007199254740991), found "9007199254740992"', 8],
  ['flow_id > 18446744073709551616',
    'expected a number (0 to 18446744073709551615), found "18446744073709551616"', 10],
  ['mac 2:11:0:0:0:100', 'expected a MAC address, found "2:11:0:0:0:100"', 4],
  ['mac 02:11', 'expected a MAC address, found "02:11"', 4],
  ['first seen > yesterday', 'expected a time, found "yesterday"', 13],
  ['first seen > 2026-02-30', 'expected a time, found "2026-02-30"', 13],
  ['tod 25:00-26:00', 'expected a time of day, as 08:00-17:30, found "25:00-26:00"', 4],
  ['flags Q', 'expected TCP flags, as SA, or their number, found "Q"', 6],
  ['user_name < bob', 'expected = !=, found "<"', 10],
  ['application_id = 3', 'expected octets in hexadecimal, as 0x0a0b, found "3"', 17],
  ['tcp & udp', 'expected "and" or "or", found "&"', 4],
  ['tcp | udp', 'expected "and" or "or", found "|"', 4],
  ['user_name = "bob', 'expected a quote to end in its line', 12],
  ['defined foo', 'expected the name of a field, found "foo"', 8],
  ['ident none', 'cannot test "ident": nfdump names a file so, flows have no such name', 0],
  ['tcp and count < 10',
    'cannot test "count": nfdump numbers the records of a file, flows have no such number', 8],
  ["payload content 'GET'", 'cannot test "payload": flows have no payload', 0],
  ['flowlabel web', 'cannot test "flowlabel": nfdump marks flows so for its output, flows have no such name', 0],
  ['%web (port 80)', 'cannot test "%web": nfdump marks flows so for its output, flows have no such name', 0],
  ['port in nat', 'expected "[" or "@" and a file, found "nat"', 8],
  ['src geo CH', 'cannot test "src geo": flows have no country of an address', 0],
  ['exporter id 1',
    'cannot test "exporter id": nfdump numbers exporters, flowkit tells them by exporter_addr', 0],
  ['tun geo CH', 'cannot test "tun geo": flows have no country of an address', 0],
  ['dot1qPriority = 1', 'flows have no field here for "dot1qPriority"', 0],
  ['icmpTypeCodeIPv4 = 1', '"icmpTypeCodeIPv4" is in more than one field: icmp_type and icmp_code', 0],
  ['tcp and @include more.filter', 'files cannot be read here: "more.filter"', 17],
  ['src ip in @bad.txt', 'files cannot be read here: "bad.txt"', 10],
  ['tcp and @bad.txt', 'expected a test, found "@bad.txt"', 8],
  ['src ip in [@', 'expected the name of a file behind "@"', 11],
  ['@include', 'expected the name of a file', 8],
]

for (const [text, reason, column] of FAULTS) {
  test(`"${text}" is refused: ${reason}`, () => {
    assert.deepEqual(fault(text), [`Cannot parse filter: ${reason}`, `  ${text}`, `  ${' '.repeat(column)}^`])
  })
}

const EXPLAINED: readonly (readonly [string, string])[] = [
  ['src or dst port 80 and not tcp', '(src_port = 80 or dst_port = 80) and not (proto = TCP)'],
  ['port 80 or port 443 and ip 10.0.0.1', '(src_port = 80 or dst_port = 80) or '
    + '((src_port = 443 or dst_port = 443) and (src_addr = 10.0.0.1 or dst_addr = 10.0.0.1))'],
  ['port != 80', '(src_port != 80 or dst_port != 80) and not (src_port = 80 or dst_port = 80)'],
  ['flags S', 'proto = TCP and tcp_flags & S'],
  ['not flags RF', 'not (proto = TCP and tcp_flags & FR != 0)'],
  ['pf action block or pf reason no-route or pf dir in or pf rule > 3 or pf interface em0',
    'pf_action = block or pf_reason = no-route or pf_direction = in or pf_rule > 3 or in_if_name = "em0"'],
  ['src tun net 10/8 and tun proto gre', 'tun_src_addr = 10.0.0.0/8 and tun_proto = GRE'],
  ['tcp_flags & 0x12 == 0x02', 'tcp_flags & SA = S'],
  ['tcp_flags & 0x12 != 0', 'tcp_flags & SA != 0'],
  ['src net 10.20.0.99 255.255.0.1', 'src_addr & 255.255.0.1 = 10.20.0.1'],
  ['dst net 10.20.0.99 255.255.0.0', 'dst_addr = 10.20.0.0/16'],
  ['asa user like "adm*n*"', 'user_name like "adm*n*"'],
  ['user_name not contains "a*b"', 'user_name not contains "a*b"'],
  ['hour in [22-6 12]', 'hour in [0-6 12 22-23]'],
  ['day sat-mon', 'day in [sun-mon sat]'],
  ['received day != Wednesday', 'received day != wed'],
  ['last hour >= 8', 'last hour >= 8'],
  ['exact bps in [1.5 2]', 'exact bps in [1.5 2]'],
  ['dst port in [https ssh 1024-2000]', 'dst_port in [22 443 1024-2000]'],
  ['src as AS64500', 'src_as = 64500'],
  ['src net 10.20/16', 'src_addr = 10.20.0.0/16'],
  ['src ip in [10.0.0.0/25 10.0.0.128/25 10.0.1.0 2001:DB8::0/32]',
    'src_addr in [10.0.0.0-10.0.1.0 2001:db8::/32]'],
  ['ipv6', 'src_addr = ::/0 or dst_addr = ::/0'],
  ['bytes > 1.5Mi', 'bytes > 1572864'],
  ['dst port in [80-90 443 85-100]', 'dst_port in [80-100 443]'],
  ['fwdstat drop', 'forwarding_status in [128-191]'],
  ['proto > tcp', 'proto > 6'],
  ['icmp-type 8', 'icmp type = 8'],
  ['first seen > -1h', 'flow_start > 2026-11-21T11:00:00.000Z'],
  ['last seen < now', 'flow_end < 2026-11-21T12:00:00.000Z'],
  ['tod 22:00-6:30', 'tod in [00:00:00-06:30:00 22:00:00-24:00:00]'],
  ['user_name = a\\b', 'user_name = "a\\\\b"'],
  ["user_name in ['say \"hi\"' and]", 'user_name in ["say \\"hi\\"" "and"]'],
  ['in src mac 02-11-00-00-00-01', 'src_mac = 02:11:00:00:00:01'],
  // words of nfdump 1.7.1
  ['out dst mac 2:11:0:0:0:1', 'post_dst_mac = 02:11:00:00:00:01'],
  ['src nip 10.0.0.1', 'post_nat_src_addr = 10.0.0.1'],
  ['dst nip in [10.0.0.0/8 2001:db8::1]', 'post_nat_dst_addr in [10.0.0.0/8 2001:db8::1]'],
  ['nport > 1023', 'post_napt_src_port > 1023 or post_napt_dst_port > 1023'],
  ['src and dst nport 80', 'post_napt_src_port = 80 and post_napt_dst_port = 80'],
  ['src tunip 10.0.0.1', 'tun_src_addr = 10.0.0.1'],
  ['previous as 64500', 'prev_as = 64500'],
  ['pblock start >= 1024', 'port_block_start >= 1024'],
  ['pblock end 2047 and pblock step 1', 'port_block_end = 2047 and port_block_step = 1'],
  ['nat pblock size < 64', 'port_block_size < 64'],
  ['src port in pblock', 'src_port >= port_block_start and src_port <= port_block_end'],
  ['asa event denied nosyn', 'firewall_event = denied and firewall_ext_event = nosyn'],
  ['nfversion >= 9', 'nfversion >= 9'],
  ['proto in [ipcmp frag6 udp-l chaos]', 'proto in [16 IPv6-Frag IPComp UDPLite]'],
  ['direction egress', 'direction = egress'],
  ['observation point id in [1 2 18446744073709551615]',
    'observation_point_id in [1-2 18446744073709551615]'],
  ['octetTotalCount > 1', 'total_bytes > 1'],
  ['defined src ip or ttl equal', 'defined src_addr or min_ttl = max_ttl'],
]

for (const [text, expected] of EXPLAINED) {
  test(`"${text}" is read as ${expected}`, () => {
    assert.equal(explain(text), expected)
    assert.equal(explain(expected), expected)
  })
}

const HOSTS: Readonly<Record<string, readonly string[]>> = {
  'www.example.org': ['198.51.100.1', '198.51.100.2', '2001:db8::80'],
  'db-1': ['10.0.0.1'],
  'link': ['fe80::1%eth0'],
}

test('hosts are known by name where they can be looked up, alone and in lists', () => {
  const asked: string[] = []
  function hosts(name: string): readonly string[] {
    asked.push(name)
    return HOSTS[name] ?? []
  }
  const read = (text: string): string => explainFilter(parseFilter(text, { hosts }))
  assert.equal(read('src host www.example.org'), 'src_addr in [198.51.100.1-198.51.100.2 2001:db8::80]')
  assert.equal(read('dst ip in [db-1 192.0.2.0/24] or next ip "db-1"'),
    'dst_addr in [10.0.0.1 192.0.2.0/24] or next_hop = 10.0.0.1')
  assert.deepEqual(asked, ['www.example.org', 'db-1', 'db-1'])
  assert.equal(read('src ip link'), 'src_addr = fe80::1')
  for (const [text, reason, column] of [
    ['tcp and host nosuch.example.org', 'cannot find the address of "nosuch.example.org"', 13],
    ['src net db-1', 'expected an IP address or network, found "db-1"', 8],
    ['src ip and tcp', 'expected an IP address or network, found "and"', 7],
    ['ip 10.0.0.300', 'expected an IP address or network, found "10.0.0.300"', 3],
    ['src ip tor', 'cannot test "tor": give its nodes as a list, in @FILE', 7],
  ] as const) {
    assert.throws(() => read(text), {
      code: 'ERR_SYNTAX', message: `Cannot parse filter: ${reason}\n  ${text}\n  ${' '.repeat(column)}^`,
    })
  }
  assert.equal(asked.at(-1), 'nosuch.example.org')
})

test('every field is known by its name and in camel case', () => {
  for (const { name, column } of FIELDS) {
    assert.equal(explain(`defined ${name}`), `defined ${name}`)
    assert.equal(explain(`defined ${column}`), `defined ${name}`)
    assert.equal(explain(`defined ${name.toUpperCase()}`), `defined ${name}`)
  }
})

test('words in any order make a filter or a fault, and nothing else', () => {
  const words = fc.constantFrom(...[
    '( ) [ ] , ! != = < >= & && || and or not in any src dst ip net port nat pblock event as flags S 0x1b 80',
    '80-90 10/8 10.0.0.1 ::1/64 tcp proto defined bytes 5k duration tod 08:00-09:00 first seen',
    '2026-11-21 12:00 mpls eos ttl equal user_name "a b" src_port mac 02:11:00:00:00:01 next bgp asa user',
    'client latency icmp type \n # like contains hour day mon-fri exact pps 1.5 @x @include pf dir in',
  ].flatMap((line) => line.split(' ')))
  fc.assert(fc.property(fc.array(words, { maxLength: 14 }), (list) => {
    try {
      filterToSql(parseFilter(list.join(' ')))
    } catch (error) {
      assert(error instanceof FlowkitError && error.code === 'ERR_SYNTAX', String(error))
    }
  }), { seed: 7, numRuns: 3000 })
})

test('a quote without its end is found at once, however long the rest is', () => {
  for (const piece of ['a', '\\a']) {
    const [reason] = fault(`user_name = "${piece.repeat(100_000)}`)
    assert.equal(reason, 'Cannot parse filter: expected a quote to end in its line')
  }
})

test('any text is a filter or a fault', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
    try {
      parseFilter(text)
    } catch (error) {
      assert(error instanceof FlowkitError && error.code === 'ERR_SYNTAX', String(error))
    }
  }), { seed: 8, numRuns: 1000 })
})

test('200 nested parentheses are read, more are a fault', () => {
  const nested = (depth: number): string => `${'not ('.repeat(depth)}tcp${')'.repeat(depth)}`
  const selected = new Uint8Array(1)
  assert.equal(compileFilter(parseFilter(nested(200)))(batchOf([{ proto: 6 }]), selected), 1)
  for (const text of [nested(201), '('.repeat(1_000_000)]) {
    assert.equal(fault(text)[0], 'Cannot parse filter: expected no more than 200 nested parentheses')
  }
  assert.equal(compileFilter(parseFilter(`${'!'.repeat(100_001)}tcp`))(batchOf([{ proto: 6 }]), selected), 0)
})

test('a filter of a megabyte is read, compiled and turned into SQL', () => {
  const hosts = Array.from({ length: 40_000 }, (_, i) => `host 10.${i >> 16}.${i >> 8 & 255}.${i & 255}`)
  for (const word of [' or ', ' and not ']) {
    const filter = parseFilter(`not tcp and (${hosts.join(word)})`)
    const batch = batchOf([
      { src_addr: '10.0.156.63' }, { dst_addr: '10.0.156.64' }, { src_addr: '10.0.0.0', proto: 6 },
    ])
    const selected = new Uint8Array(3)
    compileFilter(filter)(batch, selected)
    assert.equal(selected.join(''), word === ' or ' ? '100' : '000')
    assert(filterToSql(filter).length < 1000) // neighbours have become one range
  }
})
