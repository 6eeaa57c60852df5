import { test } from 'node:test'
import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { formatEndpoint, listenUdp, parseEndpoint } from '../../../core/net/udp.ts'

test('parseEndpoint() takes a port, an address and a port, and a URL', () => {
  for (const [text, address, port] of [
    ['2055', '::', 2055], ['udp://4739', '::', 4739], ['127.0.0.1:6343', '127.0.0.1', 6343],
    ['[::1]:0', '::1', 0], ['udp://[2001:db8::1]:65535', '2001:db8::1', 65535], ['udp://:2055', '::', 2055],
  ] as const) {
    assert.deepEqual(parseEndpoint(text), { address, port })
  }
  const wanted = '[udp://][ADDRESS:]PORT such as 2055 or [::1]:4739'
  for (const text of [
    '', 'x', '65536', '1.2.3:1', '::1:2055', '[::1]', '256.0.0.1:1', '127.0.0.1:', 'udp://host:1',
  ]) {
    const message = `Cannot listen on "${text}": expected ${wanted}`
    assert.throws(() => parseEndpoint(text), { code: 'ERR_OPTION', message })
  }
  const message = /listens on udp:\/\/ only/
  assert.throws(() => parseEndpoint('tls://127.0.0.1:1'), { code: 'ERR_OPTION', message })
})

test('formatEndpoint() puts IPv6 addresses in brackets', () => {
  assert.equal(formatEndpoint({ address: '::1', port: 1 }), 'udp://[::1]:1')
  assert.equal(formatEndpoint({ address: '127.0.0.1', port: 2 }), 'udp://127.0.0.1:2')
})

test('listenUdp() hands over payload, address and port of what is sent to it', async () => {
  const got = Promise.withResolvers<[string, string, number]>()
  const listener = await listenUdp({ address: '127.0.0.1', port: 0 }, 65536, (payload, address, port) => {
    got.resolve([Buffer.from(payload).toString(), address, port])
  })
  assert.ok(listener.receiveBuffer > 0)
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.2', () => socket.send('hello', listener.endpoint.port, '127.0.0.1'))
  const [payload, address, port] = await got.promise
  assert.deepEqual([payload, address, port], ['hello', '127.0.0.2', socket.address().port])
  socket.close()
  await listener.close()
})

test('listenUdp() fails where the port is taken', async () => {
  const first = await listenUdp({ address: '127.0.0.1', port: 0 }, 65536, () => {})
  await assert.rejects(listenUdp(first.endpoint, 65536, () => {}), { code: 'EADDRINUSE' })
  await first.close()
})
