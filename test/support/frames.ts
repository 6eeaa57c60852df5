/** Frames, and a sender that puts them on an interface as they are. */
import { loadLibc } from '../../core/net/ffi.ts'

const AF_PACKET = 17
const SOCK_RAW = 3
const SOL_PACKET = 263
const PACKET_QDISC_BYPASS = 20
const MMSGHDR_SIZE = 64
const IOVEC_SIZE = 16
const MOST_AT_ONCE = 64

/** What a frame of UDP over IPv4 has in it. */
export interface FrameOptions {
  /** Bytes with the header of Ethernet. */
  readonly size?: number
  readonly srcPort?: number
  readonly dstPort?: number
  /** Last byte of 10.0.0.x. */
  readonly src?: number
  readonly dst?: number
  /** VLAN tag, put in by the sender: the tag's EtherType, and what follows it. */
  readonly tag?: readonly [tpid: number, tci: number]
}

/** An Ethernet frame of UDP over IPv4, without checksums. */
export function udpFrame(options: FrameOptions = {}): Uint8Array {
  const { size = 64, srcPort = 1000, dstPort = 53, src = 1, dst = 2, tag } = options
  const frame = new Uint8Array(size)
  const view = new DataView(frame.buffer)
  frame.set([2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src])
  let at = 12
  if (tag) {
    view.setUint16(12, tag[0])
    view.setUint16(14, tag[1])
    at = 16
  }
  view.setUint16(at, 0x0800)
  const ip = at + 2
  view.setUint8(ip, 0x45)
  view.setUint16(ip + 2, size - ip)
  view.setUint8(ip + 8, 64)
  view.setUint8(ip + 9, 17)
  frame.set([10, 0, 0, src, 10, 0, 0, dst], ip + 12)
  view.setUint16(ip + 20, srcPort)
  view.setUint16(ip + 22, dstPort)
  view.setUint16(ip + 24, size - ip - 20)
  return frame
}

/** Sends frames from an interface. */
export interface FrameSender {
  /** Send each frame `times` over, in turn. @throws Error where one cannot be sent */
  send(times?: number): void
  close(): void
}

/**
 * Open a sender.
 *
 * @param isFast leave out the queue of the interface; who captures there does not see what is sent then
 * @throws Error where there is no such interface, or it may not be had
 */
export async function openFrameSender(
  name: string, frames: readonly Uint8Array[], isFast = false,
): Promise<FrameSender> {
  const libc = await loadLibc()
  const fd = libc.socket(AF_PACKET, SOCK_RAW, 0)
  const address = new DataView(new ArrayBuffer(20)) // struct sockaddr_ll
  address.setUint16(0, AF_PACKET, true)
  address.setInt32(4, libc.if_nametoindex(name), true)
  if (fd < 0 || libc.bind(fd, new Uint8Array(address.buffer), 20) < 0) throw new Error(`Cannot send from ${name}`)
  libc.setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, Int32Array.of(isFast ? 1 : 0), 4)
  const data = new Uint8Array(frames.reduce((sum, { length }) => sum + length, 0))
  const structures = new DataView(new ArrayBuffer(frames.length * (MMSGHDR_SIZE + IOVEC_SIZE)))
  const headers = libc.addressOf(structures.buffer)
  const iovecs = frames.length * MMSGHDR_SIZE
  let at = 0
  for (const [i, frame] of frames.entries()) {
    data.set(frame, at)
    const iovec = iovecs + i * IOVEC_SIZE
    structures.setBigUint64(i * MMSGHDR_SIZE + 16, BigInt(headers + iovec), true)
    structures.setBigUint64(i * MMSGHDR_SIZE + 24, 1n, true)
    structures.setBigUint64(iovec, BigInt(libc.addressOf(data.buffer) + at), true)
    structures.setBigUint64(iovec + 8, BigInt(frame.length), true)
    at += frame.length
  }
  return {
    send(times = 1) {
      for (let turn = 0; turn < times; turn++) {
        for (let next = 0; next < frames.length;) {
          const count = Math.min(MOST_AT_ONCE, frames.length - next)
          // asked for each time, so that they are not collected
          const [headers] = [structures.buffer, data.buffer].map((buffer) => libc.addressOf(buffer))
          const sent = libc.sendmmsg(fd, headers + next * MMSGHDR_SIZE, count, 0)
          if (sent < 0) throw new Error(`Cannot send from ${name}: error ${libc.errno()}`)
          next += sent
        }
      }
    },
    close: () => void libc.close(fd),
  }
}
