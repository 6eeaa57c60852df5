import { isMainThread } from 'node:worker_threads'
import { FlowkitError } from '../flow/errors.ts'

type Koffi = (typeof import('koffi'))['default']

/**
 * Functions of the C library, called as they are: each gives -1 where it fails, and `errno` says why.
 *
 * Memory is handed over as typed arrays, but for what holds addresses itself: the headers of `recvmmsg` and
 * `sendmmsg` are given by their address, and whoever gives it keeps that memory alive and in place.
 */
export interface Libc {
  socket(family: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, length: number): number
  listen(fd: number, backlog: number): number
  connect(fd: number, address: Uint8Array, length: number): number
  getsockname(fd: number, address: Uint8Array, length: Uint32Array): number
  setsockopt(fd: number, level: number, name: number, value: ArrayBufferView, length: number): number
  getsockopt(fd: number, level: number, name: number, value: ArrayBufferView, length: Uint32Array): number
  /** Without its timeout, which it only looks at after a datagram: recvmmsg(2), BUGS. */
  recvmmsg(fd: number, headers: number, count: number, flags: number, none: 0): number
  sendmmsg(fd: number, headers: number, count: number, flags: number): number
  /** Blocks the thread, for `timeout` ms at most. */
  poll(descriptors: Int32Array, count: number, timeout: number): number
  close(fd: number): number
  /** Take room on the disk for a file. Sizes are exact up to 2^53. */
  fallocate(fd: number, mode: number, offset: number, length: number): number
  /** @param argument the structure that `request` is about */
  ioctl(fd: number, request: number, argument: ArrayBufferView): number
  epoll_create1(flags: number): number
  /** @param event a struct epoll_event, of which the first four bytes are the events */
  epoll_ctl(fd: number, operation: number, of: number, event: ArrayBufferView): number
  /** An address, or beyond all of them where it fails: for `memoryAt`. */
  mmap(address: number, length: number, protection: number, flags: number, fd: number, at: number): number
  munmap(address: number, length: number): number
  /** 0 where there is no interface of that name. */
  if_nametoindex(name: string): number
  /** Of the calling thread, or the process, as prctl(2) says of `option`. */
  prctl(option: number, value: number): number
  /** For calls that the library has no function for; what points to memory is given by its address. */
  syscall(number: number, a: number, b: number, c: number, d: number): number
  chroot(path: string): number
  /** End the process at once, without waiting for threads whose calls do not return: _exit(2). */
  exit(code: number): void
  /** Why the last of these calls failed: to be read at once, since any other call may change it. */
  errno(): number
  /** Where a buffer lies; its memory stays there until it is collected, transferred or resized. */
  addressOf(buffer: ArrayBufferLike): number
  /** Memory that lies at an address; not to be touched once it is no longer mapped. */
  memoryAt(address: number | bigint, length: number): ArrayBuffer
  /**
   * Call `onReady` from the event loop, in a turn of its own, whenever `fd` is found readable or broken.
   *
   * @throws TypeError on a worker thread: one that ends while it watches takes the whole process with it
   */
  watch(fd: number, onReady: () => void): FdWatch
}

/** A descriptor that the event loop watches. */
export interface FdWatch {
  /** Watch again after `stop`. */
  start(): void
  stop(): void
  /** For good, and before the descriptor is closed. */
  close(): void
}

let libc: Libc | undefined

/**
 * The C library of this machine, loaded at the first call.
 *
 * @throws FlowkitError ERR_UNSUPPORTED where there is no Linux or its library cannot be called; what needs it
 *   is then done in another way
 */
export async function loadLibc(): Promise<Libc> {
  const { platform, arch } = process
  // the layouts of structures in this folder are those of 64-bit little-endian Linux
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    const found = `expected linux on x64 or arm64, found ${platform} on ${arch}`
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot call the C library: ${found}`)
  }
  try {
    return libc ??= bindFunctions((await import('koffi')).default)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot call the C library: ${reason}`, { cause: error })
  }
}

/** A library of C beside the C library. */
export interface ForeignLibrary {
  /** A function of it, by its declaration in C. @throws Error if it has none of that name */
  bind<F>(declaration: string): F
  /** The address of a function, for another that wants one. */
  symbol(name: string): unknown
}

/**
 * The first of the libraries named that this machine has; undefined where it has none.
 *
 * @throws FlowkitError ERR_UNSUPPORTED as loadLibc does
 */
export async function openLibrary(names: readonly string[]): Promise<ForeignLibrary | undefined> {
  await loadLibc()
  const koffi = (await import('koffi')).default
  for (const name of names) {
    try {
      const library = koffi.load(name)
      return {
        bind: <F>(declaration: string) => library.func(declaration) as F,
        symbol: (symbol) => library.symbol(symbol) as unknown,
      }
    } catch {
      continue // the next may be there
    }
  }
  return undefined
}

function bindFunctions(koffi: Koffi): Libc {
  const library = koffi.load('libc.so.6') // glibc; musl has another name
  const prctl = library.func('int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)')
  return {
    socket: library.func('int socket(int family, int type, int protocol)'),
    bind: library.func('int bind(int fd, void *address, uint32_t length)'),
    listen: library.func('int listen(int fd, int backlog)'),
    connect: library.func('int connect(int fd, void *address, uint32_t length)'),
    getsockname: library.func('int getsockname(int fd, void *address, void *length)'),
    setsockopt: library.func('int setsockopt(int fd, int level, int name, void *value, uint32_t length)'),
    getsockopt: library.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
    recvmmsg: library.func('int recvmmsg(int fd, uintptr_t headers, uint count, int flags, uintptr_t none)'),
    sendmmsg: library.func('int sendmmsg(int fd, uintptr_t headers, uint count, int flags)'),
    poll: library.func('int poll(void *descriptors, uint64_t count, int timeout)'),
    close: library.func('int close(int fd)'),
    fallocate: library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)'),
    ioctl: library.func('int ioctl(int fd, uint64_t request, void *argument)'),
    epoll_create1: library.func('int epoll_create1(int flags)'),
    epoll_ctl: library.func('int epoll_ctl(int fd, int operation, int of, void *event)'),
    mmap: library.func(
      'uintptr_t mmap(uintptr_t address, uint64_t length, int protection, int flags, int fd, int64_t at)',
    ),
    munmap: library.func('int munmap(uintptr_t address, uint64_t length)'),
    if_nametoindex: library.func('uint32_t if_nametoindex(const char *name)'),
    prctl: (option, value) => prctl(option, value, 0, 0, 0), // which the kernel wants to be 0
    syscall: library.func('int64_t syscall(int64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)'),
    chroot: library.func('int chroot(const char *path)'),
    exit: library.func('void _exit(int code)'),
    errno: () => koffi.errno(),
    addressOf: (buffer) => Number(koffi.address(buffer)), // exact: user space has 47 bits, 56 at most
    memoryAt: (address, length) => koffi.view(BigInt(address), length),
    watch: (fd, onReady) => watch(koffi, fd, onReady),
  }
}

function watch(koffi: Koffi, fd: number, onReady: () => void): FdWatch {
  if (!isMainThread) throw new TypeError('Cannot watch a socket: expected the main thread, found a worker')
  let due: NodeJS.Immediate | undefined
  // koffi calls back outside of any turn of the event loop: promises would wait for the next one, and an
  // error would leave the process hanging. Its first argument is libuv's status, not what its types say.
  function hop(status: unknown): void {
    due ??= setImmediate(() => {
      due = undefined
      if (status !== 0) start() // libuv has stopped watching, as it does when there is an error to be taken
      onReady()
    })
  }
  function start(): void {
    handle.start({ readable: true }, hop)
  }
  const handle = koffi.node.poll(fd, { readable: true }, hop)
  return {
    start,
    stop: () => handle.stop(),
    close: () => {
      clearImmediate(due)
      handle.close()
    },
  }
}
