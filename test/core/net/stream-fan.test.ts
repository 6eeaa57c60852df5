import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDestination } from '../../../core/net/send.ts'
import { openStreamFan } from '../../../core/net/stream-fan.ts'
import { openStreamSender } from '../../../core/net/stream-sender.ts'
import type { Source } from '../../../core/pcap/write.ts'
import { listen, message, type Told } from './ipfix-streams.ts'

const { signal } = new AbortController()

function exporter(v4: number, port: number = 50_000): Source {
  return { family: 4, v4, v6: new Uint8Array(16), port }
}

/** A message whose first set has that id. */
function messageOf(set: number): Buffer {
  const bytes = message(24, 0)
  bytes.writeUInt16BE(set, 16)
  bytes.writeUInt16BE(8, 18)
  return bytes
}

function fanTo({ endpoint: { port } }: Pick<Told, 'endpoint'>): ReturnType<typeof openStreamFan> {
  const open = (from?: string) => openStreamSender({ host: '127.0.0.1', port, ...from !== undefined && { from } })
  return openStreamFan(parseDestination(`tcp://127.0.0.1:${port}`, ['tcp']), open, signal)
}

test('each exporter and port has a connection, and on loopback each exporter an address', {
  skip: process.platform !== 'linux',
}, async () => {
  const it = await listen()
  const fan = await fanTo(it)
  for (const source of [exporter(10), exporter(11), exporter(10), exporter(10, 50_001)]) {
    await fan.sendFrom(source, messageOf(2))
  }
  await fan.ready()
  await fan.close()
  await it.until(() => it.closed.length === 3)
  assert.deepEqual(it.closed.map(({ address }) => address).sort(), ['127.0.0.1', '127.0.0.1', '127.0.0.2'])
  assert.deepEqual([it.messages.length, fan.counts], [4, { sent: 4, failed: 0 }])
})

test('a lost connection loses messages up to the next templates', async () => {
  const it = await listen()
  const fan = await fanTo(it)
  await fan.sendFrom(exporter(10), messageOf(2))
  await it.until(() => it.messages.length === 1)
  await it.close()
  while (fan.reason === '') { // until it is learned
    await fan.sendFrom(exporter(10), messageOf(300))
    await fan.ready()
  }
  await fan.sendFrom(exporter(10), messageOf(300))
  const { sent, failed } = fan.counts
  assert.ok(failed >= 1 && failed < sent)
  const again = await listen({ port: it.endpoint.port })
  await fan.sendFrom(exporter(10), messageOf(300))
  await fan.sendFrom(exporter(10), messageOf(2))
  await fan.sendFrom(exporter(10), messageOf(300))
  await fan.close()
  await again.until(() => again.closed.length === 1)
  assert.deepEqual(again.messages.map(({ bytes }) => bytes.readUInt16BE(16)), [2, 300])
  assert.deepEqual(fan.counts, { sent: sent + 3, failed: failed + 1 })
})

test('that there is no collector at first is an error', async () => {
  const it = await listen()
  await it.close()
  const fan = await fanTo(it)
  await assert.rejects(async () => fan.sendFrom(exporter(10), messageOf(2)), { code: 'ECONNREFUSED' })
})
