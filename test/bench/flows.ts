/** Synthetic traffic for benchmarks and size measurements: heavy-tailed, both directions, the same for a seed. */
import { ipv6Storage, type AddressColumn } from '../../core/flow/address.ts'
import { BATCH_SIZE, FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6, FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { addFields, makeShape } from '../../core/flow/shape.ts'

const PORTS = [443, 80, 53, 123, 22, 25, 993, 3389, 8080, 5060, 1194, 853, 445, 389, 5432, 3306]
/** Share of each port of PORTS, summed up. */
const SHARES = [0.52, 0.64, 0.78, 0.81, 0.83, 0.845, 0.865, 0.875, 0.895, 0.905, 0.915, 0.93, 0.95, 0.965, 0.97, 1]

const SHAPE = makeShape([
  ID.type, ID.received, ID.exporterAddr, ID.observationDomainId, ID.sequenceNum, ID.samplingRate, ID.samplingSource,
  ID.flowStart, ID.flowEnd, ID.bytes, ID.packets, ID.proto, ID.srcAddr, ID.dstAddr, ID.srcPort, ID.dstPort,
  ID.tcpFlags, ID.tos, ID.etype, ID.direction, ID.inIf, ID.outIf, ID.srcAs, ID.dstAs, ID.srcMask, ID.dstMask, ID.nextHop,
], 3)
const ICMP_SHAPE = addFields(SHAPE, [ID.icmpType, ID.icmpCode])

/** How much of it, and from when to when. */
export interface Traffic {
  readonly flows: number
  readonly seed?: number
  /** µs since the epoch at which the first flow is received; 2026-11-21T13:00:00Z unless told. */
  readonly from?: number
  /** µs over which the flows are spread; one hour unless told. */
  readonly span?: number
}

/** One conversation, whose second half is the answer. */
interface Talk {
  client: number
  server: number
  v6: boolean
  proto: number
  clientPort: number
  serverPort: number
  packets: number
  bytes: number
  flags: number
  tos: number
  duration: number
}

/** Batches of traffic as a NetFlow v9 exporter would tell of it: 27 fields, 8 % IPv6. The batch is reused. */
export function* syntheticFlows(
  { flows, seed = 1, from = 1795266000e6, span = 3600e6 }: Traffic,
): Generator<FlowBatch> {
  const random = generator(seed)
  const batch = new FlowBatch()
  let talk = newTalk(random)
  let answer = false
  for (let made = 0; made < flows;) {
    batch.clear()
    const plain = batch.intern(SHAPE)
    const icmp = batch.intern(ICMP_SHAPE)
    const count = Math.min(BATCH_SIZE, flows - made)
    for (let row = 0; row < count; row++, made++) {
      const now = from + Math.floor(made / 20) * Math.floor(span / Math.ceil(flows / 20)) // 20 flows a datagram
      batch.shape[row] = talk.proto === 1 ? icmp : plain
      fill(batch, row, talk, answer, now, Math.floor(made / 20), random)
      if (!answer && random() < 0.75) answer = true
      else {
        answer = false
        talk = newTalk(random)
      }
    }
    batch.length = count
    yield batch
  }
}

function fill(b: FlowBatch, row: number, talk: Talk, answer: boolean, now: number, seq: number, random: () => number) {
  const ratio = answer ? 0.7 + random() : 1
  const end = now - Math.floor(random() * 4000) * 1000
  b.type[row] = FLOW_TYPE.NETFLOW_V9
  b.received[row] = now
  setV4(b.exporterAddr, row, 0xc0a80001)
  b.observationDomainId[row] = 1
  b.sequenceNum[row] = seq
  b.samplingRate[row] = 100
  b.samplingSource[row] = SAMPLING_SOURCE.options
  b.flowStart[row] = end - talk.duration * 1000
  b.flowEnd[row] = end
  b.packets[row] = Math.max(1, Math.floor(talk.packets * ratio))
  b.bytes[row] = Math.floor(answer ? b.packets[row] * (60 + random() * 1300) : talk.bytes)
  b.proto[row] = talk.proto
  setHost(b.srcAddr, row, answer ? talk.server : talk.client, !answer, talk.v6)
  setHost(b.dstAddr, row, answer ? talk.client : talk.server, answer, talk.v6)
  b.srcPort[row] = answer ? talk.serverPort : talk.clientPort
  b.dstPort[row] = answer ? talk.clientPort : talk.serverPort
  b.tcpFlags[row] = talk.flags
  b.tos[row] = talk.tos
  b.etype[row] = talk.v6 ? ETYPE_IPV6 : ETYPE_IPV4
  b.direction[row] = answer ? 1 : 0
  const inside = 1 + talk.client % 8
  const outside = 10 + talk.server % 4
  b.inIf[row] = answer ? outside : inside
  b.outIf[row] = answer ? inside : outside
  const as = 1000 + mix(Math.floor(talk.server / 50)) % 60000
  b.srcAs[row] = answer ? as : 64512
  b.dstAs[row] = answer ? 64512 : as
  const [near, far] = talk.v6 ? [64, 48] : [24, 16]
  b.srcMask[row] = answer ? far : near
  b.dstMask[row] = answer ? near : far
  setV4(b.nextHop, row, 0xc0a80100 + (answer ? inside : outside))
  if (talk.proto === 1) {
    b.icmpType[row] = answer ? 0 : 8
    b.icmpCode[row] = 0
  }
}

function newTalk(random: () => number): Talk {
  const share = random()
  let serverPort = PORTS[SHARES.findIndex((sum) => share <= sum)]
  if (random() < 0.06) serverPort = 1024 + Math.floor(random() * 64000)
  const short = serverPort === 53 || serverPort === 123
  const udp = short || serverPort === 5060 || serverPort === 1194 || (serverPort === 443 && random() < 0.35)
  const proto = random() < 0.015 ? 1 : udp ? 17 : 6
  const packets = short ? 1 + (random() < 0.1 ? 1 : 0) : Math.min(2e6, 1 + Math.floor(2 * random() ** (-1 / 1.05)))
  return {
    client: zipf(random(), 0.9, 30000),
    server: zipf(random(), 1.05, 600000),
    v6: random() < 0.08,
    proto,
    clientPort: proto === 1 ? 0 : 32768 + Math.floor(random() * 28232),
    serverPort: proto === 1 ? 0 : serverPort,
    packets,
    bytes: Math.floor(packets * (48 + random() * (proto === 6 ? 400 : 250))),
    flags: proto === 6 ? (random() < 0.8 ? 0x1b : random() < 0.5 ? 0x02 : 0x14) : 0,
    tos: random() < 0.1 ? Math.floor(random() * 8) << 5 : 0,
    duration: packets <= 2 ? Math.floor(random() * 50) : Math.min(300000, Math.floor(Math.exp(random() * 9) * 7)),
  }
}

function setHost(column: AddressColumn, row: number, rank: number, local: boolean, v6: boolean): void {
  if (!v6) return setV4(column, row, local ? 0x0a000000 + mix(rank) % 0x40000 : 0x01000000 + mix(rank * 7 + 3) % 0xdf000000)
  const view = new DataView(ipv6Storage(column).buffer)
  column.family[row] = 6
  column.v4[row] = 0
  view.setUint32(row * 16, local ? 0x20010db8 : 0x2a000000 + mix(rank) % 0x200000)
  view.setUint32(row * 16 + 4, local ? 0x00100000 + rank % 256 : mix(rank + 1) & 0xffff0000)
  view.setUint32(row * 16 + 8, local ? mix(rank) : 0)
  view.setUint32(row * 16 + 12, local ? mix(rank + 2) : rank % 65536)
}

function setV4(column: AddressColumn, row: number, value: number): void {
  column.family[row] = 4
  column.v4[row] = value
}

/** A rank below `n`, low ones likelier by the exponent `a`: the inverse of the continuous Zipf distribution. */
function zipf(u: number, a: number, n: number): number {
  const e = 1 - a
  return Math.floor((u * ((n + 1) ** e - 1) + 1) ** (1 / e)) - 1
}

function mix(x: number): number {
  x = Math.imul(x ^ x >>> 16, 0x7feb352d)
  x = Math.imul(x ^ x >>> 15, 0x846ca68b)
  return (x ^ x >>> 16) >>> 0
}

/** Mulberry32: small, fast, and good enough for traffic. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = state + 0x6d2b79f5 | 0
    let t = Math.imul(state ^ state >>> 15, 1 | state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) / 4294967296
  }
}
