import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import { ID } from '../../../core/flow/fields.ts'
import { newLoss } from '../../../core/flow/loss.ts'
import { spoofLane, udpLane, type LaneOptions } from '../../../core/net/lanes.ts'
import type { UdpSender } from '../../../core/net/send.ts'
import { DEFAULT_EXPORT } from '../../../core/netflow/encode/export-streams.ts'
import { batchOf } from '../netflow/encode/rows.ts'
import { micros, type Row } from '../netflow/messages.ts'

const AT = micros('2026-11-20T09:00:00Z')
const V9: LaneOptions = { ...DEFAULT_EXPORT, version: { version: 9 } }

/** A sender that keeps the datagrams, and of each who it is from. */
function keeper(): UdpSender & { readonly datagrams: Buffer[], readonly sources: number[] } {
  const datagrams: Buffer[] = []
  const sources: number[] = []
  const keep = (bytes: Uint8Array, source: number) => {
    datagrams.push(Buffer.from(bytes))
    sources.push(source)
  }
  return {
    datagrams, sources,
    destination: { name: 'udp://192.0.2.1:9', protocol: 'udp', host: '192.0.2.1', port: 9 },
    address: '192.0.2.2', family: 4, counts: { sent: 0, failed: 0 }, reason: '',
    send: (bytes) => keep(bytes, 0),
    sendFrom: ({ v4 }, bytes) => void keep(bytes, v4),
    async ready() {},
    async close() {},
  }
}

function flow(exporter: Row = {}): FlowBatch {
  const fields = { src_addr: '10.0.0.1', dst_addr: '10.0.0.2', proto: 6, bytes: 100, packets: 1, flow_end: AT }
  return batchOf({ fields: { ...fields, ...exporter } })
}

/** Ids of the sets of a message of v9. */
function setsOf(message: Buffer): number[] {
  const ids: number[] = []
  for (let at = 20; at < message.length; at += message.readUInt16BE(at + 2)) {
    ids.push(message.readUInt16BE(at))
  }
  return ids
}

test('what goes to several senders is encoded once', () => {
  const [one, other] = [keeper(), keeper()]
  const lane = udpLane([one, other], V9)
  lane.encode(flow())
  lane.flush()
  assert.equal(lane.messages, 1)
  assert.deepEqual(setsOf(one.datagrams[0]), [0, 260])
  assert.deepEqual(other.datagrams, one.datagrams)
})

test('templates are sent again as time goes by, though flows are all of one moment', () => {
  for (const [templateRefresh, again] of [[0, [0, 260]], [3600e6, [260]]] as const) {
    const sender = keeper()
    const lane = udpLane([sender], { ...V9, templateRefresh })
    for (let round = 0; round < 3; round++) {
      lane.encode(flow())
      lane.flush()
    }
    assert.deepEqual(sender.datagrams.slice(1).map(setsOf), [again, again])
  }
})

test('to spoof, flows are sent by the exporters of their own family, and the others by this machine', () => {
  const sender = keeper()
  const lane = spoofLane([sender], { ...V9, version: { version: 5 } })
  for (const exporter_addr of ['192.0.2.7', '2001:db8::7', '192.0.2.8']) lane.encode(flow({ exporter_addr }))
  lane.encode(flow())
  lane.flush()
  assert.deepEqual(sender.sources, [0xc0000207, 0xc0000208, 0])
  assert.deepEqual(sender.datagrams.map((datagram) => datagram.readUInt16BE(2)), [1, 1, 2])
  assert.deepEqual([lane.others, lane.messages], [1, 3])
  assert.equal(lane.addLoss(newLoss()).leftOut[ID.exporterAddr], 1)
})
