/** Filter expressions of libpcap, pcap-filter(7), as programs that the kernel runs for each packet. */
import { spawnSync } from 'node:child_process'
import { FlowkitError } from '../flow/errors.ts'
import type { Instruction } from '../net/bpf.ts'
import { loadLibc } from '../net/ffi.ts'
import {
  ERROR_SIZE, NO_NETMASK, badExpression, loadPcap, type PcapLibrary, type Pointer,
} from './pcap-library.ts'

/** A filter, compiled for the two kinds of packets that sockets give; a text says why it cannot be. */
export interface PacketFilter {
  /** For frames of Ethernet. */
  readonly ethernet: readonly Instruction[] | string
  /** For IP packets without a link header. */
  readonly ip: readonly Instruction[] | string
}

/** What a filter is compiled with. */
export interface FilterOptions {
  /** Bytes that are kept of a packet that passes. */
  readonly snaplen: number
  /** Interfaces that are to be captured from, of which one at least is there and up. */
  readonly interfaces: readonly string[]
}

const DLT_EN10MB = 1 // pcap/dlt.h
const DLT_RAW = 12
const LOOPBACK = 'lo'
const HELP = 'it takes libpcap or tcpdump to compile it, and neither is installed (Debian: apt-get install libpcap0.8)'

/**
 * Compile an expression: by libpcap, or by tcpdump where there is no libpcap that can be called.
 *
 * @throws FlowkitError ERR_SYNTAX with what libpcap says of it; ERR_UNSUPPORTED where nothing can compile it
 */
export async function compileFilter(expression: string, options: FilterOptions): Promise<PacketFilter> {
  const filter = await compileByLibrary(expression, options) ?? compileByTcpdump(expression, options)
  if (typeof filter.ethernet === 'string' && typeof filter.ip === 'string') throw badExpression(filter.ethernet)
  return filter
}

async function compileByLibrary(
  expression: string, options: FilterOptions,
): Promise<PacketFilter | undefined> {
  let pcap: PcapLibrary | undefined
  try {
    pcap = await loadPcap()
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
  }
  if (pcap === undefined) return undefined
  const { memoryAt } = await loadLibc()

  function compile(handle: Pointer): readonly Instruction[] | string {
    const program = new Uint8Array(16)
    if (pcap!.compile(handle, program, expression, 1, NO_NETMASK) < 0) return pcap!.geterr(handle)
    const view = new DataView(program.buffer)
    const length = view.getUint32(0, true)
    const code = new DataView(memoryAt(view.getBigUint64(8, true), length * 8))
    const instructions = Array.from({ length }, (_, i): Instruction => {
      const at = i * 8 // struct bpf_insn: u_short code, u_char jt, jf, u_int k
      return [code.getUint16(at, true), code.getUint8(at + 2), code.getUint8(at + 3), code.getUint32(at + 4, true)]
    })
    pcap!.freeCode(program)
    return instructions
  }
  function using<T>(handle: Pointer, use: (handle: Pointer) => T): T {
    try {
      return use(handle)
    } finally {
      pcap!.close(handle)
    }
  }
  return {
    ethernet: using(openLive(pcap, options) ?? pcap.openDead(DLT_EN10MB, options.snaplen), (handle) => {
      const program = compile(handle)
      return typeof program !== 'string' && asksTags(expression) && !isLive(pcap, handle) ? NO_TAGS : program
    }),
    ip: using(pcap.openDead(DLT_RAW, options.snaplen), compile),
  }
}

/**
 * Linux takes VLAN tags off before packets come to a socket, and tells of them beside: only for an interface that
 * is open does libpcap make programs that look there.
 */
const NO_TAGS = 'VLAN tags cannot be asked for without an interface that is up and may be opened'

function asksTags(expression: string): boolean {
  return /\bvlan\b/.test(expression)
}

/** Whether a handle is of an interface: others have no descriptor. */
function isLive(pcap: PcapLibrary, handle: Pointer): boolean {
  return pcap.selectableFd(handle) >= 0
}

const SMALL_BUFFER = 65_536 // bytes: no packets are read

/** An interface with frames of Ethernet, one of those wanted if possible; undefined where none may be opened. */
function openLive(pcap: PcapLibrary, { snaplen, interfaces }: FilterOptions): Pointer | undefined {
  for (const name of [...interfaces, LOOPBACK]) {
    const handle = pcap.create(name, new Uint8Array(ERROR_SIZE))
    if (handle === null) continue
    pcap.setSnaplen(handle, snaplen)
    pcap.setBufferSize(handle, SMALL_BUFFER)
    if (pcap.activate(handle) >= 0 && pcap.datalink(handle) === DLT_EN10MB) return handle
    pcap.close(handle)
  }
  return undefined
}

function compileByTcpdump(expression: string, { snaplen, interfaces }: FilterOptions): PacketFilter {
  function compile(...about: string[]): readonly Instruction[] | string {
    const args = ['-s', `${snaplen}`, ...about, '-ddd', '--', expression]
    const { error, status, stdout, stderr } = spawnSync('tcpdump', args, { encoding: 'utf8', env: PLAIN })
    if (error) throw new FlowkitError('ERR_UNSUPPORTED', `Cannot use BPF expression: ${HELP}`)
    if (status !== 0) return reasonOf(stderr)
    const lines = stdout.trim().split('\n').slice(1) // the first has their number
    return lines.map((line) => line.split(' ').map(Number) as [number, number, number, number])
  }
  const live = asksTags(expression) ? [...interfaces, LOOPBACK] : []
  const ethernet = live.map((name) => compile('-i', name)).find((program) => typeof program !== 'string')
  return {
    ethernet: ethernet ?? (live.length > 0 ? NO_TAGS : compile('-y', 'EN10MB')),
    ip: compile('-y', 'RAW'),
  }
}

const PLAIN: NodeJS.ProcessEnv = { PATH: process.env['PATH'], LC_ALL: 'C' }

/** What tcpdump says last, without its name. */
export function reasonOf(stderr: string): string {
  const lines = stderr.trim().split('\n').filter((line) => line.startsWith('tcpdump: '))
  return lines.at(-1)?.slice('tcpdump: '.length) ?? 'tcpdump failed'
}
