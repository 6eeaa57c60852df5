import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'
import { test, type TestContext } from 'node:test'
import { parseIpv4 } from '../../../core/flow/address.ts'
import type { Instruction } from '../../../core/net/bpf.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { plainAddress } from '../../../core/net/source.ts'
import {
  laneOf, openLanes, openSteeredListeners, openSteeredSockets, steeringProgram,
} from '../../../core/net/steering.ts'
import { adoptUdpReceiver, openUdpSocket, type UdpReceiver } from '../../../core/net/udp-receiver.ts'
import { localEndpoint } from '../../../core/net/udp-socket.ts'
import { ip6 } from '../netflow/messages.ts'

const LANES = 3
const NO_V6 = new Uint8Array(16)
const linux = process.platform === 'linux' ? false : 'only Linux has this'
const hasV6 = networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6')
const noV6 = linux || (hasV6 ? false : 'no IPv6 here')

/** 40 addresses of loopback. */
const SOURCES = Array.from({ length: 40 }, (_, i) => `127.${i % 7}.${i * 6}.${i + 1}`)

async function send(source: string, port: number, target: string): Promise<void> {
  const socket = createSocket(source.includes(':') ? 'udp6' : 'udp4').bind(0, source)
  await once(socket, 'listening')
  await new Promise<void>((resolve, reject) => {
    socket.send('x', port, target, (error) => error ? reject(error) : resolve())
  })
  socket.close()
}

/** Receivers of the lanes at a free port. */
async function openReceivers(
  t: TestContext, address: string,
): Promise<{ receivers: UdpReceiver[], port: number }> {
  const fds = await openSteeredSockets({ address, port: 0, receiveBuffer: 200_000 }, LANES)
  const receivers = await Promise.all(fds.map((fd) => adoptUdpReceiver(fd)))
  t.after(() => receivers.forEach((receiver) => receiver.close()))
  return { receivers, port: receivers[0].endpoint.port }
}

/** How many datagrams each lane got; each was for it. */
function counts(receivers: readonly UdpReceiver[]): number[] {
  return receivers.map((receiver, lane) => {
    let total = 0
    for (let count = receiver.receive(); count > 0; count = receiver.receive()) {
      const { family, v4, v6 } = receiver.batch.source
      for (let row = 0; row < count; row++) {
        assert.equal(laneOf(family[row], v4[row], v6.subarray(row * 16, row * 16 + 16), LANES), lane)
      }
      total += count
    }
    return total
  })
}

for (const address of ['127.0.0.1', '::']) {
  test(`all datagrams of an address go to its lane, at ${address}`, {
    skip: address === '::' ? noV6 : linux,
  }, async (t) => {
    const { receivers, port } = await openReceivers(t, address)
    for (const source of SOURCES) {
      for (let i = 0; i < 3; i++) await send(source, port, '127.0.0.1') // from other ports
    }
    const got = counts(receivers)
    const wanted = [0, 0, 0]
    for (const source of SOURCES) wanted[laneOf(4, parseIpv4(source), NO_V6, LANES)] += 3
    assert.deepEqual(got, wanted)
    assert.ok(wanted.every((count) => count > 0))
  })
}

test('all datagrams of ::1 go to one lane, whatever port they come from', { skip: noV6 }, async (t) => {
  const { receivers, port } = await openReceivers(t, '::')
  for (let i = 0; i < 20; i++) await send('::1', port, '::1')
  const wanted = [0, 0, 0]
  wanted[laneOf(6, 0, ip6('::1'), LANES)] = 20
  assert.deepEqual(counts(receivers), wanted)
})

test('all connections of an address go to its lane', { skip: linux }, async (t) => {
  const fds = await openSteeredListeners({ address: '127.0.0.1', port: 0 }, LANES)
  const { port } = localEndpoint(await loadLibc(), fds[0])
  const seen: string[] = []
  const servers = fds.map((fd, lane): Server => {
    return createServer((socket) => {
      seen.push(`${plainAddress(socket.remoteAddress!)} ${lane}`)
      socket.end()
    }).listen({ fd })
  })
  t.after(() => servers.forEach((server) => server.close()))
  for (const source of SOURCES) {
    for (let i = 0; i < 2; i++) {
      const socket = connect({ host: '127.0.0.1', port, localAddress: source }).resume()
      await once(socket, 'close')
    }
  }
  const wanted = SOURCES.flatMap((source) => {
    const each = `${source} ${laneOf(4, parseIpv4(source), NO_V6, LANES)}`
    return [each, each]
  })
  assert.deepEqual(seen, wanted)
})

test('nobody else has the port', { skip: linux }, async (t) => {
  const { port } = (await openReceivers(t, '127.0.0.1'))
  const at = { address: '127.0.0.1', port }
  const taken = { code: 'EADDRINUSE' }
  await assert.rejects(openUdpSocket({ ...at, receiveBuffer: 1 }), taken)
  await assert.rejects(openSteeredSockets({ ...at, receiveBuffer: 1 }, LANES), taken)
  const libc = await loadLibc()
  const fds = await openSteeredListeners({ address: '127.0.0.1', port: 0 }, LANES)
  const listening = { address: '127.0.0.1', port: localEndpoint(libc, fds[0]).port }
  await assert.rejects(openSteeredListeners(listening, LANES), taken)
  for (const fd of fds) libc.close(fd)
})

test('openLanes() gives each lane a socket of each place, or opens none', { skip: linux }, async () => {
  const libc = await loadLibc()
  const options = { receiveBuffer: 200_000, groups: [] }
  const udp = { protocol: 'udp', address: '127.0.0.1', port: 0 } as const
  const tcp = { protocol: 'tcp', address: '127.0.0.1', port: 0 } as const
  const lanes = await openLanes([udp, tcp, udp], LANES, options)
  assert.deepEqual(lanes.map((sockets) => sockets.map(({ protocol }) => protocol)),
    Array(LANES).fill(['udp', 'tcp', 'udp']))
  const ports = lanes.map((sockets) => sockets.map(({ fd }) => localEndpoint(libc, fd!).port))
  assert.deepEqual(ports, Array(LANES).fill(ports[0]))
  const port = ports[0][2]
  await assert.rejects(openLanes([udp, { ...udp, port }], LANES, options), { code: 'EADDRINUSE' })
  for (const { fd } of lanes.flat()) libc.close(fd!)
  const again = await openLanes([{ ...udp, port }], LANES, options)
  for (const { fd } of again.flat()) libc.close(fd!)
})

test('where the kernel refuses, it is said, and nothing stays open', { skip: linux }, async () => {
  const libc = await loadLibc()
  const fd = await openUdpSocket({ address: '127.0.0.1', port: 0, receiveBuffer: 1 })
  const { port } = localEndpoint(libc, fd)
  libc.close(fd)
  const alone = 1 // a socket by itself shares nothing that could be steered
  await assert.rejects(openSteeredSockets({ address: '127.0.0.1', port, receiveBuffer: 1 }, alone), {
    code: 'ERR_UNSUPPORTED',
    message: 'Cannot spread exporters over threads: the kernel refuses the program that does it (EINVAL)',
  })
  libc.close(await openUdpSocket({ address: '127.0.0.1', port, receiveBuffer: 1 }))
})

/** Run a program on a packet that begins with its network header, as linux/filter.h describes. */
function run(program: readonly Instruction[], packet: DataView): number {
  let a = 0
  let x = 0
  for (let at = 0; ; at++) {
    const [code, ifTrue, ifFalse, k] = program[at]
    const offset = k - (2 ** 32 - 0x100000) // SKF_NET_OFF
    switch (code) {
      case 0x20: a = packet.getUint32(offset); break
      case 0x30: a = packet.getUint8(offset); break
      case 0x07: x = a; break
      case 0x24: a = Math.imul(a, k) >>> 0; break
      case 0x74: a >>>= k; break
      case 0x94: a %= k; break
      case 0xac: a = (a ^ x) >>> 0; break
      case 0x05: at += k; break
      case 0x15: at += a === k ? ifTrue : ifFalse; break
      case 0x16: return a
      default: assert.fail(`code ${code}`)
    }
  }
}

test('the program tells the lane of any source, and spreads neighbours evenly', () => {
  for (const lanes of [2, 3, 7, 64]) {
    const program = steeringProgram(lanes)
    const perLane = { 4: new Uint32Array(lanes), 6: new Uint32Array(lanes) }
    for (let i = 0; i < 100 * lanes; i++) {
      const packet = new DataView(new ArrayBuffer(40))
      packet.setUint8(0, 0x45)
      packet.setUint32(12, 0x0a000001 + i)
      const v4 = run(program, packet)
      assert.equal(v4, laneOf(4, 0x0a000001 + i, NO_V6, lanes))
      packet.setUint32(12, 0)
      packet.setUint8(0, 0x60)
      packet.setUint32(8, 0x20010db8)
      packet.setUint32(i % 2 === 0 ? 12 : 20, i)
      const v6 = run(program, packet)
      assert.equal(v6, laneOf(6, 0, new Uint8Array(packet.buffer, 8, 16), lanes))
      perLane[4][v4]++
      perLane[6][v6]++
    }
    for (const counts of Object.values(perLane)) {
      assert.ok(counts.every((count) => count > 60 && count < 150), `${lanes} lanes: ${counts.join()}`)
    }
  }
})
