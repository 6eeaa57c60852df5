import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { afterEach, test } from 'node:test'
import { openUdpBlaster, type UdpBlaster } from '../../../core/net/udp-blast.ts'

const skip = networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6') ? false : 'no IPv6 here'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

/** A socket of Node's own, to receive by. */
async function listenAt(address: string): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').bind(0, address)
  await once(socket, 'listening')
  open.push(socket)
  return socket
}

async function blasterTo(
  address: string, port: number, bytes: Uint8Array, offsets: readonly number[], source?: string,
): Promise<UdpBlaster> {
  const prepared = { bytes, offsets: Uint32Array.from(offsets) }
  const blaster = await openUdpBlaster({ address, port, ...prepared, ...source && { source } })
  open.push(blaster)
  return blaster
}

for (const [address, source] of [['127.0.0.1', '127.0.0.77'], ['::1', '::1']]) {
  test(`send() sends what was prepared to ${address}`, { skip: address === '::1' && skip }, async () => {
    const socket = await listenAt(address)
    const bytes = Buffer.from('one, two, three').subarray(5) // begins inside its buffer
    const blaster = await blasterTo(address, socket.address().port, bytes, [0, 3, 5, 5, 10], source)
    const got: string[] = []
    const done = Promise.withResolvers<void>()
    socket.on('message', (message: Buffer, from: RemoteInfo) => {
      assert.deepEqual({ address: from.address, port: from.port }, blaster.endpoint)
      if (got.push(message.toString()) === 4) done.resolve()
    })
    assert.equal(blaster.endpoint.address, source)
    assert.equal(blaster.send(1, 4), 3)
    bytes.write('TWO')
    assert.equal(blaster.send(0, 1), 1)
    await done.promise
    assert.deepEqual(got, [', ', '', 'three', 'TWO'])
    assert.deepEqual(blaster.counts, { sent: 4, calls: 2, partial: 0, full: 0, refused: 0 })
  })
}

test('send() gives the kernel no more datagrams than it takes at once', async () => {
  const socket = await listenAt('127.0.0.1')
  const { port } = socket.address()
  const blaster = await blasterTo('127.0.0.1', port, new Uint8Array(), new Array(1501).fill(0)) // all empty
  assert.equal(blaster.wait(10_000), true)
  assert.equal(blaster.send(0, 1500), 1024)
  assert.equal(blaster.send(1024, 1500), 476)
  assert.equal(blaster.send(1500, 1500), 0)
  assert.deepEqual(blaster.counts, { sent: 1500, calls: 3, partial: 0, full: 0, refused: 0 })
})

test('send() counts a call that took a part, and throws at a datagram that cannot be sent', async () => {
  const socket = await listenAt('127.0.0.1')
  const offsets = [0, 10, 65_600, 65_610] // the second is longer than UDP can be
  const blaster = await blasterTo('127.0.0.1', socket.address().port, new Uint8Array(65_610), offsets)
  assert.equal(blaster.send(0, 3), 1)
  assert.throws(() => blaster.send(1, 3), { code: 'EMSGSIZE', syscall: 'sendmmsg' })
  assert.equal(blaster.send(2, 3), 1)
  assert.deepEqual(blaster.counts, { sent: 2, calls: 3, partial: 1, full: 0, refused: 0 })
})

test('send() goes on where nobody listens, and counts it', async () => {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const { port } = socket.address()
  socket.close()
  await once(socket, 'close')
  const blaster = await blasterTo('127.0.0.1', port, new Uint8Array(1), [0, 1])
  while (blaster.counts.refused < 2) blaster.send(0, 1)
  const { sent, calls, refused } = blaster.counts
  assert.equal(sent + refused, calls)
})

test('send() and openUdpBlaster() refuse numbers that lie outside', async () => {
  const bytes = new Uint8Array(10)
  for (const offsets of [[], [0, 11], [5, 4], [0, 6, 5, 10]]) {
    await assert.rejects(blasterTo('127.0.0.1', 9, bytes, offsets), RangeError)
  }
  const blaster = await blasterTo('127.0.0.1', 9, bytes, [0, 10])
  for (const [from, to] of [[-1, 1], [0, 2], [1, 0], [Number.NaN, 1]]) {
    assert.throws(() => blaster.send(from, to), RangeError)
  }
  blaster.close()
  blaster.close()
  assert.throws(() => blaster.send(0, 1), TypeError)
})
