/** Capturing by libpcap, where the kernel's rings cannot be had. */
import { markAsUntransferable } from 'node:worker_threads'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc, openLibrary, type Libc } from '../net/ffi.ts'
import { fileFinder, type Interface } from './interfaces.ts'
import { TAKE_NONE, attachFilter } from './packet-socket.ts'
import {
  ERROR_SIZE, NO_NETMASK, badExpression, errorText, loadPcap, type PcapLibrary, type Pointer,
} from './pcap-library.ts'
import { cannotCapture, packetStream, type Tap, type TapOpener, type TapOptions } from './tap.ts'

/** Packets that libpcap is asked for in one call. */
const PACKETS = 1024

/** What `activate` returns, as the code of a system error: pcap/pcap.h. */
const PROBLEMS: Readonly<Record<number, string>> = {
  [-5]: 'ENODEV', // PCAP_ERROR_NO_SUCH_DEVICE
  [-8]: 'EPERM', // PCAP_ERROR_PERM_DENIED
  [-9]: 'ENETDOWN', // PCAP_ERROR_IFACE_NOT_UP
  [-11]: 'EPERM', // PCAP_ERROR_PROMISC_PERM_DENIED
}

/** Functions of stdio, of the C library. */
interface Stdio {
  /** @param address of where it keeps a pointer @param size of where it keeps a length, 64 bits each */
  openMemstream(address: number, size: number): Pointer
  fflush(file: Pointer): number
  fseek(file: Pointer, at: number, whence: number): number
  fclose(file: Pointer): number
  free(pointer: bigint): void
}

interface Libraries {
  readonly libc: Libc
  readonly stdio: Stdio
  readonly pcap: PcapLibrary
}

/** Capture by libpcap. @throws FlowkitError ERR_UNSUPPORTED where it is not there */
export async function openLibpcap(options: TapOptions): Promise<TapOpener> {
  const libc = await loadLibc()
  const pcap = await loadPcap()
  const stdio = await openLibrary(['libc.so.6'])
  if (pcap === undefined || stdio === undefined) {
    const help = 'it is not installed (Debian: apt-get install libpcap0.8)'
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot capture by libpcap: ${help}`)
  }
  const { bind } = stdio
  const streams: Stdio = {
    openMemstream: bind('void *open_memstream(uintptr_t address, uintptr_t size)'),
    fflush: bind('int fflush(void *file)'),
    fseek: bind('int fseek(void *file, int64_t at, int whence)'),
    fclose: bind('int fclose(void *file)'),
    free: bind('void free(void *pointer)'),
  }
  return {
    finder: fileFinder,
    async open(from) {
      const handle = openHandle(pcap, from, options)
      return tapOf({ libc, stdio: streams, pcap }, handle, from, options)
    },
    close() {},
  }
}

/** @throws FlowkitError */
function openHandle(pcap: PcapLibrary, { name }: Interface, options: TapOptions): Pointer {
  const errors = new Uint8Array(ERROR_SIZE)
  const handle = pcap.create(name, errors)
  if (handle === null) throw cannotCapture(name, errorText(errors))
  try {
    pcap.setSnaplen(handle, options.snaplen)
    pcap.setPromisc(handle, options.promiscuous ? 1 : 0)
    pcap.setTimeout(handle, options.blockTimeout)
    pcap.setBufferSize(handle, options.ringSize)
    const status = pcap.activate(handle)
    if (status < 0) throw cannotCapture(name, PROBLEMS[status] ?? pcap.geterr(handle))
    if (options.filter !== undefined) setFilter(pcap, handle, options.filter)
    if (pcap.setNonblock(handle, 1, errors) < 0) throw cannotCapture(name, errorText(errors))
    return handle
  } catch (error) {
    pcap.close(handle)
    throw error
  }
}

function setFilter(pcap: PcapLibrary, handle: Pointer, expression: string): void {
  const program = new Uint8Array(16)
  if (pcap.compile(handle, program, expression, 1, NO_NETMASK) < 0) throw badExpression(pcap.geterr(handle))
  const status = pcap.setFilter(handle, program)
  pcap.freeCode(program)
  if (status < 0) throw badExpression(pcap.geterr(handle))
}

/** libpcap writes packets to memory that the C library keeps, with no call back into JavaScript for each. */
function tapOf(
  { libc, stdio, pcap }: Libraries, handle: Pointer, { index }: Interface, { blockTimeout, wake }: TapOptions,
): Tap {
  const place = new ArrayBuffer(16) // of the pointer and the length that open_memstream keeps
  markAsUntransferable(place)
  const [pointer, size] = [new BigUint64Array(place, 0, 1), new BigUint64Array(place, 8, 1)]
  const address = libc.addressOf(place)
  const file = stdio.openMemstream(address, address + 8)
  const dump = pcap.dumpFopen(handle, file)
  const fd = pcap.selectableFd(handle)
  const counts = new Uint32Array(3)
  let dropped = 0
  let lastDrops = 0
  let isBroken = false
  let stopped = Infinity // when, in ms as performance.now() tells it
  let isDrained = false
  let isOpen = true

  const stream = packetStream(() => {
    if (isBroken || isDrained) return undefined
    const isLate = performance.now() - stopped > 2 * blockTimeout // all that came before has been given out
    const count = pcap.dispatch(handle, PACKETS, pcap.dump, dump)
    if (count < 0) isBroken = true // as when the interface goes
    isDrained = isLate && count === 0
    stdio.fflush(file)
    const length = Number(size[0])
    if (length === 0) return undefined
    stdio.fseek(file, 0, 0) // the next packets take the place of these
    return new Uint8Array(libc.memoryAt(pointer[0], length))
  })

  function count(): void {
    if (pcap.stats(handle, counts) < 0) return
    dropped += counts[1] - lastDrops >>> 0 // of 32 bits
    lastDrops = counts[1]
  }

  return {
    index, fd,
    get isBroken() { return isBroken },
    get isEmpty() { return stream.isEmpty && (isBroken || isDrained) },
    fill(batch) {
      batch.ifIndex = index
      return stream.fill(batch)
    },
    takeError() {}, // `dispatch` does
    release() {},
    stop() {
      if (stopped < Infinity) return
      attachFilter(libc, fd, TAKE_NONE)
      stopped = performance.now()
      setTimeout(wake, 2 * blockTimeout + 1)
    },
    counts() {
      if (isOpen) count()
      return { received: stream.received, dropped, freezes: 0 }
    },
    close() {
      if (!isOpen) return
      count()
      isOpen = false
      pcap.close(handle)
      stdio.fclose(file)
      stdio.free(pointer[0])
    },
  }
}
