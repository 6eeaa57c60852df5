import assert from 'node:assert/strict'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import { parseIpv4, parseIpv6 } from '../../../core/flow/address.ts'
import { parseDestination } from '../../../core/net/send.ts'
import { openSpoofer } from '../../../core/net/spoof.ts'
import type { Source } from '../../../core/pcap/write.ts'

async function receiver(address: string): Promise<Socket> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4').bind(0, address)
  await once(socket, 'listening')
  return socket
}

function sourceOf(address: string): Source {
  const v6 = new Uint8Array(16)
  const family = address.includes(':') ? 6 : 4
  if (family === 6) parseIpv6(address, v6, 0)
  return { family, v4: family === 4 ? parseIpv4(address) : 0, v6, port: 50_000 }
}

/** Why it cannot be tried here; false if it can. */
async function unable(): Promise<string | false> {
  try {
    await (await openSpoofer(parseDestination('udp://127.0.0.1:9'))).close()
    return false
  } catch (error) {
    return (error as Error).message
  }
}

const skip = await unable()

for (const [own, exporters, other] of [
  ['127.0.0.1', ['192.0.2.1', '198.51.100.254', '10.0.0.1'], '2001:db8::1'],
  ['::1', ['2001:db8::1', '2001:db8:ffff::2'], '192.0.2.1'],
] as const) {
  test(`datagrams to ${own} come from their exporters' addresses, and of the other family from here`, {
    skip,
  }, async (t) => {
    const socket = await receiver(own).catch(() => undefined)
    if (!socket) return t.skip('this machine has no such address')
    const { port } = socket.address()
    const sender = await openSpoofer(parseDestination(`udp://${own.includes(':') ? `[${own}]` : own}:${port}`))
    const froms: RemoteInfo[] = []
    const bytes: number[] = []
    const all = [...exporters, other, ...exporters]
    const done = new Promise<void>((resolve) => socket.on('message', (message, from) => {
      froms.push(from)
      bytes.push(message[0])
      if (froms.length === all.length) resolve()
    }))
    for (const [i, exporter] of all.entries()) {
      await sender.sendFrom(sourceOf(exporter), Uint8Array.of(i, 2, 3))
      await sender.ready()
    }
    await done
    await sender.close()
    socket.close()
    assert.deepEqual(froms.map(({ address }) => address), [...exporters, own, ...exporters])
    assert.deepEqual(bytes, all.map((_, i) => i))
    const spoofed = froms.filter(({ address }) => address !== own)
    assert.equal(new Set(spoofed.map((from) => from.port)).size, 1)
    assert.deepEqual([sender.address, sender.counts], [own, { sent: all.length, failed: 0 }])
  })
}

test('many datagrams, and such as are longer than any packet of a network, are sent whole', { skip }, async () => {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20 }).bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const sender = await openSpoofer(parseDestination(`udp://127.0.0.1:${socket.address().port}`))
  const sizes: number[] = []
  const done = new Promise<void>((resolve) => socket.on('message', (message, { address }) => {
    assert.equal(address, `192.0.2.${message[0]}`)
    sizes.push(message.length)
    if (sizes.length === 600) resolve()
  }))
  const expected = Array.from({ length: 600 }, (_, i) => i % 100 === 0 ? 60_000 : 100 + i)
  for (const [i, size] of expected.entries()) {
    await sender.sendFrom(sourceOf(`192.0.2.${i & 127}`), new Uint8Array(size).fill(i & 127))
    if (i % 50 === 49) await sender.ready()
  }
  await sender.ready()
  await done
  await sender.close()
  socket.close()
  assert.deepEqual(sizes, expected)
})

test('an address that no exporter can have is a datagram that failed', { skip }, async () => {
  const socket = await receiver('127.0.0.1')
  const sender = await openSpoofer(parseDestination(`udp://127.0.0.1:${socket.address().port}`))
  const message = once(socket, 'message') as Promise<[Buffer, RemoteInfo]>
  for (const address of ['224.0.0.1', '192.0.2.9']) await sender.sendFrom(sourceOf(address), Uint8Array.of(1))
  await sender.close()
  const [, { address }] = await message
  socket.close()
  assert.equal(address, '192.0.2.9')
  assert.deepEqual([sender.counts, sender.reason], [{ sent: 1, failed: 1 }, 'invalid argument'])
})
