import assert from 'node:assert/strict'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { afterEach, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { parseDestination } from '../../../core/net/send.ts'
import { leadsBack, nodeForwarder, openForwarder, type Forwarder } from '../../../core/net/udp-forward.ts'
import type { DatagramBatch } from '../../../core/net/udp-receiver.ts'

const noV6 = networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6') ? false : 'no IPv6 here'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

interface Listener {
  readonly port: number
  /** Resolves with the next datagrams, and the port they come from. */
  next(count: number): Promise<{ texts: string[], port: number }>
}

async function listenAt(address: string): Promise<Listener> {
  const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').bind(0, address)
  await once(socket, 'listening')
  open.push(socket)
  const messages: [Buffer, { port: number }][] = []
  socket.on('message', (message, from) => messages.push([message, from]))
  return {
    port: socket.address().port,
    async next(count) {
      while (messages.length < count) await once(socket, 'message')
      const taken = messages.splice(0, count)
      return { texts: taken.map(([message]) => message.toString()), port: taken[0][1].port }
    },
  }
}

/** A batch of these payloads, each in a slot of `slot` bytes. */
function batchOf(payloads: readonly string[], slot = 16): DatagramBatch {
  const rows = payloads.length
  const batch: DatagramBatch = {
    bytes: new Uint8Array(rows * slot), start: new Uint32Array(rows), end: new Uint32Array(rows),
    source: { family: new Uint8Array(rows), v4: new Uint32Array(rows), v6: new Uint8Array(0) },
    sourcePort: new Uint16Array(rows), received: new Float64Array(rows), truncated: new Uint8Array(rows),
  }
  for (const [row, payload] of payloads.entries()) {
    batch.bytes.set(Buffer.from(payload), row * slot)
    batch.start[row] = row * slot
    batch.end[row] = row * slot + payload.length
  }
  return batch
}

function destination(address: string, port: number): ReturnType<typeof parseDestination> {
  return parseDestination(`udp://${address.includes(':') ? `[${address}]` : address}:${port}`)
}

for (const address of ['127.0.0.1', '::1']) {
  const skip = address === '::1' && noV6
  test(`the rows that are told go to ${address}, as they are`, { skip }, async () => {
    const listener = await listenAt(address)
    const forwarder = await openForwarder(destination(address, listener.port), assert.fail)
    open.push(forwarder)
    assert.deepEqual(forwarder.endpoint, { address, port: listener.port })
    forwarder.forward(batchOf(['zero', 'one', '', 'three']), Uint32Array.of(3, 0, 2, 1), 3)
    assert.deepEqual((await listener.next(3)).texts, ['three', 'zero', ''])
    forwarder.forward(batchOf(['again']), Uint32Array.of(0), 1)
    assert.deepEqual((await listener.next(1)).texts, ['again'])
    assert.deepEqual({ ...forwarder.counts }, { sent: 4, dropped: 0 })
  })
}

test('a batch that is larger than one call takes is sent as a whole', async () => {
  const listener = await listenAt('127.0.0.1')
  const forwarder = await openForwarder(destination('127.0.0.1', listener.port), assert.fail)
  open.push(forwarder)
  const texts = Array.from({ length: 600 }, (_, i) => `${i}`)
  const rows = Uint32Array.from(texts, (_, i) => i)
  forwarder.forward(batchOf(texts, 4), rows, 600)
  assert.equal(forwarder.counts.sent, 600)
  // the receiver's buffer may have room for fewer
  assert.deepEqual((await listener.next(100)).texts, texts.slice(0, 100))
})

test('what is too long for UDP is dropped and told once, and the others are sent', async () => {
  const listener = await listenAt('127.0.0.1')
  const told: NodeJS.ErrnoException[] = []
  const forwarder = await openForwarder(destination('127.0.0.1', listener.port), (error) => told.push(error))
  open.push(forwarder)
  const batch = batchOf(['a', 'x'.repeat(65_508), 'b', 'x'.repeat(65_535), 'c'], 65_536) // 65,507 is the most
  forwarder.forward(batch, Uint32Array.of(0, 1, 2, 3, 4), 5)
  assert.deepEqual((await listener.next(3)).texts, ['a', 'b', 'c'])
  assert.deepEqual({ ...forwarder.counts }, { sent: 3, dropped: 2 })
  assert.deepEqual(told.map(({ code }) => code), ['EMSGSIZE'])
})

test('that nobody listens there is no fault', async () => {
  const listener = await listenAt('127.0.0.1')
  open.splice(0).forEach((each) => each.close())
  const forwarder = await openForwarder(destination('127.0.0.1', listener.port), assert.fail)
  open.push(forwarder)
  for (let i = 0; i < 5; i++) forwarder.forward(batchOf(['a', 'b']), Uint32Array.of(0, 1), 2)
  assert.deepEqual({ ...forwarder.counts }, { sent: 10, dropped: 0 })
})

test('without the C library, datagrams go by Node\'s sockets, as many as those hold', async () => {
  const listener = await listenAt('127.0.0.1')
  const endpoint = { address: '127.0.0.1', port: listener.port }
  const forwarder: Forwarder = nodeForwarder(destination('127.0.0.1', listener.port), endpoint, assert.fail)
  open.push(forwarder)
  const batch = batchOf(['zero', 'one', 'two'])
  forwarder.forward(batch, Uint32Array.of(2, 1), 2)
  batch.bytes.fill(0) // it is received into again
  assert.deepEqual((await listener.next(2)).texts, ['two', 'one'])
  while (forwarder.counts.sent < 2) await turn()
  const many = new Uint32Array(2000)
  forwarder.forward(batch, many, many.length)
  assert.equal(forwarder.counts.dropped, 2000 - 1024)
})

test('a way back to where is listened is found', async () => {
  const own = [{ address: '::', port: 2055 }, { address: '127.0.0.5', port: 4739 }]
  assert.equal(await leadsBack({ address: '127.0.0.1', port: 2055 }, own), true)
  assert.equal(await leadsBack({ address: '127.0.0.1', port: 2056 }, own), false)
  assert.equal(await leadsBack({ address: '127.0.0.5', port: 4739 }, own), true)
  assert.equal(await leadsBack({ address: '127.0.0.6', port: 4739 }, own), false)
  assert.equal(await leadsBack({ address: '192.0.2.1', port: 2055 }, own), false)
})
