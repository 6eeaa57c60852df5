/**
 * A second reading of sFlow datagrams: slow, plain, and by other means than flowkit's decoder, so that the
 * two can be held against each other. It gives every sample with its records as they were sent.
 *
 * Written from sFlow version 5 (sflow_version_5.txt, sections 3 and 5) and sflow_drops.txt.
 */
import { formatIpv4, formatIpv6 } from '../../core/flow/address.ts'
import type { Packet } from './corpus.ts'

/** What a datagram says of all its samples. */
export interface SflowHeader {
  /** Text of the agent's address; empty if it is unknown. */
  readonly agent: string
  readonly subAgent: number
  readonly sequence: number
  readonly uptime: number
}

/** The input or output of a sampled packet: format (0 one interface, 1 discarded, 2 several) and value. */
export interface SflowPort {
  readonly format: number
  readonly value: number
}

/** One record: enterprise * 4096 + format, and its bytes. */
export interface SflowRecord {
  readonly format: number
  readonly bytes: Buffer
}

/** One sample; of counter samples, and of those of unknown formats, the members about packets are absent. */
export interface SflowSample {
  /** Number of the datagram, from 0. */
  readonly packet: number
  /** Source address of the datagram, and when it was received in µs since the epoch. */
  readonly source: string
  readonly received: number
  readonly header: SflowHeader
  /** 1 flow, 2 counters, 3 and 4 the same expanded, 5 discarded packet. */
  readonly format: number
  readonly sequence: number
  /** 0 interface, 1 VLAN, 2 entity; and its index. */
  readonly sourceType: number
  readonly sourceIndex: number
  readonly flow?: {
    readonly drops: number
    readonly input: SflowPort
    readonly output: SflowPort
    /** One packet of how many, and how many could have been sampled; -1 of a discarded packet. */
    readonly rate: number
    readonly pool: number
    /** Why a packet was discarded; -1 of a flow sample. */
    readonly reason: number
  }
  readonly records: readonly SflowRecord[]
}

/** Reads big-endian numbers one after the other; a RangeError tells of the end. */
export class Reader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** How many bytes are left. */
  get left(): number {
    return this.bytes.length - this.at
  }

  /** The next 32 bits. */
  u32(): number {
    this.at += 4
    return this.bytes.readUInt32BE(this.at - 4)
  }

  /** The next 64 bits. */
  u64(): bigint {
    this.at += 8
    return this.bytes.readBigUInt64BE(this.at - 8)
  }

  /** The next `size` bytes. */
  take(size: number): Buffer {
    if (size > this.left) throw new RangeError(`${size} bytes wanted, ${this.left} left`)
    this.at += size
    return this.bytes.subarray(this.at - size, this.at)
  }

  /** A length, so many bytes, and padding to four, which may be missing at the end. */
  opaque(): Buffer {
    const found = this.take(this.u32())
    this.at = Math.min(this.bytes.length, this.at + (4 - found.length % 4) % 4)
    return found
  }

  /** An address with its type before it, as text; empty if it is unknown. */
  address(): string {
    const type = this.u32()
    if (type > 2) throw new RangeError(`there are no addresses of type ${type}`)
    return type === 0 ? '' : type === 1 ? formatIpv4(this.u32()) : formatIpv6(this.take(16), 0)
  }
}

/** Read the samples of datagrams; one in which something passes the end of what holds it has none. */
export function readSflow(packets: readonly Packet[]): SflowSample[] {
  return packets.flatMap((packet, i) => {
    try {
      return readDatagram(packet, i)
    } catch (error) {
      if (error instanceof RangeError) return []
      throw error
    }
  })
}

function readDatagram({ bytes, source, received }: Packet, packet: number): SflowSample[] {
  const reader = new Reader(bytes)
  if (reader.u32() !== 5) throw new RangeError('version 5 wanted')
  const header = {
    agent: reader.address(), subAgent: reader.u32(), sequence: reader.u32(), uptime: reader.u32(),
  }
  return readList(reader).map(({ format, bytes: body }) => {
    return { packet, source, received, header, format, ...readSample(format, new Reader(body)) }
  })
}

/** Formats and their bytes, their number before them. */
function readList(reader: Reader): SflowRecord[] {
  const count = reader.u32()
  const list: SflowRecord[] = []
  while (list.length < count) list.push({ format: reader.u32(), bytes: reader.opaque() })
  return list
}

type Body = Pick<SflowSample, 'sequence' | 'sourceType' | 'sourceIndex' | 'flow' | 'records'>

function readSample(format: number, reader: Reader): Body {
  if (format < 1 || format > 5) return { sequence: -1, sourceType: -1, sourceIndex: -1, records: [] }
  const sequence = reader.u32()
  const isExpanded = format > 2
  const first = reader.u32()
  const [sourceType, sourceIndex] = isExpanded ? [first, reader.u32()] : [first >>> 24, first & 0xffffff]
  const base = { sequence, sourceType, sourceIndex }
  if (format === 2 || format === 4) return { ...base, records: readList(reader) }
  if (format === 5) {
    const drops = reader.u32()
    const [input, output] = [{ format: 0, value: reader.u32() }, { format: 0, value: reader.u32() }]
    const flow = { rate: -1, pool: -1, drops, input, output, reason: reader.u32() }
    return { ...base, flow, records: readList(reader) }
  }
  const [rate, pool, drops] = [reader.u32(), reader.u32(), reader.u32()]
  const [input, output] = [readPort(reader, isExpanded), readPort(reader, isExpanded)]
  return { ...base, flow: { rate, pool, drops, input, output, reason: -1 }, records: readList(reader) }
}

function readPort(reader: Reader, isExpanded: boolean): SflowPort {
  const first = reader.u32()
  if (isExpanded) return { format: first, value: reader.u32() }
  return { format: first >>> 30, value: first & 0x3fffffff }
}
