import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import { openSender, parseDestination } from '../../../core/net/send.ts'

const V6 = new Uint8Array(16)

async function receiver(): Promise<Socket> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return socket
}

function destinationOf(socket: Socket): ReturnType<typeof parseDestination> {
  return parseDestination(`udp://127.0.0.1:${socket.address().port}`)
}

test('a destination is a URL with a host and a port', () => {
  const parts = (name: string) => Object.values(parseDestination(name)).slice(2)
  assert.deepEqual(parts('udp://192.0.2.1:2055'), ['192.0.2.1', 2055])
  assert.deepEqual(parts('udp://collector.example:4739/'), ['collector.example', 4739])
  assert.deepEqual(parts('udp://[2001:db8::1]:65535'), ['2001:db8::1', 65_535])
  for (const name of ['udp://x', 'udp://:1', 'udp://x:0', 'udp://x:65536', 'udp://::1:9', 'udp://a@x:1']) {
    assert.throws(() => parseDestination(name), {
      code: 'ERR_OPTION',
      message: `Cannot export to "${name}": expected udp://HOST:PORT such as udp://192.0.2.1:2055`,
    })
  }
})

test('a destination of a connection is one, if it is asked for', () => {
  const place = { protocol: 'tls', host: 'collector.example', port: 4740 }
  const name = 'TLS://collector.example:4740'
  assert.deepEqual(parseDestination(name, ['tcp', 'tls']), { name, ...place })
  assert.throws(() => parseDestination('tls://x:0', ['tls']), {
    message: 'Cannot export to "tls://x:0": expected tls://HOST:PORT such as tls://192.0.2.1:4740',
  })
  assert.throws(() => parseDestination('udp://x:1', ['tcp', 'tls']), {
    message: 'Cannot export to "udp://x:1": expected tcp:// or tls://HOST:PORT such as tcp://192.0.2.1:4739',
  })
})

test('datagrams are copied, sent and counted', async () => {
  const socket = await receiver()
  const sender = await openSender(destinationOf(socket))
  const payload = Uint8Array.of(1, 2, 3)
  sender.send(payload)
  payload.fill(9)
  const [received] = await once(socket, 'message') as [Buffer]
  assert.deepEqual([...received], [1, 2, 3])
  await sender.ready()
  await sender.close()
  assert.deepEqual([sender.address, sender.counts, sender.reason], ['127.0.0.1', { sent: 1, failed: 0 }, ''])
  socket.close()
})

test('on loopback each exporter has its address, and each of its ports a port', {
  skip: process.platform !== 'linux',
}, async () => {
  const socket = await receiver()
  const sender = await openSender(destinationOf(socket))
  const froms: RemoteInfo[] = []
  const exporters = [[10, 50_000], [11, 50_000], [10, 50_000], [10, 50_001]]
  for (const [v4, port] of exporters) {
    const message = once(socket, 'message')
    await sender.sendFrom({ family: 4, v4, v6: V6, port }, Uint8Array.of(1))
    froms.push((await message)[1] as RemoteInfo)
  }
  await sender.close()
  socket.close()
  assert.deepEqual(froms.map(({ address }) => address), ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.1'])
  assert.equal(froms[2].port, froms[0].port)
  assert.notEqual(froms[3].port, froms[0].port)
})

test('datagrams that nobody takes are counted', { skip: process.platform !== 'linux' }, async () => {
  const socket = await receiver()
  const destination = destinationOf(socket)
  socket.close()
  await once(socket, 'close')
  const sender = await openSender(destination)
  sender.send(Uint8Array.of(1))
  await sender.close()
  assert.deepEqual([sender.counts, sender.reason], [{ sent: 0, failed: 1 }, 'connection refused'])
})
