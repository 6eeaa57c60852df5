/**
 * seccomp: a process gives up the calls of the kernel that flowkit has no use for once it works. They fail
 * with EPERM, as if they were not allowed for another reason.
 *
 * Sources: linux/seccomp.h, linux/audit.h; the numbers are those of asm/unistd.h on x86_64,
 * and of asm-generic/unistd.h, which aarch64 has.
 */
import { getSystemErrorName } from 'node:util'
import { encodeProgram, type Instruction } from './bpf.ts'
import { forgoPrivileges } from './confine.ts'
import type { Libc } from './ffi.ts'

/** Numbers of a call on x64 and arm64, -1 where there is none. */
type Numbers = readonly [x64: number, arm64: number]

/** Calls that nothing needs: other programs and processes, other users, devices, the kernel's settings. */
export const REFUSED_CALLS: Readonly<Record<string, Numbers>> = {
  execve: [59, 221], execveat: [322, 281], fork: [57, -1], vfork: [58, -1], unshare: [272, 97],
  setns: [308, 268], ptrace: [101, 117], process_vm_readv: [310, 270], process_vm_writev: [311, 271],
  kcmp: [312, 272], pidfd_getfd: [438, 438], pidfd_send_signal: [424, 424], tkill: [200, 130],
  rt_sigqueueinfo: [129, 138], rt_tgsigqueueinfo: [297, 240],
  setuid: [105, 146], setgid: [106, 144], setreuid: [113, 145], setregid: [114, 143], setresuid: [117, 147],
  setresgid: [119, 149], setgroups: [116, 159], setfsuid: [122, 151], setfsgid: [123, 152],
  capset: [126, 91], personality: [135, 92],
  chroot: [161, 51], pivot_root: [155, 41], mount: [165, 40], umount2: [166, 39], move_mount: [429, 429],
  open_tree: [428, 428], fsopen: [430, 430], fsconfig: [431, 431], fsmount: [432, 432], fspick: [433, 433],
  mount_setattr: [442, 442], name_to_handle_at: [303, 264], open_by_handle_at: [304, 265],
  fanotify_init: [300, 262], quotactl: [179, 60], quotactl_fd: [443, 443], acct: [163, 89],
  swapon: [167, 224], swapoff: [168, 225], mknod: [133, -1], mknodat: [259, 33], vhangup: [153, 58],
  init_module: [175, 105], finit_module: [313, 273], delete_module: [176, 106], kexec_load: [246, 104],
  kexec_file_load: [320, 294], bpf: [321, 280], perf_event_open: [298, 241], userfaultfd: [323, 282],
  add_key: [248, 217], request_key: [249, 218], keyctl: [250, 219], io_uring_setup: [425, 425],
  reboot: [169, 142], syslog: [103, 116], sethostname: [170, 161], setdomainname: [171, 162],
  settimeofday: [164, 170], clock_settime: [227, 112], clock_adjtime: [305, 266], adjtimex: [159, 171],
  iopl: [172, -1], ioperm: [173, -1], modify_ldt: [154, -1], uselib: [134, -1],
}

/** Calls that only those need who open connections; the sockets of a receiver are open already. */
export const NETWORK_CALLS: Readonly<Record<string, Numbers>> = {
  socketpair: [53, 199], bind: [49, 200], connect: [42, 203], sendto: [44, 206], sendmsg: [46, 211],
  sendmmsg: [307, 269],
}

const SOCKET: Numbers = [41, 198]
const CLONE: Numbers = [56, 220]
const CLONE3: Numbers = [435, 435]
const KILL: Numbers = [62, 129]
const TGKILL: Numbers = [234, 131]
const SECCOMP: Numbers = [317, 277]

const AUDIT_ARCH: Numbers = [0xc000003e, 0xc00000b7]
const X32_BIT = 0x40000000 // asm/unistd.h: marks the calls of x32, which the table does not have
const AF_INET = 2 // bits/socket.h
const AF_INET6 = 10
const CLONE_THREAD = 0x10000 // linux/sched.h
const EPERM = 1
const ENOSYS = 38

const SET_MODE_FILTER = 1
const FILTER_FLAG_TSYNC = 1
const RET_ALLOW = 0x7fff0000
const RET_ERRNO = 0x50000

// struct seccomp_data: int nr 0, u32 arch 4, u64 instruction_pointer 8, u64 args[6] 16
const NUMBER_AT = 0
const ARCH_AT = 4
const FIRST_ARGUMENT_AT = 16 // its lower half, which holds all there is of an int

const ALLOW: Instruction = [0x06, 0, 0, RET_ALLOW] // BPF_RET | BPF_K
const REFUSE = fail(EPERM)

function load(at: number): Instruction {
  return [0x20, 0, 0, at] // BPF_LD | BPF_W | BPF_ABS
}

function fail(errno: number): Instruction {
  return [0x06, 0, 0, RET_ERRNO | errno]
}

/** Skip so many instructions if the value loaded is equal, or is not. */
function ifEqual(value: number, ifTrue: number, ifFalse: number): Instruction {
  return [0x15, ifTrue, ifFalse, value] // BPF_JMP | BPF_JEQ | BPF_K
}

/** Do `body`, which returns, if the call is this one. */
function onCall(numbers: Numbers, body: readonly Instruction[]): Instruction[] {
  const number = numbers[architecture()]
  return number < 0 ? [] : [ifEqual(number, 0, body.length), ...body]
}

/** Allow the call if its first argument is one of the values. */
function onlyFor(values: readonly number[]): Instruction[] {
  const tests = values.map((value, i) => ifEqual(value, values.length - i, 0))
  return [load(FIRST_ARGUMENT_AT), ...tests, REFUSE, ALLOW]
}

function architecture(): 0 | 1 {
  return process.arch === 'x64' ? 0 : 1
}

/** What a filter begins with: calls of another architecture are refused, since their numbers mean others. */
function prologue(): Instruction[] {
  const x32: Instruction[] = [[0x35, 0, 1, X32_BIT], REFUSE] // BPF_JMP | BPF_JGE | BPF_K
  return [load(ARCH_AT), ifEqual(AUDIT_ARCH[architecture()], 1, 0), REFUSE, load(NUMBER_AT), ...x32]
}

/**
 * Give up io_uring in this thread and the processes that it starts. libuv makes rings before the first line
 * of JavaScript runs, and what is asked for through a ring is no call that a later filter would see; without
 * them it does the same by calls.
 *
 * @returns why it could not be done, for the log
 */
export function refuseRings(libc: Libc): string | undefined {
  const rings = onCall(REFUSED_CALLS['io_uring_setup'], [REFUSE])
  return install(libc, [...prologue(), ...rings, ALLOW], 0)
}

/**
 * Refuse, to all threads of this process and for good, the calls that flowkit does not need once its
 * libraries are loaded: no programs, no processes, no sockets, and signals only to itself. With `network`,
 * sockets of IPv4 and IPv6 are left.
 *
 * @returns what has been done, or why it could not be: a sentence for the log
 */
export function confineCalls(libc: Libc, { network = false }: { readonly network?: boolean } = {}): string {
  const refused = Object.values(network ? REFUSED_CALLS : { ...REFUSED_CALLS, ...NETWORK_CALLS })
  const threadsOnly: Instruction[] = [
    load(FIRST_ARGUMENT_AT), [0x45, 1, 0, CLONE_THREAD], REFUSE, ALLOW, // BPF_JMP | BPF_JSET | BPF_K
  ]
  const reason = install(libc, [
    ...prologue(),
    ...refused.flatMap((numbers) => onCall(numbers, [REFUSE])),
    ...onCall(SOCKET, network ? onlyFor([AF_INET, AF_INET6]) : [REFUSE]),
    ...onCall(CLONE, threadsOnly),
    ...onCall(CLONE3, [fail(ENOSYS)]), // its flags are out of sight; the C library then calls clone
    ...[KILL, TGKILL].flatMap((numbers) => onCall(numbers, onlyFor([process.pid]))),
    ALLOW,
  ], FILTER_FLAG_TSYNC)
  if (reason !== undefined) return `system calls are not confined: ${reason}`
  const sockets = network ? 'no sockets but of IP' : 'no sockets'
  return `system calls are confined by seccomp: no programs, ${sockets}`
}

/** @returns why it could not be done */
function install(libc: Libc, program: readonly Instruction[], flags: number): string | undefined {
  forgoPrivileges(libc)
  const filter = encodeProgram(libc, program)
  const number = SECCOMP[architecture()]
  const result = libc.syscall(number, SET_MODE_FILTER, flags, libc.addressOf(filter.buffer), 0)
  if (result > 0) return `thread ${result} has a filter of its own`
  if (result === 0) return undefined
  const code = getSystemErrorName(-libc.errno())
  if (code === 'ENOSYS' || code === 'EINVAL') return 'this kernel has no seccomp'
  return `it is not allowed here (${code})`
}
