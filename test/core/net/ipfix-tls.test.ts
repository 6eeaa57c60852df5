import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import type { IpfixListener } from '../../../core/net/ipfix-stream.ts'
import { makeAuthority, noCertificates, type Authority, type Certified } from '../../support/certificates.ts'
import { dial, listen, message } from './ipfix-streams.ts'

const skip = noCertificates

let authority: Authority
let stranger: Authority
let server: Certified
let exporter: Certified

before(() => {
  if (skip !== false) return
  authority = makeAuthority('authority')
  stranger = makeAuthority('stranger')
  server = authority.certify('collector')
  exporter = authority.certify('exporter')
})

after(() => {
  authority?.end()
  stranger?.end()
})

/** A TLS connection; it has written a message, and its errors are those of `closed`. */
function call(
  { endpoint }: IpfixListener, options: ConnectionOptions = {},
): { socket: TLSSocket, closed: Promise<string | undefined> } {
  const socket = connect({ port: endpoint.port, host: '127.0.0.1', ca: authority.ca, ...options })
  let code: string | undefined
  socket.on('error', (error: NodeJS.ErrnoException) => { code ??= error.code })
  socket.resume()
  socket.once('secureConnect', () => socket.write(message(16, 1)))
  return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve(code))) }
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`messages come by ${version}, and the connection ends without fault`, { skip }, async () => {
    const it = await listen({ tls: server })
    const { socket, closed } = call(it, { minVersion: version, maxVersion: version })
    await it.until(() => it.messages.length === 1)
    assert.equal(socket.getProtocol(), version)
    const { port } = it.messages[0]
    assert.equal(port, socket.localPort)
    const long = message(65_535, 2)
    socket.end(Buffer.concat([long, long.subarray(0, 4)]).subarray(0, 65_535))
    assert.equal(await closed, undefined)
    await it.until(() => it.closed.length === 1)
    assert.deepEqual(it.messages[1].bytes, long)
    assert.deepEqual(it.counters, {
      accepted: 1, refused: 0, closed: 1, faults: 0, messages: 2, bytes: 16 + 65_535,
    })
  })
}

test('an exporter with a certificate of the authority is let in, others are not', { skip }, async () => {
  const it = await listen({ tls: { ...server, ca: authority.ca } })
  const known = call(it, { ...exporter })
  await it.until(() => it.messages.length === 1)
  known.socket.end()
  await known.closed
  const untrusted = 'it has ended, or its certificate is not trusted'
  for (const [identity, reason] of [
    [{}, 'peer did not return a certificate'], [stranger.certify('exporter'), untrusted],
  ] as const) {
    const { socket, closed } = call(it, identity)
    await once(socket, 'connect')
    const port = socket.localPort
    await closed
    await it.until(() => it.faults.length === 1)
    assert.deepEqual(it.faults.splice(0), [
      { code: 'ERR_MALFORMED', message: `Cannot open TLS connection: ${reason}`, port },
    ])
  }
  assert.deepEqual([it.messages.length, it.closed.length, it.counters.faults], [1, 1, 2])
})

test('what is older than TLS 1.2, and what is no TLS, is refused', { skip }, async () => {
  const it = await listen({ tls: server })
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  assert.ok(await call(it, old).closed)
  await it.until(() => it.counters.faults === 1)
  const plain = await dial(it)
  plain.write(message(16, 1))
  await plain.ended
  await it.until(() => it.counters.faults === 2)
  assert.deepEqual([it.messages.length, it.closed.length], [0, 0])
  assert.deepEqual(it.faults.map(({ message }) => message), [
    'Cannot open TLS connection: unsupported protocol', 'Cannot open TLS connection: wrong version number',
  ])
  await it.until(() => it.connections === 0)
})

test('connections that are still without TLS count, time out, and are closed', { skip }, async () => {
  const it = await listen({ tls: server }, { connections: 1, partial: 1 })
  const silent = await dial(it)
  const refused = await dial(it)
  await refused.ended
  assert.equal(it.counters.refused, 1)
  await silent.ended
  await it.until(() => it.connections === 0)
  assert.deepEqual(it.faults.map(({ message, port }) => [message, port]), [
    ['Cannot open TLS connection: TLS handshake timeout', silent.port],
  ])
  ;(await dial(it)).end()
  await it.until(() => it.faults.length === 2)
  assert.equal(it.faults[1].message, 'Cannot open TLS connection: it has ended')
  const last = await dial(it)
  await it.until(() => it.connections === 1)
  await it.close()
  await last.ended
  assert.deepEqual([it.closed.length, it.connections, it.counters.faults], [0, 0, 2])
})

test('a paused listener takes nothing by TLS', { skip }, async () => {
  const it = await listen({ tls: server })
  it.pause()
  const { socket } = call(it)
  const burst = Buffer.concat(Array.from({ length: 200 }, () => message(60_000, 2)))
  await once(socket, 'secureConnect')
  socket.write(burst)
  const other = await listen({ tls: server })
  const ping = call(other)
  await once(ping.socket, 'secureConnect')
  ping.socket.write(burst)
  await other.until(() => other.messages.length === 201)
  assert.equal(it.counters.bytes, 0)
  it.resume()
  await it.until(() => it.messages.length === 201)
})

test('a key that does not belong to the certificate is refused', { skip }, async () => {
  await assert.rejects(listen({ tls: { key: exporter.key, cert: server.cert } }), {
    code: 'ERR_OPTION', message: 'Cannot use key and certificates of TLS: key values mismatch',
  })
  await assert.rejects(listen({ tls: { key: 'none', cert: server.cert } }), { code: 'ERR_OPTION' })
})
