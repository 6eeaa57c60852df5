/** The interfaces of this machine: which there are, of what kind, and which one leads out. */
import * as fs from 'node:fs'
import type { Libc } from '../net/ffi.ts'
import { LINK_80211, LINK_ETHERNET, LINK_MPLS, LINK_RAW } from '../pcap/headers.ts'

const LINK_PRISM = 119, LINK_RADIOTAP = 127

const SIOCGIFFLAGS = 0x8913 // linux/sockios.h
const SIOCGIFHWADDR = 0x8927
const SIOCGIFINDEX = 0x8933
const IFF_UP = 1 // linux/if.h
const IFREQ_SIZE = 40
const NAME_SIZE = 16 // IFNAMSIZ

const ARPHRD_ETHER = 1 // linux/if_arp.h
const ARPHRD_LOOPBACK = 772
const ARPHRD_IEEE80211 = 801
const ARPHRD_IEEE80211_PRISM = 802
const ARPHRD_IEEE80211_RADIOTAP = 803

/** What is known of an interface. */
export interface Interface {
  readonly name: string
  readonly index: number
  /** ARPHRD_ number of its hardware. */
  readonly type: number
  readonly isUp: boolean
}

/** Tells of interfaces. */
export interface InterfaceFinder {
  /** Names of all there are. */
  names(): string[]
  /** One of them; undefined where it is not there. */
  find(name: string): Interface | undefined
  close(): void
}

/** The file that lists all interfaces of this process's network, whether they have addresses or not. */
export const INTERFACE_LIST = '/proc/net/dev'

/**
 * Asks the kernel, by a descriptor of INTERFACE_LIST and a socket of any kind: this also works in a process
 * that may open neither. The caller closes the socket.
 */
export function socketFinder(libc: Libc, list: number, socket: number): InterfaceFinder {
  const request = new Uint8Array(IFREQ_SIZE)
  const view = new DataView(request.buffer)
  /** @returns whether there is an answer */
  function ask(what: number, name: string): boolean {
    request.fill(0)
    request.set(new TextEncoder().encode(name).subarray(0, NAME_SIZE - 1))
    return libc.ioctl(socket, what, request) === 0
  }
  return {
    names: () => namesIn(readFromStart(list)),
    find(name) {
      if (!ask(SIOCGIFINDEX, name)) return undefined
      const index = view.getInt32(NAME_SIZE, true)
      if (!ask(SIOCGIFHWADDR, name)) return undefined
      const type = view.getUint16(NAME_SIZE, true)
      const isUp = ask(SIOCGIFFLAGS, name) && (view.getUint16(NAME_SIZE, true) & IFF_UP) > 0
      return { name, index, type, isUp }
    },
    close: () => fs.closeSync(list),
  }
}

/** Asks by files, where the C library cannot be called. */
export const fileFinder: InterfaceFinder = {
  names: () => namesIn(fs.readFileSync(INTERFACE_LIST, 'latin1')),
  find(name) {
    try {
      const [index, type, flags] = ['ifindex', 'type', 'flags'].map((file) => {
        return Number(fs.readFileSync(`/sys/class/net/${name}/${file}`, 'latin1'))
      })
      return { name, index, type, isUp: (flags & IFF_UP) > 0 }
    } catch {
      return undefined
    }
  },
  close() {},
}

function readFromStart(fd: number): string {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const part = Buffer.alloc(65_536)
    const length = fs.readSync(fd, part, 0, part.length, at)
    if (length === 0) return Buffer.concat(parts).toString('latin1')
    parts.push(part.subarray(0, length))
    at += length
  }
}

/** Two lines of headings, then `name: counters`. */
function namesIn(list: string): string[] {
  return Array.from(list.matchAll(/^\s*(\S+):/gm), ([, name]) => name)
}

/** Whether a name is one of those that a pattern means: a name, or the beginning of names before a `*`. */
export function isMeant(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

/** LINKTYPE_ by the hardware of which frames are captured with their header; of others, what is in them. */
export const FRAME_LINK_TYPES: Readonly<Record<number, number>> = {
  [ARPHRD_ETHER]: LINK_ETHERNET, [ARPHRD_LOOPBACK]: LINK_ETHERNET, [ARPHRD_IEEE80211]: LINK_80211,
  [ARPHRD_IEEE80211_PRISM]: LINK_PRISM, [ARPHRD_IEEE80211_RADIOTAP]: LINK_RADIOTAP,
}

/** Whether what an interface sends comes back to it. */
export function isLoopback({ type }: Interface): boolean {
  return type === ARPHRD_LOOPBACK
}

/** LINKTYPE_ of what is in a frame by its EtherType, the bytes swapped as the kernel tells it; -1: not IP. */
export function innerLinkType(swapped: number): number {
  switch (swapped) {
    case 0x0008: // IPv4
    case 0xdd86: // IPv6
      return LINK_RAW
    case 0x4788: // MPLS
    case 0x4888:
      return LINK_MPLS
    default:
      return -1
  }
}

const RTF_UP = 1 // linux/route.h
const RTF_REJECT = 0x200

/** Where routes are listed: proc(5). */
export interface RouteFiles {
  readonly v4: string
  readonly v6: string
}

/**
 * The interface of the default route, of IPv4 or, failing that, of IPv6: the one with the lowest metric;
 * undefined where there is none.
 */
export function defaultInterface(
  files: RouteFiles = { v4: '/proc/net/route', v6: '/proc/net/ipv6_route' },
): string | undefined {
  // Iface Destination Gateway Flags RefCnt Use Metric Mask, numbers but the metric in hexadecimal
  const v4 = routesIn(files.v4).map(([name, to, , flags, , , metric, mask]) => {
    return { name, to: to + mask, flags: parseInt(flags, 16), metric: Number(metric) }
  })
  // destination, its prefix length, source, its length, next hop, metric, references, use, flags, interface
  const v6 = routesIn(files.v6).map(([to, length, , , , metric, , , flags, name]) => {
    return { name, to: to + length, flags: parseInt(flags, 16), metric: parseInt(metric, 16) }
  })
  for (const routes of [v4, v6]) {
    const usable = routes.filter(({ name, to, flags }) => {
      return /^0+$/.test(to) && (flags & RTF_UP) > 0 && (flags & RTF_REJECT) === 0 && name !== 'lo'
    })
    if (usable.length > 0) return usable.reduce((best, each) => each.metric < best.metric ? each : best).name
  }
  return undefined
}

function routesIn(file: string): string[][] {
  try {
    return fs.readFileSync(file, 'latin1').split('\n').map((line) => line.trim().split(/\s+/))
      .filter((words) => words.length >= 8 && words[0] !== 'Iface')
  } catch {
    return [] // without IPv6 there is no such file
  }
}
