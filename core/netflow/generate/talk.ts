/**
 * Conversations of generated traffic. Each is told by a 32-bit seed, from which all that is known of it
 * follows, so that an answer or a later part of a long flow needs no more than the seed to be kept.
 *
 * Everything is made from integer hashes and octaves (a power of two at random, then a number below it). That
 * gives Zipf and Pareto distributions of exponent 1 without a logarithm, and the same on every machine.
 */

/** A conversation between a client and a server, whose second half is the answer. */
export interface Talk {
  /** Ranks: the low ones talk the most. */
  client: number
  server: number
  clientPort: number
  serverPort: number
  proto: number
  /** ICMP type of the question and of the answer. */
  icmp: number
  icmpBack: number
  tos: number
  /** TCP flags of the question and of the answer. */
  flags: number
  flagsBack: number
  packets: number
  packetsBack: number
  /** Bytes of a packet. */
  size: number
  sizeBack: number
  /** ms from the first packet to the last. */
  duration: number
  /** ms from the question to the answer. */
  delay: number
  /** Records for each direction, since the active timeout cuts long flows. */
  parts: number
  answered: boolean
}

const TCP = 6
const UDP = 17
const ICMP = 1
const ICMP6 = 58

/** Ranks of clients and servers are below 2 to the power of these. */
const CLIENT_OCTAVES = 14
const SERVER_OCTAVES = 19
/** Flows of up to 2^20 packets and, at 1500 bytes, less than the 2^32 bytes that v5 can count. */
const MOST_OCTAVES = 19
/** Flows of so many packets may last longer than the active timeout. */
const LONG = 64
const MOST_PARTS = 30

/** Protocol, port (0: any), type of service, and how many of 256 conversations. */
const SERVICES = [
  [TCP, 443, 0, 88], [UDP, 443, 0, 46], [TCP, 80, 0, 24], [UDP, 53, 0, 34], [UDP, 123, 0, 8],
  [TCP, 22, 0x10, 5], [TCP, 25, 0, 4], [TCP, 993, 0, 5], [TCP, 3389, 0, 3], [TCP, 8080, 0, 5],
  [UDP, 5060, 0x60, 2], [UDP, 1194, 0, 4], [TCP, 853, 0, 3], [TCP, 445, 0, 5], [TCP, 389, 0, 3],
  [TCP, 5432, 0, 2], [TCP, 0, 0, 8], [UDP, 0, 0xb8, 7],
] as const
const BY_WEIGHT = SERVICES.flatMap((service) => new Array<typeof service>(service[3]).fill(service))
const PROTO = Uint8Array.from(BY_WEIGHT, ([proto]) => proto)
const PORT = Uint16Array.from(BY_WEIGHT, ([, port]) => port)
const TOS = Uint8Array.from(BY_WEIGHT, ([, , tos]) => tos)
/** ms; shorter than the active timeout, whose parts are told of apart. */
const LONGEST = 59_000

/** A hash of 32 bits to 32 bits in which every bit depends on every other (Wellons' lowbias32). */
export function mix(x: number): number {
  x = Math.imul(x ^ x >>> 16, 0x7feb352d)
  x = Math.imul(x ^ x >>> 15, 0x846ca68b)
  return (x ^ x >>> 16) >>> 0
}

/** A talk to be drawn into, again and again. */
export function newTalk(): Talk {
  return {
    client: 0, server: 0, clientPort: 0, serverPort: 0, proto: 0, icmp: 0, icmpBack: 0, tos: 0,
    flags: 0, flagsBack: 0, packets: 0, packetsBack: 0, size: 0, sizeBack: 0, duration: 0, delay: 0, parts: 0,
    answered: false,
  }
}

/** Make `talk` the TCP or UDP conversation of `seed`. */
export function drawTalk(talk: Talk, seed: number): void {
  drawHosts(talk, seed)
  const a = mix(seed + 0x3c6ef372)
  const b = mix(seed + 0x78dde6e4)
  const port = PORT[a & 255]
  talk.proto = PROTO[a & 255]
  talk.serverPort = port === 0 ? 1024 + (b >>> 8) % 64_000 : port
  talk.clientPort = 32_768 + (a >>> 8) % 28_232 // Linux's ephemeral ports
  talk.tos = TOS[a & 255]
  talk.icmp = talk.icmpBack = 0
  talk.delay = 1 + (b & 127)
  if (port === 53 || port === 123) drawQuery(talk, b)
  else drawTransfer(talk, seed, b)
}

/** Make `talk` the ICMP echo or destination unreachable of `seed`. */
export function drawIcmp(talk: Talk, seed: number, v6: boolean): void {
  drawHosts(talk, seed)
  const a = mix(seed + 0x3c6ef372)
  const echo = (a & 7) !== 0
  talk.proto = v6 ? ICMP6 : ICMP
  talk.icmp = echo ? v6 ? 128 : 8 : v6 ? 1 : 3
  talk.icmpBack = v6 ? 129 : 0
  talk.clientPort = talk.serverPort = talk.tos = talk.flags = talk.flagsBack = 0
  talk.packets = talk.packetsBack = 1 + (a >>> 3 & 3)
  talk.size = talk.sizeBack = 84
  talk.duration = (talk.packets - 1) * 1000
  talk.delay = 1 + (a >>> 8 & 127)
  talk.parts = 1
  talk.answered = echo && (a >>> 16 & 7) !== 0
}

/** Make `talk` the session of `seed` through a NAT: a record when it begins, and one when it ends. */
export function drawSession(talk: Talk, seed: number): void {
  drawTalk(talk, seed)
  talk.parts = 2
  talk.answered = false
}

function drawHosts(talk: Talk, seed: number): void {
  talk.client = rank(mix(seed), CLIENT_OCTAVES)
  talk.server = rank(mix(seed + 0x1e3779b9), SERVER_OCTAVES)
}

/** Of DNS and NTP: a packet there and one back, nine of ten answered. */
function drawQuery(talk: Talk, bits: number): void {
  talk.flags = talk.flagsBack = 0
  talk.packets = talk.packetsBack = (bits >>> 8 & 15) === 0 ? 2 : 1
  talk.size = 56 + (bits >>> 12 & 31)
  talk.sizeBack = talk.size + (bits >>> 17 & 255)
  talk.duration = talk.packets === 1 ? 0 : bits >>> 25
  talk.parts = 1
  talk.answered = bits % 10 !== 0
}

function drawTransfer(talk: Talk, seed: number, bits: number): void {
  const c = mix(seed + 0xb54cda56)
  const d = mix(seed + 0xf1bbcdc8)
  const tcp = talk.proto === TCP
  const fate = bits >>> 24
  if (tcp && fate < 20) return drawRefused(talk, d, fate < 12)
  // half of the flows are of the first octave, a quarter of the second, …: Pareto
  const base = 2 << Math.min(Math.clz32(c), MOST_OCTAVES - 1)
  talk.packets = base + (d & base - 1)
  talk.packetsBack = Math.max(1, (talk.packets * (180 + (c & 255))) >>> 8)
  talk.size = 52 + (d >>> 20 & 255)
  talk.sizeBack = 60 + (d >>> 8) % 1300
  const span = 1 << (c >>> 8 & 15) // each octave as likely
  talk.duration = Math.min(LONGEST, span + (d & span - 1))
  talk.parts = base >= LONG && (d & 1) === 0 ? Math.min(MOST_PARTS, 2 + 2 * Math.clz32(d)) : 1
  talk.answered = tcp || fate > 25
  const reset = fate > 235
  talk.flags = !tcp ? 0 : reset ? 0x1e : 0x1b
  talk.flagsBack = !tcp ? 0 : reset ? 0x1a : 0x1b
}

/** A SYN that nobody answers, or that is answered with RST. */
function drawRefused(talk: Talk, bits: number, silent: boolean): void {
  talk.flags = 0x02
  talk.flagsBack = 0x14
  talk.packets = silent ? 1 + (bits & 3) : 1
  talk.packetsBack = 1
  talk.size = 60
  talk.sizeBack = 40
  talk.duration = (talk.packets - 1) * 1000
  talk.parts = 1
  talk.answered = !silent
}

/** A rank below 2^octaves, each octave as likely: Zipf's law. */
function rank(bits: number, octaves: number): number {
  const base = 1 << ((bits >>> 24) * octaves >>> 8)
  return base - 1 + (bits & base - 1)
}
