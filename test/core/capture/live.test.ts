import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { INCOMING, OUTGOING } from '../../../core/capture/batch.ts'
import { openLiveCapture } from '../../../core/capture/live.ts'
import { CAPTURE_METHODS } from '../../../core/capture/options.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { LINK_ETHERNET, LINK_RAW } from '../../../core/pcap/headers.ts'
import { openFrameSender, udpFrame } from '../../support/frames.ts'
import { bringUp, enterNetwork, makePair, run } from '../../support/network.ts'
import { openTestCapture } from './captured.ts'

const skip = await enterNetwork()
const timeout = 30_000 // ms
if (skip === false) makePair('out0', 'in0')

test('every packet sent is received, as it was', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'] })
  const frames = Array.from({ length: 500 }, (_, i) => udpFrame({ size: 60 + i, srcPort: i, dstPort: 7 }))
  const sender = await openFrameSender('out0', frames)
  const before = Date.now() * 1000
  sender.send(10)
  sender.close()
  const packets = await capture.take(5000)
  assert.equal(packets.length, 5000)
  for (const [i, packet] of packets.entries()) {
    const frame = frames[i % 500]
    assert.deepEqual(packet.bytes, frame.subarray(0, 256))
    assert.equal(packet.wireLength, frame.length)
    assert.equal(packet.linkType, LINK_ETHERNET)
    assert.equal(packet.direction, INCOMING)
    assert.ok(packet.time >= before - 1000 && packet.time <= Date.now() * 1000 + 999)
    assert.ok(Number.isInteger(packet.time))
    assert.ok(packet.nanos < 1000)
    if (i > 0) assert.ok(packet.time >= packets[i - 1].time)
  }
  const [report] = capture.report()
  const { ifIndex } = packets[0]
  const counts = { received: 5000, dropped: 0, freezes: 0 }
  assert.deepEqual(report, { name: 'in0', index: ifIndex, isOpen: true, ...counts })
  assert.equal(capture.method, 'ring')
})

test('what an interface sends is outgoing', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['out0'] })
  const sender = await openFrameSender('out0', [udpFrame()])
  sender.send()
  sender.close()
  const [packet] = await capture.take(1)
  assert.equal(packet.direction, OUTGOING)
})

test('VLAN tags that the kernel takes off are in their place', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'], snaplen: 60 })
  const frames = [
    udpFrame({ size: 80, tag: [0x8100, 0x6005] }), udpFrame({ size: 80 }),
    udpFrame({ size: 80, tag: [0x88a8, 7] }),
  ]
  const sender = await openFrameSender('out0', frames)
  sender.send()
  sender.close()
  const packets = await capture.take(3)
  assert.deepEqual(packets.map(({ bytes }) => bytes), [
    frames[0].subarray(0, 64), frames[1].subarray(0, 60), frames[2].subarray(0, 64),
  ])
  assert.deepEqual(packets.map(({ wireLength }) => wireLength), [80, 80, 80])
})

test('segments that were put together come as one packet of all their bytes', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'], snaplen: 65_535 })
  await using short = await openTestCapture({ interfaces: ['in0'] })
  const segment = tcpSegment(60_000)
  await sendSegment('out0', segment)
  const [{ bytes, wireLength }] = await capture.take(1)
  assert.equal(wireLength, 60_054)
  assert.deepEqual(bytes, segment)
  const [cut] = await short.take(1)
  assert.deepEqual([cut.bytes, cut.wireLength], [segment.subarray(0, 256), 60_054])
})

/** A frame of TCP over IPv4 that the card would cut into packets: 54 bytes of headers, then data. */
function tcpSegment(size: number): Uint8Array {
  const frame = udpFrame({ size: 54 + size })
  frame[23] = 6
  frame[46] = 0x50 // length of TCP's header
  for (let i = 54; i < frame.length; i++) frame[i] = i
  return frame
}

async function sendSegment(name: string, frame: Uint8Array): Promise<void> {
  const libc = await loadLibc()
  const fd = libc.socket(17, 3, 0) // AF_PACKET, SOCK_RAW
  const address = new DataView(new ArrayBuffer(20)) // struct sockaddr_ll
  address.setUint16(0, 17, true)
  address.setInt32(4, libc.if_nametoindex(name), true)
  assert.equal(libc.bind(fd, new Uint8Array(address.buffer), 20), 0)
  assert.equal(libc.setsockopt(fd, 263, 15, Int32Array.of(1), 4), 0) // SOL_PACKET, PACKET_VNET_HDR
  // struct virtio_net_hdr: u8 flags 0 (NEEDS_CSUM), gso_type 1 (TCPV4), u16 hdr_len 2, gso_size 4,
  // csum_start 6, csum_offset 8
  const header = new DataView(new ArrayBuffer(10))
  header.setUint8(0, 1)
  header.setUint8(1, 1)
  for (const [i, value] of [54, 1448, 34, 16].entries()) header.setUint16(2 + i * 2, value, true)
  writeSync(fd, Buffer.concat([new Uint8Array(header.buffer), frame]))
  libc.close(fd)
}

test('the kernel cuts packets, and keeps their length', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'], snaplen: 34 })
  const sender = await openFrameSender('out0', [udpFrame({ size: 1000 })])
  sender.send()
  sender.close()
  const [{ bytes, wireLength }] = await capture.take(1)
  assert.deepEqual([bytes.length, wireLength], [34, 1000])
})

test('on lo each packet comes once', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['lo'] })
  const socket = createSocket('udp4')
  const sent = Promise.all(Array.from({ length: 20 }, (_, i) => {
    return new Promise((resolve) => socket.send('x'.repeat(i), 9, '127.0.0.1', resolve))
  }))
  await sent
  socket.close()
  capture.stop()
  // ICMP answers that nobody listens there, as often as it is allowed
  const packets = (await capture.take()).filter(({ bytes }) => bytes[23] === 17)
  assert.deepEqual(packets.map(({ wireLength }) => wireLength), Array.from({ length: 20 }, (_, i) => 42 + i))
  assert.ok(packets.every(({ linkType, direction }) => linkType === LINK_ETHERNET && direction === INCOMING))
})

test('interfaces without frames give IP packets', { skip, timeout }, async () => {
  const tun = await openTun('tun0')
  run('ip addr add 10.8.0.1/24 dev tun0')
  run('ip link set tun0 up')
  const incoming = udpFrame({ dstPort: 9 }).subarray(14)
  for (const method of CAPTURE_METHODS) {
    await using capture = await openTestCapture({ interfaces: ['tun0'], filter: 'udp dst port 9', method })
    const socket = createSocket('udp4')
    await new Promise((resolve) => socket.send('hello', 9, '10.8.0.2', resolve))
    await new Promise((resolve) => socket.send('other', 8, '10.8.0.2', resolve))
    socket.close()
    writeSync(tun, incoming)
    const [one, other, ...rest] = await capture.take(2)
    assert.deepEqual(rest, [])
    assert.deepEqual([one.bytes[0], one.wireLength, one.linkType], [0x45, 33, LINK_RAW])
    assert.equal(new TextDecoder().decode(one.bytes.subarray(28)), 'hello')
    assert.deepEqual(other.bytes, incoming)
    if (method === 'ring') assert.deepEqual([one.direction, other.direction], [OUTGOING, INCOMING])
  }
  closeSync(tun)
})

/** Make an interface of IP packets: what is written to the descriptor comes from it. */
async function openTun(name: string): Promise<number> {
  const fd = openSync('/dev/net/tun', 'r+')
  const request = Buffer.alloc(40) // struct ifreq: name 0, short ifr_flags 16
  request.write(name)
  request.writeInt16LE(0x1001, 16) // IFF_TUN | IFF_NO_PI
  assert.equal((await loadLibc()).ioctl(fd, 0x400454ca, request), 0) // TUNSETIFF: linux/if_tun.h
  return fd
}

test('a filter runs in the kernel: what it refuses is not counted', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'], filter: 'udp and dst port 53' })
  const frames = Array.from({ length: 100 }, (_, i) => udpFrame({ dstPort: i }))
  const sender = await openFrameSender('out0', frames)
  sender.send(3)
  sender.close()
  capture.stop()
  const packets = await capture.take()
  assert.deepEqual(packets.map(({ bytes }) => bytes), [frames[53], frames[53], frames[53]])
  assert.equal(capture.report()[0].received, 3)
})

test('a filter finds VLAN tags', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'], filter: 'vlan 5 and udp' })
  const frames = [udpFrame(), udpFrame({ tag: [0x8100, 5] }), udpFrame({ tag: [0x8100, 6] })]
  const sender = await openFrameSender('out0', frames)
  sender.send()
  sender.close()
  capture.stop()
  assert.deepEqual((await capture.take()).map(({ bytes }) => bytes), [frames[1]])
})

test('packets for which there is no room are counted, each of them', { skip, timeout }, async () => {
  // 2 blocks, the least there are
  await using capture = await openTestCapture({ interfaces: ['in0'], ringSize: 1 })
  const sender = await openFrameSender('out0', Array.from({ length: 64 }, (_, i) => udpFrame({ srcPort: i })))
  sender.send(200)
  const [{ received, dropped, freezes }] = capture.report()
  assert.ok(dropped > 0 && freezes > 0, `${dropped} dropped, ${freezes} freezes`)
  assert.equal(received + dropped, 12_800)
  assert.equal((await capture.take(received)).length, received)
  sender.send() // there is room again
  sender.close()
  capture.stop()
  const rest = await capture.take()
  const [after] = capture.report()
  assert.equal(after.received, received + rest.length)
  assert.equal(after.received + after.dropped, 12_864)
})

test('a stopped capture gives what has come, and then ends', { skip, timeout }, async () => {
  // nothing is given out for a minute unless it is full, or this kernel thinks that it should
  await using capture = await openTestCapture({ interfaces: ['in0'], blockTimeout: 500 })
  const sender = await openFrameSender('out0', [udpFrame()])
  sender.send(10)
  capture.stop()
  sender.send(10) // too late
  sender.close()
  assert.equal((await capture.take()).length, 10)
  assert.equal(capture.isDone, true)
  assert.equal(capture.report()[0].received, 10)
})

test('a closed capture ends who waits for it, and keeps its report', { skip, timeout }, async () => {
  const capture = await openTestCapture({ interfaces: ['in0'] })
  const readable = capture.readable()
  capture.close()
  capture.close()
  assert.equal(await readable, false)
  assert.equal(await capture.readable(), false)
  assert.deepEqual(capture.report().map(({ name, isOpen }) => [name, isOpen]), [['in0', false]])
  assert.throws(() => capture.receive(), TypeError)
})

test('a thread can block in receive()', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['in0'] })
  assert.equal(capture.receive(1), 0)
  const sender = await openFrameSender('out0', [udpFrame()])
  sender.send()
  sender.close()
  assert.equal(capture.receive(10_000), 1)
})

test('interfaces of a pattern are captured from as they come and go', { skip, timeout }, async () => {
  await using capture = await openTestCapture({ interfaces: ['w*'] })
  assert.deepEqual(capture.notes, ['there is no interface w* yet'])
  assert.deepEqual(capture.report(), [])
  const indexes = new Set<number>()
  for (let round = 1; round <= 3; round++) {
    makePair('s0', 'w0')
    makePair('s1', 'w1')
    const state = round === 1 ? 'there' : 'back'
    await capture.noted(new RegExp(`^w0 is ${state}: it is captured from$`))
    await capture.noted(new RegExp(`^w1 is ${state}`))
    for (const [i, name] of ['s0', 's1'].entries()) {
      const sender = await openFrameSender(name, [udpFrame({ srcPort: round * 10 + i })])
      sender.send(100)
      sender.close()
    }
    const packets = await capture.take(200)
    assert.equal(packets.length, 200)
    for (const { ifIndex } of packets) indexes.add(ifIndex)
    run('ip link del s0')
    run('ip link del s1')
    await capture.noted(/^w0 has gone: it is captured from again once it is back$/)
    await capture.noted(/^w1 has gone/)
  }
  assert.equal(indexes.size, 6)
  const said = capture.notes.filter((note) => /there:|back:|gone:/.test(note))
  assert.equal(said.length, 12) // each once
  assert.deepEqual(capture.report().map(({ index: _, ...report }) => report), ['w0', 'w1'].map((name) => {
    return { name, isOpen: false, received: 300, dropped: 0, freezes: 0 }
  }))
})

test('an interface that goes down is captured from again once it is up', { skip, timeout }, async () => {
  makePair('d0', 'd1')
  await using capture = await openTestCapture({ interfaces: ['d1'] })
  const sender = await openFrameSender('d0', [udpFrame()])
  sender.send()
  assert.equal((await capture.take(1)).length, 1)
  run('ip link set d1 down')
  await capture.noted(/^d1 is down: it is captured from once it is up$/)
  bringUp('d1', 'd0')
  await capture.noted(/^d1 is up again$/)
  sender.send()
  sender.close()
  assert.equal((await capture.take(1)).length, 1)
  run('ip link del d0')
})

test('what came before an interface went is still received', { skip, timeout }, async () => {
  makePair('g0', 'g1')
  await using capture = await openTestCapture({ interfaces: ['g1'], blockTimeout: 200 })
  const sender = await openFrameSender('g0', [udpFrame()])
  sender.send(50)
  sender.close()
  run('ip link del g0')
  assert.equal((await capture.take(50)).length, 50)
})

test('an interface is promiscuous only as long as it is captured from', { skip, timeout }, async () => {
  const isPromiscuous = (): boolean => / promiscuity 1 /.test(run('ip -d link show in0'))
  {
    await using capture = await openTestCapture({ interfaces: ['in0'], promiscuous: false })
    assert.equal(isPromiscuous(), false)
    assert.deepEqual(capture.notes, [])
  }
  {
    await using capture = await openTestCapture({ interfaces: ['in0'] })
    assert.equal(isPromiscuous(), true)
    assert.deepEqual(capture.notes, [])
  }
  assert.equal(isPromiscuous(), false)
})

/** Captures until it is told to stop, and tells the ports of all packets. */
const WORKER = `
  const { parentPort, workerData: { module, options, stopped } } = require('node:worker_threads')
  import(module).then(async ({ openLiveCapture }) => {
    const capture = await openLiveCapture({ ...options, onNote: (text) => { throw new Error(text) } })
    const { batch } = capture
    const ports = []
    parentPort.postMessage('ready')
    while (!capture.isDone) {
      const count = capture.receive(10)
      const view = new DataView(batch.bytes.buffer)
      for (let row = 0; row < count; row++) {
        const at = batch.start[row] + 34
        ports.push(Math.max(view.getUint16(at), view.getUint16(at + 2)))
      }
      if (Atomics.load(stopped, 0) > 0) capture.stop()
    }
    parentPort.postMessage(ports)
    capture.close()
  })
`

test('workers share packets: each gets whole conversations', { skip, timeout }, async () => {
  const module = new URL('../../../core/capture/live.ts', import.meta.url).href
  const stopped = new Int32Array(new SharedArrayBuffer(4))
  const options = { interfaces: ['in0'], fanout: process.pid & 0xffff, blockTimeout: 10 }
  const workers = Array.from({ length: 3 }, () => {
    return new Worker(WORKER, { eval: true, workerData: { module, options, stopped } })
  })
  async function next(): Promise<unknown[]> {
    return (await Promise.all(workers.map((worker) => once(worker, 'message')))).flat()
  }
  assert.deepEqual(await next(), ['ready', 'ready', 'ready'])
  const there = Array.from({ length: 64 }, (_, i) => udpFrame({ srcPort: 2000 + i }))
  const back = there.map((_, i) => udpFrame({ src: 2, dst: 1, srcPort: 53, dstPort: 2000 + i }))
  const sender = await openFrameSender('out0', [...there, ...back])
  sender.send(10)
  sender.close()
  const all = next()
  Atomics.store(stopped, 0, 1)
  const conversations = (await all).map((ports) => Map.groupBy(ports as number[], (port) => port))
  assert.ok(conversations.every(({ size }) => size > 0))
  const ports = conversations.flatMap((each) => [...each.keys()])
  assert.deepEqual(ports.sort(), Array.from({ length: 64 }, (_, i) => 2000 + i)) // none is in two of them
  for (const each of conversations) for (const packets of each.values()) assert.equal(packets.length, 20)
})

test('errors say what is wrong', { skip, timeout }, async () => {
  const onNote = (): void => {}
  await assert.rejects(openLiveCapture({ interfaces: ['none0'], onNote }), {
    code: 'ERR_INPUT', message: 'Cannot capture from none0: there is no such interface',
  })
  await assert.rejects(openLiveCapture({ interfaces: ['in0'], filter: 'udp port', onNote }), {
    code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: .*syntax error/,
  })
})
