import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { formatIpv6 } from '../../../core/flow/address.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { dial, listen, message } from './ipfix-streams.ts'

const noIpv6 = networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6') ? false : 'no IPv6 here'

test('messages come whole, with their sender and the time, however they are cut', async () => {
  const it = await listen()
  const socket = await dial(it)
  const all = [message(16, 1), message(1400, 2), message(65_535, 3), message(20, 4)]
  const stream = Buffer.concat(all)
  const before = Date.now() * 1000
  for (const [from, to] of [[0, 3], [3, 17], [17, 40_000], [40_000, stream.length]]) {
    socket.write(stream.subarray(from, to))
    await it.until(() => it.counters.bytes === to)
  }
  await it.until(() => it.messages.length === 4)
  assert.deepEqual(it.messages.map(({ bytes }) => bytes), all)
  for (const { port, received } of it.messages) {
    assert.equal(port, socket.port)
    assert.ok(received >= before && received <= Date.now() * 1000)
  }
  assert.deepEqual(it.counters, {
    accepted: 1, refused: 0, closed: 0, faults: 0, messages: 4, bytes: stream.length,
  })
  assert.equal(it.connections, 1)
})

test('many messages of several connections are told apart by port', async () => {
  const it = await listen()
  const sockets = await Promise.all([dial(it), dial(it), dial(it)])
  const burst = Buffer.concat(Array.from({ length: 5000 }, () => message(24, 7)))
  for (const socket of sockets) socket.write(burst)
  await it.until(() => it.messages.length === 15_000)
  for (const { port } of sockets) {
    assert.equal(it.messages.filter((each) => each.port === port).length, 5000)
  }
})

for (const [name, bytes, found] of [
  ['a wrong version', Buffer.from([0, 9, 0, 20, 0, 0]), 'version 9 and length 20 found'],
  ['a length that is too short', Buffer.from([0, 10, 0, 4]), 'version 10 and length 4 found'],
  ['garbage', Buffer.alloc(100_000, 'x'), 'version 30840 and length 30840 found'],
] as const) {
  test(`${name} closes the connection, and is told once; others go on`, async () => {
    const it = await listen()
    const other = await dial(it)
    const socket = await dial(it)
    socket.write(Buffer.concat([message(30, 1), bytes]))
    await socket.ended
    await it.until(() => it.closed.length === 1)
    const wanted = 'version 10 and a length of 16 or more expected'
    assert.deepEqual(it.faults, [
      { code: 'ERR_MALFORMED', message: `Cannot read IPFIX message: ${wanted}, ${found}`, port: socket.port },
    ])
    assert.deepEqual(it.closed.map(({ address, port }) => [address, port]), [['127.0.0.1', socket.port]])
    other.write(message(16, 2))
    await it.until(() => it.messages.length === 2)
    assert.deepEqual([it.counters.faults, it.counters.closed, it.connections], [1, 1, 1])
  })
}

test('a connection that ends between messages ends without fault, from both sides', async () => {
  const it = await listen()
  const socket = await dial(it)
  socket.end(message(16, 1)) // sends its end, and waits for the other
  await socket.ended
  await it.until(() => it.closed.length === 1)
  assert.deepEqual([it.messages.length, it.faults, it.connections], [1, [], 0])
})

test('a connection that ends within a message is a fault', async () => {
  const it = await listen()
  const [whole, cut] = [await dial(it), await dial(it)]
  whole.end(message(100, 1).subarray(0, 60))
  await it.until(() => it.faults.length === 1)
  cut.end(Buffer.from([0, 10]))
  await it.until(() => it.faults.length === 2)
  assert.deepEqual(it.faults.map(({ code, message }) => [code, message]), [
    ['ERR_TRUNCATED', 'Cannot read IPFIX message: 100 bytes needed, 60 found when the connection ended'],
    ['ERR_TRUNCATED', 'Cannot read IPFIX message: 4 bytes needed, 2 found when the connection ended'],
  ])
})

test('a connection whose message is refused is given up', async () => {
  const reason = 'Cannot decode set: 8 bytes are left, its length is 9'
  const it = await listen({}, {}, ({ length }) => {
    if (length === 17) throw new FlowkitError('ERR_MALFORMED', reason)
  })
  const socket = await dial(it)
  socket.write(Buffer.concat([message(16, 1), message(17, 1), message(18, 1)]))
  await socket.ended
  assert.deepEqual(it.faults.map(({ message }) => message), [reason])
  assert.deepEqual([it.messages.length, it.counters.messages], [1, 2])
})

test('a connection that is reset has ended', async () => {
  const it = await listen()
  const socket = await dial(it)
  socket.write(message(16, 1))
  await it.until(() => it.messages.length === 1)
  socket.resetAndDestroy()
  await it.until(() => it.closed.length === 1)
  assert.deepEqual(it.faults, [])
})

test('connections are limited, in all and from one address, as long as others are open', async () => {
  const all = await listen({}, { connections: 2 })
  const one = await listen({}, { connectionsPerAddress: 2 })
  for (const it of [all, one]) {
    const first = await dial(it)
    const second = await dial(it)
    const third = await dial(it)
    await third.ended
    assert.deepEqual([it.counters.accepted, it.counters.refused, it.connections], [2, 1, 2])
    first.end()
    await it.until(() => it.closed.length === 1)
    const fourth = await dial(it)
    for (const socket of [second, fourth]) socket.write(message(16, 1))
    await it.until(() => it.messages.length === 2)
    assert.deepEqual([it.counters.accepted, it.counters.refused, it.counters.closed], [3, 1, 1])
    assert.equal(it.closed.some(({ port }) => port === third.port), false)
  }
})

test('the oldest message that is not complete is given up where too much is set aside', async () => {
  const it = await listen({}, { buffered: 2500 })
  const sockets = [await dial(it), await dial(it), await dial(it)]
  for (const [i, socket] of sockets.entries()) {
    const before = it.counters.bytes
    socket.write(Buffer.concat([message(16, 1), message(1000, i).subarray(0, 900)]))
    await it.until(() => it.messages.length === i + 1)
    assert.equal(it.counters.bytes, before + 916)
    // what was begun first has become the newest
    if (i === 1) {
      sockets[0].write(Buffer.concat([message(1000, 0).subarray(900), message(1000, 0).subarray(0, 4)]))
      await it.until(() => it.messages.length === 3)
      it.messages.pop()
    }
  }
  await sockets[1].ended
  const reason = '1000 bytes needed, 900 found when 2500 bytes were set aside'
  assert.deepEqual(it.faults, [
    { code: 'ERR_TRUNCATED', message: `Cannot read IPFIX message: ${reason}`, port: sockets[1].port },
  ])
  sockets[0].write(message(1000, 0).subarray(4))
  sockets[2].write(message(1000, 2).subarray(900))
  await it.until(() => it.messages.length === 5)
})

test('a message that takes too long, and a connection by which nothing comes, are given up', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const it = await listen({}, { partial: 3, idle: 10 })
  const [slow, idle, busy] = [await dial(it), await dial(it), await dial(it)]
  for (const socket of [slow, idle, busy]) socket.write(message(16, 1))
  await it.until(() => it.messages.length === 3)
  slow.write(Buffer.concat([message(16, 2), message(500, 3).subarray(0, 100)]))
  await it.until(() => it.messages.length === 4)
  t.mock.timers.tick(3000)
  assert.equal(it.counters.faults, 0)
  t.mock.timers.tick(1000)
  await slow.ended
  assert.deepEqual(it.faults.map(({ message, port }) => [message, port]), [
    ['Cannot read IPFIX message: 500 bytes needed, 100 found after 3 s', slow.port],
  ])
  t.mock.timers.tick(4000)
  busy.write(message(16, 4))
  await it.until(() => it.messages.length === 5)
  it.pause()
  t.mock.timers.tick(60_000) // what is not heard now is not the exporter's fault
  it.resume()
  t.mock.timers.tick(3000)
  await idle.ended
  await it.until(() => it.closed.length === 2)
  assert.deepEqual([it.counters.faults, it.connections], [1, 1])
  t.mock.timers.tick(7000)
  assert.equal(it.connections, 1)
})

test('while it is paused nothing is taken, of new connections neither; then all comes', async () => {
  const it = await listen()
  const first = await dial(it)
  first.write(message(16, 1))
  await it.until(() => it.messages.length === 1)
  it.pause()
  const second = await dial(it)
  const burst = Buffer.concat(Array.from({ length: 1000 }, () => message(60_000, 2)))
  let isWritten = false
  for (const socket of [first, second]) socket.write(burst, () => { isWritten = true })
  second.end()
  // a listener that is not paused would have everything before this one has made its way
  const other = await listen()
  const ping = await dial(other)
  ping.write(burst)
  await other.until(() => other.messages.length === 1000)
  assert.deepEqual([it.messages.length, it.counters.bytes, isWritten], [1, 16, false])
  it.resume()
  await it.until(() => it.messages.length === 2001 && it.closed.length === 1)
  assert.deepEqual([it.counters.bytes, it.faults], [16 + 2 * burst.length, []])
})

test('close() ends all connections, without fault where a message was not complete', async () => {
  const it = await listen()
  const [one, two] = [await dial(it), await dial(it)]
  one.write(Buffer.concat([message(16, 1), message(20, 1).subarray(0, 10)]))
  await it.until(() => it.messages.length === 1)
  const ends = [one.ended, two.ended]
  await it.close()
  await Promise.all(ends)
  assert.deepEqual([it.closed.length, it.faults, it.connections, it.counters.closed], [2, [], 0, 2])
  await assert.rejects(dial(it), { code: 'ECONNREFUSED' })
})

test('the addresses of senders are normalised', { skip: noIpv6 }, async () => {
  const it = await listen({ address: '::' })
  assert.equal(it.endpoint.address, '::')
  const at = (address: string) => dial({ endpoint: { ...it.endpoint, address } })
  for (const address of ['127.0.0.1', '::1']) (await at(address)).end()
  await it.until(() => it.closed.length === 2)
  const [four, six] = it.closed.sort((a, b) => a.family - b.family)
  assert.deepEqual([four.family, four.v4, four.address], [4, 0x7f000001, '127.0.0.1'])
  assert.deepEqual([six.family, formatIpv6(six.v6, 0), six.address], [6, '::1', '::1'])
})

test('a port that is taken is the system\'s error', async () => {
  const { endpoint } = await listen()
  await assert.rejects(listen(endpoint), { code: 'EADDRINUSE' })
})
