/** The libpcap of this machine: pcap/pcap.h. */
import { FlowkitError } from '../flow/errors.ts'
import { openLibrary } from '../net/ffi.ts'

/** A `pcap_t *`, or another pointer. */
export type Pointer = bigint | null

/** Functions of libpcap, called as they are; on failure `geterr` says why. */
export interface PcapLibrary {
  create(name: string, errors: Uint8Array): Pointer
  openDead(linkType: number, snaplen: number): Pointer
  setSnaplen(handle: Pointer, bytes: number): number
  setPromisc(handle: Pointer, isOn: number): number
  setTimeout(handle: Pointer, milliseconds: number): number
  setBufferSize(handle: Pointer, bytes: number): number
  activate(handle: Pointer): number
  setNonblock(handle: Pointer, isOn: number, errors: Uint8Array): number
  /** @param program struct bpf_program, 16 bytes: u_int bf_len 0, struct bpf_insn *bf_insns 8 */
  compile(handle: Pointer, program: Uint8Array, expression: string, optimise: number, netmask: number): number
  setFilter(handle: Pointer, program: Uint8Array): number
  freeCode(program: Uint8Array): void
  /** DLT_ number. */
  datalink(handle: Pointer): number
  selectableFd(handle: Pointer): number
  dispatch(handle: Pointer, count: number, callback: unknown, user: Pointer): number
  /** @param counts struct pcap_stat, 12: u_int ps_recv, ps_drop, ps_ifdrop */
  stats(handle: Pointer, counts: Uint32Array): number
  geterr(handle: Pointer): string
  close(handle: Pointer): void
  /** Begin a file of packets in a `FILE *`. */
  dumpFopen(handle: Pointer, file: Pointer): Pointer
  /** The address of `pcap_dump`, which `dispatch` calls. */
  readonly dump: unknown
}

const NAMES = ['libpcap.so.1', 'libpcap.so.0.8']

/** Bytes of what `create` and `setNonblock` say: PCAP_ERRBUF_SIZE. */
export const ERROR_SIZE = 256
/** A mask that is not known: PCAP_NETMASK_UNKNOWN. */
export const NO_NETMASK = 0xffffffff

/** Load libpcap; undefined where it is not there. @throws FlowkitError ERR_UNSUPPORTED as loadLibc does */
export async function loadPcap(): Promise<PcapLibrary | undefined> {
  const library = await openLibrary(NAMES)
  if (library === undefined) return undefined
  const { bind } = library
  return {
    create: bind('void *pcap_create(const char *name, void *errors)'),
    openDead: bind('void *pcap_open_dead(int type, int snaplen)'),
    setSnaplen: bind('int pcap_set_snaplen(void *handle, int bytes)'),
    setPromisc: bind('int pcap_set_promisc(void *handle, int on)'),
    setTimeout: bind('int pcap_set_timeout(void *handle, int milliseconds)'),
    setBufferSize: bind('int pcap_set_buffer_size(void *handle, int bytes)'),
    activate: bind('int pcap_activate(void *handle)'),
    setNonblock: bind('int pcap_setnonblock(void *handle, int on, void *errors)'),
    compile: bind(
      'int pcap_compile(void *handle, void *program, const char *text, int optimise, uint32_t netmask)',
    ),
    setFilter: bind('int pcap_setfilter(void *handle, void *program)'),
    freeCode: bind('void pcap_freecode(void *program)'),
    datalink: bind('int pcap_datalink(void *handle)'),
    selectableFd: bind('int pcap_get_selectable_fd(void *handle)'),
    dispatch: bind('int pcap_dispatch(void *handle, int count, void *callback, void *user)'),
    stats: bind('int pcap_stats(void *handle, void *counts)'),
    geterr: bind('const char *pcap_geterr(void *handle)'),
    close: bind('void pcap_close(void *handle)'),
    dumpFopen: bind('void *pcap_dump_fopen(void *handle, void *file)'),
    dump: library.symbol('pcap_dump'),
  }
}

/** The text in a buffer of ERROR_SIZE bytes. */
export function errorText(errors: Uint8Array): string {
  return new TextDecoder().decode(errors.subarray(0, errors.indexOf(0)))
}

/** Why an expression cannot be used. */
export function badExpression(reason: string): FlowkitError {
  return new FlowkitError('ERR_SYNTAX', `Cannot use BPF expression: ${reason}`)
}
