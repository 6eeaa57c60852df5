import assert from 'node:assert/strict'
import { join } from 'node:path'
import {
  conclude, freePort, introduce, startCollector, type CollectorProcess,
} from './collector-process.ts'
import { addSpooled, checkArchive, type Found, type Spooled } from './marked-archive.ts'
import { openMarkedTraffic } from './marked-flows.ts'
import { checkNfdump } from './marked-nfdump.ts'

/** What is to be done to a collector. */
export interface KillOptions {
  /** A folder that is not there. */
  readonly archive: string
  readonly kills: number
  /** Which moments it is killed at. */
  readonly seed: number
  /** A folder that is not there, for files of nfdump beside the archive. */
  readonly nfcapd?: string
  /** With how many workers it is started, time after time, and so on from the first; 1 unless told. */
  readonly workers?: readonly number[]
}

const RATE = 2400 // datagrams a second: 48,000 flows
/** Datagrams sent until it is killed: from its start, from when it listens, or from a rotation. */
const MOST_STARTING = 1200
const MOST_WORKING = 3600
const MOST_ROTATING = 300

/** Numbers in [0, 1), always the same: mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, state | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
  }
}

/**
 * Kill a collector again and again while six exporters send to it: while it starts or recovers, while it
 * works, and while it rotates. What it has in the end must be what `checkArchive` wants, and `checkNfdump`.
 *
 * @returns what was found, and how many datagrams were seen in spools of killed collectors
 */
export async function killAgainAndAgain(
  { archive, kills, seed, nfcapd, workers = [1] }: KillOptions,
): Promise<Found & { readonly spooled: number }> {
  const spool = join(archive, 'state', 'spool')
  const random = randomFrom(seed)
  const spooled: Spooled = new Map()
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 2)
  let starts = 0

  function start(): CollectorProcess {
    const count = workers[starts++ % workers.length]
    const sinks = nfcapd === undefined ? ['--to', archive]
      : ['--to', `${archive},${nfcapd}`, '--to-format', 'archive,nfdump']
    return startCollector(port, [...sinks, '--rotate', '1s', '--workers', String(count)])
  }

  let collector = start()
  try {
    await collector.said(/collecting on/)
    await introduce(traffic, collector)
    traffic.start(RATE)
    for (let kill = 0; kill < kills; kill++) {
      const kind = random()
      if (kind < 0.3) await traffic.until(traffic.sent + random() * MOST_STARTING)
      else {
        if (kill > 0) await collector.said(/collecting on/)
        await traffic.until(traffic.sent + random() * MOST_WORKING)
        if (kind < 0.7) {
          collector.child.kill('SIGUSR1')
          await traffic.until(traffic.sent + random() * MOST_ROTATING)
        }
      }
      await collector.end('SIGKILL')
      await addSpooled(spooled, spool, traffic)
      collector = start()
    }
    await collector.said(/collecting on/)
    await traffic.until(traffic.sent + RATE)
    await conclude(traffic, collector)
    let ended = await collector.end('SIGTERM')
    // what a slow machine cannot write in time is written at the next start
    while (ended[0] === 3 && /stays? in the spool/.test(collector.text)) {
      collector = start()
      await collector.said(/collecting on/)
      ended = await collector.end('SIGTERM')
    }
    assert.deepEqual(ended, [0, null], collector.text)
    const found = await checkArchive(archive, spool, traffic, spooled)
    if (nfcapd !== undefined) await checkNfdump(nfcapd, archive)
    return { ...found, spooled: [...spooled.values()].reduce((sum, { size }) => sum + size, 0) }
  } finally {
    traffic.close()
    collector.child.kill('SIGKILL')
  }
}
