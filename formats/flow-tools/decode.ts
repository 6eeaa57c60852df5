import { Inflater } from '../../core/compress/inflate.ts'
import { BATCH_SIZE, type FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { loseElement, type Loss } from '../../core/flow/loss.ts'
import type { FlowDecoder } from '../../core/flow/stream.ts'
import type { ReadRequest } from '../format.ts'
import { BIG, FLAG, LITTLE, readHeader, TLV, type Header } from './header.ts'
import { interfaceNamer, type InterfaceNamer } from './interfaces.ts'
import { recordsBehind } from './layouts.ts'
import { appendRecords, planRecords, type RecordPlan } from './records.ts'

/** What headers tell and flows have no place for. */
const FILE_FACTS = [
  [TLV.lost, 'lost_flows'], [TLV.misordered, 'misordered_flows'], [TLV.corrupt, 'corrupt_packets'],
  [TLV.resets, 'sequence_resets'],
] as const
const FILE_TEXTS = [[TLV.hostname, 'capture_hostname'], [TLV.comments, 'comments']] as const

/** A decoder of flow-tools' files. What their headers tell beside the flows is entered as lost. */
export function flowToolsDecoder({ fields, loss, onFault }: ReadRequest): FlowDecoder {
  let file: FileReader | undefined
  return {
    decode(bytes, at, batch) {
      if (!file) {
        const header = readHeader(bytes, at)
        if (!header) return at
        file = new FileReader(header, fields)
        if (loss) enterFacts(header, loss)
        const { order } = header
        if (order !== LITTLE && order !== BIG) {
          const found = `${LITTLE} or ${BIG} wanted, ${order} found, which is taken for ${LITTLE}`
          onFault({ code: 'ERR_MALFORMED', reason: `Cannot read byte order: ${found}`, offset: 2 })
        }
        at += header.size
      }
      return file.decode(bytes, at, batch)
    },
    end: () => file?.end(),
  }
}

/** Reads what lies behind a header. */
class FileReader {
  private readonly plan: RecordPlan
  private readonly namer: InterfaceNamer | undefined
  private readonly inflater: Inflater | undefined
  /** How many flows the header tells of, once the file was whole. */
  private readonly promised: number
  private flows = 0
  /** Offset in the file of the first byte not taken. */
  private offset: number
  /** Ends the reading once the flows before it are out. */
  private failure: unknown

  constructor(header: Header, fields: readonly number[] | undefined) {
    const { size, stream, little, numbers, interfaces } = header
    const kind = recordsBehind(header)
    this.plan = planRecords(kind, stream, little, fields)
    this.namer = interfaceNamer(interfaces, kind, this.plan, fields)
    this.offset = size
    const flags = numbers.get(TLV.flags) ?? 0
    if (flags & FLAG.compressed) this.inflater = new Inflater(size)
    this.promised = flags & FLAG.done ? numbers.get(TLV.flows) ?? 0 : 0
  }

  /** Take what fits into `batch`. @returns behind what was taken */
  decode(bytes: Uint8Array, at: number, batch: FlowBatch): number {
    const next = this.advance(bytes, at, batch)
    this.offset += next - at
    return next
  }

  private advance(bytes: Uint8Array, at: number, batch: FlowBatch): number {
    const { inflater } = this
    const place = this.offset - at // of `bytes` in the file
    if (!inflater) return this.take(bytes, at, bytes.length, batch)
    for (;;) {
      inflater.start = this.take(inflater.bytes, inflater.start, inflater.end, batch)
      if (batch.length >= BATCH_SIZE) return at
      if (this.failure !== undefined) throw this.failure
      if (inflater.done) return checkEnd(bytes, at, place)
      const waiting = inflater.end - inflater.start
      try {
        const next = inflater.inflate(bytes, at)
        if (next === at && inflater.end - inflater.start === waiting) return at
        at = next
      } catch (error) {
        this.failure = error
      }
    }
  }

  /** Take whole records of `bytes[at..end)`. @returns behind the last of them */
  private take(bytes: Uint8Array, at: number, end: number, batch: FlowBatch): number {
    const { plan, namer } = this
    const count = Math.min(Math.floor((end - at) / plan.size), BATCH_SIZE - batch.length)
    if (count <= 0) return at
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    appendRecords(plan, view, at, count, batch)
    namer?.(view, at, count, batch)
    this.flows += count
    return at + count * plan.size
  }

  /** @throws FlowkitError if flows are missing at the end */
  end(): void {
    const { inflater, flows, promised, offset } = this
    const place = `flow ${flows} at byte ${offset}`
    if (inflater?.begun && (!inflater.done || inflater.end > inflater.start)) {
      throw new FlowkitError('ERR_TRUNCATED', `Cannot read ${place}: the input ends within it`)
    }
    if (flows >= promised) return
    const found = `${promised} flows told by the header, the input ends`
    throw new FlowkitError('ERR_TRUNCATED', `Cannot read ${place}: ${found}`)
  }
}

/** Nothing follows packed records. */
function checkEnd(bytes: Uint8Array, at: number, place: number): number {
  if (at === bytes.length) return at
  const what = `Cannot read on behind the flows, at byte ${place + at}`
  throw new FlowkitError('ERR_MALFORMED', `${what}: the end wanted, more bytes found`)
}

function enterFacts({ numbers, texts, aliases }: Header, loss: Loss): void {
  for (const [type, name] of FILE_FACTS) if (numbers.get(type)) loseElement(loss, name, 1)
  for (const [type, name] of FILE_TEXTS) if (texts.has(type)) loseElement(loss, name, 1)
  if (aliases > 0) loseElement(loss, 'interface_aliases', aliases)
}
