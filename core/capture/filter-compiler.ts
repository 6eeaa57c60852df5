/** Compilers of libpcap's filter expressions: the library, or tcpdump where it cannot be called. */
import { spawnSync } from 'node:child_process'
import { FlowkitError } from '../flow/errors.ts'
import type { Instruction } from '../net/bpf.ts'
import { loadLibc, type Libc } from '../net/ffi.ts'
import { LINK_RAW } from '../pcap/headers.ts'
import { ERROR_SIZE, NO_NETMASK, loadPcap, type PcapLibrary, type Pointer } from './pcap-library.ts'

/** A program, or why there is none: libpcap's words. */
export type Compiled = readonly Instruction[] | string

/** Compiles expressions, for packets of which so many bytes are kept as `snaplen` says. */
export interface FilterCompiler {
  /** For packets of a LINKTYPE_, as capture files hold them. */
  forLink(expression: string, linkType: number, snaplen: number): Compiled
  /** For frames of Ethernet of an interface: these can be asked for what the kernel tells of them beside. */
  forInterface(expression: string, name: string, snaplen: number): Compiled
}

const DLT_EN10MB = 1 // pcap/dlt.h
const DLT_RAW = 12
const LINK_RAW_OPENBSD = 14
const SMALL_BUFFER = 65_536 // bytes: no packets are read
const HELP = 'it takes libpcap or tcpdump to compile it, and neither is installed '
  + '(Debian: apt-get install libpcap0.8)'

/** The compiler of this machine; without one, what it is asked for throws FlowkitError ERR_UNSUPPORTED. */
export async function loadCompiler(): Promise<FilterCompiler> {
  try {
    const pcap = await loadPcap()
    return pcap ? libraryCompiler(await loadLibc(), pcap) : TCPDUMP
  } catch (error) {
    if (error instanceof FlowkitError) return TCPDUMP
    throw error
  }
}

function libraryCompiler({ memoryAt }: Libc, pcap: PcapLibrary): FilterCompiler {
  function compile(handle: Pointer, expression: string): Compiled {
    const program = new Uint8Array(16)
    if (pcap.compile(handle, program, expression, 1, NO_NETMASK) < 0) return pcap.geterr(handle)
    const view = new DataView(program.buffer)
    const length = view.getUint32(0, true)
    const code = new DataView(memoryAt(view.getBigUint64(8, true), length * 8))
    const instructions = Array.from({ length }, (_, i): Instruction => {
      const at = i * 8 // struct bpf_insn: u_short code, u_char jt, jf, u_int k
      const jumps = [code.getUint8(at + 2), code.getUint8(at + 3)] as const
      return [code.getUint16(at, true), ...jumps, code.getUint32(at + 4, true)]
    })
    pcap.freeCode(program)
    return instructions
  }
  return {
    forLink(expression, linkType, snaplen) {
      // of the others, libpcap has the same number
      const handle = pcap.openDead(isRaw(linkType) ? DLT_RAW : linkType, snaplen)
      try {
        return compile(handle, expression)
      } finally {
        pcap.close(handle)
      }
    },
    forInterface(expression, name, snaplen) {
      const handle = pcap.create(name, new Uint8Array(ERROR_SIZE))
      if (handle === null) return `${name} cannot be opened`
      try {
        pcap.setSnaplen(handle, snaplen)
        pcap.setBufferSize(handle, SMALL_BUFFER)
        if (pcap.activate(handle) < 0) return pcap.geterr(handle)
        if (pcap.datalink(handle) !== DLT_EN10MB) return `${name} has no frames of Ethernet`
        return compile(handle, expression)
      } finally {
        pcap.close(handle)
      }
    },
  }
}

function isRaw(linkType: number): boolean {
  return linkType === LINK_RAW || linkType === LINK_RAW_OPENBSD
}

/**
 * tcpdump takes the link type from a file, here one without packets, and prints the program. Header of a
 * file: u32 magic number 0, u16 version 4 and 6, u32 snaplen 16, link type 20.
 */
const TCPDUMP: FilterCompiler = {
  forLink(expression, linkType, snaplen) {
    const header = new DataView(new ArrayBuffer(24))
    header.setUint32(0, 0xa1b2c3d4)
    header.setUint16(4, 2)
    header.setUint16(6, 4)
    header.setUint32(16, snaplen)
    header.setUint32(20, isRaw(linkType) ? LINK_RAW : linkType)
    return runTcpdump(['-r', '-'], expression, new Uint8Array(header.buffer))
  },
  forInterface(expression, name, snaplen) {
    return runTcpdump(['-i', name, '-y', 'EN10MB', '-s', `${snaplen}`], expression)
  },
}

function runTcpdump(about: readonly string[], expression: string, input?: Uint8Array): Compiled {
  const { error, status, stdout, stderr } = spawnSync('tcpdump', [...about, '-ddd', '--', expression], {
    encoding: 'utf8', input, env: { PATH: process.env['PATH'], LC_ALL: 'C' },
  })
  if (error) throw new FlowkitError('ERR_UNSUPPORTED', `Cannot use BPF expression: ${HELP}`)
  if (status !== 0) return reasonOf(stderr)
  const lines = stdout.trim().split('\n').slice(1) // the first has their number
  return lines.map((line) => line.split(' ').map(Number) as [number, number, number, number])
}

/** What tcpdump says last, without its name. */
export function reasonOf(stderr: string): string {
  const lines = stderr.trim().split('\n').filter((line) => line.startsWith('tcpdump: '))
  return lines.at(-1)?.slice('tcpdump: '.length) ?? 'tcpdump failed'
}
