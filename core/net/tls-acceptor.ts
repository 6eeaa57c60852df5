import type { Socket } from 'node:net'
import { createServer, type Server } from 'node:tls'
import { FlowkitError } from '../flow/errors.ts'
import type { StreamPeer } from './source.ts'

/** Who a TLS server is, and whom it trusts; all in PEM. */
export interface TlsIdentity {
  readonly key: string | Buffer
  /** The certificate, with those between it and its authority behind it. */
  readonly cert: string | Buffer
  /** Authorities: each peer must then show a certificate of one of them, as RFC 7011 §11.3 wants it. */
  readonly ca?: string | Buffer
}

/** Opens TLS on connections that were accepted. */
export interface TlsAcceptor {
  accept(socket: Socket, peer: StreamPeer): void
  /** Close the connections that are still in their handshake; they are no faults. */
  close(): void
}

/** A connection in its handshake. */
interface Handshake {
  readonly socket: Socket
  readonly peer: StreamPeer
  /** Why it has failed, as far as that is told. */
  reason: string
}

/**
 * Make an acceptor of TLS 1.2 and later that hands each connection, once it is secure, to `begin`.
 *
 * @param timeout ms that a handshake may take
 * @param onFault told why one has failed
 * @throws FlowkitError ERR_OPTION for an identity that cannot be used
 */
export function tlsAcceptor(
  { key, cert, ca }: TlsIdentity, timeout: number, begin: (socket: Socket, peer: StreamPeer) => void,
  onFault: (error: FlowkitError, peer: StreamPeer) => void,
): TlsAcceptor {
  const handshakes = new Map<string, Handshake>()
  // Node does not tell why it has closed one whose certificate is not trusted
  const unknown = ca === undefined ? 'it has ended' : 'it has ended, or its certificate is not trusted'
  const server = createTlsServer()

  function createTlsServer(): Server {
    const clients = ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }
    try {
      return createServer({ key, cert, ...clients, minVersion: 'TLSv1.2', handshakeTimeout: timeout })
    } catch (error) {
      const reason = reasonOf(error as TlsError)
      throw new FlowkitError('ERR_OPTION', `Cannot use key and certificates of TLS: ${reason}`)
    }
  }

  server.on('secureConnection', (socket) => {
    const id = idOf(socket)
    const handshake = handshakes.get(id)
    if (!handshake) return void socket.destroy() // it has gone already
    handshakes.delete(id)
    begin(socket, handshake.peer)
  })
  server.on('tlsClientError', (error, socket) => {
    const handshake = handshakes.get(idOf(socket))
    if (handshake) handshake.reason = reasonOf(error)
    socket.destroy()
  })

  return {
    accept(socket, peer) {
      const id = idOf(socket)
      const handshake = { socket, peer, reason: unknown }
      handshakes.set(id, handshake)
      socket.once('close', () => {
        if (handshakes.get(id) !== handshake) return
        handshakes.delete(id)
        onFault(new FlowkitError('ERR_MALFORMED', `Cannot open TLS connection: ${handshake.reason}`), peer)
      })
      server.emit('connection', socket)
    },
    close() {
      const all = [...handshakes.values()]
      handshakes.clear()
      for (const { socket } of all) socket.destroy()
    },
  }
}

/** What tells a connection from others of the listener, also by its TLS socket; not once it is closed. */
function idOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

/** An error of OpenSSL's. */
interface TlsError extends Error {
  readonly reason?: string
}

function reasonOf({ reason, message }: TlsError): string {
  return reason ?? message
}
