/** Captures as tests ask for them, and their packets as objects. */
import { openLiveCapture } from '../../../core/capture/live.ts'
import type { LiveCapture, LiveCaptureOptions } from '../../../core/capture/options.ts'

/** A packet, copied. */
export interface Captured {
  readonly bytes: Uint8Array
  readonly wireLength: number
  readonly time: number
  readonly nanos: number
  readonly direction: number
  readonly linkType: number
  readonly ifIndex: number
}

/** A capture, and what it says. */
export interface TestCapture extends LiveCapture, AsyncDisposable {
  readonly notes: readonly string[]
  /** Wait for a note, one that has not been waited for. */
  noted(text: RegExp): Promise<void>
  /** Wait for so many packets, or for all that come before the end. */
  take(count?: number): Promise<Captured[]>
}

/** ms that are waited for what takes some milliseconds on a machine with nothing else to do. */
const DEADLINE = 20_000

/** Open a capture that looks for interfaces often; it is closed with the scope. */
export async function openTestCapture(options: Omit<LiveCaptureOptions, 'onNote'>): Promise<TestCapture> {
  const notes: string[] = []
  let known = 0
  let onNote = (): void => {}
  const capture = await openLiveCapture({
    interval: 10,
    blockTimeout: 10,
    ...options,
    onNote(text) {
      notes.push(text)
      onNote()
    },
  })

  /** @throws Error where it takes too long */
  async function inTime<T>(what: Promise<T>, wanted: unknown): Promise<T> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const state = JSON.stringify([capture.report(), notes])
      late.reject(new Error(`${wanted} did not come in time: ${state}`))
    }, DEADLINE)
    return Promise.race([what, late.promise]).finally(() => clearTimeout(timer))
  }
  async function noted(text: RegExp): Promise<void> {
    for (;;) {
      const at = notes.findIndex((note, i) => i >= known && text.test(note))
      if (at >= 0) {
        known = at + 1
        return
      }
      await inTime(new Promise<void>((resolve) => { onNote = resolve }), text)
    }
  }
  async function take(count = Infinity): Promise<Captured[]> {
    const packets: Captured[] = []
    const { batch } = capture
    do {
      for (let rows = capture.receive(); rows > 0; rows = capture.receive()) {
        for (let row = 0; row < rows; row++) {
          packets.push({
            bytes: batch.bytes.slice(batch.start[row], batch.end[row]),
            wireLength: batch.wireLength[row],
            time: batch.time[row],
            nanos: batch.nanos[row],
            direction: batch.direction[row],
            linkType: batch.linkType,
            ifIndex: batch.ifIndex,
          })
        }
      }
    } while (packets.length < count && await inTime(capture.readable(), `${count} packets`))
    return packets
  }
  return Object.create(capture, Object.getOwnPropertyDescriptors({
    notes, noted, take,
    async [Symbol.asyncDispose]() { capture.close() },
  })) as TestCapture
}
