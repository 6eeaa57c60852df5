import { setImmediate as turn } from 'node:timers/promises'
import { BATCH_SIZE } from '../flow/batch.ts'
import type { FlowMeter } from '../meter/meter.ts'
import type { FlowQueue } from './flow-queue.ts'
import type { LiveCapture } from './options.ts'

/** ms between looks for flows whose time is over, and between batches of few flows. */
const TICK = 250
/** ms that packets are metered without a turn of the event loop. */
const STRETCH = 10
/** µs that packets may be behind the clock, of which none were there: the kernel gives them out by blocks. */
const BEHIND = 1e6

/**
 * Meter what is captured until the capture is stopped and all of it was received; then end all flows.
 *
 * Flows go to `queue` a few times a second at least. While that is full no packets are taken: they wait in
 * the kernel, which drops and counts those that find no room there.
 *
 * @param wait does what `capture.readable` does, and may be that
 */
export async function meterLive(
  capture: LiveCapture, meter: FlowMeter, queue: FlowQueue, wait: () => Promise<boolean>,
): Promise<void> {
  const { batch } = capture
  let isIdle = false // all packets that have come were metered

  function give(): void {
    if (meter.finished.length > 0) queue.put(meter.exchange(queue.empty()))
  }
  function addPackets(count: number): void {
    const { bytes, start, end, wireLength, time, linkType, ifIndex } = batch
    for (let i = 0; i < count; i++) {
      meter.add(bytes, start[i], end[i], wireLength[i], time[i], linkType, ifIndex)
      if (meter.finished.length >= BATCH_SIZE) give()
    }
  }
  function tick(): void {
    if (queue.isFull) return
    while (isIdle && meter.expire(Date.now() * 1000 - BEHIND)) {
      give()
      if (queue.isFull) return
    }
    give()
  }

  const timer = setInterval(tick, TICK)
  try {
    do {
      isIdle = false
      let began = performance.now()
      for (let count = capture.receive(); count > 0; count = capture.receive()) {
        addPackets(count)
        if (performance.now() - began < STRETCH) continue
        await (queue.isFull ? queue.room() : turn())
        began = performance.now()
      }
      isIdle = true
    } while (await wait())
  } finally {
    clearInterval(timer)
  }
  while (meter.flush()) {
    give()
    await queue.room()
  }
}
