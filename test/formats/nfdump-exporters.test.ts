import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { ip4, ip6, join, pick, text } from '../core/netflow/messages.ts'
import { exporter, extension, flow, generic, le, NOWHERE, read, sampler, two64 } from './nfdump-files.ts'

test('the version of a record is its type, and its engine is told where the exporter has told it', () => {
  const v9 = exporter(1, 9, 0x1234, join(new Uint8Array(10), le(1, 255, 255), ip4('192.0.2.1')))
  const rows = read(
    v9, flow({ version: 5, engineType: 1, engineId: 7 }, generic()), flow({ version: 5 }, generic()),
    flow({ version: 9, engineType: 0x12, engineId: 0x34, sysid: 1 }, generic()), // nfcapd's: the source id
    flow({ version: 9, engineType: 0x12, engineId: 0x35, sysid: 1 }, generic()),
    flow({ version: 10 }, generic()), flow({ version: 0x85 }, generic()),
    flow({ version: 0x41, engineType: 0x11, engineId: 1 }, generic()), flow({ version: 0 }, generic()),
  )
  assert.deepEqual(pick(rows, 'type', 'engine_type', 'engine_id'), [
    { type: FLOW_TYPE.NETFLOW_V5, engine_type: 1, engine_id: 7 },
    { type: FLOW_TYPE.NETFLOW_V5, engine_type: 0, engine_id: 0 }, { type: FLOW_TYPE.NETFLOW_V9 },
    { type: FLOW_TYPE.NETFLOW_V9, engine_type: 0x12, engine_id: 0x35 }, { type: FLOW_TYPE.IPFIX },
    { type: FLOW_TYPE.SFLOW_5 }, { type: FLOW_TYPE.PACKETS }, {},
  ])
})

test('an exporter gives its flows address and observation domain, in the form of 1.7.1 and of 1.7.8', () => {
  const former = (sysid: number, family: number, address: Uint8Array) => join(
    le(2, 7, 32), le(4, 10), address, le(2, family, sysid), le(4, 42),
  )
  const rows = read(
    exporter(1, 9, 99, join(new Uint8Array(10), le(1, 255, 255), ip4('192.0.2.1'))),
    exporter(2, 10, 98, ip6('2001:db8::2')),
    former(3, 2, join(new Uint8Array(8), le(4, 0xc0000203, 0))), former(4, 10, two64('2001:db8::4')),
    exporter(5, 9999, 3, join(new Uint8Array(10), le(1, 255, 255), ip4('192.0.2.5'))),
    ...[1, 2, 3, 4, 5, 6].map((sysid) => flow({ sysid }, generic())),
    flow({ sysid: 1 }, generic(), extension(12, le(4, 0xc0000209)), extension(33, le(8, 1), le(4, 7, 0))),
  )
  assert.deepEqual(pick(rows, 'exporter_addr', 'observation_domain_id', 'sub_agent_id'), [
    { exporter_addr: '192.0.2.1', observation_domain_id: 99 },
    { exporter_addr: '2001:db8::2', observation_domain_id: 98 },
    { exporter_addr: '192.0.2.3', observation_domain_id: 42 },
    { exporter_addr: '2001:db8::4', observation_domain_id: 42 },
    { exporter_addr: '192.0.2.5', sub_agent_id: 3 }, {},
    { exporter_addr: '192.0.2.9', observation_domain_id: 7 },
  ])
})

const SAMPLING = ['sampling_rate', 'sampling_source', 'sampling_applied', 'packets'] as const

test('a flow has the rate that its exporter told last, and its flag says whether it is applied', () => {
  const rows = read(
    exporter(1, 9, 0, NOWHERE), flow({ sysid: 1 }, generic()), sampler(1, -1, 1, 99),
    flow({ sysid: 1, flags: 2 }, generic()), flow({ sysid: 1 }, generic()), sampler(1, -1, 2, 18),
    flow({ sysid: 1 }, generic()), flow({ sysid: 2, flags: 2 }, generic()),
  )
  const source = SAMPLING_SOURCE.options
  assert.deepEqual(pick(rows, ...SAMPLING), [
    { packets: 10 }, { sampling_rate: 100, sampling_source: source, sampling_applied: 1, packets: 10 },
    { sampling_rate: 100, sampling_source: source, packets: 10 },
    { sampling_rate: 10, sampling_source: source, packets: 10 },
    { sampling_applied: 1, packets: 10 },
  ])
})

test('a flow that names its sampler has the rate of that one, unless the collector was told one for all', () => {
  const named = (id: number) => flow({ sysid: 1 }, generic(), extension(18, le(8, id), le(8, 0)))
  const rows = read(
    exporter(1, 5, 0, NOWHERE), sampler(1, 7, 1, 6), flow({ sysid: 1 }, generic()), sampler(1, 8, 1, 7),
    sampler(1, -2, 1, 1), named(7), named(8), named(9), sampler(1, -1, 1, 3), named(9),
    sampler(1, -3, 1, 999), named(7),
  )
  assert.deepEqual(rows.map((row) => row['sampling_rate']), [7, 7, 8, 2, 4, 1000])
  const { header, config } = SAMPLING_SOURCE
  assert.deepEqual(rows.map((row) => row['sampling_source']), [header, header, header, config, header, config])
})

test('a sampler of 1.6 and 1.7.1 has one interval', () => {
  const former = join(le(2, 9, 16), le(4, -1 >>> 0, 100), le(2, 1, 1))
  const [row] = read(exporter(1, 5, 0, NOWHERE), former, flow({ sysid: 1 }, generic()))
  assert.deepEqual([row['sampling_rate'], row['sampling_algorithm']], [100, 1])
})

test('a sample of sFlow counts as many packets as its rate, whatever its exporter told first', () => {
  const rows = read(
    exporter(1, 9999, 0, NOWHERE), sampler(1, -1, 1, 511),
    flow({ sysid: 1, version: 0x85, flags: 2 }, generic({ packets: 2000 })),
    flow({ sysid: 1, version: 0x85, flags: 2 }, generic({ packets: 4000 }), extension(5, le(8, 2, 0, 0))),
  )
  assert.deepEqual(rows.map((row) => row['sampling_rate']), [2000, 512])
})

test('names of applications, interfaces and VRFs hold for the flows behind them', () => {
  const named = flow(
    {}, generic(), extension(4, le(4, 3, 4), new Uint8Array(8)), extension(27, le(1, 13, 0, 0, 1)),
    extension(36, le(4, 12, 11)),
  )
  const interfaces = (...names: readonly (readonly [number, string])[]) => join(
    le(2, 13, 12 + names.length * 12, names.length, 12), le(4, 8),
    ...names.map(([id, name]) => join(le(4, id), text(name, 8))),
  )
  const application = le(1, 13, 0, 0, 1)
  const applications = join(le(2, 12, 30, 1, 16), le(2, 4, 8, 4), application, text('dns', 8), text('..', 4))
  const former = join(
    le(2, 12, 30, 1, 0), le(2, 1, 22), le(2, 4, 4, 4), application, text('ssh', 4), text('..', 4),
  )
  const vrfs = join(le(2, 14, 24, 1, 12), le(4, 8), le(4, 11), text('red', 8))
  const rows = read(
    named, interfaces([3, 'eth3'], [4, 'eth4']), applications, vrfs, named, interfaces([3, 'ge-3']), former,
    named,
  )
  assert.deepEqual(pick(rows, 'in_if_name', 'out_if_name', 'application_name', 'src_vrf_name', 'dst_vrf_name'), [
    {}, { in_if_name: 'eth3', out_if_name: 'eth4', application_name: 'dns', src_vrf_name: 'red' },
    { in_if_name: 'ge-3', out_if_name: 'eth4', application_name: 'ssh', src_vrf_name: 'red' },
  ])
})
