import { connect, isIP, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import {
  checkServerIdentity, connect as connectTls, createSecureContext, type ConnectionOptions, type SecureContext,
} from 'node:tls'
import { FlowkitError } from '../flow/errors.ts'
import type { Endpoint } from './endpoint.ts'

/** Where messages go: by TLS if `tls` is there, else by TCP. */
export interface StreamDestination {
  readonly host: string
  readonly port: number
  readonly tls?: TlsTrust
  /** Address to connect from; the one that the routing table gives unless told. */
  readonly from?: string
}

/** Whom a TLS client trusts, and who it is if it is asked; all in PEM. */
export interface TlsTrust {
  /** Authorities of the server's certificate; those of the system unless told. */
  readonly ca?: string | Buffer
  readonly key?: string | Buffer
  readonly cert?: string | Buffer
  /** What the server's certificate must be valid for; the host unless told. */
  readonly name?: string
}

/** Sends messages by one connection. */
export interface StreamSender {
  /** The own end: what the collector sees as the source. */
  readonly source: Endpoint
  /** Messages that were sent, whether or not they have arrived. */
  readonly sent: number
  /** Of these, the ones that the system has taken: the first so many. */
  readonly taken: number
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

/** ms to wait for a connection, and at the end for the collector to take anything or to end it, too. */
const DEADLINE = 10_000

/**
 * Open a connection (RFC 7011 §10.4); the certificate of a TLS server must be valid for the host, or the name
 * that is told.
 *
 * @throws FlowkitError ERR_OPTION for key and certificates that cannot be used; the system error, or
 *   OpenSSL's, when there is none to be had
 */
export async function openStreamSender(destination: StreamDestination): Promise<StreamSender> {
  const { host, port, tls, from } = destination
  const place = { host, port, ...from !== undefined && { localAddress: from } }
  const socket = tls ? connectTls({ ...place, ...contextOf(tls), ...namesOf(host, tls) }) : connect(place)
  await connected(socket, tls ? 'secureConnect' : 'connect')
  const source = { address: socket.localAddress!, port: socket.localPort! }
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let lost: Error | undefined
  let isEnding = false
  let sent = 0
  let taken = 0
  socket.on('error', (error) => { lost ??= error })
  socket.once('end', () => {
    if (!isEnding) lost ??= refusal('the collector has closed the connection')
  })
  socket.resume() // collectors say nothing, but TLS does, and the end is to be heard

  function refusal(reason: string): FlowkitError {
    return new FlowkitError('ERR_INPUT', `Cannot send to ${host} port ${port}: ${reason}`)
  }

  function done(error?: Error | null): void {
    if (!error) taken++
  }

  function room(): Promise<void> {
    return new Promise((resolve) => {
      function end(): void {
        socket.off('drain', end)
        socket.off('close', end)
        resolve()
      }
      socket.on('drain', end)
      socket.on('close', end)
    })
  }

  return {
    source,
    get sent() { return sent },
    get taken() { return taken },
    send(message) {
      if (lost) throw lost
      socket.write(new Uint8Array(message), done)
      sent++
    },
    async ready() {
      await turn()
      if (!lost && socket.writableNeedDrain) await room()
      if (lost) throw lost
    },
    async close() {
      isEnding = true
      socket.setTimeout(DEADLINE, () => { // of silence
        if (taken < sent) lost ??= refusal('the collector takes nothing more')
        socket.destroy()
      })
      socket.end()
      await closed
      if (lost) throw lost
    },
  }
}

function contextOf({ ca, key, cert }: TlsTrust): { readonly secureContext: SecureContext } {
  try {
    return { secureContext: createSecureContext({ ca, key, cert, minVersion: 'TLSv1.2' }) }
  } catch (error) {
    const { reason, message } = error as Error & { readonly reason?: string }
    throw new FlowkitError('ERR_OPTION', `Cannot use key and certificates of TLS: ${reason ?? message}`)
  }
}

/** The name to ask the server for, which no address can be, and what its certificate must be valid for. */
function namesOf(host: string, { name = host }: TlsTrust): ConnectionOptions {
  return {
    ...isIP(name) === 0 && { servername: name },
    checkServerIdentity: (_, cert) => checkServerIdentity(name, cert),
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
