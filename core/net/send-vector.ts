import type { Libc } from './ffi.ts'
import { IOVEC_SIZE, MMSGHDR_SIZE, type SocketAddress } from './udp-socket.ts'

/**
 * Datagrams as sendmmsg(2) wants them: a struct mmsghdr for each, with one struct iovec.
 *
 * What they point to lives as long as their owner sees to it.
 */
export interface SendVector {
  /** How many there is room for. */
  readonly count: number
  /** Where the headers lie: `MMSGHDR_SIZE` bytes each. */
  readonly address: number
  /** All of it: headers, then iovecs, then control messages, then the address that they are sent to. */
  readonly words: Uint32Array
  /** The control messages: as many bytes for each datagram as were asked for. */
  readonly control: Uint8Array
}

/**
 * A vector of datagrams without bytes.
 *
 * @param target whom all go to; without it, the socket must be connected
 * @param controlSize bytes of the control messages of each, CMSG_SPACE(3) of theirs
 */
export function newSendVector(
  libc: Libc, count: number, target?: SocketAddress, controlSize: number = 0,
): SendVector {
  const iovecsAt = count * MMSGHDR_SIZE
  const controlAt = iovecsAt + count * IOVEC_SIZE
  const targetAt = controlAt + count * controlSize
  const memory = new ArrayBuffer(targetAt + (target?.length ?? 0)) // of whole words, as all of its parts are
  const address = libc.addressOf(memory)
  const view = new DataView(memory)
  for (let i = 0; i < count; i++) {
    const header = i * MMSGHDR_SIZE
    if (target) {
      view.setBigUint64(header, BigInt(address + targetAt), true)
      view.setUint32(header + 8, target.length, true)
    }
    view.setBigUint64(header + 16, BigInt(address + iovecsAt + i * IOVEC_SIZE), true)
    view.setBigUint64(header + 24, 1n, true)
    if (controlSize > 0) {
      view.setBigUint64(header + 32, BigInt(address + controlAt + i * controlSize), true)
      view.setBigUint64(header + 40, BigInt(controlSize), true)
    }
  }
  if (target) new Uint8Array(memory, targetAt).set(target.bytes.subarray(0, target.length))
  const control = new Uint8Array(memory, controlAt, count * controlSize)
  return { count, address, control, words: new Uint32Array(memory) }
}

/** Let datagram `i` be the `length` bytes at an address. */
export function setDatagram({ count, words }: SendVector, i: number, address: number, length: number): void {
  const iovec = (count * MMSGHDR_SIZE + i * IOVEC_SIZE) / 4
  words[iovec] = address
  words[iovec + 1] = address / 2 ** 32
  words[iovec + 2] = length
}
