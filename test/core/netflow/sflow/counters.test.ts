import assert from 'node:assert/strict'
import { test } from 'node:test'
import { COUNTER_LISTS } from '../../../../core/netflow/sflow/counter-list.ts'
import { FROM, hex, join, mac, RECEIVED, u32, u64 } from '../messages.ts'
import { opaque, receiver, sflow, tlv } from './datagrams.ts'

/** The values of a counters_sample with one record. */
function valuesOf(format: number, ...contents: readonly Uint8Array[]): Record<string, number | string> {
  const { receive, counters } = receiver()
  assert.deepEqual(receive(sflow(tlv(2, u32(31, 4, 1), tlv(format, ...contents)))), [])
  return counters[0].values
}

test('a counter sample tells where it comes from, and the values of all its records', () => {
  const { receive, counters } = receiver()
  const interfaces = hex(`
    00000007 00000006 00000002540be400 00000001 00000003 # ifIndex 7, Ethernet, 10 Gb/s, full duplex, up
    00001360123456af 00000001 00000002 00000003 00000004 00000005 00000006
    001fffffffffffff 00000007 00000008 00000009 0000000a 0000000b 00000002
  `)
  receive(sflow(tlv(2, u32(31, 7, 2), tlv(1, interfaces), tlv(1005, opaque('xe-0/0/7')))))
  assert.deepEqual(counters, [{
    received: RECEIVED, exporterAddr: FROM, agentAddr: '198.51.100.1', subAgentId: 3, sequence: 31,
    sourceType: 0,
    sourceIndex: 7,
    values: {
      if_index: 7, if_type: 6, if_speed: 10_000_000_000, if_direction: 1, if_status: 3,
      if_in_octets: 0x1360123456af, if_in_ucast_pkts: 1, if_in_multicast_pkts: 2, if_in_broadcast_pkts: 3,
      if_in_discards: 4, if_in_errors: 5, if_in_unknown_protos: 6,
      if_out_octets: Number.MAX_SAFE_INTEGER, if_out_ucast_pkts: 7, if_out_multicast_pkts: 8,
      if_out_broadcast_pkts: 9,
      if_out_discards: 10, if_out_errors: 11, if_promiscuous_mode: 2, if_name: 'xe-0/0/7',
    },
  }])
})

test('sources have 8 bits of type and 24 of index, or 32 of each in an expanded sample', () => {
  const { receive, counters } = receiver()
  receive(sflow(tlv(2, u32(1, 0x02_00_00_05, 0)), tlv(4, u32(2, 3, 0x50000001, 0))))
  const sources = counters.map(({ sequence, sourceType, sourceIndex }) => [sequence, sourceType, sourceIndex])
  assert.deepEqual(sources, [[1, 2, 5], [2, 3, 0x50000001]])
})

test('the largest number is a counter that the agent does not have', () => {
  assert.deepEqual(valuesOf(5, u32(20), u64(0xffffffffffffffffn), u32(0xffffffff, 0xfffffffe, 0, 1)), {
    vlan_id: 20, vlan_multicast_pkts: 0xfffffffe, vlan_broadcast_pkts: 0, vlan_discards: 1,
  })
})

test('a counter over 2^53 stays there', () => {
  assert.equal(valuesOf(5, u32(20), u64(2n ** 60n), u32(0, 0, 0, 0))['vlan_octets'], 2 ** 53)
})

test('percentages are hundredths, and -1 unknown', () => {
  assert.deepEqual(valuesOf(1001, u32(1234, 0, 0xffffffff), u64(8_000_000_000, 1_000_000_000)), {
    cpu_5s_percent: 12.34, cpu_1m_percent: 0, total_memory: 8_000_000_000, free_memory: 1_000_000_000,
  })
})

test('a host describes itself', () => {
  const uuid = hex('00112233445566778899aabbccddeeff')
  assert.deepEqual(valuesOf(2000, opaque('leaf-1'), uuid, u32(3, 2), opaque('6.1.0')), {
    hostname: 'leaf-1', uuid: '00112233445566778899aabbccddeeff', machine_type: 3, os_name: 2,
    os_release: '6.1.0',
  })
})

test('processor times and loads; the fields added in 2014 may be missing', () => {
  const loads = hex('3f400000 3f800000 bf800000') // 0.75, 1, and -1: unknown
  const numbers = Array.from({ length: 17 }, (_, i) => i + 1)
  const old = valuesOf(2003, loads, u32(...numbers.slice(0, 14)))
  assert.deepEqual([old['load_one'], old['load_five'], old['load_fifteen'], old['proc_run']],
    [0.75, 1, undefined, 1])
  assert.deepEqual([old['contexts'], old['cpu_steal_ms']], [14, undefined])
  assert.equal(valuesOf(2003, loads, u32(...numbers))['cpu_guest_nice_ms'], 17)
})

test('a record that ends within a value has the values before it', () => {
  assert.deepEqual(valuesOf(5, u32(20, 0)), { vlan_id: 20 })
  assert.deepEqual(valuesOf(2000, u32(99), hex('61626364')), {})
})

test('a record longer than flowkit knows is read as far as it knows', () => {
  assert.deepEqual(valuesOf(1002, u32(1, 2, 3, 4, 5)), {
    radio_elapsed_ms: 1, radio_on_channel_ms: 2, radio_on_channel_busy_ms: 3,
  })
})

test('link aggregation: systems, and port states of a byte each', () => {
  const padding = new Uint8Array(2)
  const systems = join(mac('02:00:00:00:00:01'), padding, mac('02:00:00:00:00:02'), padding)
  const values = valuesOf(7, systems, u32(500), hex('05 3d 01 3c'), u32(1, 2, 3, 4, 5, 6, 7, 8))
  assert.deepEqual(Object.values(values), [
    '02:00:00:00:00:01', '02:00:00:00:00:02', 500, 5, 0x3d, 1, 0x3c, 1, 2, 3, 4, 5, 6, 7, 8,
  ])
  assert.equal(values['lag_partner_oper_port_state'], 0x3c)
})

test('an optical module has its lanes numbered', () => {
  const lane = (first: number) => u32(...Array.from({ length: 10 }, (_, i) => first + i))
  const values = valuesOf(10, u32(3, 4, 3300, 0xffffd8f0, 2), lane(100), lane(200))
  assert.equal(values['sfp_temperature_millicelsius'], -10_000)
  assert.deepEqual(
    [values['sfp_lane_0_index'], values['sfp_lane_0_rx_wavelength_nm'], values['sfp_lane_1_tx_power_uw']],
    [100, 109, 202],
  )
  assert.equal(Object.keys(values).length, 4 + 20)
  const lying = valuesOf(10, u32(3, 4, 3300, 0, 0xffffffff), lane(100))
  assert.equal(Object.keys(lying).length, 4 + 10) // as many as there are
})

test('adapters have their MAC addresses numbered', () => {
  const padded = join(mac('02:00:00:00:00:01'), new Uint8Array(2))
  assert.deepEqual(valuesOf(2001, u32(2, 1, 0, 2, 2), padded, padded), {
    adapter_0_if_index: 1, adapter_1_if_index: 2, adapter_1_mac_0: '02:00:00:00:00:01',
    adapter_1_mac_1: '02:00:00:00:00:01',
  })
  assert.deepEqual(valuesOf(2001, u32(0xffffffff, 1, 0xffffffff)), { adapter_0_if_index: 1 })
})

test('a datapath has a number of 64 bits, which is text', () => {
  assert.deepEqual(valuesOf(1004, u64(0xfedcba9876543210n), u32(65_534)), {
    openflow_datapath_id: 'fedcba9876543210', openflow_port: 65_534,
  })
})

test('records of vendors are told by their enterprise', () => {
  const values = valuesOf(5703 << 12 | 1, u32(2, 3, 4, 5), u64(1000, 900), u32(0, 25_000, 60, 40))
  assert.deepEqual([values['nvml_device_count'], values['nvml_mem_free'], values['nvml_fan_speed_percent']],
    [2, 900, 40])
})

test('records of unknown formats are counted', () => {
  const { receive, counters, context: { counts } } = receiver()
  receive(sflow(tlv(2, u32(31, 4, 3), tlv(2200, u32(1)), tlv(5, u32(20)), tlv(2200))))
  assert.deepEqual(counters[0].values, { vlan_id: 20 })
  assert.deepEqual([...counts.counterRecords], [[2200, 2]])
})

test('no two records have a value of the same name', () => {
  const words = Object.values(COUNTER_LISTS).flatMap((list) => list.split(/\s+/).filter(Boolean))
  const names = words.map((word) => word.split(':')[0])
  assert.ok(names.length > 300)
  assert.equal(new Set(names).size, names.length)
  for (const name of names) assert.match(name, /^[a-z][a-z0-9_]*$/)
})

test('a float is the shortest decimal that stands for it', () => {
  // 0.01, 16777216, 3.4028235e38, and infinity, which is no load
  const loadsOf = (text: string) => {
    const values = valuesOf(2003, hex(text), u32(...new Array<number>(17).fill(0)))
    return [values['load_one'], values['load_five'], values['load_fifteen']]
  }
  assert.deepEqual(loadsOf('3c23d70a 4b800000 7f7fffff'), [0.01, 16_777_216, 3.4028235e38])
  assert.deepEqual(loadsOf('7f800000 7fc00000 00000000'), [undefined, undefined, 0])
})
