import assert from 'node:assert/strict'
import { createSocket, type Socket, type SocketType } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync, readdirSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { afterEach, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { formatIpv4, formatIpv6 } from '../../../core/flow/address.ts'
import { openUdpBlaster } from '../../../core/net/udp-blast.ts'
import {
  createWait, openUdpReceiver, type UdpReceiver, type UdpReceiverOptions,
} from '../../../core/net/udp-receiver.ts'

const PATIENCE = 10_000 // ms until a datagram on loopback is given up
const skip = networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6') ? false : 'no IPv6 here'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

async function receiverAt(address: string, options: Partial<UdpReceiverOptions> = {}): Promise<UdpReceiver> {
  const receiver = await openUdpReceiver({ address, port: 0, receiveBuffer: 200_000, ...options })
  open.push(receiver)
  return receiver
}

/** A socket of Node's own, to send from. */
async function senderAt(address: string): Promise<Socket> {
  const type: SocketType = address.includes(':') ? 'udp6' : 'udp4'
  const socket = createSocket(type).bind(0, address)
  await once(socket, 'listening')
  open.push(socket)
  return socket
}

function send(socket: Socket, data: Uint8Array | string, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(data, port, address, (error) => error ? reject(error) : resolve())
  })
}

function payload({ batch: { bytes, start, end } }: UdpReceiver, row: number): Buffer {
  return Buffer.from(bytes.slice(start[row], end[row]))
}

function sender({ batch: { source, sourcePort } }: UdpReceiver, row: number): string {
  const address = source.family[row] === 4 ? formatIpv4(source.v4[row]) : formatIpv6(source.v6, row * 16)
  return `${source.family[row]} ${address} ${sourcePort[row]}`
}

test('receive() gives bytes, source and time of what was sent', async () => {
  const receiver = await receiverAt('127.0.0.1')
  const socket = await senderAt('127.1.2.3')
  const before = Date.now() * 1e3
  await send(socket, 'hello', receiver.endpoint.port, '127.0.0.1')
  assert.equal(receiver.receive(PATIENCE), 1)
  const after = Date.now() * 1e3 + 1e3
  assert.equal(payload(receiver, 0).toString(), 'hello')
  assert.equal(sender(receiver, 0), `4 127.1.2.3 ${socket.address().port}`)
  const [received] = receiver.batch.received
  assert.ok(received >= before && received <= after && Number.isInteger(received))
  assert.equal(receiver.batch.truncated[0], 0)
  assert.equal(receiver.receive(), 0)
  assert.equal(receiver.receive(1), 0)
})

test('receive() gives the sources of IPv6', { skip }, async () => {
  const receiver = await receiverAt('::1')
  const socket = await senderAt('::1')
  await send(socket, 'hello', receiver.endpoint.port, '::1')
  assert.equal(receiver.receive(PATIENCE), 1)
  assert.equal(sender(receiver, 0), `6 ::1 ${socket.address().port}`)
})

test('a receiver at :: takes both families', { skip }, async () => {
  const receiver = await receiverAt('::')
  const [v4, v6] = [await senderAt('127.0.0.200'), await senderAt('::1')]
  const got: string[] = []
  for (const [socket, to] of [[v4, '127.0.0.1'], [v6, '::1'], [v4, '127.0.0.1']] as const) {
    await send(socket, 'x', receiver.endpoint.port, to)
    assert.equal(receiver.receive(PATIENCE), 1)
    got.push(sender(receiver, 0))
  }
  const [port4, port6] = [v4.address().port, v6.address().port]
  assert.deepEqual(got, [`4 127.0.0.200 ${port4}`, `6 ::1 ${port6}`, `4 127.0.0.200 ${port4}`])
})

test('10,000 datagrams of many sizes and sources arrive as they were sent', async () => {
  const receiver = await receiverAt(skip ? '0.0.0.0' : '::', { batch: 50 })
  const { port } = receiver.endpoint
  const offsets = new Uint32Array(1001)
  for (let i = 0; i < 1000; i++) offsets[i + 1] = offsets[i] + (i * 7919) % 1500 // each size once or never
  const bytes = Uint8Array.from({ length: offsets[1000] }, (_, i) => i * 31 + (i >> 8))
  let received = 0
  for (let round = 0; round < 10; round++) {
    const v4 = round % 2 === 0 || skip
    const ends = v4 ? { address: '127.0.0.1', source: `127.0.0.${round + 2}` } : { address: '::1' }
    const blaster = await openUdpBlaster({ port, bytes, offsets, ...ends })
    const { address, port: from } = blaster.endpoint
    for (let sent = 0, got = 0; got < 1000;) {
      if (sent === got) sent += blaster.send(sent, Math.min(sent + 64, 1000)) // what fits into any buffer
      const count = receiver.receive(PATIENCE)
      assert.ok(count > 0 && count <= 50)
      for (let row = 0; row < count; row++, got++) {
        const expected = bytes.subarray(offsets[got], offsets[got + 1])
        assert.equal(payload(receiver, row).compare(expected), 0)
        assert.equal(sender(receiver, row), `${v4 ? 4 : 6} ${address} ${from}`)
        received++
      }
    }
    blaster.close()
  }
  assert.equal(received, 10_000)
  assert.equal(receiver.dropped(), 0)
})

test('the longest datagrams arrive whole, and empty ones too', async () => {
  const receiver = await receiverAt('127.0.0.1')
  const socket = await senderAt('127.0.0.1')
  const longest = Buffer.alloc(65_507, 'the longest that UDP over IPv4 takes')
  await send(socket, longest, receiver.endpoint.port, '127.0.0.1')
  assert.equal(receiver.receive(PATIENCE), 1)
  assert.deepEqual(payload(receiver, 0), longest)
  await send(socket, '', receiver.endpoint.port, '127.0.0.1')
  assert.equal(receiver.receive(PATIENCE), 1)
  assert.equal(payload(receiver, 0).length, 0)
  assert.deepEqual([...receiver.batch.truncated.subarray(0, 1)], [0])
})

test('a datagram longer than a slot is marked, and the next ones are not', async () => {
  const receiver = await receiverAt('127.0.0.1', { slot: 100 })
  const socket = await senderAt('127.0.0.1')
  const got: (readonly [string, number])[] = []
  for (const length of [100, 101, 99]) {
    await send(socket, 'x'.repeat(length), receiver.endpoint.port, '127.0.0.1')
    assert.equal(receiver.receive(PATIENCE), 1)
    got.push([payload(receiver, 0).toString(), receiver.batch.truncated[0]])
  }
  assert.deepEqual(got, [['x'.repeat(100), 0], ['x'.repeat(100), 1], ['x'.repeat(99), 0]])
})

test('dropped() is what was sent less what was received', async () => {
  const receiver = await receiverAt('127.0.0.1', { receiveBuffer: 1 }) // the kernel gives the least it can
  const prepared = {
    bytes: new Uint8Array(100_000), offsets: Uint32Array.from({ length: 501 }, (_, i) => i * 200),
  }
  const blaster = await openUdpBlaster({ ...receiver.endpoint, ...prepared })
  open.push(blaster)
  let received = 0
  for (let round = 1; round <= 2; round++) {
    for (let sent = 0; sent < 500;) sent += blaster.send(sent, 500)
    while (received + receiver.dropped() < 500 * round) received += receiver.receive(1)
    assert.equal(receiver.receive(), 0)
    assert.equal(received + receiver.dropped(), 500 * round)
  }
  assert.ok(received >= 2 && receiver.dropped() > 0)
  const dropped = receiver.dropped()
  receiver.close()
  assert.equal(receiver.dropped(), dropped)
})

test('receiveBuffer is what the kernel has granted, twice what was asked for', async () => {
  assert.equal((await receiverAt('127.0.0.1', { receiveBuffer: 50_000 })).receiveBuffer, 100_000)
})

for (const address of ['0.0.0.0', '::']) {
  test(`a receiver at ${address} joins groups of IPv4`, { skip: address === '::' && skip }, async () => {
    const receiver = await receiverAt(address, { groups: [{ address: '239.1.2.3', interface: 'lo' }] })
    const socket = await senderAt('127.0.0.1')
    socket.setMulticastInterface('127.0.0.1')
    await send(socket, 'to all', receiver.endpoint.port, '239.1.2.3')
    assert.equal(receiver.receive(PATIENCE), 1)
    assert.equal(payload(receiver, 0).toString(), 'to all')
  })
}

test('a receiver joins groups of IPv6', { skip }, async () => {
  await receiverAt('::', { groups: [{ address: 'ff02::fb:4739', interface: 'lo' }] })
  assert.match(readFileSync('/proc/net/igmp6', 'utf8'), /\slo\s+ff020{20}00fb4739\s/)
})

test('readable() waits for datagrams, and ends when the socket is closed', async () => {
  const receiver = await receiverAt('127.0.0.1')
  const socket = await senderAt('127.0.0.1')
  for (let i = 0; i < 3; i++) {
    const waiting = receiver.readable()
    await send(socket, 'x', receiver.endpoint.port, '127.0.0.1')
    assert.equal(await waiting, true)
    assert.equal(await receiver.readable(), true) // it still is
    assert.equal(receiver.receive(), 1)
  }
  const waiting = receiver.readable()
  receiver.close()
  assert.equal(await waiting, false)
  assert.equal(await receiver.readable(), false)
  assert.throws(() => receiver.receive(), TypeError)
})

test('readable() sees what came while nobody waited', async () => {
  const receiver = await receiverAt('127.0.0.1')
  const socket = await senderAt('127.0.0.1')
  await send(socket, 'x', receiver.endpoint.port, '127.0.0.1')
  assert.equal(await receiver.readable(), true)
  for (let turn = 0; turn < 3; turn++) await send(socket, 'y', receiver.endpoint.port, '127.0.0.1')
  assert.equal(await receiver.readable(), true)
  let count = 0
  while (count < 4) count += receiver.receive(PATIENCE)
})

test('receive() blocks in a worker thread until something comes', async () => {
  const url = new URL('../../../core/net/udp-receiver.ts', import.meta.url).href
  const code = `import(${JSON.stringify(url)}).then(async ({ openUdpReceiver }) => {
    const { parentPort } = require('worker_threads')
    const receiver = await openUdpReceiver({ address: '127.0.0.1', port: 0, receiveBuffer: 100000 })
    parentPort.postMessage(receiver.endpoint.port)
    const count = receiver.receive(${PATIENCE})
    const { bytes, start, end } = receiver.batch
    parentPort.postMessage([count, Buffer.from(bytes.slice(start[0], end[0])).toString()])
    receiver.close()
  })`
  const worker = new Worker(code, { eval: true })
  const ended = once(worker, 'exit') // it may end in the same turn as it says what it got
  const [port] = await once(worker, 'message')
  const got = once(worker, 'message')
  await send(await senderAt('127.0.0.1'), 'wake up', port, '127.0.0.1')
  assert.deepEqual((await got)[0], [1, 'wake up'])
  await ended
})

test('createWait() waits for any of several receivers', async () => {
  const receivers = [await receiverAt('127.0.0.1'), await receiverAt('127.0.0.1')]
  const wait = await createWait(receivers)
  assert.equal(wait(1), false)
  await send(await senderAt('127.0.0.1'), 'x', receivers[1].endpoint.port, '127.0.0.1')
  assert.equal(wait(PATIENCE), true)
  assert.deepEqual(receivers.map((receiver) => receiver.receive()), [0, 1])
  for (const receiver of receivers) receiver.close()
  assert.equal(wait(1), false)
})

test('a port is shared by those who say so', async () => {
  const { endpoint } = await receiverAt('127.0.0.1', { reusePort: true })
  await receiverAt('127.0.0.1', { port: endpoint.port, reusePort: true })
  const expected = {
    code: 'EADDRINUSE', syscall: 'bind', message: `bind EADDRINUSE udp://127.0.0.1:${endpoint.port}`,
  }
  await assert.rejects(receiverAt('127.0.0.1', { port: endpoint.port }), expected)
})

test('openUdpReceiver() says what is wrong with an address', async () => {
  await assert.rejects(receiverAt('192.0.2.1'), { code: 'EADDRNOTAVAIL' })
  await assert.rejects(receiverAt('localhost'), { code: 'ERR_OPTION' })
  const message = 'Cannot use interface "none": there is none of that name'
  await assert.rejects(receiverAt('fe80::1%none'), { code: 'ERR_OPTION', message })
  const groups = [{ address: '127.0.0.1', interface: 'lo' }] // no group
  await assert.rejects(receiverAt('127.0.0.1', { groups }), { code: 'EINVAL', syscall: 'setsockopt' })
})

test('the memory that the kernel writes to cannot be given away', async () => {
  const { buffer } = (await receiverAt('127.0.0.1')).batch.bytes
  const transfer = [buffer as ArrayBuffer]
  assert.throws(() => structuredClone(buffer, { transfer }), { name: 'DataCloneError' })
})

test('no descriptor stays open, whether opening succeeds or not', async () => {
  async function round(): Promise<void> {
    const receiver = await receiverAt('127.0.0.1')
    const { port } = receiver.endpoint
    const waiting = receiver.readable()
    await assert.rejects(receiverAt('127.0.0.1', { port }), { code: 'EADDRINUSE' })
    const wrong = { port, address: '127.0.0.1', bytes: new Uint8Array(1), offsets: Uint32Array.of(0, 1) }
    await assert.rejects(openUdpBlaster({ ...wrong, source: '192.0.2.1' }), { code: 'EADDRNOTAVAIL' })
    const blaster = await openUdpBlaster(wrong)
    blaster.close()
    receiver.close()
    receiver.close()
    assert.equal(await waiting, false)
  }
  await round()
  const before = readdirSync('/proc/self/fd').length
  for (let i = 0; i < 10; i++) await round()
  assert.equal(readdirSync('/proc/self/fd').length, before)
})

test('runs of datagrams are cut again, whatever fits into a batch', async () => {
  for (const batch of [1, 7, 256]) {
    const receiver = await receiverAt('127.0.0.1', { batch, receiveBuffer: 4 << 20 })
    const size = 700
    const count = 500
    const bytes = Uint8Array.from({ length: count * size }, (_, i) => i * 31 + (i >> 8))
    const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * size)
    const { port } = receiver.endpoint
    const blaster = await openUdpBlaster({ address: '127.0.0.1', port, bytes, offsets, inRuns: true })
    open.push(blaster)
    for (let sent = 0; sent < count;) sent += blaster.send(sent, count)
    assert.equal(blaster.counts.sent, count)
    assert.ok(blaster.counts.calls < 10)
    for (let got = 0; got < count;) {
      const rows = receiver.receive(PATIENCE)
      assert.ok(rows > 0 && rows <= batch)
      for (let row = 0; row < rows; row++, got++) {
        assert.equal(payload(receiver, row).compare(bytes.subarray(got * size, (got + 1) * size)), 0)
        assert.equal(sender(receiver, row), `4 127.0.0.1 ${blaster.endpoint.port}`)
        assert.ok(receiver.batch.received[row] > 1e15)
      }
      if (got < count && rows === batch) assert.equal(receiver.hasMore, true)
    }
    assert.equal(receiver.receive(), 0)
    assert.equal(receiver.hasMore, false)
  }
})

test('datagrams of several sizes cannot be sent in runs', async () => {
  const offsets = Uint32Array.of(0, 10, 19)
  const options = { address: '127.0.0.1', port: 9, bytes: new Uint8Array(19), offsets, inRuns: true }
  await assert.rejects(openUdpBlaster(options), /^RangeError: Cannot send datagrams in runs: expected all/)
})
