import { createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import { FlowkitError } from '../flow/errors.ts'
import { messageCutter, type MessageCutter } from './ipfix-messages.ts'
import { peerOf, type StreamPeer } from './source.ts'
import { tlsAcceptor, type TlsIdentity } from './tls-acceptor.ts'
import type { Endpoint } from './endpoint.ts'

/** Where to listen: by TLS if there is an identity, else by TCP. */
export interface StreamEndpoint extends Endpoint {
  readonly tls?: TlsIdentity
  /** A socket that listens there already; it is closed with the listener. */
  readonly fd?: number
}

/** What connections may take. */
export interface StreamLimits {
  /** Connections, in all and from one address. */
  readonly connections: number
  readonly connectionsPerAddress: number
  /** Seconds after which a connection is closed that nothing came by. */
  readonly idle: number
  /** Seconds that a message may take from its first byte to its last, and a TLS handshake. */
  readonly partial: number
  /** Bytes set aside for messages of which only a part has come; beyond, the oldest of them is given up. */
  readonly buffered: number
}

/** What is allowed unless told. */
export const STREAM_LIMITS: StreamLimits = {
  connections: 1024, connectionsPerAddress: 64, idle: 1800, partial: 30, buffered: 16_777_216,
}

/** Who is told what comes. */
export interface StreamEvents {
  /**
   * Takes the message `bytes[start..end)`, valid during the call, of which version and length are checked.
   *
   * A FlowkitError that it throws is a fault: the connection is given up.
   *
   * @param received µs since the epoch
   */
  onMessage(bytes: Uint8Array, start: number, end: number, peer: StreamPeer, received: number): void
  /** Told once why a connection is given up, which RFC 7011 §9.1 leaves to the collector. */
  onFault(error: FlowkitError, peer: StreamPeer): void
  /** Told when a connection has ended, with or without fault: its transport session is over. */
  onClose(peer: StreamPeer): void
}

/** What has happened since the listener was opened. */
export interface StreamCounters {
  /** Connections accepted, refused for their number, and closed, of which by a fault. */
  accepted: number
  refused: number
  closed: number
  faults: number
  messages: number
  /** Bytes received, of TLS without its own. */
  bytes: number
}

/** An open listener for IPFIX by TCP or TLS. */
export interface IpfixListener {
  /** Where it really listens. */
  readonly endpoint: Endpoint
  readonly counters: Readonly<StreamCounters>
  /** Connections now open. */
  readonly connections: number
  /** Take nothing more from connections, so that exporters must wait; messages already read still come. */
  pause(): void
  resume(): void
  /** Close all connections, and listen no more. */
  close(): Promise<void>
}

/** ms after which TCP asks whether a silent peer is still there. */
const KEEP_ALIVE = 60_000

/** A connection by which messages come: a transport session of IPFIX. */
interface Session {
  readonly socket: Socket
  readonly peer: StreamPeer
  readonly cutter: MessageCutter
  /** Second in which something came last. */
  heard: number
  /** Second in which the message began that is not complete. */
  since: number
  /** Bytes set aside for it. */
  reserved: number
  /** Whether it is being closed from here. */
  isClosing: boolean
}

/**
 * Listen for IPFIX by TCP or TLS (RFC 7011 §10.4 and §11.1): each connection is a transport session.
 *
 * An address of `::` listens to IPv4 too; where the machine has no IPv6, it becomes `0.0.0.0`.
 *
 * @throws FlowkitError ERR_OPTION for an identity that cannot be used; the system error when that is no place
 *   to listen
 */
export async function listenIpfix(
  { tls, ...at }: StreamEndpoint, limits: StreamLimits, { onMessage, onFault, onClose }: StreamEvents,
): Promise<IpfixListener> {
  const counters: StreamCounters = { accepted: 0, refused: 0, closed: 0, faults: 0, messages: 0, bytes: 0 }
  const open = new Set<Socket>()
  const byAddress = new Map<string, number>()
  const sessions = new Set<Session>()
  const partial = new Set<Session>() // with a message that is not complete, the oldest first
  let reserved = 0
  let seconds = 0 // that the listener was open and not paused
  let isPaused = false

  function accept(socket: Socket): void {
    const peer = peerOf(socket)
    if (!peer) return void socket.destroy() // it has gone already
    const { address: from } = peer
    const others = byAddress.get(from) ?? 0
    if (open.size >= limits.connections || others >= limits.connectionsPerAddress) {
      counters.refused++
      return void socket.resetAndDestroy()
    }
    counters.accepted++
    open.add(socket)
    byAddress.set(from, others + 1)
    socket.on('error', () => {}) // it closes then
    socket.once('close', () => {
      counters.closed++
      open.delete(socket)
      const left = byAddress.get(from)! - 1
      if (left > 0) byAddress.set(from, left)
      else byAddress.delete(from)
    })
    if (secure) secure.accept(socket, peer)
    else begin(socket, peer)
  }

  function begin(socket: Socket, peer: StreamPeer): void {
    let received = 0
    const cutter = messageCutter((bytes, start, end) => {
      counters.messages++
      onMessage(bytes, start, end, peer, received)
    })
    const session: Session = { socket, peer, cutter, heard: seconds, since: 0, reserved: 0, isClosing: false }
    sessions.add(session)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received = Date.now() * 1000
      receive(session, chunk as Buffer)
    })
    socket.once('close', () => end(session))
    if (isPaused) socket.pause()
  }

  function receive(session: Session, chunk: Uint8Array): void {
    const { cutter } = session
    const { messages } = counters
    const isNew = cutter.held === 0
    counters.bytes += chunk.length
    session.heard = seconds
    try {
      cutter.push(chunk)
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      return fail(session, error)
    }
    if (session.isClosing) return
    reserved += cutter.wanted - session.reserved
    session.reserved = cutter.wanted
    if (isNew || counters.messages > messages) {
      partial.delete(session)
      if (cutter.held > 0) partial.add(session)
      session.since = seconds
    }
    while (reserved > limits.buffered) {
      const [oldest] = partial
      fail(oldest, incomplete(oldest, `when ${limits.buffered} bytes were set aside`))
    }
  }

  function report(error: FlowkitError, peer: StreamPeer): void {
    counters.faults++
    onFault(error, peer)
  }

  function fail(session: Session, error: FlowkitError): void {
    report(error, session.peer)
    drop(session)
  }

  function drop(session: Session): void {
    session.isClosing = true
    session.socket.destroy()
    release(session)
  }

  function release(session: Session): void {
    sessions.delete(session)
    partial.delete(session)
    reserved -= session.reserved
    session.reserved = 0
  }

  function end(session: Session): void {
    if (!session.isClosing && session.cutter.held > 0) {
      fail(session, incomplete(session, 'when the connection ended'))
    }
    release(session)
    onClose(session.peer)
  }

  function checkTimes(): void {
    if (isPaused) return
    seconds++
    for (const session of sessions) {
      if (partial.has(session) && seconds - session.since > limits.partial) {
        fail(session, incomplete(session, `after ${limits.partial} s`))
      } else if (seconds - session.heard > limits.idle) drop(session)
    }
  }

  const secure = tls && tlsAcceptor(tls, limits.partial * 1000, begin, report)
  const server = createServer({ keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE }, accept)
  await listen(server, at)
  server.on('error', () => counters.refused++) // accept(2) failed: too many open files, say
  const bound = server.address() as Endpoint
  const timer = setInterval(checkTimes, 1000)

  return {
    endpoint: { address: bound.address, port: bound.port },
    counters,
    get connections() { return open.size },
    pause() {
      isPaused = true
      for (const { socket } of sessions) socket.pause()
    },
    resume() {
      isPaused = false
      for (const { socket } of sessions) socket.resume()
    },
    close() {
      clearInterval(timer)
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const session of sessions) drop(session)
      secure?.close()
      return closed
    },
  }
}

async function listen(server: Server, { address, port, fd }: StreamEndpoint): Promise<void> {
  try {
    await listenAt(server, fd === undefined ? { host: address, port } : { fd })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    await listenAt(server, { host: '0.0.0.0', port })
  }
}

function listenAt(server: Server, at: ListenOptions & { readonly fd?: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(at, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function incomplete({ cutter: { wanted, held } }: Session, when: string): FlowkitError {
  const reason = `${wanted} bytes needed, ${held} found ${when}`
  return new FlowkitError('ERR_TRUNCATED', `Cannot read IPFIX message: ${reason}`)
}
