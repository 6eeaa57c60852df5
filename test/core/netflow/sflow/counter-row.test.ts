import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  COUNTER_COLUMNS, CORE_COUNTERS, counterRow, findCounter, hasColumn,
} from '../../../../core/netflow/sflow/counter-row.ts'
import { join, mac, RECEIVED, u32, u64 } from '../messages.ts'
import { receiver, sflow, tlv } from './datagrams.ts'

test('a row has the source and the counters of a sample, and not what is unknown', () => {
  const { receive, counters } = receiver()
  receive(sflow(tlv(2, u32(31, 4, 1), tlv(5, u32(20), u64(7), u32(1, 0xffffffff, 3, 4)))))
  const row = {
    received: RECEIVED, exporter_addr: '192.0.2.1', agent_addr: '198.51.100.1', sub_agent_id: 3, sequence: 31,
    source_type: 0, source_index: 4, vlan_id: 20, vlan_octets: 7, vlan_ucast_pkts: 1, vlan_broadcast_pkts: 3,
    vlan_discards: 4,
  }
  assert.deepEqual(counterRow(counters[0]), row)
  const { exporter_addr, agent_addr, ...rest } = row
  assert.deepEqual(counterRow({ ...counters[0], exporterAddr: '', agentAddr: '' }), rest)
})

test('columns have types, and no two the same name', () => {
  const types = (...names: string[]) => names.map((name) => findCounter(name)?.type)
  const signed = 'sfp_temperature_millicelsius'
  assert.deepEqual(types('received', 'agent_addr', 'sequence', 'if_in_octets', signed),
    ['time', 'address', 'int', 'int', 'int'])
  assert.deepEqual(types('load_one', 'cpu_5s_percent', 'hostname', 'uuid', 'lag_actor_system_id', 'nonsense'),
    ['float', 'float', 'text', 'text', 'text', undefined])
  assert.equal(CORE_COUNTERS.length, 7 + 19)
  assert.equal(new Set(COUNTER_COLUMNS.map(({ name }) => name)).size, COUNTER_COLUMNS.length)
})

test('numbered counters are known, and have no column', () => {
  const { receive, counters } = receiver()
  const lane = u32(...Array.from({ length: 10 }, (_, i) => i))
  const adapters = join(u32(2, 1, 1), mac('02:00:00:00:00:01'), new Uint8Array(2), u32(9, 0))
  receive(sflow(tlv(2, u32(31, 4, 2), tlv(10, u32(3, 4, 3300, 0, 1), lane), tlv(2001, adapters))))
  const numbered = Object.keys(counters[0].values).filter((name) => !hasColumn(name))
  assert.equal(numbered.length, 10 + 3)
  for (const name of numbered) {
    assert.equal(findCounter(name)?.type, name.includes('mac') ? 'text' : 'int', name)
  }
  assert.equal(findCounter('sfp_lane_0_colour'), undefined)
})
