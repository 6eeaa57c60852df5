/** Decoders and encoders of each version, in this process and on one thread. */
import { readFileSync } from 'node:fs'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { makeShape } from '../../core/flow/shape.ts'
import { datagramDecoder } from '../../core/netflow/datagram.ts'
import { fixedEncoder } from '../../core/netflow/encode/fixed.ts'
import { setEncoder } from '../../core/netflow/encode/sets.ts'
import type { DatagramEncoder } from '../../core/netflow/encode/encoder.ts'
import { DatagramReader } from '../../core/pcap/datagrams.ts'
import { syntheticFlows } from './flows.ts'
import { interleave, secondsSince, spread, table, type Sample } from './measure.ts'
import { MAX_SIZE, receiver } from './traffic.ts'

const ROUNDS = 9
/** Records decoded or encoded in one run, at least. */
const RECORDS = 200_000
const MIXED = new URL('../fixtures/netflow/softflowd-v9.pcap', import.meta.url)

/** What v5 tells of a flow: so have all versions the same to do. */
const SHAPE = makeShape([
  ID.flowStart, ID.flowEnd, ID.bytes, ID.packets, ID.proto, ID.srcAddr, ID.dstAddr, ID.srcPort, ID.dstPort,
  ID.tcpFlags, ID.tos, ID.inIf, ID.outIf, ID.srcAs, ID.dstAs, ID.srcMask, ID.dstMask, ID.nextHop, ID.received,
  ID.etype,
], 3)

/** What a version has to decode. */
interface Messages {
  readonly datagrams: readonly Uint8Array[]
  readonly records: number
}

const VERSIONS: Readonly<Record<string, () => DatagramEncoder>> = {
  'NetFlow v1': () => fixedEncoder(1, options()),
  'NetFlow v5': () => fixedEncoder(5, options()),
  'NetFlow v6': () => fixedEncoder(6, options()),
  'NetFlow v7': () => fixedEncoder(7, options()),
  'NetFlow v8.5': () => fixedEncoder(8, options(), 5),
  'NetFlow v9': () => setEncoder(9, { ...options(), templateRefresh: 60e6 }),
  'IPFIX': () => setEncoder(10, { ...options(), templateRefresh: 60e6 }),
}

function options(): { maxSize: number, domain: number } {
  return { maxSize: MAX_SIZE, domain: 1 }
}

/** A table of ns per record, by version. */
export async function measureCodecs(): Promise<string> {
  const batch = plainRows()
  const tasks: Record<string, () => number> = {}
  const sizes: Record<string, string> = {}
  for (const [name, encoder] of Object.entries(VERSIONS)) {
    const messages = encoded(encoder(), batch)
    sizes[name] = perDatagram(messages)
    tasks[`decode ${name}`] = decoding(messages)
    tasks[`encode ${name}`] = encoding(encoder(), batch)
  }
  const mixed = 'NetFlow v9, small sets of softflowd'
  const messages = captured()
  sizes[mixed] = perDatagram(messages)
  tasks[`decode ${mixed}`] = decoding(messages)

  await interleave(3, tasks) // until it is compiled
  const samples: Record<string, Sample | undefined> = await interleave(ROUNDS, tasks)
  const cell = (task: string) => {
    const sample = samples[task]
    return sample ? spread(sample, 'ns', 1e9) : ''
  }
  return table(
    ['version', 'records a datagram', 'decode, a record', 'encode, a record'],
    Object.keys(sizes).map((name) => [name, sizes[name], cell(`decode ${name}`), cell(`encode ${name}`)]),
  )
}

/** A batch of IPv4 flows, all with the same fields. */
function plainRows(): FlowBatch {
  const batch = new FlowBatch()
  for (const flows of syntheticFlows({ flows: BATCH_SIZE * 4 })) {
    for (let row = 0; row < flows.length && batch.length < BATCH_SIZE; row++) {
      const { mask } = flows.shapes[flows.shape[row]]
      const isPlain = flows.srcAddr.family[row] === 4 && SHAPE.fields.every((id) => mask[id] === 1)
      if (isPlain) batch.append(flows, row)
    }
  }
  if (batch.length < BATCH_SIZE) throw new Error(`Cannot measure decoders: ${batch.length} flows are plain`)
  batch.shape.fill(batch.intern(SHAPE), 0, batch.length)
  return batch
}

function encoded(encoder: DatagramEncoder, batch: FlowBatch): Messages {
  const datagrams: Uint8Array[] = []
  const keep = (bytes: Uint8Array): void => void datagrams.push(bytes.slice())
  encoder.encode(batch, keep)
  encoder.flush(keep)
  return { datagrams, records: batch.length }
}

function captured(): Messages {
  const reader = new DatagramReader()
  reader.capture.push(readFileSync(MIXED))
  const datagrams: Uint8Array[] = []
  while (reader.next()) datagrams.push(new Uint8Array(reader.bytes.subarray(reader.start, reader.end)))
  const batch = new FlowBatch()
  const decode = receiver(datagramDecoder())
  for (const bytes of datagrams) decode(bytes, batch, 0)
  return { datagrams, records: batch.length }
}

function perDatagram({ datagrams, records }: Messages): string {
  return (records / datagrams.length).toFixed(1)
}

/** A task that decodes messages over and over: seconds a record. */
function decoding({ datagrams, records }: Messages): () => number {
  const decode = receiver(datagramDecoder())
  const batch = new FlowBatch()
  const times = Math.ceil(RECORDS / records)
  return () => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) {
      for (const bytes of datagrams) {
        decode(bytes, batch, 0)
        if (batch.length >= BATCH_SIZE) batch.clear()
      }
    }
    return secondsSince(start) / (times * records)
  }
}

function encoding(encoder: DatagramEncoder, batch: FlowBatch): () => number {
  const times = Math.ceil(RECORDS / batch.length)
  let bytes = 0
  const emit = (datagram: Uint8Array): void => { bytes += datagram.length }
  return () => {
    const start = process.hrtime.bigint()
    for (let i = 0; i < times; i++) encoder.encode(batch, emit)
    const seconds = secondsSince(start) / (times * batch.length)
    if (bytes === 0) throw new Error('Cannot measure an encoder: it made nothing')
    return seconds
  }
}
