import { writeIpv6, type AddressColumn } from '../core/flow/address.ts'
import type { FlowBatch } from '../core/flow/batch.ts'
import {
  ByteWriter, putCount, putDigits, putIpv4, putSmall, putUint, putWords, SLACK, TimeWriter, toWords,
} from '../core/flow/byte-writer.ts'
import { ID } from '../core/flow/fields.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import { alignRight, padTo } from './align.ts'
import type { FlowFormat, WriteRequest } from './format.ts'

/**
 * nfdump 1.7.8's `-o line` (src/output/output_fmt.c), byte for byte: header, flows, summary.
 *
 * Of the summary the first two lines are written; the other two tell of nfdump's own run. The time window is
 * that of the flows, where nfdump gives what its file states. `ipv6Full` is nfdump's -6, `quiet` its -q.
 */
export const line: FlowFormat = {
  name: 'line',
  summary: "nfdump's default text, one line a flow",
  extensions: [],
  encoder,
}

/** Protocols as nfdump calls them (src/libnffile/userio.c); from 138 on it has numbers. */
const PROTOCOL_NAMES = `
  0 ICMP IGMP GGP IPIP ST TCP CBT EGP IGP BBN NVPII PUP ARGUS ENCOM XNET CHAOS UDP MUX DCN HMP PRM XNS Trnk1
  Trnk2 Leaf1 Leaf2 RDP IRTP ISO-4 NETBK MFESP MEINP DCCP 3PC IDPR XTP DDP IDPR TP++ IL IPv6 SDRP Rte6 Frag6
  IDRP RSVP GRE MHRP BNA ESP AH INLSP SWIPE NARP MOBIL TLSP SKIP ICMP6 NOHE6 OPTS6 HOST CFTP NET SATNT KLAN
  RVD IPPC FS SATM VISA IPCV CPNX CPHB WSN PVP BSATM SUNND WBMON WBEXP ISOIP VMTP SVMTP VINES TTP NSIGP DGP
  TCF EIGRP OSPF S-RPC LARP MTP AX.25 OS MICP SCCSP ETHIP ENCAP 99 GMTP IFMP PNNI PIM ARIS SCPS QNX A/N
  IPcmp SNP CpqPP IPXIP VRRP PGM 0hop L2TP DDX IATP STP SRP UTI SMP SM PTP ISIS4 FIRE CRTP CRUDP 128 IPLT
  SPS PIPE SCTP FC 134 MHEAD UDP-L MPLS
`.trim().split(/\s+/)
/** By number, `TCP   ` with the space behind it and two more, so that it is two words. */
const PROTOCOLS = Array.from({ length: 256 }, (_, i) => toWords((PROTOCOL_NAMES[i] ?? String(i)).padEnd(8)))
const NO_TIME = toWords('0000-00-00 00:00:00.000')
const ARROW = toWords(' -> ')
const NO_DAYS = toWords('    ')
const NO_ADDRESS = toWords('0.0.0.0')
const ICMP = 1
const ICMP6 = 58
const DOT = 46
const COLON = 58
const SPACE = 32
/** Longest line, with 20 digits for each number. */
const MAX_LINE = 256

function encoder({ ipv6Full = false, quiet = false, utc = false }: WriteRequest): FlowEncoder {
  const writer = new LineWriter(ipv6Full, !utc)
  const gap = ' '.repeat(ipv6Full ? 28 : 5)
  const header = quiet ? '' : 'Date first seen         Duration         Proto '
    + `${gap}Src IP Addr:Port     ${gap}Dst IP Addr:Port   Packets    Bytes Flows\n`
  let started = false
  function head(): number {
    if (started) return 0
    started = true
    return writer.text(header, 0)
  }
  return {
    encode: (batch) => writer.take(writer.lines(batch, head())),
    finish: () => {
      let end = head()
      if (writer.records === 0) end = writer.text('No matching flows\n', end)
      if (!quiet) end = writer.text(writer.summary(), end)
      return writer.take(end)
    },
  }
}

/** Writes lines and adds up what the summary tells. */
class LineWriter extends ByteWriter {
  records = 0
  private readonly ipv6Full: boolean
  private readonly times: TimeWriter
  private flows = 0
  private octets = 0
  private packets = 0
  /** First and last packet, µs; 0 while unknown. */
  private readonly window = new Float64Array(2)

  constructor(ipv6Full: boolean, local: boolean) {
    super()
    this.ipv6Full = ipv6Full
    this.times = new TimeWriter(' ', local)
  }

  /** Write all rows of `batch` from `at` on. @returns the offset behind them */
  lines(batch: FlowBatch, at: number): number {
    const { length, shape, flowStart, flowEnd, proto, srcAddr, dstAddr, srcPort, dstPort } = batch
    const { packets, bytes: octets, flows, icmpType, icmpCode } = batch
    const hasStart = batch.present(ID.flowStart)
    const hasEnd = batch.present(ID.flowEnd)
    const hasProto = batch.present(ID.proto)
    const hasSource = batch.present(ID.srcAddr)
    const hasDestination = batch.present(ID.dstAddr)
    const hasSourcePort = batch.present(ID.srcPort)
    const hasDestinationPort = batch.present(ID.dstPort)
    const hasType = batch.present(ID.icmpType)
    const hasCode = batch.present(ID.icmpCode)
    const hasPackets = batch.present(ID.packets)
    const hasBytes = batch.present(ID.bytes)
    const hasFlows = batch.present(ID.flows)
    const width = this.ipv6Full ? 39 : 16
    const { times } = this
    let { bytes, view } = this
    for (let row = 0; row < length; row++) {
      const has = shape[row]
      if (at + MAX_LINE + SLACK > bytes.length) {
        this.room(at, MAX_LINE)
        bytes = this.bytes
        view = this.view
      }
      // nfdump's times are milliseconds, and 0 is none
      const start = hasStart[has] === 1 ? Math.floor(flowStart[row] / 1000) : 0
      const end = hasEnd[has] === 1 ? Math.floor(flowEnd[row] / 1000) : 0
      if (start === 0) {
        putWords(NO_TIME, 0, NO_TIME.length, view, at)
        at += 23
      } else at = times.put(flowStart, row, 0, 3, view, at)
      bytes[at++] = SPACE
      at = putDuration(start !== 0 && end > start ? end - start : 0, view, at)
      bytes[at++] = SPACE
      const protocol = hasProto[has] === 1 ? proto[row] : 0
      putWords(PROTOCOLS[protocol], 0, 2, view, at)
      at += 6
      at = this.address(srcAddr, hasSource[has] === 1 ? row : -1, width, at)
      const sourceEnd = at + 5
      at = putUint(hasSourcePort[has] === 1 ? srcPort[row] : 0, view, at)
      at = padTo(bytes, at, sourceEnd)
      putWords(ARROW, 0, 1, view, at)
      at = this.address(dstAddr, hasDestination[has] === 1 ? row : -1, width, at + 4)
      const destinationEnd = at + 5
      const port = hasDestinationPort[has] === 1 ? dstPort[row] : 0
      if (protocol === ICMP || protocol === ICMP6) { // NetFlow v5 and v9 have type and code in the port
        at = putSmall(hasType[has] === 1 ? icmpType[row] : port >> 8, view, at)
        bytes[at++] = DOT
        at = putSmall(hasCode[has] === 1 ? icmpCode[row] : hasType[has] === 1 ? 0 : port & 255, view, at)
      } else at = putUint(port, view, at)
      at = padTo(bytes, at, destinationEnd)
      bytes[at++] = SPACE
      let behind = hasPackets[has] === 1 ? putScaled(packets, row, view, at) : putSmall(0, view, at)
      at = alignRight(bytes, at, behind, 8)
      bytes[at++] = SPACE
      behind = hasBytes[has] === 1 ? putScaled(octets, row, view, at) : putSmall(0, view, at)
      at = alignRight(bytes, at, behind, 8)
      bytes[at++] = SPACE
      behind = hasFlows[has] === 1 ? putCount(flows, row, view, at) : putSmall(1, view, at)
      at = alignRight(bytes, at, behind, 5)
      bytes[at++] = 10
    }
    this.add(batch)
    return at
  }

  /** The two lines behind the flows that tell of them. */
  summary(): string {
    const [first, last] = this.window
    const millis = Math.max(0, Math.floor(last / 1000) - Math.floor(first / 1000))
    const { flows, octets, packets } = this
    const known = first > 0 && last > 0
    const timed = known && millis > 0
    const bps = timed ? octets * 8 / (millis / 1000) : 0
    const pps = timed ? packets / (millis / 1000) : 0
    const bpp = timed && packets > 0 ? octets / packets : 0
    const totals = `total flows: ${flows}, total bytes: ${scaled(octets)}, total packets: ${scaled(packets)}`
    const averages = `avg bps: ${scaled(bps)}, avg pps: ${scaled(pps)}, avg bpp: ${scaled(bpp)}`
    const [from, to] = [0, 1].map((i) => textOf((view) => this.times.put(this.window, i, 0, 3, view, 0)))
    const duration = textOf((view) => putDuration(millis, view, 0))
    const window = !known ? '<unknown>' : `${from} - ${to}, Duration:${duration}`
    return `Summary: ${totals}, ${averages}\nTime window: ${window}\n`
  }

  /** Write `%16s` of an address and what stands before the port; row -1 is an absent one. */
  private address({ family, v4, v6 }: AddressColumn, row: number, width: number, at: number): number {
    const { bytes, view } = this
    const kind = row < 0 ? 0 : family[row]
    let end = at + 7
    if (kind === 4) end = putIpv4(v4[row], view, at)
    else if (kind === 6) {
      end = writeInet6(v6, row * 16, bytes, view, at)
      if (end - at > width) { // the first and last 7 of it
        bytes[at + 7] = bytes[at + 8] = DOT
        bytes.copyWithin(at + 9, end - 7, end)
        end = at + 16
      }
    } else putWords(NO_ADDRESS, 0, 2, view, at)
    at = alignRight(bytes, at, end, width)
    bytes[at] = kind === 6 ? DOT : COLON
    return at + 1
  }

  private add(batch: FlowBatch): void {
    const { length, shape, flowStart, flowEnd, flows } = batch
    const hasStart = batch.present(ID.flowStart)
    const hasEnd = batch.present(ID.flowEnd)
    const hasFlows = batch.present(ID.flows)
    let [first, last] = this.window
    for (let row = 0; row < length; row++) {
      const has = shape[row]
      this.flows += hasFlows[has] === 1 && flows[row] > 0 ? flows[row] : 1
      const start = hasStart[has] === 1 ? flowStart[row] : 0
      if (start >= 1000 && (first === 0 || start < first)) first = start
      if (hasEnd[has] === 1 && flowEnd[row] > last) last = flowEnd[row]
    }
    this.window.set([first, last])
    this.records += length
    this.octets += sum(batch, ID.bytes) + sum(batch, ID.outBytes)
    this.packets += sum(batch, ID.packets) + sum(batch, ID.outPackets)
  }
}

function sum(batch: FlowBatch, id: number): number {
  if (!batch.has(id)) return 0
  const { length, shape } = batch
  const column = batch.column(id) as Float64Array
  const has = batch.present(id)
  let total = 0
  for (let row = 0; row < length; row++) if (has[shape[row]] === 1) total += column[row]
  return total
}

/** Write `    00:00:01.971`, 16 bytes, of milliseconds; from a day on ` 1d 00:00:01.971`. */
function putDuration(millis: number, view: DataView, at: number): number {
  const seconds = Math.floor(millis / 1000)
  const days = Math.floor(seconds / 86_400)
  const inDay = seconds - days * 86_400
  const hours = (inDay / 3600) | 0
  const minutes = ((inDay - hours * 3600) / 60) | 0
  putWords(NO_DAYS, 0, 1, view, at)
  if (days > 0) {
    at = putUint(days, view, days < 10 ? at + 1 : at)
    view.setUint16(at, 0x6420) // "d "
    at += 2
  } else at += 4
  at = putDigits(hours, 2, view, at)
  view.setUint8(at, COLON)
  at = putDigits(minutes, 2, view, at + 1)
  view.setUint8(at, COLON)
  at = putDigits(inDay - hours * 3600 - minutes * 60, 2, view, at + 1)
  view.setUint8(at, DOT)
  return putDigits(millis - seconds * 1000, 3, view, at + 1)
}

/** Write a number as nfdump's format_number: from a million on `34.1 M`, in thousands of thousands. */
function putScaled(column: Float64Array, row: number, view: DataView, at: number): number {
  const value = column[row]
  if (value < 1e6) return putCount(column, row, view, at)
  const unit = value >= 1e12 ? 1e12 : value >= 1e9 ? 1e9 : 1e6
  const quotient = value / unit
  let tenths = Math.floor(quotient * 10)
  // C's %.1f rounds the exact value, ties to even: what is near a tie is looked at without rounding errors
  const above = quotient * 10 - tenths - 0.5
  const exact = above === 0 ? quotient * 8 - (tenths + 0.5) + quotient * 2 : above
  if (exact > 0 || (exact === 0 && tenths % 2 === 1)) tenths++
  const whole = Math.floor(tenths / 10)
  at = putUint(whole, view, at)
  view.setUint8(at, DOT)
  view.setUint8(at + 1, 48 + tenths - whole * 10)
  view.setUint8(at + 2, SPACE)
  view.setUint8(at + 3, unit === 1e12 ? 84 : unit === 1e9 ? 71 : 77) // T, G, M
  return at + 4
}

function scaled(value: number): string {
  return textOf((view) => putScaled(Float64Array.of(Math.floor(value)), 0, view, 0))
}

function textOf(put: (view: DataView) => number): string {
  const bytes = new Uint8Array(64)
  return String.fromCharCode(...bytes.subarray(0, put(new DataView(bytes.buffer))))
}

/** Write an IPv6 address as glibc's inet_ntop does: IPv4-compatible ones, too, end in dotted decimal. */
function writeInet6(v6: Uint8Array, from: number, bytes: Uint8Array, view: DataView, at: number): number {
  let zeros = 0
  while (zeros < 16 && v6[from + zeros] === 0) zeros++
  if (zeros !== 12 && zeros !== 13) return writeIpv6(v6, from, bytes, at)
  bytes[at] = bytes[at + 1] = COLON
  const low = v6[from + 12] << 24 | v6[from + 13] << 16 | v6[from + 14] << 8 | v6[from + 15]
  return putIpv4(low >>> 0, view, at + 2)
}
