import { FlowBatch } from '../../flow/batch.ts'
import { ID } from '../../flow/fields.ts'
import { addLoss, newLoss, type Loss } from '../../flow/loss.ts'
import { reshape } from '../../flow/reshape.ts'
import { makeShape, type TimeDigits } from '../../flow/shape.ts'
import type { FlowEncoder } from '../../flow/stream.ts'
import { timeDigits } from '../../flow/time.ts'
import { copyBytes } from '../message.ts'
import type { DatagramEncoder } from './encoder.ts'
import { setEncoder } from './sets.ts'

/** Makes an IPFIX file (RFC 5655). */
export interface FileEncoder extends FlowEncoder {
  finish(): Uint8Array
  /** What IPFIX could not carry so far. */
  loss(): Loss
}

/** Half of what a message can have: headers are next to nothing of that already. */
const MESSAGE_SIZE = 32_768
/** Domains remembered; more make all of them begin anew, as exporters that were restarted. */
const MOST_DOMAINS = 256
/** Times whose elements depend on how many digits of a second they have. */
const TIMES = [ID.flowStart, ID.flowEnd, ID.eventTime, ID.revFlowStart, ID.revFlowEnd]

/**
 * An encoder of IPFIX files: messages one behind the other, each of one observation domain, in which
 * templates are announced once, before their first records.
 *
 * Flows keep their order within their domain. Records tell when and from whom the flows came, since there is
 * no datagram to tell it.
 */
export function fileEncoder(): FileEncoder {
  const encoders = new Map<number, DatagramEncoder>() // by domain
  const lost = newLoss() // by domains that are forgotten
  const scratch = new FlowBatch()
  let domains = new Float64Array(0) // of each row
  let messages: Uint8Array[] = []

  function emit(message: Uint8Array): void {
    messages.push(copyBytes(message, 0, message.length))
  }

  function encoderOf(domain: number): DatagramEncoder {
    let encoder = encoders.get(domain)
    if (encoder) return encoder
    if (encoders.size >= MOST_DOMAINS) {
      flush()
      for (const { loss } of encoders.values()) addLoss(lost, loss)
      encoders.clear()
    }
    encoder = setEncoder(10, { maxSize: MESSAGE_SIZE, domain, templateRefresh: Infinity, arrival: true })
    encoders.set(domain, encoder)
    return encoder
  }

  function flush(): void {
    for (const encoder of encoders.values()) encoder.flush(emit)
  }

  function take(): Uint8Array {
    const bytes = Buffer.concat(messages)
    messages = []
    return bytes
  }

  /** Fill `domains`. @returns those that there are */
  function findDomains({ length, capacity, shape, shapes, observationDomainId }: FlowBatch): Set<number> {
    if (domains.length < length) domains = new Float64Array(capacity)
    const found = new Set<number>()
    for (let row = 0; row < length; row++) {
      domains[row] = shapes[shape[row]].mask[ID.observationDomainId] === 1 ? observationDomainId[row] : 0
      if (row === 0 || domains[row] !== domains[row - 1]) found.add(domains[row])
    }
    return found
  }

  return {
    encode(batch) {
      declareDigits(batch)
      const found = findDomains(batch)
      for (const domain of found) {
        const encoder = encoderOf(domain)
        if (found.size === 1) {
          encoder.encode(batch, emit)
          continue
        }
        scratch.clear()
        for (let row = 0; row < batch.length; row++) if (domains[row] === domain) scratch.append(batch, row)
        encoder.encode(scratch, emit)
      }
      // of several domains none waits long for more flows, which would bring them out of order
      if (encoders.size > 1) flush()
      return take()
    },
    finish() {
      flush()
      return take()
    },
    loss() {
      const sum = addLoss(newLoss(), lost)
      for (const { loss } of encoders.values()) addLoss(sum, loss)
      return sum
    },
  }
}

/** Give times whose source does not say how many digits they have as many as tell all of them exactly. */
function declareDigits(batch: FlowBatch): void {
  const { length, shape, shapes } = batch
  const digits = shapes.map(({ timeDigits }): TimeDigits => timeDigits)
  const open = shapes.map(({ timeDigits, mask }) => timeDigits < 0 && TIMES.some((id) => mask[id] === 1))
  if (!open.includes(true)) return
  for (const id of TIMES) {
    if (!batch.has(id)) continue
    const column = batch.column(id) as Float64Array
    const nanosId = id === ID.flowStart ? ID.flowStartNs : id === ID.flowEnd ? ID.flowEndNs : -1
    const nanos = nanosId < 0 ? undefined : batch.column(nanosId) as Uint16Array
    for (let row = 0; row < length; row++) {
      const index = shape[row]
      const { mask } = shapes[index]
      if (!open[index] || mask[id] === 0) continue
      const own = timeDigits(column[row], nanos && mask[nanosId] === 1 ? nanos[row] : 0, -1) as TimeDigits
      if (own > digits[index]) digits[index] = own
    }
  }
  const indexOf = new Map(shapes.map((each, i) => [each, i]))
  reshape(batch, (each) => {
    const index = indexOf.get(each)!
    return open[index] && digits[index] >= 0 ? makeShape(each.fields, digits[index], each.extras) : undefined
  })
}
