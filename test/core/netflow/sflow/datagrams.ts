/** sFlow datagrams made by hand, as sflow_version_5.txt describes them, and what a decoder makes of them. */
import { FlowBatch } from '../../../../core/flow/batch.ts'
import type { Wanted } from '../../../../core/netflow/plan.ts'
import type { CounterSample } from '../../../../core/netflow/sflow/counters.ts'
import { decodeSflow, newSflow, type SflowContext } from '../../../../core/netflow/sflow/sflow.ts'
import { datagram, EXPORTED, ip4, ip6, join, rows, u32, type Row } from '../messages.ts'

/** A version 5 datagram of agent 198.51.100.1, sub-agent 3, number 77, up for 5 s. */
export function sflow(...samples: readonly Uint8Array[]): Uint8Array {
  return join(u32(5, 1), ip4('198.51.100.1'), u32(3, 77, 5000, samples.length), ...samples)
}

/** A capture of datagrams that came from 127.0.0.1 to port 6343, at 2026-11-20 09:00:00 UTC. */
export function capture(...datagrams: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b2c3d4, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(65_535, 16)
  header.writeUInt32LE(101, 20) // LINKTYPE_RAW
  const loopback = [127, 0, 0, 1]
  return Buffer.concat([header, ...datagrams.flatMap((bytes) => {
    const length = 28 + bytes.length
    const packet = Buffer.alloc(16 + 28)
    packet.writeUInt32LE(EXPORTED, 0)
    packet.writeUInt32LE(length, 8)
    packet.writeUInt32LE(length, 12)
    packet.set([0x45, 0, length >> 8, length & 255, 0, 0, 0, 0, 64, 17, 0, 0, ...loopback, ...loopback], 16)
    packet.set([0xc3, 0x50, 0x18, 0xc7, length - 20 >> 8, length - 20 & 255, 0, 0], 36)
    return [packet, bytes]
  })])
}

/** A sample or a record: its format, its length, what is in it, and zeros up to four bytes. */
export function tlv(format: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const body = join(...contents)
  return join(u32(format, body.length), body, new Uint8Array(-body.length & 3))
}

/** What a flow sample says where it is not sequence 9, interface 4 to 5, one in 100. */
export interface SampleHeader {
  readonly source?: number
  readonly rate?: number
  readonly input?: number
  readonly output?: number
}

/** A flow_sample: pool 5000, 2 drops. */
export function flowSample(header: SampleHeader, ...records: readonly Uint8Array[]): Uint8Array {
  const { source = 4, rate = 100, input = 4, output = 5 } = header
  return tlv(1, u32(9, source, rate, 5000, 2, input, output, records.length), ...records)
}

/** A flow_sample_expanded of source type 0 and index 70,000, from interface format and value to another. */
export function expandedSample(
  input: readonly [number, number], output: readonly [number, number], ...records: readonly Uint8Array[]
): Uint8Array {
  return tlv(3, u32(9, 0, 70_000, 100, 5000, 2, ...input, ...output, records.length), ...records)
}

/** A sampled_header: header protocol, frame length, 4 bytes stripped, and the bytes. */
export function header(protocol: number, frameLength: number, bytes: Uint8Array): Uint8Array {
  return tlv(1, u32(protocol, frameLength, 4, bytes.length), bytes, new Uint8Array(-bytes.length & 3))
}

/** The XDR union `address`. */
export function address(text: string): Uint8Array {
  if (text === '') return u32(0)
  return text.includes(':') ? join(u32(2), ip6(text)) : join(u32(1), ip4(text))
}

/** The XDR `opaque<>` or `string<>`. */
export function opaque(value: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(value))
  return join(u32(bytes.length), bytes, new Uint8Array(-bytes.length & 3))
}

/** A decoder with a batch, and the counter samples it gave out. */
export interface Receiver {
  readonly context: SflowContext
  readonly batch: FlowBatch
  readonly counters: CounterSample[]
  /** Decode one datagram. @returns the rows it added */
  receive(bytes: Uint8Array): Row[]
}

/** A decoder that keeps all fields but the agent's clock, or `wanted`. */
export function receiver(wanted: Wanted = { extras: false }): Receiver {
  const counters: CounterSample[] = []
  const batch = new FlowBatch(16)
  const context = newSflow(wanted, (sample) => counters.push(sample))
  return {
    context, batch, counters,
    receive(bytes) {
      const { length } = batch
      decodeSflow(context, datagram(bytes), batch)
      return rows(batch, length)
    },
  }
}

/** The row of a datagram with one sample. */
export function rowOf(sample: Uint8Array): Row {
  const [row] = receiver().receive(sflow(sample))
  return row
}

/** The fields of a row that `names` are. */
export function pick(row: Row, ...names: readonly string[]): Row {
  return Object.fromEntries(names.filter((name) => name in row).map((name) => [name, row[name]]))
}
