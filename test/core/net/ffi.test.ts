import assert from 'node:assert/strict'
import { once } from 'node:events'
import { registerHooks } from 'node:module'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { loadLibc, type Libc } from '../../../core/net/ffi.ts'

const EBADF = 9
const ECONNREFUSED = 111
const SO_ERROR = 4

/** A socket, and how to send an empty datagram from it to a port of 127.0.0.1 where nobody listens. */
function refusedSocket(libc: Libc): { fd: number; send(): void } {
  const fd = libc.socket(2, 2, 0) // AF_INET, SOCK_DGRAM
  const address = Uint8Array.of(2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) // sockaddr_in
  const closed = libc.socket(2, 2, 0)
  assert.equal(libc.bind(closed, address, 16), 0)
  assert.equal(libc.getsockname(closed, address, Uint32Array.of(16)), 0)
  libc.close(closed) // its port is free now
  assert.equal(libc.connect(fd, address, 16), 0)
  const memory = new ArrayBuffer(80) // struct mmsghdr and its struct iovec
  const header = libc.addressOf(memory)
  new DataView(memory).setBigUint64(16, BigInt(header + 64), true)
  new DataView(memory).setBigUint64(24, 1n, true)
  return { fd, send: () => assert.equal(libc.sendmmsg(fd, libc.addressOf(memory), 1, 0), 1) }
}

// first: once it is loaded, it stays
test('loadLibc() says why where koffi cannot be loaded, and tries again', async () => {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      if (specifier === 'koffi') throw new Error('there is none')
      return next(specifier, context)
    },
  })
  const expected = { code: 'ERR_UNSUPPORTED', message: 'Cannot call the C library: there is none' }
  await assert.rejects(loadLibc(), expected)
  hooks.deregister()
  assert.equal((await loadLibc()).close(-1), -1)
})

for (const [platform, arch] of [['win32', 'x64'], ['darwin', 'arm64'], ['linux', 'ia32']]) {
  test(`loadLibc() fails on ${platform} on ${arch}`, async (t) => {
    const real = { platform: process.platform, arch: process.arch }
    t.after(() => Object.defineProperties(process, {
      platform: { value: real.platform }, arch: { value: real.arch },
    }))
    Object.defineProperties(process, { platform: { value: platform }, arch: { value: arch } })
    const wanted = 'Cannot call the C library: expected linux on x64 or arm64'
    await assert.rejects(loadLibc(), {
      code: 'ERR_UNSUPPORTED', message: `${wanted}, found ${platform} on ${arch}`,
    })
  })
}

test('errno() says why a call has failed', async () => {
  const libc = await loadLibc()
  assert.equal(libc.close(-1), -1)
  assert.equal(libc.errno(), EBADF)
})

test('watch() tells of an error on a socket, and goes on once it is taken', async () => {
  const libc = await loadLibc()
  const { fd, send } = refusedSocket(libc)
  const errors: number[] = []
  const wanted = Promise.withResolvers<void>()
  const watch = libc.watch(fd, () => {
    const value = new Int32Array(1)
    libc.getsockopt(fd, 1, SO_ERROR, value, Uint32Array.of(4)) // which takes it off the socket
    errors.push(value[0])
    if (errors.length === 1) send()
    else wanted.resolve()
  })
  send()
  await wanted.promise
  watch.close()
  libc.close(fd)
  assert.deepEqual(errors, [ECONNREFUSED, ECONNREFUSED])
})

test('watch() is refused on worker threads', async () => {
  const url = new URL('../../../core/net/ffi.ts', import.meta.url).href
  const code = `import(${JSON.stringify(url)}).then(async ({ loadLibc }) => {
    const libc = await loadLibc()
    try { libc.watch(0, () => {}) } catch (error) { require('worker_threads').parentPort.postMessage(error) }
  })`
  const worker = new Worker(code, { eval: true })
  const ended = once(worker, 'exit')
  const [error] = await once(worker, 'message')
  assert.equal(error.message, 'Cannot watch a socket: expected the main thread, found a worker')
  await ended
})
