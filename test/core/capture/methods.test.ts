import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { UNKNOWN_DIRECTION } from '../../../core/capture/batch.ts'
import { openLiveCapture } from '../../../core/capture/live.ts'
import { loadPcap } from '../../../core/capture/pcap-library.ts'
import { LINK_ETHERNET } from '../../../core/pcap/headers.ts'
import { openFrameSender, udpFrame } from '../../support/frames.ts'
import { bringUp, enterNetwork, makePair, run } from '../../support/network.ts'
import { openTestCapture } from './captured.ts'

const noNetwork = await enterNetwork()
const timeout = 30_000 // ms
if (noNetwork === false) makePair('out0', 'in0')

const noTcpdump = spawnSync('tcpdump', ['--version']).error ? 'tcpdump is not installed' : false
const noLibpcap = process.platform === 'linux' && await loadPcap() ? false : 'libpcap is not installed'

for (const [method, missing] of [['libpcap', noLibpcap], ['tcpdump', noTcpdump]] as const) {
  const skip = noNetwork || missing

  test(`${method} gives every packet, as it was sent`, { skip, timeout }, async () => {
    await using capture = await openTestCapture({ interfaces: ['in0'], method })
    assert.equal(capture.method, method)
    const frames = Array.from({ length: 300 }, (_, i) => udpFrame({ size: 60 + i, srcPort: i }))
    frames.push(udpFrame({ tag: [0x8100, 9] }))
    const sender = await openFrameSender('out0', frames)
    sender.send(10)
    sender.close()
    const packets = await capture.take(3010)
    assert.equal(packets.length, 3010)
    for (const [i, { bytes, wireLength, linkType, direction, time }] of packets.entries()) {
      const frame = frames[i % 301]
      assert.deepEqual(bytes, frame.subarray(0, 256))
      assert.equal(wireLength, frame.length)
      assert.deepEqual([linkType, direction], [LINK_ETHERNET, UNKNOWN_DIRECTION])
      assert.ok(Math.abs(time / 1000 - Date.now()) < 60_000)
    }
    const [{ index: _, ...report }] = capture.report()
    assert.deepEqual(report, { name: 'in0', isOpen: true, received: 3010, dropped: 0, freezes: 0 })
  })

  test(`${method} filters and cuts`, { skip, timeout }, async () => {
    const options = { interfaces: ['in0'], filter: 'udp src port 7 or vlan 3', snaplen: 50, method }
    await using capture = await openTestCapture(options)
    const frames = Array.from({ length: 10 }, (_, i) => udpFrame({ size: 100, srcPort: i, tag: [0x8100, 3] }))
    frames.push(udpFrame({ size: 100, srcPort: 8 }), udpFrame({ size: 100, srcPort: 7 }))
    const sender = await openFrameSender('out0', frames)
    sender.send()
    sender.close()
    const packets = await capture.take(11)
    assert.deepEqual(packets.map(({ bytes }) => bytes), [...frames.slice(0, 10), frames[11]].map((frame) => {
      return frame.subarray(0, 50)
    }))
    assert.ok(packets.every(({ wireLength }) => wireLength === 100))
  })

  test(`${method} gives what has come when it is stopped`, { skip, timeout }, async () => {
    await using capture = await openTestCapture({ interfaces: ['in0'], method, blockTimeout: 100 })
    const sender = await openFrameSender('out0', [udpFrame()])
    sender.send(20)
    const first = await capture.take(20)
    const stopped = Date.now()
    capture.stop()
    while (Date.now() - stopped < 2); // what comes in the same millisecond still counts
    sender.send(20)
    sender.close()
    assert.deepEqual([first.length, (await capture.take()).length], [20, 0])
    assert.equal(capture.isDone, true)
  })

  test(`${method} counts the packets for which there is no room`, { skip, timeout }, async () => {
    const options = { interfaces: ['in0'], ringSize: 4096, snaplen: 1500, method }
    await using capture = await openTestCapture(options)
    const frames = Array.from({ length: 64 }, (_, i) => udpFrame({ size: 1000, srcPort: i }))
    const sender = await openFrameSender('out0', frames)
    sender.send(500)
    sender.close()
    capture.stop()
    const packets = await capture.take()
    const [{ received, dropped }] = capture.report()
    assert.equal(received, packets.length)
    assert.ok(dropped > 0)
    assert.equal(received + dropped, 32_000)
  })

  test(`${method} takes up interfaces that come back`, { skip, timeout }, async () => {
    await using capture = await openTestCapture({ interfaces: ['w*'], method })
    for (let round = 1; round <= 2; round++) {
      makePair('s0', 'w0')
      await capture.noted(new RegExp(`^w0 is ${round === 1 ? 'there' : 'back'}: it is captured from$`))
      const sender = await openFrameSender('s0', [udpFrame()])
      sender.send(10)
      sender.close()
      assert.equal((await capture.take(10)).length, 10)
      run('ip link del s0')
      await capture.noted(/^w0 has gone: it is captured from again once it is back$/)
    }
    const [{ index: _, ...report }] = capture.report()
    assert.deepEqual(report, { name: 'w0', isOpen: false, received: 20, dropped: 0, freezes: 0 })
  })

  test(`${method} says what is wrong`, { skip, timeout }, async () => {
    const onNote = (): void => {}
    await assert.rejects(openLiveCapture({ interfaces: ['in0'], filter: 'udp prt 5', method, onNote }), {
      code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: .*syntax error/,
    })
    await assert.rejects(openLiveCapture({ interfaces: ['none0'], method, onNote }), {
      code: 'ERR_INPUT', message: 'Cannot capture from none0: there is no such interface',
    })
    run('ip link set out0 down')
    run('ip link set in0 down')
    await assert.rejects(openLiveCapture({ interfaces: ['in0'], method, onNote }), {
      code: 'ERR_INPUT', message: 'Cannot capture from in0: the interface is down',
    })
    bringUp('out0', 'in0')
    await assert.rejects(openLiveCapture({ interfaces: ['in0'], fanout: 1, method, onNote }), {
      code: 'ERR_UNSUPPORTED', message: `Cannot capture by ${method}: its captures share no packets`,
    })
  })
}

const noFallback = noNetwork || noTcpdump
test('where no library can be called, tcpdump captures', { skip: noFallback, timeout }, async () => {
  const module = (path: string): string => JSON.stringify(new URL(`../../../${path}`, import.meta.url).href)
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', `
    import { registerHooks } from 'node:module'
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier === 'koffi') throw new Error('there is none')
        return next(specifier, context)
      },
    })
    const { openLiveCapture } = await import(${module('core/capture/live.ts')})
    const notes = []
    const capture = await openLiveCapture({
      interfaces: ['lo'], filter: 'udp port 9 or vlan 3', onNote: (text) => notes.push(text),
    })
    const { createSocket } = await import('node:dgram')
    const socket = createSocket('udp4').unref()
    for (const port of [8, 9, 9]) socket.send('', port, '127.0.0.1')
    let count = 0
    do count += capture.receive()
    while (count < 2 && await capture.readable())
    console.log(JSON.stringify([capture.method, count, notes]))
    capture.close()
  `], { timeout: 20_000 })
  assert.equal(child.stderr.toString(), '')
  const missing = 'Cannot call the C library: there is none'
  assert.deepEqual(JSON.parse(child.stdout.toString()), ['tcpdump', 2, [
    `packets do not come by ring: ${missing}`, `packets do not come by libpcap: ${missing}`,
  ]])
})

test('what the kernel does not take goes to libpcap', { skip: noNetwork || noLibpcap, timeout }, async () => {
  // a program that jumps back
  await using capture = await openTestCapture({ interfaces: ['in0'], filter: 'ip protochain 17 and port 5' })
  assert.equal(capture.method, 'libpcap')
  assert.equal(capture.notes.length, 1)
  assert.match(capture.notes[0], /^packets do not come by ring: .*: the kernel refuses its program of \d+ /)
  const frames = Array.from({ length: 10 }, (_, i) => udpFrame({ srcPort: i, dstPort: 9 }))
  const sender = await openFrameSender('out0', frames)
  sender.send()
  sender.close()
  assert.deepEqual((await capture.take(1)).map(({ bytes }) => bytes), [frames[5]])
})
