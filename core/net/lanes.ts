import { FlowBatch } from '../flow/batch.ts'
import { ID } from '../flow/fields.ts'
import type { Loss } from '../flow/loss.ts'
import {
  exportStreams, type EmitFrom, type ExportOptions, type ExportStreams,
} from '../netflow/encode/export-streams.ts'
import type { UdpSender } from './send.ts'

/** A way of flows to one or several destinations, with templates and sequence numbers of its own. */
export interface Lane {
  /** Datagrams and messages so far; those that several destinations get count once. */
  readonly messages: number
  /** Wait until there is room for more; lets events happen meanwhile. */
  ready(): Promise<void>
  /** Encode and send all rows of `batch`, which stays as it is. */
  encode(batch: FlowBatch): void
  /** Send what waits for more flows. */
  flush(): void
  /** Add what the version could not carry so far to `sum`. @returns it */
  addLoss(sum: Loss): Loss
}

/** How flows are encoded; whose they are, the lane decides. */
export type LaneOptions = Omit<ExportOptions, 'byExporter'>

/**
 * A lane to all of `senders`, as one exporter: this machine. Templates are sent again by the clock on the
 * wall, so that a collector that was started late has them, whatever the times of the flows.
 */
export function udpLane(senders: readonly UdpSender[], options: LaneOptions): Lane {
  const { streams, onTime } = timedStreams({ ...options, byExporter: false })
  let messages = 0
  const emit: EmitFrom = (datagram) => {
    messages++
    for (const sender of senders) sender.send(datagram)
  }
  return {
    get messages() { return messages },
    ready: () => allReady(senders),
    encode(batch) {
      onTime()
      streams.encode(batch, emit)
    },
    flush: () => streams.flush(emit),
    addLoss: (sum) => streams.addLoss(sum),
  }
}

/** A lane from the flows' exporters. */
export interface SpoofLane extends Lane {
  /** Flows sent as those of this machine, since their exporter has an address of the other family. */
  readonly others: number
}

/**
 * A lane to all of `senders`, which go to addresses of one family: flows come from their exporters, with
 * templates and sequence numbers of each, as far as those have an address of that family. Others come from
 * this machine.
 */
export function spoofLane(senders: readonly UdpSender[], options: LaneOptions): SpoofLane {
  const [{ family }] = senders
  const own = udpLane(senders, options)
  const { streams, onTime } = timedStreams({ ...options, byExporter: true })
  const theirs = new FlowBatch()
  const rest = new FlowBatch()
  let messages = 0
  let others = 0
  const emit: EmitFrom = (datagram, source) => {
    messages++
    for (const sender of senders) sender.sendFrom(source, datagram)
  }
  return {
    get messages() { return own.messages + messages },
    get others() { return others },
    ready: () => allReady(senders),
    encode(batch) {
      theirs.clear()
      rest.clear()
      const { length, shape, exporterAddr } = batch
      const told = batch.present(ID.exporterAddr)
      for (let row = 0; row < length; row++) {
        const found = told[shape[row]] === 1 ? exporterAddr.family[row] : 0
        if (found === family) theirs.append(batch, row)
        else {
          rest.append(batch, row)
          if (found !== 0) others++
        }
      }
      onTime()
      streams.encode(theirs, emit)
      own.encode(rest)
    },
    flush() {
      streams.flush(emit)
      own.flush()
    },
    addLoss: (sum) => streams.addLoss(own.addLoss(sum)),
  }
}

/** Streams that are told when to send templates again. */
function timedStreams(
  { templateRefresh, ...options }: ExportOptions,
): { readonly streams: ExportStreams, onTime(): void } {
  const streams = exportStreams({ ...options, templateRefresh: Infinity })
  let announced = performance.now()
  return {
    streams,
    onTime() {
      const now = performance.now()
      if (now - announced < templateRefresh / 1000) return
      announced = now
      streams.announce()
    },
  }
}

/** Wait until all of them have room for more. */
export async function allReady(senders: readonly Pick<UdpSender, 'ready'>[]): Promise<void> {
  for (const sender of senders) await sender.ready()
}
