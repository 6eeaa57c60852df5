import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FIELDS, findField, type FieldName } from '../../../core/flow/fields.ts'
import { fieldTable } from '../../../core/flow/docs.ts'
import { fieldLabel, NAME_SETS, printedFields, rawLabel, type NameSet } from '../../../core/flow/labels.ts'

function label(name: FieldName, names: NameSet, family?: 4 | 6): string {
  return fieldLabel(findField(name)!, names, family)
}

test('no two fields share a name in any set, for IPv4 and IPv6 together', () => {
  for (const names of NAME_SETS) {
    const owners = new Map<string, string>()
    for (const field of FIELDS) {
      for (const family of [undefined, 4, 6] as const) {
        const text = fieldLabel(field, names, family)
        assert.equal(owners.get(text) ?? field.name, field.name, `${names}: ${text}`)
        owners.set(text, field.name)
        assert.match(text, /^[A-Za-z][A-Za-z0-9_]*$/)
      }
    }
  }
})

test('fields go by the names that IANA and the peers have for them', () => {
  assert.equal(label('src_addr', 'flowkit'), 'src_addr')
  assert.equal(label('bytes', 'iana'), 'octetDeltaCount')
  assert.equal(label('src_addr', 'iana', 4), 'sourceIPv4Address')
  assert.equal(label('src_addr', 'iana', 6), 'sourceIPv6Address')
  assert.equal(label('src_addr', 'iana'), 'src_addr', 'neither is true of both families')
  assert.equal(label('icmp_type', 'iana', 6), 'icmpTypeIPv6')
  assert.equal(label('dst_mask', 'iana', 4), 'destinationIPv4PrefixLength')
  assert.equal(label('rev_bytes', 'iana'), 'reverseOctetDeltaCount')
  assert.equal(label('bytes', 'nfdump'), 'in_bytes')
  assert.equal(label('in_if', 'nfdump'), 'input_snmp')
  assert.equal(label('tos', 'goflow2'), 'ip_tos')
  assert.equal(label('tag', 'goflow2'), 'tag', 'goflow2 has none')
})

test("py3flowtools' names are those of its Flow objects", () => {
  const names = (['flow_start', 'flow_end', 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'proto', 'bytes', 'packets',
    'tcp_flags', 'exporter_addr', 'next_hop', 'in_if', 'out_if', 'tos', 'src_as', 'dst_as', 'src_mask', 'dst_mask',
    'engine_type', 'engine_id', 'sys_uptime', 'export_secs', 'export_nsecs'] as const).map((name) => label(name, 'py3flowtools'))
  assert.deepEqual(names, ['first', 'last', 'srcaddr', 'dstaddr', 'srcport', 'dstport', 'prot', 'dOctets', 'dPkts',
    'tcp_flags', 'exaddr', 'nexthop', 'input', 'output', 'tos', 'src_as', 'dst_as', 'src_mask', 'dst_mask',
    'engine_type', 'engine_id', 'sysUpTime', 'unix_secs', 'unix_nsecs'])
  const raw = FIELDS.map((field) => rawLabel(field, 'py3flowtools')).filter((name) => name !== undefined)
  assert.deepEqual(raw, ['exaddr_raw', 'srcaddr_raw', 'dstaddr_raw', 'nexthop_raw', 'router_sc_raw', 'peer_nexthop_raw'])
  assert.equal(rawLabel(findField('src_addr')!, 'goflow2'), undefined)
})

test('a name that is another field in flowkit is not taken over', () => {
  // goflow2's dst_mac is element 57, flowkit's is element 80
  assert.equal(label('dst_mac', 'goflow2'), 'dst_mac')
  assert.equal(label('post_dst_mac', 'goflow2'), 'post_dst_mac')
})

test('printed fields are each once, in their order, without nanoseconds', () => {
  const ids = (['proto', 'flow_start_ns', 'bytes', 'flow_end_ns', 'proto'] as const).map((name) => findField(name)!.id)
  assert.deepEqual(printedFields(ids).map(({ name }) => name), ['proto', 'bytes'])
})

test('the field table lists every field with elements and peers', () => {
  const lines = fieldTable({ markdown: false }).split('\n')
  assert.equal(lines.length, FIELDS.length + 2)
  assert.match(lines[0], /^Name +Type +Unit +Meaning +nfdump +goflow2 +flowd +flow-tools +Elements$/)
  const column = lines[0].indexOf('Elements')
  for (const [i, { name }] of FIELDS.entries()) assert.ok(lines[i + 1].startsWith(`${name} `))
  const proto = lines.find((line) => line.startsWith('proto '))!
  assert.equal(proto.slice(column), 'protocolIdentifier (4), nextHeaderIPv6 (193)')
  assert.ok(lines.every((line) => line === line.trimEnd()))
  assert.ok(lines.some((line) => line.includes('reverseOctetDeltaCount (29305/1)')))
})

test('the field table in Markdown has a cell for every column', () => {
  const lines = fieldTable({ markdown: true }).trimEnd().split('\n')
  assert.equal(lines.length, FIELDS.length + 2)
  assert.equal(lines[1], '| --- | --- | --- | --- | --- | --- | --- | --- | --- |')
  for (const line of lines) assert.equal(line.split(' | ').length, 9, line)
  assert.ok(lines.includes('| src_port | u16 |  | Source port | src_port | src_port | src_port | srcport '
    + '| sourceTransportPort (7), udpSourcePort (180), tcpSourcePort (182) |'))
})
