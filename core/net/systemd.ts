/**
 * What a service is to its manager: where it says how it is (sd_notify(3), sd_watchdog_enabled(3)), and which
 * sockets it is given (sd_listen_fds(3)).
 *
 * struct sockaddr_un, 110 (sys/un.h): u16 sun_family 0, char sun_path[108] 2, where a first byte of 0 stands
 * for a name that is in no file system.
 */
import * as fs from 'node:fs'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc, type Libc } from './ffi.ts'
import { AF_INET, AF_INET6, SOL_SOCKET, localEndpoint, systemError } from './udp-socket.ts'
import type { Endpoint } from './endpoint.ts'

const AF_UNIX = 1 // bits/socket.h
const SOCK_STREAM = 1 // bits/socket_type.h, as are the next two
const SOCK_DGRAM = 2
const SOCK_CLOEXEC = 0o2000000
const SO_TYPE = 3 // asm-generic/socket.h, as are the next four
const SO_SNDTIMEO = 21
const SO_ACCEPTCONN = 30
const SO_PROTOCOL = 38
const SO_DOMAIN = 39
const IPPROTO_TCP = 6 // netinet/in.h
const IPPROTO_UDP = 17
const MAX_PATH = 108 // bytes

const PATIENCE = 1n // seconds that a manager which takes nothing may hold up this thread
const FIRST = 3 // SD_LISTEN_FDS_START

/** Says to the service manager how this process is. What cannot be said is lost: nothing here ever throws. */
export interface Notifier {
  /** It has started, or has done reloading. */
  ready(): void
  /** It reloads its configuration: `ready` is to follow. */
  reloading(): void
  /** It is about to end. */
  stopping(): void
  /** What it is doing, in one line. */
  status(text: string): void
  /** It is alive: see `watchdogInterval`. */
  watchdog(): void
  close(): void
}

/**
 * Find the service manager that `env` names in `NOTIFY_SOCKET`. The connection is made here, so that it
 * outlasts what this process gives up later.
 *
 * @returns a notifier that says nothing where there is none, or it cannot be reached
 */
export async function openNotifier(env: NodeJS.ProcessEnv): Promise<Notifier> {
  const fd = await connectTo(env['NOTIFY_SOCKET'] ?? '')
  let isOpen = fd !== undefined

  function send(...lines: string[]): void {
    if (fd === undefined || !isOpen) return
    try {
      fs.writeSync(fd, lines.join('\n'))
    } catch {
      // the manager has gone, or takes nothing: there is nobody else to tell
    }
  }

  return {
    ready: () => send('READY=1'),
    reloading: () => send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`),
    stopping: () => send('STOPPING=1'),
    status: (text) => send(`STATUS=${text.replaceAll(/\s*\n\s*/g, ' ')}`),
    watchdog: () => send('WATCHDOG=1'),
    close: () => {
      if (fd !== undefined && isOpen) fs.closeSync(fd)
      isOpen = false
    },
  }
}

async function connectTo(name: string): Promise<number | undefined> {
  const address = encodeName(name)
  if (address === undefined) return undefined
  try {
    const libc = await loadLibc()
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
    if (fd < 0) return undefined
    const timeout = BigInt64Array.of(PATIENCE, 0n) // struct timeval
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, timeout.byteLength)
    if (libc.connect(fd, address, address.length) === 0) return fd
    libc.close(fd)
  } catch {
    // the C library cannot be called
  }
  return undefined
}

/** The sockaddr_un of a path or `@NAME`; undefined for what is neither. */
function encodeName(name: string): Uint8Array | undefined {
  const bytes = Buffer.from(name)
  if (!/^[/@]./.test(name) || bytes.length >= MAX_PATH) return undefined
  const isAbstract = name.startsWith('@')
  if (isAbstract) bytes[0] = 0
  return Uint8Array.of(AF_UNIX, 0, ...bytes, ...isAbstract ? [] : [0])
}

/**
 * How often `watchdog` is to be called, ms: twice in the time after which the manager takes the service for
 * dead. Undefined where it does not watch the process `pid`.
 */
export function watchdogInterval(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const micros = Number(env['WATCHDOG_USEC'] ?? '')
  const watched = env['WATCHDOG_PID'] || String(pid)
  if (!Number.isSafeInteger(micros) || micros <= 0 || watched !== String(pid)) return undefined
  return Math.max(1, Math.floor(micros / 2000))
}

/** A socket that was opened by the service manager. */
export interface PassedSocket {
  readonly fd: number
  /** `FileDescriptorName=` of its unit; `unknown` where it has none. */
  readonly name: string
  /** TCP: it listens for connections. */
  readonly protocol: 'udp' | 'tcp'
  readonly endpoint: Endpoint
}

/**
 * The sockets that this process was started with: descriptors from 3 on, by `LISTEN_FDS`, `LISTEN_PID` and
 * `LISTEN_FDNAMES`. Programs started from here do not inherit them, since Node sees to that at its start.
 *
 * @returns none where the variables are not for the process `pid`
 * @throws FlowkitError ERR_OPTION for one that is no UDP socket and no listening TCP socket, of IPv4 or IPv6;
 *   ERR_UNSUPPORTED as loadLibc does
 */
export async function listenFds(env: NodeJS.ProcessEnv, pid: number): Promise<PassedSocket[]> {
  const text = env['LISTEN_FDS']
  if (text === undefined || env['LISTEN_PID'] !== String(pid)) return []
  const count = /^\d{1,4}$/.test(text) ? Number(text) : NaN
  const given = env['LISTEN_FDNAMES']
  const names = given === undefined ? new Array<string>(count || 0).fill('unknown') : given.split(':')
  if (names.length !== count && !(count === 0 && given === '')) {
    const found = `LISTEN_FDS=${text}${given === undefined ? '' : ` and LISTEN_FDNAMES=${given}`}`
    throw new FlowkitError('ERR_OPTION', `Cannot use sockets: expected a name for each, found ${found}`)
  }
  if (count === 0) return []
  return examineSockets(names.map((name, i) => ({ fd: FIRST + i, name })))
}

/** What sockets are that were opened by another process. @throws as listenFds does */
export async function examineSockets(
  passed: readonly Pick<PassedSocket, 'fd' | 'name'>[],
): Promise<PassedSocket[]> {
  const libc = await loadLibc()
  return passed.map(({ fd, name }) => examine(libc, fd, name))
}

function examine(libc: Libc, fd: number, name: string): PassedSocket {
  function wrong(found: string): FlowkitError {
    const wanted = 'expected a UDP socket or a listening TCP socket'
    return new FlowkitError('ERR_OPTION', `Cannot use descriptor ${fd} (${name}): ${wanted}, found ${found}`)
  }
  function option(number: number): number {
    const value = Int32Array.of(0)
    if (libc.getsockopt(fd, SOL_SOCKET, number, value, Uint32Array.of(4)) === 0) return value[0]
    throw wrong(systemError(libc, 'getsockopt', '').code === 'EBADF' ? 'none' : 'what is no socket')
  }
  const domain = option(SO_DOMAIN)
  if (domain !== AF_INET && domain !== AF_INET6) throw wrong(`one of address family ${domain}`)
  const [type, protocol] = [option(SO_TYPE), option(SO_PROTOCOL)]
  const isUdp = type === SOCK_DGRAM && protocol === IPPROTO_UDP
  const isTcp = type === SOCK_STREAM && protocol === IPPROTO_TCP
  if (!isUdp && !isTcp) throw wrong(`one of protocol ${protocol}`)
  if (isTcp && option(SO_ACCEPTCONN) === 0) throw wrong('a TCP socket that does not listen')
  return { fd, name, protocol: isUdp ? 'udp' : 'tcp', endpoint: localEndpoint(libc, fd) }
}
