import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { isIP, isIPv4 } from 'node:net'
import { parseIpv4, parseIpv6 } from '../flow/address.ts'
import { FlowkitError } from '../flow/errors.ts'
import { plainAddress } from './source.ts'
import {
  openUdpReceiver, type DatagramBatch, type UdpReceiver, type UdpReceiverOptions,
} from './udp-receiver.ts'

/** A socket that datagrams are taken of in batches, whichever way it was opened. */
export type Receiver = Pick<
  UdpReceiver, 'endpoint' | 'receiveBuffer' | 'batch' | 'receive' | 'hasMore' | 'readable' | 'dropped' | 'close'
>

/**
 * Open a socket: by recvmmsg(2) where that can be had, else by Node's own, which take one datagram at a time.
 *
 * @throws the system error; FlowkitError ERR_OPTION for what is no address or interface
 */
export async function openReceiver(options: UdpReceiverOptions): Promise<Receiver> {
  try {
    return await openUdpReceiver(options)
  } catch (error) {
    if (!(error instanceof FlowkitError) || error.code !== 'ERR_UNSUPPORTED') throw error
    return openNodeReceiver(options)
  }
}

const ROWS = 256
/** Longest payload of UDP, rounded up. */
const SLOT = 65_536
/** Datagrams that Node has handed over and nobody has taken: beyond, they are dropped and counted. */
const MAX_WAITING = 65_536

interface Waiting {
  readonly payload: Uint8Array
  readonly from: RemoteInfo
  readonly received: number
}

/** A socket of node:dgram as a Receiver. @throws the system error */
export async function openNodeReceiver(options: UdpReceiverOptions): Promise<Receiver> {
  try {
    return await open(options)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (options.address !== '::' || (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL')) throw error
    return open({ ...options, address: '0.0.0.0' })
  }
}

async function open(options: UdpReceiverOptions): Promise<Receiver> {
  const { address, port, receiveBuffer, reusePort = false, groups = [] } = options
  const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4', reusePort })
  const waiting: Waiting[] = []
  const batch = newBatch()
  let lost = 0 // here, beside what the kernel drops
  let wake: ((isOpen: boolean) => void) | undefined
  let isOpen = true
  socket.on('message', (payload, from) => {
    if (waiting.length < MAX_WAITING) waiting.push({ payload, from, received: Date.now() * 1000 })
    else lost++
    wake?.(true)
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port }, () => {
      socket.off('error', reject)
      resolve()
    })
  })
  socket.on('error', () => {}) // of one datagram (an ICMP error, say): the socket goes on
  for (const group of groups) socket.addMembership(group.address, group.interface)
  setBuffer(socket, receiveBuffer)
  const endpoint = { address, port: socket.address().port }
  return {
    endpoint,
    receiveBuffer: socket.getRecvBufferSize(),
    batch,
    receive() {
      const taken = waiting.splice(0, ROWS)
      for (const [row, datagram] of taken.entries()) setRow(batch, row, datagram)
      return taken.length
    },
    get hasMore() { return waiting.length > 0 },
    readable() {
      if (!isOpen || waiting.length > 0) return Promise.resolve(isOpen)
      return new Promise((resolve) => { wake = resolve })
    },
    dropped: () => lost + kernelDrops(endpoint.port),
    close() {
      isOpen = false
      socket.close()
      wake?.(false)
    },
  }
}

function newBatch(): DatagramBatch {
  return {
    bytes: new Uint8Array(ROWS * SLOT), start: new Uint32Array(ROWS), end: new Uint32Array(ROWS),
    source: { family: new Uint8Array(ROWS), v4: new Uint32Array(ROWS), v6: new Uint8Array(ROWS * 16) },
    sourcePort: new Uint16Array(ROWS), received: new Float64Array(ROWS), truncated: new Uint8Array(ROWS),
  }
}

function setRow(batch: DatagramBatch, row: number, { payload, from, received }: Waiting): void {
  const { family, v4, v6 } = batch.source
  batch.bytes.set(payload, row * SLOT)
  batch.start[row] = row * SLOT
  batch.end[row] = row * SLOT + payload.length
  batch.sourcePort[row] = from.port
  batch.received[row] = received
  const text = plainAddress(from.address)
  family[row] = isIPv4(text) ? 4 : 6
  if (family[row] === 4) v4[row] = parseIpv4(text)
  else parseIpv6(text, v6, row * 16)
}

function setBuffer(socket: Socket, size: number): void {
  try {
    socket.setRecvBufferSize(size)
  } catch {
    // the kernel's limit stands; receiveBuffer tells what there is
  }
}

/** What Linux says it has dropped of the sockets at a port: the last column of /proc/net/udp; else 0. */
function kernelDrops(port: number): number {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let drops = 0
  for (const file of ['/proc/net/udp', '/proc/net/udp6']) {
    try {
      for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
        const words = line.trim().split(/\s+/)
        if (words[1]?.endsWith(local)) drops += Number(words.at(-1))
      }
    } catch {
      return drops // another system
    }
  }
  return drops
}
