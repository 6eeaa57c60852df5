/** Capturing by the kernel's rings, one for each interface. */
import * as fs from 'node:fs'
import type { Instruction } from '../net/bpf.ts'
import { loadLibc, type Libc } from '../net/ffi.ts'
import { LINK_ETHERNET } from '../pcap/headers.ts'
import { compileFilter, type PacketFilter } from './filter.ts'
import { FRAME_LINK_TYPES, INTERFACE_LIST, isLoopback, socketFinder, type Interface } from './interfaces.ts'
import {
  REFUSE_OUTGOING, SOCK_DGRAM, SOCK_RAW, TAKE_NONE, attachFilter, bindPacketSocket, createPacketSocket,
  joinFanout, kindOf, readStatistics, setPromiscuous, takeAll, takeError,
} from './packet-socket.ts'
import { badExpression } from './pcap-library.ts'
import type { PreparedCapture } from './options.ts'
import { closeRing, fillFromRing, isRingEmpty, openRing, releaseBlock, type Ring } from './ring.ts'
import { explainFailure, type Tap, type TapOpener, type TapOptions } from './tap.ts'

/** Sockets that are bound to no interface, with the ring that they may have. */
interface Spare {
  readonly fd: number
  readonly ring?: Ring
}

/**
 * Capture by rings.
 *
 * @param interfaces what is to be captured from, as LiveCaptureOptions has it
 * @throws FlowkitError ERR_OPTION where this process may not; ERR_SYNTAX for a bad filter; ERR_UNSUPPORTED
 */
export async function openRings(
  options: TapOptions, interfaces: readonly string[], prepared: PreparedCapture | undefined,
): Promise<TapOpener> {
  const libc = await loadLibc()
  const { filter: expression, snaplen } = options
  const [list, control, ...inherited] = prepared?.descriptors ?? openControl(libc, interfaces)
  const spares = new Map<number, Spare[]>([[SOCK_RAW, []], [SOCK_DGRAM, []]])
  for (const fd of inherited) spares.get(kindOf(libc, fd))?.push({ fd })
  const finder = socketFinder(libc, list, control)

  function close(): void {
    finder.close()
    libc.close(control)
    for (const { fd, ring } of [...spares.values()].flat()) {
      if (ring) closeRing(libc, ring)
      else libc.close(fd)
    }
  }

  let filter: PacketFilter | undefined
  try {
    filter = prepared?.filter ?? (expression === undefined ? undefined
      : await compileFilter(expression, { snaplen, interfaces }))
  } catch (error) {
    close()
    throw error
  }

  return {
    finder,
    async open(from) {
      const program = programFor(from, filter, snaplen)
      const kind = from.type in FRAME_LINK_TYPES ? SOCK_RAW : SOCK_DGRAM
      const spare = spares.get(kind)?.pop()
      const reuse = (spare: Spare): void => void spares.get(kind)!.push(spare)
      const socket = spare ?? { fd: createSocket(libc, kind, from.name) }
      return tapOf(libc, openOn(libc, from, socket, program, options, reuse), from, options, reuse)
    },
    close,
  }
}

function openControl(libc: Libc, interfaces: readonly string[]): number[] {
  const control = createSocket(libc, SOCK_RAW, interfaces.join(', '))
  return [fs.openSync(INTERFACE_LIST, 'r'), control]
}

function createSocket(libc: Libc, kind: number, name: string): number {
  try {
    return createPacketSocket(libc, kind)
  } catch (error) {
    throw explainFailure(name, error)
  }
}

/** @throws FlowkitError ERR_SYNTAX where the filter cannot be used for an interface of this kind */
function programFor(from: Interface, filter: PacketFilter | undefined, snaplen: number): Instruction[] {
  const guard = isLoopback(from) ? REFUSE_OUTGOING : []
  if (filter === undefined) return [...guard, ...takeAll(snaplen)]
  const linkType = FRAME_LINK_TYPES[from.type]
  const wireless = `${from.name} has frames of IEEE 802.11, which are not filtered`
  const program = linkType === undefined ? filter.ip : linkType === LINK_ETHERNET ? filter.ethernet : wireless
  if (typeof program === 'string') throw badExpression(program)
  return [...guard, ...program]
}

/**
 * Bind a socket to an interface, with a ring.
 *
 * @param reuse takes it back where it could not be bound
 */
function openOn(
  libc: Libc, { name, index }: Interface, spare: Spare, program: readonly Instruction[], options: TapOptions,
  reuse: (spare: Spare) => void,
): Ring {
  const { fd } = spare
  const { fanout, ringSize, blockTimeout } = options
  let ring: Ring
  try {
    ring = spare.ring ?? openRing(libc, fd, ringSize, blockTimeout)
  } catch (error) {
    const failure = explainFailure(name, error)
    libc.close(fd)
    throw failure
  }
  try {
    attachFilter(libc, fd, program)
    bindPacketSocket(libc, fd, index)
  } catch (error) {
    reuse({ fd, ring })
    throw explainFailure(name, error)
  }
  try {
    if (fanout !== undefined) joinFanout(libc, fd, fanout + index) // all of a group have one interface
    return ring
  } catch (error) {
    closeRing(libc, ring)
    throw explainFailure(name, error)
  }
}

/** @param reuse takes the ring back when it gets no packets any more, and was read to its end */
function tapOf(
  libc: Libc, ring: Ring, from: Interface, options: TapOptions, reuse: (spare: Spare) => void,
): Tap {
  const { promiscuous, fanout, onNote } = options
  const { fd } = ring
  const { index } = from
  const linkType = FRAME_LINK_TYPES[from.type] ?? -1
  const isPromiscuous = promiscuous && !isLoopback(from) && setPromiscuous(libc, fd, index, true)
  if (promiscuous && !isLoopback(from) && !isPromiscuous) onNote(`${from.name} cannot be promiscuous`)
  const fresh = new Uint32Array(3)
  let received = 0
  let dropped = 0
  let freezes = 0
  let isStopped = false
  let isOpen = true

  function count(): void {
    readStatistics(libc, fd, fresh)
    received += fresh[0] - fresh[1]
    dropped += fresh[1]
    freezes += fresh[2]
  }

  return {
    index, fd,
    isBroken: false, // it stays bound to an interface that is down, and goes on with it
    get isEmpty() { return isRingEmpty(ring) },
    fill(batch) {
      batch.ifIndex = index
      return fillFromRing(ring, batch, linkType)
    },
    takeError: () => void takeError(libc, fd),
    release: () => releaseBlock(ring),
    stop() {
      if (isStopped) return
      isStopped = true
      attachFilter(libc, fd, TAKE_NONE)
      if (isPromiscuous) setPromiscuous(libc, fd, index, false)
    },
    counts() {
      if (isOpen) count()
      return { received, dropped, freezes }
    },
    close() {
      if (!isOpen) return
      count()
      isOpen = false
      // the sockets of a group cannot be bound again
      if (isStopped && fanout === undefined && isRingEmpty(ring)) reuse({ fd, ring })
      else closeRing(libc, ring)
    },
  }
}
