import { CaptureReader } from './capture.ts'
import { type FragmentCounts, FragmentJoiner } from './fragments.ts'
import { parsePacket } from './headers.ts'
import { parseJoined, PROTO_DESTINATION, PROTO_UDP } from './ip.ts'
import { BAD_HEADER, FRAGMENT, PacketHeaders, UNKNOWN_LINK, WIRELESS_LINK } from './packet-headers.ts'
import { readUint32 } from './packet.ts'
import { parseInner } from './tunnels.ts'

/** What the packets of a capture were; each packet is counted once. */
export interface DatagramCounts {
  /** Packets read. */
  packets: number
  /** Datagrams given out. */
  datagrams: number
  /** Packets that are not IP, or whose IP header could not be read. */
  notIp: number
  /** IP packets other than UDP. */
  notUdp: number
  /** UDP datagrams of which the capture has only a part. */
  truncated: number
  /** UDP datagrams whose lengths contradict each other. */
  malformed: number
  /** Fragments of UDP datagrams that did not complete one. */
  fragments: number
  /** Packets of link types that flowkit does not read. */
  unknownLink: number
  /** Packets of IEEE 802.11, which flowkit does not read. */
  wireless: number
}

type Outcome = 'datagrams' | 'notUdp' | 'truncated' | 'malformed' | 'fragments'

const MAX_LAYERS = 8 // tunnels and joined fragments within one packet

/**
 * Reader of the UDP datagrams of a pcap or pcapng file: `capture.push` chunks, `next` until it returns false,
 * at the end `capture.end`.
 *
 * In tunnels the innermost UDP datagram counts; fragments are joined. The members describe the datagram
 * found, until the next call.
 */
export class DatagramReader {
  /** The reader of the file's packets: takes the bytes, has time and place of the datagram's last packet. */
  readonly capture: CaptureReader = new CaptureReader()
  /** What the packets so far were. */
  readonly counts: DatagramCounts = {
    packets: 0, datagrams: 0, notIp: 0, notUdp: 0, truncated: 0, malformed: 0, fragments: 0, unknownLink: 0,
    wireless: 0,
  }
  /** Buffer that holds the UDP payload. */
  bytes: Uint8Array = new Uint8Array(0)
  /** Offset of the payload in `bytes`. */
  start = 0
  /** Offset behind the payload. */
  end = 0
  /** 4 or 6: which of the source addresses holds. */
  family = 0
  /** IPv4 source address in host order. */
  srcAddr = 0
  /** IPv6 source address, 16 bytes. */
  readonly srcAddr6: Uint8Array = new Uint8Array(16)
  /** Source port. */
  srcPort = 0
  /** Destination port. */
  dstPort = 0
  private readonly joiner = new FragmentJoiner()
  private headers = new PacketHeaders()
  private inner = new PacketHeaders()

  /** What became of fragmented datagrams. */
  get fragmentCounts(): FragmentCounts {
    return this.joiner.counts
  }

  /** Datagrams that still wait for fragments. */
  get incomplete(): number {
    return this.joiner.waiting
  }

  /**
   * Go to the next datagram.
   *
   * @returns whether there is one; if not, the capture wants more bytes or is at its end
   * @throws FlowkitError on a damaged record, as CaptureReader.next does
   */
  next(): boolean {
    const { capture, counts } = this
    while (capture.next()) {
      counts.packets++
      const { bytes, start, length, linkType, time } = capture.packet
      if (parsePacket(bytes, start, start + length, linkType, this.headers)) {
        if (this.findDatagram(bytes, time)) return true
      } else if ((this.headers.flags & UNKNOWN_LINK) !== 0) counts.unknownLink++
      else if ((this.headers.flags & WIRELESS_LINK) !== 0) counts.wireless++
      else counts.notIp++
    }
    return false
  }

  /** Look through fragments and tunnels of the packet in `this.headers`, and count what it was. */
  private findDatagram(packet: Uint8Array, time: number): boolean {
    let bytes = packet
    let outcome: Outcome = 'notUdp'
    for (let layer = 0; layer < MAX_LAYERS; layer++) {
      const { ipVersion, srcAddr, flags, fragmentProto } = this.headers
      const addressed = bytes
      if ((flags & FRAGMENT) !== 0) {
        if (fragmentProto !== PROTO_UDP && fragmentProto !== PROTO_DESTINATION) break
        outcome = 'fragments'
        if (!this.joiner.add(bytes, this.headers, time)) break
        bytes = this.joiner.bytes
        this.headers.reset()
        parseJoined(bytes, 0, this.joiner.length, ipVersion, this.joiner.proto, this.headers)
      }
      if (this.headers.proto === PROTO_UDP) {
        outcome = this.takeDatagram(bytes, this.headers)
        if (outcome === 'datagrams') this.takeAddress(addressed, srcAddr, ipVersion)
      }
      if (!parseInner(bytes, this.headers, this.inner) || this.inner.ipVersion === 0) break
      const outer = this.headers
      this.headers = this.inner
      this.inner = outer
    }
    this.counts[outcome]++
    return outcome === 'datagrams'
  }

  private takeDatagram(bytes: Uint8Array, headers: PacketHeaders): Outcome {
    if ((headers.flags & BAD_HEADER) !== 0) return 'malformed'
    const end = headers.payload + headers.payloadLength
    if (headers.payload < 0 || end > headers.end) return 'truncated'
    this.bytes = bytes
    this.start = headers.payload
    this.end = end
    this.srcPort = headers.srcPort
    this.dstPort = headers.dstPort
    return 'datagrams'
  }

  private takeAddress(bytes: Uint8Array, at: number, family: number): void {
    this.family = family
    if (family === 4) this.srcAddr = readUint32(bytes, at, false)
    else for (let i = 0; i < 16; i++) this.srcAddr6[i] = bytes[at + i]
  }
}
