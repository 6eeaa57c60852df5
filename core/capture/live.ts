/** Live packet capture. */
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc } from '../net/ffi.ts'
import { newPacketBatch } from './batch.ts'
import { compileFilter } from './filter.ts'
import { openLibpcap } from './libpcap-tap.ts'
import {
  CAPTURE_METHODS, DEFAULT_SNAPLEN, type CaptureMethod, type LiveCapture, type LiveCaptureOptions,
} from './options.ts'
import { openRings } from './ring-tap.ts'
import type { TapOpener, TapOptions } from './tap.ts'
import { openTcpdump } from './tcpdump-tap.ts'
import { createAlarm, createFdSet, type FdSet } from './wait.ts'
import { watchInterfaces, type Watched } from './watched.ts'

const RING_SIZE = 2 ** 23 // bytes
const BLOCK_TIMEOUT = 60 // ms
const INTERVAL = 1000 // ms

/**
 * Capture packets from interfaces of this machine, by the best method that works here.
 *
 * ```ts
 * const capture = await openLiveCapture({ interfaces: ['eth0'], onNote: log })
 * const { batch } = capture
 * do {
 *   for (let count = capture.receive(); count > 0; count = capture.receive()) use(batch, count)
 * } while (await capture.readable())
 * capture.close()
 * ```
 * @throws FlowkitError ERR_INPUT for a name that is no interface, or one that is down and cannot be waited
 *   for; ERR_SYNTAX for a filter that does not parse; ERR_OPTION where this process may not capture;
 *   ERR_UNSUPPORTED where no method works
 */
export async function openLiveCapture(options: LiveCaptureOptions): Promise<LiveCapture> {
  const { method, prepared, onNote } = options
  const methods: readonly CaptureMethod[] = method ? [method] : prepared ? ['ring'] : CAPTURE_METHODS
  const failures: FlowkitError[] = []
  for (const each of methods) {
    try {
      const capture = await openBy(each, options)
      failures.forEach(({ message }, i) => onNote(`packets do not come by ${methods[i]}: ${message}`))
      return capture
    } catch (error) {
      // else what is asked for, or who asks, is at fault, and not the way it is done
      if (!(error instanceof FlowkitError) || error.code !== 'ERR_UNSUPPORTED') throw error
      failures.push(error)
    }
  }
  throw failures[0]
}

async function openBy(method: CaptureMethod, options: LiveCaptureOptions): Promise<LiveCapture> {
  const set = method === 'tcpdump' ? createAlarm() : createFdSet(await loadLibc())
  let opener: TapOpener | undefined
  let watched: Watched | undefined
  try {
    opener = await openTaps(method, options, set)
    watched = await watchInterfaces(opener, options, set)
    return captureFrom(method, opener, watched, set, options.interval ?? INTERVAL)
  } catch (error) {
    watched?.close()
    opener?.close()
    set.close()
    throw error
  }
}

async function openTaps(method: CaptureMethod, options: LiveCaptureOptions, set: FdSet): Promise<TapOpener> {
  const tapOptions: TapOptions = {
    snaplen: options.snaplen ?? DEFAULT_SNAPLEN,
    promiscuous: options.promiscuous ?? true,
    filter: options.filter,
    ringSize: options.ringSize ?? RING_SIZE,
    blockTimeout: options.blockTimeout ?? BLOCK_TIMEOUT,
    fanout: options.fanout,
    onNote: options.onNote,
    wake: () => set.wake(),
  }
  const { snaplen, filter } = tapOptions
  const { interfaces, prepared } = options
  if (method === 'ring') return openRings(tapOptions, interfaces, prepared)
  if (options.fanout !== undefined) {
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot capture by ${method}: its captures share no packets`)
  }
  // both compile it themselves, for each interface: here it is seen whether that can be done
  if (filter !== undefined) await compileFilter(filter, { snaplen, interfaces })
  return method === 'libpcap' ? openLibpcap(tapOptions) : openTcpdump(tapOptions)
}

function captureFrom(
  method: CaptureMethod, opener: TapOpener, watched: Watched, set: FdSet, interval: number,
): LiveCapture {
  const batch = newPacketBatch()
  let isStopped = false
  let isOpen = true
  const timer = setInterval(() => void watched.look(), interval)

  /** Errors are told once more and again until they are taken; mostly an interface has gone. */
  function takeErrors(): void {
    const broken = set.broken()
    if (broken.length === 0) return
    watched.takeErrors(broken)
    void watched.look()
  }
  function isDone(): boolean {
    return !isOpen || isStopped && watched.isEmpty
  }
  return {
    method, batch,
    get fd() { return set.fd },
    receive(timeout = 0) {
      if (!isOpen) throw new TypeError('Cannot receive: the capture is closed')
      const count = watched.fill(batch)
      if (count > 0) return count
      takeErrors()
      if (timeout === 0 || isDone()) return 0
      set.block(timeout)
      return watched.fill(batch)
    },
    async readable() {
      if (!isDone()) await set.wait()
      return !isDone()
    },
    report: () => watched.report(),
    stop() {
      isStopped = true
      clearInterval(timer)
      watched.stop()
      set.wake()
    },
    get isDone() { return isDone() },
    close() {
      if (!isOpen) return
      isOpen = false
      clearInterval(timer)
      watched.close()
      opener.close()
      batch.bytes = new Uint8Array(0) // the memory it was in is gone
      set.close()
    },
  }
}
