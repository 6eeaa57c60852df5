/** The thread of a worker of `flowkit capture --workers`. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Sink } from '../../core/sinks/sink.ts'
import { packError } from '../../core/packed-error.ts'
import { explain } from '../errors.ts'
import type { LogLevel, Talk } from '../progress.ts'
import { sinkOf, type Place } from '../sinks.ts'
import { openOutputs, workerOutputs, type FileEvents } from './outputs.ts'
import { planOf } from './plan.ts'
import { startRun, type Capturing } from './run.ts'
import type { LaneAnswer, LaneOrder, LaneTask } from './threads.ts'

const port = parentPort!
const controller = new AbortController()
let onReadable: (() => void) | undefined
const talk = talkBy((level, text) => say({ kind: 'say', level, text }))

function say(answer: LaneAnswer): void {
  port.postMessage(answer)
}

function talkBy(tell: (level: LogLevel, text: string) => void): Talk {
  return {
    error: (text) => tell('error', text),
    warn: (text) => tell('warn', text),
    info: (text) => tell('info', text),
    debug: (text) => tell('debug', text),
    print: (lines) => tell('info', lines),
    progress: () => () => {},
  }
}

async function run({ worker, options, filter, interfaces, prepared, fanout }: LaneTask): Promise<void> {
  // what holds functions does not come as a message; nor can a file of filters be read with fewer rights
  const { filter: _, filterFile: __, ...others } = options
  const plan = { ...await planOf(others, [], process.env), filter }
  const events: FileEvents = {
    onFile: (path, rows, leftOut) => say({ kind: 'file', path, rows, leftOut }),
    onError: (error) => talk.error(explain(error, '').message),
  }
  const open = (place: Place): Sink => sinkOf(place, () => plan.retention.rotate)
  const io = { talk, signal: controller.signal }
  const outputs = await openOutputs(workerOutputs(plan, worker, open, events, io))
  const capturing = await startRun(plan, options, {
    worker, interfaces, fanout, ...prepared && { prepared },
    onNote: (text) => say({ kind: 'note', text }),
    readable(fd) {
      say({ kind: 'watch', fd })
      return new Promise((resolve) => { onReadable = resolve })
    },
  }, outputs)
  port.on('message', (order: LaneOrder) => void obey(capturing, order).catch(fail))
  say({ kind: 'started' })
  await capturing.finished
  say({ kind: 'finished' })
}

async function obey(capturing: Capturing, order: LaneOrder): Promise<void> {
  switch (order.kind) {
    case 'readable': return onReadable?.()
    case 'report': return say({ kind: 'report', id: order.id, report: await capturing.report() })
    case 'rotate': return capturing.rotate(order.ledger)
    case 'stop':
      controller.abort()
      capturing.stop()
      return onReadable?.()
    case 'close':
      say({ kind: 'closed', report: await capturing.close(order.ledger) })
      port.close()
  }
}

function fail(error: unknown): void {
  onReadable?.() // what waits sees that the capture is closed
  say({ kind: 'failed', error: packError(error) })
  port.close()
}

run(workerData as LaneTask).catch(fail)
