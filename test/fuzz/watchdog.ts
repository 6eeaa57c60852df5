/** A thread that ends the process when an input takes too long: what hangs cannot end itself. */
import { writeFileSync, writeSync } from 'node:fs'
import { isMainThread, Worker, workerData } from 'node:worker_threads'

const MOST_SECONDS = 60
/** Bytes of an input that are kept. */
const MOST_BYTES = 8 << 20
// places in `state`
const SEEN = 0
const LENGTH = 1

interface Watched {
  readonly path: string
  readonly state: Int32Array<SharedArrayBuffer>
  readonly bytes: Uint8Array<SharedArrayBuffer>
}

/** Watches what comes. */
export interface Watchdog {
  /** The next input begins. */
  see(input: Uint8Array): void
  stop(): Promise<unknown>
}

/** Watch inputs; one that takes more than a minute is written to `path`. */
export function watch(path: string): Watchdog {
  const state = new Int32Array(new SharedArrayBuffer(8))
  const bytes = new Uint8Array(new SharedArrayBuffer(MOST_BYTES))
  const watched: Watched = { path, state, bytes }
  const worker = new Worker(new URL(import.meta.url), { workerData: watched })
  worker.unref()
  return {
    see(input) {
      const kept = input.subarray(0, MOST_BYTES)
      bytes.set(kept)
      state[LENGTH] = kept.length
      Atomics.add(state, SEEN, 1)
    },
    stop: () => worker.terminate(),
  }
}

if (!isMainThread) {
  const { path, state, bytes } = workerData as Watched
  let seen = 0
  let seconds = 0
  setInterval(() => {
    const now = Atomics.load(state, SEEN)
    seconds = now === seen ? seconds + 1 : 0
    seen = now
    if (seconds < MOST_SECONDS) return
    writeFileSync(path, bytes.slice(0, state[LENGTH]))
    // what goes to `process.stderr` of a thread would wait for the main one
    writeSync(2, `an input takes more than ${MOST_SECONDS} s, kept in ${path}\n`)
    process.kill(process.pid, 'SIGKILL')
  }, 1000)
}
