/**
 * Exporters on loopback whose flows are numbered, so that each can be told from all others: the flows of
 * datagram n have n × FLOWS, n × FLOWS + 1, … bytes. What they send comes nowhere near a router's traffic,
 * but its sequence numbers do.
 */
import { openUdpBlaster, type UdpBlaster } from '../../core/net/udp-blast.ts'
import {
  ipfix, join, options10, options9, set, template, u16, u32, u8, v9, type TemplateField,
} from '../core/netflow/messages.ts'

/** Flows of a datagram. */
export const FLOWS = 20
/** One packet in so many was sampled, as the exporters say at the beginning and never again. */
export const SAMPLING = 512

/** Datagrams prepared for one call; their numbers are put in before it. */
const SLOTS = 64
/** ms between bursts. */
const PACE = 4

/** An exporter. */
export interface MarkedExporter {
  readonly address: string
  readonly version: 5 | 9 | 10
  /** Datagrams of flows sent: their numbers are below. */
  readonly sent: number
  /** The number of the datagram of flows with this sequence number; negative: it is an announcement. */
  numberOf(sequence: number): number
  /** In which column of the ledger its missing datagrams are, and how many units each is. */
  readonly missing: { readonly column: string, readonly units: number }
}

/** Several exporters that send to one port. */
export interface MarkedTraffic {
  readonly exporters: readonly MarkedExporter[]
  /** Datagrams of flows that all have sent. */
  readonly sent: number
  /** Send the templates and sampling rates of those that have to say them. @returns how many datagrams */
  announce(): number
  /** Send at a rate, of datagrams in all, until `pause`. */
  start(perSecond: number): void
  pause(): void
  /** Resolves when so many have been sent. */
  until(sent: number): Promise<void>
  /** One datagram of each exporter. */
  sendEach(): void
  close(): void
}

const FIELDS: readonly TemplateField[] = [[1, 4], [2, 4], [8, 4], [12, 4], [7, 2], [11, 2], [4, 1]]
const RECORD = 21
const V5_HEADER = 24
const V5_RECORD = 48
/** Headers of the message and of its set. */
const V9_HEADER = 20 + 4
const IPFIX_HEADER = 16 + 4

/** How a version's datagrams are made. */
interface Wire {
  readonly version: 5 | 9 | 10
  readonly flows: Uint8Array
  readonly announcement: Uint8Array | undefined
  /** Where in `flows` the sequence number is, and the bytes of the first flow, and how far the next is. */
  readonly sequenceAt: number
  readonly markAt: number
  readonly stride: number
  /** The sequence number of datagram 0, and the units of each. */
  readonly first: number
  readonly units: number
  readonly column: string
}

function wires(): Wire[] {
  const secs = Math.floor(Date.now() / 1000)
  const record = join(u32(0, 1, 0x0a000001, 0x0a000002), u16(1234, 443), u8(6))
  const records = Array<Uint8Array>(FLOWS).fill(record)
  const v5Record = join(u32(0x0a000001, 0x0a000002, 0), u16(1, 2), u32(1, 0, 1000, 2000), u16(1234, 443),
    u8(0, 0x18, 6, 0), u32(0, 0))
  const v5 = join(u16(5, FLOWS), u32(600_000, secs, 0, 0), u8(0, 0), u16(1 << 14 | SAMPLING),
    ...Array<Uint8Array>(FLOWS).fill(v5Record))
  const told = u32(0, SAMPLING)
  return [
    {
      version: 5, flows: v5, announcement: undefined,
      sequenceAt: 16, markAt: V5_HEADER + 20, stride: V5_RECORD,
      first: 0, units: FLOWS, column: 'missing_flows',
    },
    {
      version: 9, flows: v9({ secs, domain: 7 }, set(256, ...records)),
      announcement: v9({ secs, domain: 7 }, set(0, template(256, ...FIELDS)),
        set(1, options9(300, [[1, 4]], [[34, 4]]), new Uint8Array(2)), set(300, told)),
      sequenceAt: 12, markAt: V9_HEADER, stride: RECORD, first: 1, units: 1, column: 'missing_messages',
    },
    {
      version: 10, flows: ipfix({ secs, domain: 7 }, set(256, ...records)),
      announcement: ipfix({ secs, domain: 7 }, set(2, template(256, ...FIELDS)),
        set(3, options10(300, [[149, 4]], [[34, 4]])), set(300, told)),
      sequenceAt: 8, markAt: IPFIX_HEADER, stride: RECORD, first: 1, units: FLOWS, column: 'missing_records',
    },
  ]
}

/** Exporters that send to a port of 127.0.0.1: `each` of NetFlow v5, v9 and IPFIX, from 127.0.0.2 on. */
export async function openMarkedTraffic(port: number, each: number): Promise<MarkedTraffic> {
  const exporters: Sender[] = []
  for (const wire of wires()) {
    for (let i = 0; i < each; i++) {
      exporters.push(await openSender(wire, `127.0.0.${exporters.length + 2}`, port))
    }
  }
  let timer: NodeJS.Timeout | undefined
  let wanted = Infinity
  let reached: () => void = () => {}

  function sent(): number {
    return exporters.reduce((sum, exporter) => sum + exporter.sent, 0)
  }

  function pause(): void {
    clearInterval(timer)
    timer = undefined
  }

  return {
    exporters,
    get sent() { return sent() },
    announce: () => exporters.filter((exporter) => exporter.announce()).length,
    start(perSecond) {
      pause()
      const begun = performance.now()
      let count = 0
      timer = setInterval(() => {
        const due = (performance.now() - begun) / 1000 * perSecond / exporters.length
        const burst = Math.min(SLOTS, Math.floor(due - count)) // what cannot be kept up with is left out
        if (burst < 1) return
        count = due - due % 1
        for (const exporter of exporters) exporter.send(burst)
        if (sent() >= wanted) reached()
      }, PACE)
    },
    pause,
    until(number) {
      return new Promise((resolve) => {
        wanted = number
        reached = () => {
          wanted = Infinity
          resolve()
        }
      })
    },
    sendEach() {
      for (const exporter of exporters) {
        for (const before = exporter.sent; exporter.sent === before;) exporter.send(1)
      }
    },
    close() {
      pause()
      for (const exporter of exporters) exporter.close()
    },
  }
}

interface Sender extends MarkedExporter {
  /** Send the next datagrams, or as many as the kernel takes. */
  send(count: number): void
  /** @returns whether there is something to announce */
  announce(): boolean
  close(): void
}

async function openSender(wire: Wire, address: string, port: number): Promise<Sender> {
  const { version, flows, announcement, sequenceAt, markAt, stride, first, units, column } = wire
  const bytes = join(...Array<Uint8Array>(SLOTS).fill(flows), announcement ?? new Uint8Array(0))
  const offsets = Uint32Array.from({ length: SLOTS + 1 }, (_, i) => i * flows.length)
  const ends = Uint32Array.of(...offsets, bytes.length)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const blaster: UdpBlaster = await openUdpBlaster({
    address: '127.0.0.1', port, source: address, bytes, offsets: announcement ? ends : offsets,
  })
  let sent = 0

  function send(count: number): void {
    for (let i = 0; i < count; i++) {
      const number = sent + i
      view.setUint32(offsets[i] + sequenceAt, first + number * units)
      for (let flow = 0, at = offsets[i] + markAt; flow < FLOWS; flow++, at += stride) {
        view.setUint32(at, number * FLOWS + flow)
      }
    }
    // nobody may have listened to what was sent before: that is told once, and takes none
    const taken = blaster.send(0, count) || blaster.send(0, count)
    sent += taken
  }

  return {
    address,
    version,
    get sent() { return sent },
    numberOf: (sequence) => Math.floor((sequence - first) / units),
    missing: { column, units },
    send,
    announce() {
      if (!announcement) return false
      while (blaster.send(SLOTS, SLOTS + 1) === 0);
      return true
    },
    close: () => blaster.close(),
  }
}
