import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Endpoint } from '../net/endpoint.ts'

/** What Prometheus can scrape. */
export interface Metrics {
  readonly contentType: string
  /** As it is now. */
  text(): Promise<string>
}

/** An open server of metrics. */
export interface MetricsServer {
  /** Where it really listens. */
  readonly endpoint: Endpoint
  /** Stop listening; answers begun have half a second to end. */
  close(): Promise<void>
}

/** What a page says. */
interface Page {
  readonly status: 200 | 500 | 503
  readonly type: string
  readonly text: string
}

const PLAIN = 'text/plain; charset=utf-8'
const METHODS = 'GET, HEAD'

/** Whoever connects gets no more of the process than this: connections, bytes of headers, ms of patience. */
const MAX_CONNECTIONS = 64
const MAX_HEADERS = 8192
const PATIENCE = 10_000
/** ms that answers begun may still take once the server closes. */
const LAST_ANSWERS = 500

/**
 * Serve `/metrics`, `/health` (the process answers) and `/ready` (503 until `ready` says so), and nothing
 * else, over HTTP. Where the machine has no IPv6, `::` becomes `0.0.0.0`.
 *
 * @throws the system error when it cannot listen there
 */
export async function serveMetrics(
  { address, port }: Endpoint, metrics: Metrics, ready: () => boolean,
): Promise<MetricsServer> {
  const pages = new Map<string, () => Page | Promise<Page>>([
    ['/metrics', () => metricsPage(metrics)],
    ['/health', () => ({ status: 200, type: PLAIN, text: 'ok\n' })],
    ['/ready', () => ready()
      ? { status: 200, type: PLAIN, text: 'ready\n' }
      : { status: 503, type: PLAIN, text: 'not ready\n' }],
  ])
  const server = createServer({
    maxHeaderSize: MAX_HEADERS, headersTimeout: PATIENCE, requestTimeout: PATIENCE,
  }, (request, response) => void answer(request, response, pages))
  server.maxConnections = MAX_CONNECTIONS
  server.timeout = PATIENCE
  await listen(server, address, port)
  const bound = server.address() as AddressInfo // it is no pipe
  return {
    endpoint: { address: bound.address, port: bound.port },
    close: () => new Promise((resolve) => {
      const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS)
      server.close(() => {
        clearTimeout(timer)
        resolve()
      })
    }),
  }
}

async function listen(server: Server, address: string, port: number): Promise<void> {
  try {
    await bind(server, address, port)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    await bind(server, '0.0.0.0', port) // the machine has no IPv6
  }
  server.on('error', () => {}) // of one connection: the server goes on
}

function bind(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, address, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function metricsPage(metrics: Metrics): Promise<Page> {
  try {
    return { status: 200, type: metrics.contentType, text: await metrics.text() }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { status: 500, type: PLAIN, text: `Cannot tell the metrics: ${reason}\n` }
  }
}

async function answer(
  request: IncomingMessage, response: ServerResponse, pages: ReadonlyMap<string, () => Page | Promise<Page>>,
): Promise<void> {
  const path = URL.parse(request.url ?? '', 'http://localhost')?.pathname ?? ''
  const page = pages.get(path)
  if (!page) return send(request, response, 404, PLAIN, 'not found: there are /metrics, /health and /ready\n')
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('Allow', METHODS)
    return send(request, response, 405, PLAIN, `method not allowed: ${METHODS} are\n`)
  }
  const { status, type, text } = await page()
  send(request, response, status, type, text)
}

function send(
  request: IncomingMessage, response: ServerResponse, status: number, type: string, text: string,
): void {
  const body = Buffer.from(text)
  response.writeHead(status, {
    'Content-Type': type, 'Content-Length': body.length, 'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}
