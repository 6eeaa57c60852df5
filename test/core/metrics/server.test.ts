import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as ask } from 'node:http'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { serveMetrics, type Metrics, type MetricsServer } from '../../../core/metrics/server.ts'

const METRICS: Metrics = { contentType: 'text/plain; version=0.0.4', text: () => Promise.resolve('up 1\n') }

async function serve(
  t: TestContext, metrics: Metrics = METRICS, ready: () => boolean = () => true,
): Promise<MetricsServer> {
  const server = await serveMetrics({ address: '127.0.0.1', port: 0 }, metrics, ready)
  t.after(() => server.close())
  return server
}

interface Answer {
  readonly status: number | undefined
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

async function get({ endpoint }: MetricsServer, path: string, method: string = 'GET'): Promise<Answer> {
  const request = ask({ host: endpoint.address, port: endpoint.port, path, method, agent: false }).end()
  const [response] = await once(request, 'response')
  const body = Buffer.concat(await response.toArray()).toString()
  return { status: response.statusCode, headers: response.headers, body }
}

/** What comes back for raw bytes, to the end of the connection. */
async function raw({ endpoint }: MetricsServer, bytes: string): Promise<string> {
  const socket = connect(endpoint.port, endpoint.address)
  socket.on('error', () => {}) // reset behind the answer
  socket.write(bytes)
  let text = ''
  socket.on('data', (chunk) => { text += String(chunk) })
  await once(socket, 'close')
  return text
}

test('/metrics, /health and /ready answer GET and HEAD', async (t) => {
  const server = await serve(t)
  const metrics = await get(server, '/metrics?x=1')
  assert.deepEqual([metrics.status, metrics.body], [200, 'up 1\n'])
  assert.equal(metrics.headers['content-type'], 'text/plain; version=0.0.4')
  assert.equal(metrics.headers['cache-control'], 'no-store')
  const head = await get(server, '/metrics', 'HEAD')
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '5', ''])
  for (const [path, text] of [['/health', 'ok\n'], ['/ready', 'ready\n']] as const) {
    const { status, body, headers } = await get(server, path)
    assert.deepEqual([status, body, headers['content-type']], [200, text, 'text/plain; charset=utf-8'])
  }
})

test('/ready is 503 until it is ready', async (t) => {
  let isReady = false
  const server = await serve(t, METRICS, () => isReady)
  assert.deepEqual([(await get(server, '/ready')).status, (await get(server, '/health')).status], [503, 200])
  isReady = true
  assert.equal((await get(server, '/ready')).status, 200)
})

test('other paths are not found, other methods not allowed', async (t) => {
  const server = await serve(t)
  for (const path of ['/', '/metrics/', '/METRICS', '/../metrics/x', '//metrics', '/%6detrics', '*']) {
    assert.equal((await get(server, path)).status, 404, path)
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']) {
    const { status, headers } = await get(server, '/metrics', method)
    assert.deepEqual([status, headers['allow']], [405, 'GET, HEAD'], method)
  }
  assert.equal((await get(server, '/nothing', 'POST')).status, 404)
})

test('what is no HTTP, or has long headers, is refused', async (t) => {
  const server = await serve(t)
  assert.match(await raw(server, 'hello\r\n\r\n'), /^HTTP\/1\.1 400 /)
  const long = `GET /health HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(9000)}\r\n\r\n`
  assert.match(await raw(server, long), /^HTTP\/1\.1 431 /)
  assert.equal((await get(server, '/health')).status, 200)
})

test('metrics that fail are said with 500, and the next may succeed', async (t) => {
  let fails = true
  const text = () => {
    if (fails) throw new Error('no report')
    return Promise.resolve('up 1\n')
  }
  const server = await serve(t, { contentType: 'text/plain', text })
  const { status, body } = await get(server, '/metrics')
  assert.deepEqual([status, body], [500, 'Cannot tell the metrics: no report\n'])
  fails = false
  assert.equal((await get(server, '/metrics')).status, 200)
})

test('a port that is taken is a system error', async (t) => {
  const { endpoint } = await serve(t)
  await assert.rejects(serveMetrics(endpoint, METRICS, () => true), {
    code: 'EADDRINUSE', syscall: 'listen', address: '127.0.0.1', port: endpoint.port,
  })
})

test('it closes though a connection is open that asks nothing, and ends the answers begun', async () => {
  const { promise, resolve } = Promise.withResolvers<string>()
  const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>()
  const metrics = { contentType: 'text/plain', text: () => (onAsked(), promise) }
  const server = await serveMetrics({ address: '127.0.0.1', port: 0 }, metrics, () => true)
  const { endpoint } = server
  const silent = connect(endpoint.port, endpoint.address)
  await once(silent, 'connect')
  const answer = get(server, '/metrics')
  await asked
  const closed = server.close()
  resolve('up 1\n')
  assert.equal((await answer).body, 'up 1\n')
  await closed
  await assert.rejects(once(connect(endpoint.port, endpoint.address), 'connect'), { code: 'ECONNREFUSED' })
  silent.destroy()
})
