/** Filter expressions of libpcap, pcap-filter(7), for packets of interfaces and of capture files. */
import { LINK_80211, LINK_ETHERNET, LINK_RAW } from '../pcap/headers.ts'
import { loadCompiler, type Compiled, type FilterCompiler } from './filter-compiler.ts'
import { filterMachine, type FilterMachine } from './filter-machine.ts'
import { badExpression } from './pcap-library.ts'

/** A filter that the kernel runs, compiled for the two kinds of packets that sockets give. */
export interface PacketFilter {
  /** For frames of Ethernet. */
  readonly ethernet: Compiled
  /** For IP packets without a link header. */
  readonly ip: Compiled
}

/** What a filter is compiled with. */
export interface FilterOptions {
  /** Bytes that are kept of a packet that passes. */
  readonly snaplen: number
  /** What is to be captured from, as LiveCaptureOptions has it. */
  readonly interfaces: readonly string[]
}

const LOOPBACK = 'lo'

/**
 * Compile an expression for the kernel.
 *
 * @throws FlowkitError ERR_SYNTAX with what libpcap says of it; ERR_UNSUPPORTED where nothing can compile it
 */
export async function compileFilter(expression: string, options: FilterOptions): Promise<PacketFilter> {
  const compiler = await loadCompiler()
  const ip = compiler.forLink(expression, LINK_RAW, options.snaplen)
  const ethernet = asksKernel(expression)
    ? compileAsking(compiler, expression, options)
    : compiler.forLink(expression, LINK_ETHERNET, options.snaplen)
  if (typeof ethernet === 'string' && typeof ip === 'string') throw badExpression(ethernet)
  return { ethernet, ip }
}

/**
 * Whether an expression asks for what Linux tells beside a packet, as VLAN tags, which it takes off before
 * packets come to a socket. Only for an interface that is open does libpcap make programs that look there.
 */
function asksKernel(expression: string): boolean {
  return /\b(vlan|inbound|outbound|ifindex)\b/.test(expression)
}

/** With one of the interfaces wanted, if possible: another one will do. */
function compileAsking(
  compiler: FilterCompiler, expression: string, { snaplen, interfaces }: FilterOptions,
): Compiled {
  for (const name of [...interfaces.filter((name) => !name.endsWith('*')), LOOPBACK]) {
    const program = compiler.forInterface(expression, name, snaplen)
    if (typeof program !== 'string') return program
  }
  const program = compiler.forLink(expression, LINK_ETHERNET, snaplen)
  const needs = 'without an interface that is up and may be opened'
  return typeof program === 'string' ? program : `VLAN tags and directions cannot be asked for ${needs}`
}

/**
 * Whether a packet of a capture file passes: the one in `bytes` from `start` to `end`.
 *
 * @param wireLength bytes it had on the wire
 * @param linkType its LINKTYPE_; of packets without one, -1, none passes
 * @throws FlowkitError ERR_SYNTAX where the expression cannot be used for packets of this link type
 */
export type FileFilter = (
  bytes: Uint8Array, start: number, end: number, wireLength: number, linkType: number,
) => boolean

/** Bytes of a packet, at most: what was captured of it is what a file has. */
const WHOLE = 2 ** 18
const LINK_SLL2 = 276
/** Link types of which one at least must do for an expression. */
const USUAL_LINKS = [LINK_ETHERNET, LINK_RAW, LINK_80211, LINK_SLL2]
/** BPF_LD | BPF_ABS, and the offsets that are not of the packet but ask the kernel: SKF_AD_OFF. */
const LOAD = 0x20
const BESIDE = 2 ** 32 - 0x1000
const NOT_IN_FILES = 'it asks for what capture files do not tell'

/**
 * Compile an expression for capture files: for each link type when the first packet of it comes.
 *
 * @throws FlowkitError ERR_SYNTAX with what libpcap says of it; ERR_UNSUPPORTED where nothing can compile it
 */
export async function compileFileFilter(expression: string): Promise<FileFilter> {
  const compiler = await loadCompiler()
  const machines = new Map<number, FilterMachine | string>()

  function machineFor(linkType: number): FilterMachine | string {
    let machine = machines.get(linkType)
    if (machine === undefined) {
      const program = compiler.forLink(expression, linkType, WHOLE)
      machine = typeof program === 'string' ? program
        : program.some(([code, , , value]) => (code & 0xe7) === LOAD && value >= BESIDE) ? NOT_IN_FILES
        : filterMachine(program)
      machines.set(linkType, machine)
    }
    return machine
  }
  if (USUAL_LINKS.every((linkType) => typeof machineFor(linkType) === 'string')) {
    throw badExpression(String(machineFor(LINK_ETHERNET)))
  }

  let machine: FilterMachine | undefined
  let machineLink = -1
  return (bytes, start, end, wireLength, linkType) => {
    if (linkType !== machineLink) {
      if (linkType < 0) return false
      const found = machineFor(linkType)
      if (typeof found === 'string') throw badExpression(found)
      machine = found
      machineLink = linkType
    }
    return machine !== undefined && machine(bytes, start, end, wireLength) !== 0
  }
}
