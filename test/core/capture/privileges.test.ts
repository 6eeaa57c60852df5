import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import type { LiveCaptureOptions } from '../../../core/capture/options.ts'
import { prepareCapture } from '../../../core/capture/prepare.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { openFrameSender, udpFrame } from '../../support/frames.ts'
import { enterNetwork, makePair, run } from '../../support/network.ts'

const skip = await enterNetwork()
const timeout = 30_000 // ms

/** Captures with inherited descriptors, and tells of it line by line; ends when its input does. */
const CHILD = `
  import * as fs from 'node:fs'
  const [options, prepared] = JSON.parse(process.argv[1])
  const { loadLibc } = await import(prepared.modules.ffi)
  const { confineCalls } = await import(prepared.modules.calls)
  const { openLiveCapture } = await import(prepared.modules.live)
  confineCalls(await loadLibc(), { network: true })
  const say = (line) => console.log(line)
  const status = fs.readFileSync('/proc/self/status', 'utf8')
  say(process.getuid() + ' ' + status.match(/CapEff:\\s*(\\w+)/)[1])
  const capture = await openLiveCapture({ ...options, prepared, interval: 10, blockTimeout: 10, onNote: say })
  process.stdin.on('end', () => capture.stop()).resume()
  say('ready')
  do {
    for (let count = capture.receive(); count > 0; count = capture.receive()) {
      for (let row = 0; row < count; row++) say(capture.batch.wireLength[row])
    }
  } while (await capture.readable())
  say(JSON.stringify(capture.report().map(({ name, received }) => [name, received])))
  capture.close()
`

const modules = {
  ffi: new URL('../../../core/net/ffi.ts', import.meta.url).href,
  calls: new URL('../../../core/net/confine-calls.ts', import.meta.url).href,
  live: new URL('../../../core/capture/live.ts', import.meta.url).href,
}

test('a process without privileges captures, also from what comes later', { skip, timeout }, async (t) => {
  makePair('out0', 'in0')
  const options: Omit<LiveCaptureOptions, 'onNote'> = { interfaces: ['in0', 'w*'], filter: 'udp and vlan 3' }
  const { descriptors, ...prepared } = await prepareCapture(options)
  const inherited = descriptors.map((_, i) => 3 + i)
  const argument = JSON.stringify([options, { ...prepared, descriptors: inherited, modules }])
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, argument], {
    stdio: ['pipe', 'pipe', 'inherit', ...descriptors], uid: 65534, gid: 65534,
    env: { ...process.env, NODE_V8_COVERAGE: '' },
  })
  t.after(() => child.kill('SIGKILL'))
  const libc = await loadLibc()
  for (const fd of descriptors) libc.close(fd)
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const line = async (): Promise<unknown> => (await lines.next()).value
  async function until(text: string): Promise<void> {
    for (let each = await line(); each !== text; each = await line()) assert.notEqual(each, undefined, text)
  }

  assert.equal(await line(), '65534 0000000000000000')
  await until('ready')
  const frames = [udpFrame({ size: 100 }), udpFrame({ size: 101, tag: [0x8100, 3] })]
  const sender = await openFrameSender('out0', frames)
  sender.send()
  sender.close()
  assert.equal(await line(), '101')
  // more often than there are sockets in store: they are used again
  for (let round = 0; round < 40; round++) {
    makePair('s0', 'w0')
    await until(`w0 is ${round === 0 ? 'there' : 'back'}: it is captured from`)
    const sender = await openFrameSender('s0', frames)
    sender.send()
    sender.close()
    await until('101')
    run('ip link del s0')
    await until('w0 has gone: it is captured from again once it is back')
  }
  child.stdin!.end()
  await until('[["in0",1],["w0",40]]')
})

/** Captures as it is asked, and prints the method and what it is told, or the error. */
const CAPTURE = `
  const [module, interfaces] = process.argv.slice(1)
  const { openLiveCapture } = await import(module)
  const notes = []
  try {
    const capture = await openLiveCapture({ interfaces: [interfaces], onNote: (text) => notes.push(text) })
    console.log(JSON.stringify([capture.method, notes]))
    capture.close()
  } catch (error) {
    console.log(JSON.stringify([error.code, error.message, notes]))
  }
`

/** What CAPTURE prints as user `nobody` with some capabilities, as capabilities(7) names them. */
function captureWith(capabilities: readonly string[], interfaces: string): unknown {
  const kept = ['-all', ...capabilities.map((name) => `+${name}`)].join(',')
  const sets = ['--inh-caps', '--ambient-caps', '--bounding-set'].flatMap((set) => [set, kept])
  const user = ['--reuid', '65534', '--regid', '65534', '--clear-groups']
  const { stdout, stderr } = spawnSync('setpriv', [
    ...user, ...sets, '--', process.execPath, '--input-type=module', '-e', CAPTURE, modules.live, interfaces,
  ], { encoding: 'utf8', env: { ...process.env, NODE_V8_COVERAGE: '' } })
  assert.equal(stderr, '')
  return JSON.parse(stdout)
}

const noSetpriv = skip || (spawnSync('setpriv', ['--version']).error ? 'setpriv is not installed' : false)
if (skip === false) makePair('caps0', 'caps1')

test('CAP_NET_RAW is enough to capture, promiscuously too', { skip: noSetpriv, timeout }, () => {
  assert.deepEqual(captureWith(['net_raw'], 'caps1'), ['ring', []])
})

test('who may not capture is told once what is missing', { skip: noSetpriv, timeout }, () => {
  const lacks = 'this process lacks the capability CAP_NET_RAW'
  const help = `run it as root, or grant it once by: setcap cap_net_raw+ep ${process.execPath}`
  for (const interfaces of ['caps1', 'caps*', 'later*']) {
    assert.deepEqual(captureWith([], interfaces), [
      'ERR_OPTION', `Cannot capture from ${interfaces}: ${lacks}: ${help}`, [],
    ])
  }
})
