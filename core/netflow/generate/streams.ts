import { ID } from '../../flow/fields.ts'
import { FLOW_TYPE } from '../../flow/names.ts'
import { makeShape, type Shape } from '../../flow/shape.ts'
import { exportLayout } from '../encode/layout.ts'
import { FIXED_VERSIONS } from '../fixed.ts'
import { TEMPLATE_VERSIONS, type TrafficOptions } from './options.ts'
import { mix } from './talk.ts'
import { headerFields, rowShape } from '../message.ts'
import { makePlan, type Plan } from '../plan.ts'

/** Kinds of records, each with a template of its own where the version has templates. */
export const KIND = { v4: 0, v4Icmp: 1, v6: 2, v6Icmp: 3, nat: 4 } as const
/** Number of kinds. */
export const KINDS = 5

/** Records of one kind as one sort of stream sends them. */
export interface RecordKind {
  readonly family: 4 | 6
  /** Of the rows that a collector makes of them. */
  readonly shape: Shape
  /** Of the rows that the encoder is given. */
  readonly sent: Shape
  /** Bytes of a record. */
  readonly size: number
}

/** What streams of one version and sampling rate have in common. */
export interface Profile {
  readonly version: number
  /** A value of FLOW_TYPE. */
  readonly type: number
  readonly hasTemplates: boolean
  readonly rate: number
  /** By KIND; those that the version lacks are empty. */
  readonly kinds: readonly (RecordKind | undefined)[]
  readonly headerSize: number
  /** Bytes that a set takes beside its records. */
  readonly setSize: number
  readonly maxRecords: number
}

/** Conversations of one kind in one stream: what goes on, and long flows that wait for their next part. */
export interface Lane {
  readonly kind: number
  /** The conversation told of last; its part, and when it began, µs. */
  seed: number
  part: number
  begin: number
  /** Whether its answer comes next. */
  answer: boolean
  /** Long flows in a ring, in the order their next parts are due. */
  seeds: Uint32Array
  parts: Uint8Array
  begins: Float64Array
  head: number
  waiting: number
}

/** The export of one process on one exporter, from one port. */
export interface Stream {
  readonly profile: Profile
  /** Place of the exporter, from 0. */
  readonly exporter: number
  readonly family: 4 | 6
  readonly v4: number
  readonly v6: Uint8Array
  readonly port: number
  readonly domain: number
  /** When the exporter was started, µs. */
  readonly boot: number
  /** Makes its random numbers other than those of other streams. */
  readonly salt: number
  /** Random numbers drawn. */
  drawn: number
  readonly lanes: readonly Lane[]
  /** Records to make, and made. */
  readonly quota: number
  done: number
  /** The next datagram: when it is exported, µs; its records, by KIND; its sequence number. */
  time: number
  readonly counts: Uint32Array
  rows: number
  sequence: number
  /** A kind drawn that did not fit into the datagram before; -1 none. */
  carried: number
  /** Datagrams of data so far, and when the templates were sent last. */
  datagrams: number
  announcedAt: number
}

const ADDRESSES = [ID.srcAddr, ID.dstAddr, ID.nextHop, ID.postNatSrcAddr, ID.postNatDstAddr]
const CLOCK = [ID.exportSecs, ID.exportNsecs, ID.sysUptime]
const SHORT_FIELDS = [
  ID.flowStart, ID.flowEnd, ID.bytes, ID.packets, ID.proto, ID.srcAddr, ID.dstAddr, ID.srcPort, ID.dstPort,
  ID.tcpFlags, ID.tos, ID.inIf, ID.outIf, ID.srcAs, ID.dstAs,
]
const FIELDS = [...SHORT_FIELDS, ID.direction, ID.srcMask, ID.dstMask, ID.nextHop]
const NAT_FIELDS = [
  ID.eventTime, ID.proto, ID.srcAddr, ID.dstAddr, ID.srcPort, ID.dstPort, ID.natEvent, ID.postNatSrcAddr,
  ID.postNatDstAddr, ID.postNaptSrcPort, ID.postNaptDstPort,
]
const ICMP = [ID.icmpType, ID.icmpCode]

const FIXED_TYPE: Readonly<Record<number, number>> = {
  1: FLOW_TYPE.NETFLOW_V1, 5: FLOW_TYPE.NETFLOW_V5, 6: FLOW_TYPE.NETFLOW_V6, 7: FLOW_TYPE.NETFLOW_V7,
}
/** Records of a datagram, as routers send them. */
const MOST_RECORDS: Readonly<Record<number, number>> = { 1: 24, 5: 30, 6: 27, 7: 27 }
const HEADER_SIZES: Readonly<Record<number, number>> = { 9: 20, 10: 16 }
const WANTED = { extras: false }

const DAY = 86_400e6 // µs
/** The start of 198.18.0.0/15, for benchmarks (RFC 2544). */
const FIRST_EXPORTER = 0xc6120001
const EXPORT_PORT = 50_000
/** One of so many flows of an exporter with conflicts comes from its second port. */
const TWIN_SHARE = 4

/** The streams of `options`, the first of which have the most records; without those that have none. */
export function makeStreams(options: TrafficOptions): Stream[] {
  const { exporters, versions, sampling, flows } = options
  const profiles = new Map<string, Profile>()
  const weight = Array.from({ length: exporters }, (_, i) => 1 / (i + 1))
  const whole = weight.reduce((a, b) => a + b)
  const quotas = weight.map((share) => Math.floor(flows * share / whole))
  quotas[0] += flows - quotas.reduce((a, b) => a + b)
  const streams: Stream[] = []
  let { conflicts } = options
  for (const [i, quota] of quotas.entries()) {
    const version = versions[i % versions.length]
    const rate = sampling[i % sampling.length]
    let part = 0
    if (conflicts > 0 && TEMPLATE_VERSIONS.includes(version)) {
      conflicts--
      part = Math.floor(quota / TWIN_SHARE)
      streams.push(newStream(options, profileOf(profiles, options, version, rate, true), i, part, true))
    }
    const profile = profileOf(profiles, options, version, rate, false)
    streams.push(newStream(options, profile, i, quota - part, false))
  }
  return streams.filter(({ quota }) => quota > 0)
}

function newStream(
  options: TrafficOptions, profile: Profile, exporter: number, quota: number, twin: boolean,
): Stream {
  const { from, span, wrap, seed } = options
  const v6 = new Uint8Array(16)
  const family = exporter % 4 === 3 ? 6 : 4 // some exporters are reached by IPv6
  if (family === 6) {
    v6.set([0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff])
    v6.set([exporter >> 8, exporter], 14)
  }
  const uptime = wrap ? 2 ** 32 * 1000 - Math.floor(span / 2000) * 1000 : (10 + exporter % 20) * DAY
  return {
    profile, exporter, family, v6,
    v4: family === 4 ? FIRST_EXPORTER + exporter : 0,
    port: EXPORT_PORT + (twin ? 1 : 0),
    domain: profile.hasTemplates ? 1 + exporter : exporter & 255,
    boot: from - uptime,
    salt: mix(mix(seed) ^ exporter * 2 + (twin ? 1 : 0)),
    drawn: 0,
    lanes: Array.from({ length: KINDS }, (_, kind) => newLane(kind)),
    quota, done: 0,
    time: from, counts: new Uint32Array(KINDS), rows: 0, sequence: 0,
    carried: -1,
    datagrams: 0, announcedAt: -Infinity,
  }
}

const FIRST_WAITING = 16

function newLane(kind: number): Lane {
  return {
    kind, seed: 0, part: 0, begin: 0, answer: false,
    seeds: new Uint32Array(FIRST_WAITING),
    parts: new Uint8Array(FIRST_WAITING),
    begins: new Float64Array(FIRST_WAITING),
    head: 0, waiting: 0,
  }
}

function profileOf(
  profiles: Map<string, Profile>, options: TrafficOptions, version: number, rate: number, twin: boolean,
): Profile {
  const key = `${version}/${rate}/${twin}`
  let profile = profiles.get(key)
  if (!profile) {
    profile = version === 9 || version === 10
      ? setProfile(options, version, rate, twin)
      : fixedProfile(version, rate)
    profiles.set(key, profile)
  }
  return profile
}

function fixedProfile(version: number, rate: number): Profile {
  const { layout, headerSize } = FIXED_VERSIONS[version]
  const plan = makePlan(layout, WANTED, true)
  const isSampled = version === 5 && rate > 1
  const sampling = isSampled ? [ID.samplingRate, ID.samplingSource, ID.samplingAlgorithm] : []
  const shape = rowShape(plan.shape, headerFields(version, WANTED), sampling)
  const sent = makeShape([...shape.fields, ...CLOCK], 3)
  const kind: RecordKind = { family: 4, shape, sent, size: plan.minLength }
  return {
    version, rate: isSampled ? rate : 1, type: FIXED_TYPE[version], hasTemplates: false,
    kinds: [kind, kind, undefined, undefined, undefined], headerSize, setSize: 0,
    maxRecords: MOST_RECORDS[version],
  }
}

/** @param twin whether its templates are to be others than those of the first stream of the exporter */
function setProfile({ v6, nat }: TrafficOptions, version: 9 | 10, rate: number, twin: boolean): Profile {
  const flow = twin ? SHORT_FIELDS : FIELDS
  // v9 tells of sampling in options, IPFIX in the records
  const records = version === 10 && rate > 1 ? [...flow, ID.samplingRate] : flow
  const known = [ID.samplingRate, ID.samplingSource, ...version === 9 ? [ID.samplingAlgorithm] : []]
  const sampling = rate > 1 ? known : []
  const make = (family: 4 | 6, fields: readonly number[], more: readonly number[]): RecordKind => {
    const sent = makeShape([...fields, ...CLOCK], 3)
    const plan = planOf(sent, family, version)
    const shape = rowShape(plan.shape, headerFields(version, WANTED), more)
    return { family, shape, sent, size: plan.minLength }
  }
  return {
    version, rate, type: version === 9 ? FLOW_TYPE.NETFLOW_V9 : FLOW_TYPE.IPFIX, hasTemplates: true,
    kinds: [
      make(4, records, sampling), make(4, [...records, ...ICMP], sampling),
      v6 > 0 ? make(6, records, sampling) : undefined,
      v6 > 0 ? make(6, [...records, ...ICMP], sampling) : undefined,
      nat > 0 ? make(4, NAT_FIELDS, version === 9 ? sampling : []) : undefined,
    ],
    headerSize: HEADER_SIZES[version],
    setSize: 4 + 3, // header and padding
    maxRecords: Infinity,
  }
}

function planOf(sent: Shape, family: 4 | 6, version: 9 | 10): Plan {
  const families = new Map(ADDRESSES.filter((id) => sent.mask[id]).map((id) => [id, family]))
  return makePlan(exportLayout(sent, families, version).layout, WANTED, true)
}
