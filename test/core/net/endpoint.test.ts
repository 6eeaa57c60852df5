import { test } from 'node:test'
import assert from 'node:assert/strict'
import { formatEndpoint, parseEndpoint } from '../../../core/net/endpoint.ts'

test('parseEndpoint() takes a port, an address and a port, and a URL', () => {
  for (const [text, address, port] of [
    ['2055', '::', 2055], ['udp://4739', '::', 4739], ['127.0.0.1:6343', '127.0.0.1', 6343],
    ['[::1]:0', '::1', 0], ['udp://[2001:db8::1]:65535', '2001:db8::1', 65535], ['udp://:2055', '::', 2055],
  ] as const) {
    assert.deepEqual(parseEndpoint(text), { protocol: 'udp', address, port })
  }
  assert.deepEqual(parseEndpoint('tls://[::1]:4740'), { protocol: 'tls', address: '::1', port: 4740 })
  const wanted = '[udp://|tcp://|tls://][ADDRESS:]PORT such as 2055 or [::1]:4739'
  for (const text of [
    '', 'x', '65536', '1.2.3:1', '::1:2055', '[::1]', '256.0.0.1:1', '127.0.0.1:', 'udp://host:1', 'http://127.0.0.1:80',
  ]) {
    const message = `Cannot listen on "${text}": expected ${wanted}`
    assert.throws(() => parseEndpoint(text), { code: 'ERR_OPTION', message })
  }
})

test('formatEndpoint() puts IPv6 addresses in brackets', () => {
  assert.equal(formatEndpoint({ address: '::1', port: 1 }), 'udp://[::1]:1')
  assert.equal(formatEndpoint({ address: '127.0.0.1', port: 2 }, 'tcp'), 'tcp://127.0.0.1:2')
})
