import { ipv6Storage, type AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { SAMPLING_SOURCE } from '../../flow/names.ts'
import { hosts, routerOf, setClient, setHop, setServer, setV4 } from './hosts.ts'
import { KIND, KINDS, type Lane, type Stream } from './streams.ts'
import { drawIcmp, drawSession, drawTalk, mix, newTalk } from './talk.ts'

/** How long a flow goes on before a record is made of it all the same, µs. */
const ACTIVE_TIMEOUT = 60e6
/** How long after its last packet a flow ends that does not say so, µs. */
const IDLE_TIMEOUT = 15e6
/** From a part's end to its export, µs. */
const PART_DELAY = 1e6
/** Long flows that a lane keeps in mind. */
const MOST_WAITING = 8192

const FIN = 0x01
const RST = 0x04
const SYN = 0x02
const ETYPES = { 4: 0x0800, 6: 0x86dd } as const
/** Events of RFC 8158: NAT44 session creation and deletion. */
const SESSION_CREATED = 4
const SESSION_DELETED = 5
/** Stands for AS numbers of more than 16 bits where there is no room for them (RFC 6793). */
const AS_TRANS = 23_456
const RANDOM_SAMPLING = 2

const talk = newTalk()

/** The next random number of a stream, 32 bits. */
export function draw(stream: Stream): number {
  return mix(mix(stream.drawn++ + stream.salt) ^ stream.salt)
}

/**
 * Append the records of a stream's next datagram to `batch`, those of a kind together.
 *
 * @param received µs
 * @param sent whether to make rows as an encoder takes them, with the export clock, or as a collector does
 */
export function appendRows(stream: Stream, received: number, batch: FlowBatch, sent: boolean): void {
  const { profile, counts, rows } = stream
  batch.reserve(rows)
  const start = batch.length
  let row = start
  for (let kind = 0; kind < KINDS; kind++) {
    if (counts[kind] === 0) continue
    const end = row + counts[kind]
    const { shape, sent: sentShape, family } = profile.kinds[kind]!
    batch.shape.fill(batch.intern(sent ? sentShape : shape), row, end)
    batch.etype.fill(ETYPES[family], row, end)
    if (kind === KIND.nat) fillSessions(stream, batch, row, end)
    else fillFlows(stream, stream.lanes[kind], batch, row, end)
    row = end
  }
  fillCommon(stream, received, batch, start, row)
  if (sent) fillClock(stream, batch, start, row)
  batch.length = row
}

/** What all records of a datagram have in common. */
function fillCommon(stream: Stream, received: number, batch: FlowBatch, row: number, end: number): void {
  const { profile: { version, type, rate, hasTemplates }, family, v4, v6, domain, sequence } = stream
  batch.type.fill(type, row, end)
  batch.received.fill(received, row, end)
  batch.exporterAddr.family.fill(family, row, end)
  batch.exporterAddr.v4.fill(v4, row, end)
  if (family === 6) for (let i = row; i < end; i++) ipv6Storage(batch.exporterAddr).set(v6, i * 16)
  if (version !== 1) batch.sequenceNum.fill(sequence, row, end)
  if (hasTemplates) batch.observationDomainId.fill(domain, row, end)
  else if (version === 5 || version === 6) {
    batch.engineType.fill(0, row, end)
    batch.engineId.fill(domain, row, end)
  }
  if (version === 6) {
    batch.inEncaps.fill(14, row, end)
    batch.outEncaps.fill(18, row, end)
    fillRouter(batch.peerNextHop, stream, row, end)
  } else if (version === 7) {
    batch.shortcutMode.fill(0, row, end)
    batch.validFlags.fill(0, row, end)
    fillRouter(batch.routerSc, stream, row, end)
  }
  if (rate === 1) return
  batch.samplingRate.fill(rate, row, end)
  const { header, options, record } = SAMPLING_SOURCE
  batch.samplingSource.fill(version === 5 ? header : version === 9 ? options : record, row, end)
  if (version !== 10) batch.samplingAlgorithm.fill(RANDOM_SAMPLING, row, end)
}

function fillRouter({ family, v4 }: AddressColumn, { exporter }: Stream, row: number, end: number): void {
  family.fill(4, row, end)
  v4.fill(routerOf(exporter), row, end)
}

function fillClock({ time, boot }: Stream, batch: FlowBatch, row: number, end: number): void {
  const seconds = Math.floor(time / 1e6)
  batch.exportSecs.fill(seconds, row, end)
  batch.exportNsecs.fill((time - seconds * 1e6) * 1000, row, end)
  batch.sysUptime.fill(((time - boot) / 1000) >>> 0, row, end)
}

/** Draw the next conversation of a lane into `talk`: a long flow whose next part is due, or a new one. */
function nextTalk(lane: Lane, stream: Stream): void {
  const { time } = stream
  const { head, seeds, parts, begins } = lane
  if (lane.waiting > 0 && begins[head] + (parts[head] + 1) * ACTIVE_TIMEOUT + PART_DELAY <= time) {
    lane.seed = seeds[head]
    lane.part = parts[head]
    lane.begin = begins[head]
    lane.head = head + 1 & seeds.length - 1
    lane.waiting--
    drawOf(lane)
  } else {
    lane.seed = draw(stream)
    lane.part = 0
    drawOf(lane)
    const isLong = talk.parts > 1
    lane.begin = time - (isLong ? ACTIVE_TIMEOUT + PART_DELAY : talk.duration * 1000 + endDelay(lane.seed))
  }
  if (lane.part + 1 < talk.parts) wait(lane)
}

function drawOf({ kind, seed }: Lane): void {
  if (kind === KIND.nat) drawSession(talk, seed)
  else if (kind === KIND.v4Icmp || kind === KIND.v6Icmp) drawIcmp(talk, seed, kind === KIND.v6Icmp)
  else drawTalk(talk, seed)
}

/** From the last packet to the export, µs: soon after the end of a TCP connection, else the idle timeout. */
function endDelay(seed: number): number {
  const scan = 200_000 + (seed & 1023) * 1000
  return (talk.flags & (FIN | RST)) !== 0 ? scan : IDLE_TIMEOUT + scan
}

/** Keep a lane's conversation for its next part. */
function wait(lane: Lane): void {
  if (lane.waiting === lane.seeds.length) {
    if (lane.waiting === MOST_WAITING) return
    const order = Array.from(lane.seeds, (_, i) => lane.head + i & lane.seeds.length - 1)
    const size = lane.seeds.length * 2
    const grow = <T extends { set(values: number[]): void }>(grown: T, old: ArrayLike<number>): T => {
      grown.set(order.map((i) => old[i]))
      return grown
    }
    lane.seeds = grow(new Uint32Array(size), lane.seeds)
    lane.parts = grow(new Uint8Array(size), lane.parts)
    lane.begins = grow(new Float64Array(size), lane.begins)
    lane.head = 0
  }
  const at = lane.head + lane.waiting++ & lane.seeds.length - 1
  lane.seeds[at] = lane.seed
  lane.parts[at] = lane.part + 1
  lane.begins[at] = lane.begin
}

function fillFlows(stream: Stream, lane: Lane, batch: FlowBatch, row: number, end: number): void {
  const { profile: { hasTemplates, rate }, exporter } = stream
  const { flowStart, flowEnd, bytes, packets, proto, srcPort, dstPort, tcpFlags, tos, direction } = batch
  const { inIf, outIf, srcAs, dstAs, srcMask, dstMask, icmpType, icmpCode } = batch
  const v6 = lane.kind === KIND.v6 || lane.kind === KIND.v6Icmp
  const icmp = lane.kind === KIND.v4Icmp || lane.kind === KIND.v6Icmp
  const sources = hosts(batch.srcAddr, v6)
  const targets = hosts(batch.dstAddr, v6)
  const hops = hosts(batch.nextHop, v6)
  const homeAs = 64_512 + exporter % 1000
  const near = v6 ? 64 : 24
  if (lane.answer) drawOf(lane)
  for (; row < end; row++) {
    if (!lane.answer) nextTalk(lane, stream)
    const { answer, part } = lane
    const { client, server, duration, delay, parts } = talk
    const block = mix(server >>> 6) // servers of a block share network and AS
    let as = 1000 + (block >>> 8) % 60_000
    if ((block & 15) === 0) as = hasTemplates ? as + 200_000 : AS_TRANS
    const inside = 1 + (client & 7)
    const outside = 10 + (block & 3)
    const many = Math.max(1, Math.floor((answer ? talk.packetsBack : talk.packets) / (parts * rate)))
    const isLast = part === parts - 1
    // a gap of delay before and behind the cut keeps parts apart
    const start = lane.begin + part * ACTIVE_TIMEOUT + (part > 0 ? delay * 1000 : 0)
    const stop = isLast ? start + duration * 1000 : lane.begin + (part + 1) * ACTIVE_TIMEOUT - delay * 1000
    flowStart[row] = answer ? start + delay * 1000 : start
    flowEnd[row] = answer ? Math.max(stop, start + delay * 1000) : stop
    packets[row] = many
    bytes[row] = many * (answer ? talk.sizeBack : talk.size)
    proto[row] = talk.proto
    tos[row] = talk.tos
    tcpFlags[row] = flagsOf(answer ? talk.flagsBack : talk.flags, part === 0, isLast)
    direction[row] = answer ? 1 : 0
    if (answer) {
      srcPort[row] = talk.serverPort
      dstPort[row] = talk.clientPort
      inIf[row] = outside
      outIf[row] = inside
      srcAs[row] = as
      dstAs[row] = homeAs
      setServer(sources, row, server, block)
      setClient(targets, row, client, exporter)
    } else {
      srcPort[row] = talk.clientPort
      dstPort[row] = talk.serverPort
      inIf[row] = inside
      outIf[row] = outside
      srcAs[row] = homeAs
      dstAs[row] = as
      setClient(sources, row, client, exporter)
      setServer(targets, row, server, block)
    }
    setHop(hops, row, exporter, answer ? inside : outside)
    const far = v6 ? 32 : 16 - (block >>> 4 & 3)
    srcMask[row] = answer ? far : near
    dstMask[row] = answer ? near : far
    if (icmp) {
      icmpType[row] = answer ? talk.icmpBack : talk.icmp
      icmpCode[row] = 0
      dstPort[row] = icmpType[row] << 8 // where versions without a field for it have it
    }
    lane.answer = !answer && talk.answered
  }
}

/** Of the flags of a whole flow those of a part. */
function flagsOf(flags: number, isFirst: boolean, isLast: boolean): number {
  if (!isFirst) flags &= ~SYN
  return isLast ? flags : flags & ~(FIN | RST)
}

function fillSessions(stream: Stream, batch: FlowBatch, row: number, end: number): void {
  const { exporter } = stream
  const lane = stream.lanes[KIND.nat]
  const { eventTime, proto, srcPort, dstPort, natEvent, postNaptSrcPort, postNaptDstPort } = batch
  const sources = hosts(batch.srcAddr, false)
  const targets = hosts(batch.dstAddr, false)
  const postSources = hosts(batch.postNatSrcAddr, false)
  const postTargets = hosts(batch.postNatDstAddr, false)
  for (; row < end; row++) {
    nextTalk(lane, stream)
    const { client, server } = talk
    const block = mix(server >>> 6)
    // the first part tells of the session's beginning, the other of its end
    eventTime[row] = lane.begin + (lane.part + 1) * ACTIVE_TIMEOUT
    natEvent[row] = lane.part === 0 ? SESSION_CREATED : SESSION_DELETED
    proto[row] = talk.proto
    srcPort[row] = talk.clientPort
    dstPort[row] = postNaptDstPort[row] = talk.serverPort
    postNaptSrcPort[row] = 1024 + lane.seed % 64_512
    setClient(sources, row, client, exporter)
    setServer(targets, row, server, block)
    setServer(postTargets, row, server, block)
    setV4(postSources, row, 0xcb007100 + (client & 15)) // 203.0.113.0/28
  }
}
