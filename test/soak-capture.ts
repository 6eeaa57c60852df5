/**
 * Puts a capture to a long test: `node test/soak-capture.ts [--minutes 10]`, as root.
 *
 * It captures 50,000 packets a second of 20,000 conversations from an interface of a network of its own, of
 * which 5,000 begin anew each second. Each packet must be in the archive, or counted as dropped; memory and
 * the number of open files must not grow.
 * Prints what was found; exits with 1 if something does not hold.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { flowkit, listenTo, startFlowkit } from './support/flowkit.ts'
import { openFrameSender, udpFrame } from './support/frames.ts'
import { enterNetwork, makePair } from './support/network.ts'
import { cpuSeconds, resourcesOf, sayFlat, type Sample } from './support/resources.ts'

/** Senders, each of so many conversations; one of them sends each so many ms. */
const SENDERS = 40
const FRAMES = 500
const EVERY = 10
const SAMPLES_PER_MINUTE = 12

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '10' } } })
const reason = await enterNetwork()
if (reason === false) await soak(Number(values.minutes))
else console.log(`not run: ${reason}`)

async function soak(minutes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'flowkit-soak-'))
  const archive = join(folder, 'archive')
  makePair('out0', 'in0')
  const senders = await Promise.all(Array.from({ length: SENDERS }, (_, i) => openFrameSender('out0',
    Array.from({ length: FRAMES }, (_, k) => udpFrame({ srcPort: 1024 + i * FRAMES + k, size: 200 })))))
  const capture = listenTo(startFlowkit([
    'capture', '-i', 'in0', '--to', archive, '--rotate', '10s', '--active-timeout', '4s',
  ]))
  try {
    await capture.next(/capturing from/)
    const samples: Sample[] = []
    const begun = performance.now()
    const passed = (): number => (performance.now() - begun) / 60_000
    let sent = 0
    while (passed() < minutes) {
      const due = Math.floor((performance.now() - begun) / EVERY)
      while (sent < due) senders[sent++ % SENDERS].send()
      const isTime = passed() * SAMPLES_PER_MINUTE >= samples.length
      if (isTime) samples.push({ minutes: passed(), ...resourcesOf(capture.pid) })
      await delay(EVERY)
    }
    const cpu = cpuSeconds(capture.pid) * 1e9 / (sent * FRAMES)
    await delay(1000) // what the interface still has
    const { stderr, exitCode } = await capture.stop()
    const told = /([\d,]+) packets received, ([\d,]+) dropped/.exec(stderr) ?? []
    const [received, dropped] = told.slice(1).map((count) => Number(count.replaceAll(',', '')))
    const { stdout } = await flowkit(['read', '--summary', '-o', 'json', archive])
    const { packets, flows } = JSON.parse(stdout)
    console.log(`${sent * FRAMES} packets sent in ${minutes} minutes, ${received} received, ${dropped} dropped; `
      + `${packets} in ${flows} flows of the archive; ${cpu.toFixed(0)} ns of a processor a packet`)
    const isExact = received + dropped === sent * FRAMES && packets === received
    if (!isExact) console.error('not exact: packets are missing that nobody has counted')
    const isFlat = sayFlat(samples)
    if (!isExact || !isFlat || exitCode !== (dropped > 0 ? 3 : 0)) process.exitCode = 1
  } finally {
    for (const sender of senders) sender.close()
    await capture.stop('SIGKILL')
    await rm(folder, { recursive: true })
  }
}
