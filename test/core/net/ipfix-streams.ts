/** Listeners for IPFIX streams, what they tell, and clients of theirs. */
import { connect, type Socket } from 'node:net'
import { afterEach } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import {
  listenIpfix, STREAM_LIMITS, type IpfixListener, type StreamEndpoint, type StreamLimits,
} from '../../../core/net/ipfix-stream.ts'
import type { StreamPeer } from '../../../core/net/source.ts'

/** An open listener and what it has told. */
export interface Told extends IpfixListener {
  /** The messages, copied, each with the port it came from. */
  readonly messages: { readonly port: number, readonly bytes: Buffer, readonly received: number }[]
  readonly faults: { readonly message: string, readonly code: string, readonly port: number }[]
  /** Peers of connections that have ended. */
  readonly closed: StreamPeer[]
  /** Let events happen until that holds. */
  until(holds: () => boolean): Promise<void>
}

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const each of open.splice(0)) await each.close()
})

/** Listen on loopback, at a port that the system chooses, until the test has ended. */
export async function listen(
  endpoint: Partial<StreamEndpoint> = {}, limits: Partial<StreamLimits> = {},
  check: (message: Uint8Array) => void = () => {},
): Promise<Told> {
  const messages: Told['messages'] = []
  const faults: Told['faults'] = []
  const closed: StreamPeer[] = []
  const listener = await listenIpfix(
    { address: '127.0.0.1', port: 0, ...endpoint }, { ...STREAM_LIMITS, ...limits },
    {
      onMessage(bytes, start, end, { port }, received) {
        check(bytes.subarray(start, end))
        messages.push({ port, bytes: Buffer.from(bytes.subarray(start, end)), received })
      },
      onFault({ message, code }, { port }) {
        faults.push({ message, code, port })
      },
      onClose(peer) {
        closed.push(peer)
      },
    },
  )
  open.push(listener)
  return Object.defineProperties({
    messages, faults, closed,
    async until(holds: () => boolean) {
      while (!holds()) await turn()
    },
  }, Object.getOwnPropertyDescriptors(listener)) as Told
}

/** A TCP connection to a listener, until the test has ended; that it is reset is no error. */
export interface Dialled extends Socket {
  /** The own port. */
  readonly port: number
  /** Resolves when it is closed. */
  readonly ended: Promise<void>
}

/** Connect to a listener. */
export async function dial({ endpoint }: Pick<IpfixListener, 'endpoint'>): Promise<Dialled> {
  const socket = connect(endpoint.port, endpoint.address)
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  let refused: Error | undefined
  socket.on('error', (error: NodeJS.ErrnoException) => { if (error.code === 'ECONNREFUSED') refused = error })
  open.push({ close: () => socket.destroy() })
  await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), ended])
  if (refused) throw refused
  socket.resume()
  return Object.assign(socket, { port: socket.localPort!, ended })
}

/** A message of `length` bytes that is filled with `fill`. */
export function message(length: number, fill: number): Buffer {
  const bytes = Buffer.alloc(length, fill)
  bytes.writeUInt16BE(10, 0)
  bytes.writeUInt16BE(length, 2)
  return bytes
}
