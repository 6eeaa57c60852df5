import { connect, isIP, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { FlowkitError } from '../flow/errors.ts'
import type { Endpoint } from './endpoint.ts'

/** Where messages go: by TLS if `tls` is there, else by TCP. */
export interface StreamDestination {
  readonly host: string
  readonly port: number
  readonly tls?: TlsTrust
}

/** Whom a TLS client trusts, and who it is if it is asked; all in PEM. */
export interface TlsTrust {
  /** Authorities of the server's certificate; those of the system unless told. */
  readonly ca?: string | Buffer
  readonly key?: string | Buffer
  readonly cert?: string | Buffer
}

/** Sends messages by one connection. */
export interface StreamSender {
  /** The own end: what the collector sees as the source. */
  readonly source: Endpoint
  /** Messages that were sent, whether or not they have arrived. */
  readonly sent: number
  /**
   * Send a message, which is copied.
   *
   * @throws the system error or FlowkitError ERR_INPUT once the connection is lost: a new one is the caller's
   */
  send(message: Uint8Array): void
  /** Wait until there is room to send more; lets events happen meanwhile. Rejects as `send` throws. */
  ready(): Promise<void>
  /** Send what waits, and end. Rejects as `send` throws. */
  close(): Promise<void>
}

/** ms to wait for a connection, and for the collector to end it once it has everything. */
const DEADLINE = 10_000

/**
 * Open a connection (RFC 7011 §10.4); the certificate of a TLS server must be valid for the host.
 *
 * @throws the system error, or OpenSSL's, when there is none to be had
 */
export async function openStreamSender({ host, port, tls }: StreamDestination): Promise<StreamSender> {
  const socket = tls
    ? connectTls({ host, port, ...tls, minVersion: 'TLSv1.2', ...isIP(host) === 0 && { servername: host } })
    : connect({ host, port })
  await connected(socket, tls ? 'secureConnect' : 'connect')
  const source = { address: socket.localAddress!, port: socket.localPort! }
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let lost: Error | undefined
  let isEnding = false
  let sent = 0
  socket.on('error', (error) => { lost ??= error })
  socket.once('end', () => {
    const reason = 'the collector has closed the connection'
    if (!isEnding) lost ??= new FlowkitError('ERR_INPUT', `Cannot send to ${host} port ${port}: ${reason}`)
  })
  socket.resume() // collectors say nothing, but TLS does, and the end is to be heard

  function room(): Promise<void> {
    return new Promise((resolve) => {
      function done(): void {
        socket.off('drain', done)
        socket.off('close', done)
        resolve()
      }
      socket.on('drain', done)
      socket.on('close', done)
    })
  }

  return {
    source,
    get sent() { return sent },
    send(message) {
      if (lost) throw lost
      socket.write(new Uint8Array(message))
      sent++
    },
    async ready() {
      await turn()
      if (!lost && socket.writableNeedDrain) await room()
      if (lost) throw lost
    },
    async close() {
      isEnding = true
      let timer: NodeJS.Timeout | undefined
      socket.end(() => { timer = setTimeout(() => socket.destroy(), DEADLINE) })
      await closed
      clearTimeout(timer)
      if (lost) throw lost
    },
  }
}

function connected(socket: Socket, event: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      socket.destroy(Object.assign(new Error('connection timed out'), { code: 'ETIMEDOUT' }))
    }, DEADLINE)
    socket.once('error', reject)
    socket.once('close', () => clearTimeout(timer))
    socket.once(event, () => {
      clearTimeout(timer)
      socket.off('error', reject)
      resolve()
    })
  })
}
