import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openStreamSender } from '../../../core/net/stream-sender.ts'
import { makeAuthority, noCertificates, type Authority, type Certified } from '../../support/certificates.ts'
import { listen, message } from './ipfix-streams.ts'

const skip = noCertificates
const host = '127.0.0.1'

let authority: Authority
let server: Certified
let exporter: Certified

before(() => {
  if (skip !== false) return
  authority = makeAuthority('authority')
  server = authority.certify('collector')
  exporter = authority.certify('exporter')
})

after(() => authority?.end())

for (const isTls of [false, true]) {
  test(`messages are copied, sent by ${isTls ? 'TLS' : 'TCP'}, and all there once it is closed`, {
    skip: isTls && skip,
  }, async () => {
    const it = await listen(isTls ? { tls: { ...server, ca: authority.ca } } : {})
    const { port } = it.endpoint
    const tls = isTls && { tls: { ca: authority.ca, ...exporter } }
    const sender = await openStreamSender({ host, port, ...tls })
    const reused = Buffer.alloc(1400)
    for (let i = 0; i < 5000; i++) {
      message(1400, i & 255).copy(reused)
      sender.send(reused)
      if (i % 100 === 0) await sender.ready()
    }
    await sender.close()
    await it.until(() => it.closed.length === 1)
    assert.equal(sender.sent, 5000)
    assert.equal(it.messages.length, 5000)
    for (const [i, { bytes, port }] of it.messages.entries()) {
      assert.ok(bytes.equals(message(1400, i & 255)))
      assert.equal(port, sender.source.port)
    }
    assert.deepEqual([sender.source.address, it.faults], [host, []])
  })
}

test('ready() waits while the collector takes nothing', async () => {
  const it = await listen()
  it.pause()
  const sender = await openStreamSender({ host, port: it.endpoint.port })
  let isReady = true
  let count = 0
  while (isReady) {
    sender.send(message(60_000, 1))
    count++
    isReady = await Promise.race([sender.ready().then(() => true), stalled()])
  }
  it.resume()
  await sender.ready()
  await sender.close()
  await it.until(() => it.messages.length === count)
})

/** False after many turns of the event loop. */
async function stalled(): Promise<boolean> {
  for (let i = 0; i < 2000; i++) await new Promise((resolve) => setImmediate(resolve))
  return false
}

test('a connection that the collector closes is lost', async () => {
  const it = await listen()
  const { port } = it.endpoint
  const sender = await openStreamSender({ host, port })
  sender.send(message(16, 1))
  await it.until(() => it.messages.length === 1)
  await it.close()
  const reason = 'the collector has closed the connection'
  const lost = { code: 'ERR_INPUT', message: `Cannot send to ${host} port ${port}: ${reason}` }
  await assert.rejects(async () => { for (;;) await sender.ready() }, lost)
  assert.throws(() => sender.send(message(16, 2)), lost)
  await assert.rejects(sender.close(), lost)
  assert.equal(sender.sent, 1)
  await assert.rejects(openStreamSender({ host, port }), { code: 'ECONNREFUSED' })
})

test('a sender that waits for room learns that the connection is lost', async () => {
  const it = await listen()
  it.pause()
  const sender = await openStreamSender({ host, port: it.endpoint.port })
  await it.until(() => it.connections === 1)
  for (let i = 0; i < 500; i++) sender.send(message(60_000, 1))
  const waiting = assert.rejects(sender.ready())
  await it.close()
  await waiting
})

test('a collector without a trusted certificate for its host gets nothing', { skip }, async () => {
  const it = await listen({ tls: server })
  const { port } = it.endpoint
  await assert.rejects(openStreamSender({ host, port, tls: {} }), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
  const only = authority.certify('collector', 'DNS:collector.example')
  const other = await listen({ tls: only })
  await assert.rejects(openStreamSender({ host, port: other.endpoint.port, tls: { ca: authority.ca } }), {
    code: 'ERR_TLS_CERT_ALTNAME_INVALID',
  })
  await it.until(() => it.connections === 0)
  assert.equal(it.messages.length, 0)
})

test('a sender without the certificate that the collector wants loses its connection', { skip }, async () => {
  const it = await listen({ tls: { ...server, ca: authority.ca } })
  const opened = openStreamSender({ host, port: it.endpoint.port, tls: { ca: authority.ca } })
  await assert.rejects(async () => {
    const sender = await opened
    for (;;) await sender.ready()
  }, { code: 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED' })
})
