import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatIpv4, formatIpv6 } from '../../../../core/flow/address.ts'
import type { FlowBatch } from '../../../../core/flow/batch.ts'
import { ID } from '../../../../core/flow/fields.ts'
import { SAMPLING_SOURCE } from '../../../../core/flow/names.ts'
import { lossByField, newLoss } from '../../../../core/flow/loss.ts'
import { captureEncoder, collectorPort } from '../../../../core/netflow/encode/capture.ts'
import {
  DEFAULT_EXPORT, exportStreams, type EmitFrom, type ExportOptions,
} from '../../../../core/netflow/encode/export-streams.ts'
import { dropField } from '../../../../core/flow/reshape.ts'
import { setSampling } from '../../../../core/netflow/encode/set-sampling.ts'
import { DatagramReader } from '../../../../core/pcap/datagrams.ts'
import { EXPORTED, RECEIVED, rows, type Row } from '../messages.ts'
import { batchOf } from './rows.ts'

const FLOW: Row = {
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', proto: 6, packets: 10, bytes: 5000,
  flow_start: RECEIVED - 2e6, flow_end: RECEIVED - 1e6, received: RECEIVED,
}

/** Flows that differ from FLOW. */
function flows(...changes: readonly Row[]): FlowBatch {
  return batchOf(...changes.map((change) => ({ fields: { ...FLOW, ...change } })))
}

interface Sent {
  readonly source: string
  readonly time: number
  readonly view: DataView
}

/** The datagrams that batches become. */
function exported(options: Partial<ExportOptions>, ...batches: readonly FlowBatch[]): Sent[] {
  const streams = exportStreams({ ...DEFAULT_EXPORT, byExporter: true, ...options })
  const sent: Sent[] = []
  const emit: EmitFrom = (datagram, { family, v4, v6 }, time) => {
    const source = family === 4 ? formatIpv4(v4) : formatIpv6(v6, 0)
    sent.push({ source, time, view: new DataView(datagram.slice().buffer) })
  }
  for (const batch of batches) {
    streams.encode(batch, emit)
    streams.flush(emit)
  }
  return sent
}

const V5 = { version: { version: 5 } } as const

test('each exporter sends its flows, and counts for itself', () => {
  const batch = () => flows(
    { exporter_addr: '192.0.2.7' }, { exporter_addr: '2001:db8::7' }, { exporter_addr: '192.0.2.7' }, {},
  )
  const sent = exported(V5, batch(), batch())
  assert.deepEqual(sent.map(({ source, view }) => [source, view.getUint16(2), view.getUint32(16)]), [
    ['192.0.2.7', 2, 0], ['2001:db8::7', 1, 0], ['192.0.2.1', 1, 0],
    ['192.0.2.7', 2, 2], ['2001:db8::7', 1, 1], ['192.0.2.1', 1, 1],
  ])
})

test('one exporter sends all flows where they are not told apart, but engines count for themselves', () => {
  const batch = () => flows(
    { exporter_addr: '192.0.2.7', engine_type: 1, engine_id: 2 }, { exporter_addr: '192.0.2.8' },
    { exporter_addr: '192.0.2.9', engine_type: 1, engine_id: 2 },
  )
  const all = { ...V5, byExporter: false }
  const headers = exported(all, batch(), batch()).map(({ view }) => {
    return [view.getUint16(20), view.getUint16(2), view.getUint32(16)]
  })
  assert.deepEqual(headers, [[0x102, 2, 0], [0, 1, 0], [0x102, 2, 2], [0, 1, 1]])
  const ipfix = exported({ byExporter: false }, batch())
  assert.equal(ipfix.length, 1)
})

test('the exporter counts as lost only where neither source nor record tells it', () => {
  for (const [byExporter, version, lost] of [
    [false, 5, ['exporter_addr']], [true, 5, []], [false, 10, []], [true, 10, []],
  ] as const) {
    const streams = exportStreams({ ...DEFAULT_EXPORT, byExporter, version: { version } })
    streams.encode(flows({ exporter_addr: '192.0.2.7' }), () => {})
    assert.deepEqual(lossByField(streams.addLoss(newLoss())).map(({ name }) => name), lost)
  }
})

test('datagrams have the time of their header: of v5 in ms, of v9 and IPFIX in seconds', () => {
  const time = (version: ExportOptions['version']) => exported({ version }, flows({})).map(({ time }) => time)
  assert.deepEqual(time({ version: 5 }), [RECEIVED])
  assert.deepEqual(time({ version: 9 }), [EXPORTED * 1e6 + 1e6])
  assert.deepEqual(time({ version: 10 }), [EXPORTED * 1e6 + 1e6])
})

test('sFlow, which receivers date by receipt, is sent second by second', () => {
  const batch = flows(
    {}, { received: RECEIVED + 1 }, { received: RECEIVED + 1e6 },
    { received: RECEIVED + 1e6, exporter_addr: '192.0.2.7' },
  )
  const sent = exported({ version: 'sflow' }, batch)
  assert.deepEqual(sent.map(({ source, time, view }) => [source, time, view.getUint32(24)]), [
    ['192.0.2.1', RECEIVED + 1, 2], ['192.0.2.1', RECEIVED + 1e6, 1], ['192.0.2.7', RECEIVED + 1e6, 1],
  ])
})

test('each observation domain goes on where that is wanted, and counts for itself', () => {
  const batch = () => flows(
    { observation_domain_id: 7 }, { observation_domain_id: 4294967295 }, { observation_domain_id: 7 }, {},
    { observation_domain_id: 7, exporter_addr: '192.0.2.7' },
  )
  const domains = (byDomain: boolean, version: 9 | 10): number[][] => {
    const sent = exported({ byDomain, domain: 5, version: { version } }, batch(), batch())
    const at = version === 9 ? [16, 12] : [12, 8]
    return sent.map(({ view }) => at.map((offset) => view.getUint32(offset)))
  }
  assert.deepEqual(domains(true, 10), [
    [7, 0], [4294967295, 0], [5, 0], [7, 0], [7, 2], [4294967295, 1], [5, 1], [7, 1],
  ])
  assert.deepEqual(domains(true, 9).map(([domain]) => domain), [7, 4294967295, 5, 7, 7, 4294967295, 5, 7])
  assert.deepEqual(domains(false, 10), [[5, 0], [5, 0], [5, 4], [5, 1]])
})

test('a version that cannot have so small datagrams is refused at once', () => {
  assert.throws(() => exportStreams({ ...DEFAULT_EXPORT, byExporter: true, maxSize: 60, ...V5 }), RangeError)
})

test('a capture has the datagrams of several exporters in order', () => {
  const encoder = captureEncoder({ ...DEFAULT_EXPORT, ...V5 }, 'pcap')
  const reader = new DatagramReader()
  reader.capture.push(encoder.encode(flows(
    { exporter_addr: '192.0.2.7', received: RECEIVED + 5e6 }, { exporter_addr: '192.0.2.8' },
  )).slice())
  reader.capture.push(encoder.encode(flows({ exporter_addr: '192.0.2.7', received: RECEIVED + 6e6 })).slice())
  reader.capture.push(encoder.finish().slice())
  const found: [string, number][] = []
  while (reader.next()) found.push([formatIpv4(reader.srcAddr), reader.capture.packet.time])
  assert.deepEqual(found, [
    ['192.0.2.8', RECEIVED], ['192.0.2.7', RECEIVED + 5e6], ['192.0.2.7', RECEIVED + 6e6],
  ])
  assert.equal(encoder.datagrams, 3)
  assert.equal(encoder.loss().rows.ipv6, 0)
})

test('messages go to the port of their protocol', () => {
  const ports = [[0, 5], [0, 9], [0, 10], [0, 0, 0, 5]].map((bytes) => collectorPort(Uint8Array.from(bytes)))
  assert.deepEqual(ports, [2055, 2055, 4739, 6343])
})

test('a sampling rate is given to the flows that have none', () => {
  const batch = flows({ sampling_rate: 7 }, {})
  setSampling(batch, 100)
  assert.deepEqual(rows(batch).map((row) => [row['sampling_rate'], row['sampling_source']]), [
    [7, undefined], [100, SAMPLING_SOURCE.config],
  ])
  dropField(batch, ID.samplingRate)
  assert.deepEqual(rows(batch).map((row) => row['sampling_rate']), [undefined, undefined])
})
