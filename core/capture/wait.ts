/** Waiting for any of several descriptors, which come and go. */
import type { FdWatch, Libc } from '../net/ffi.ts'
import { POLLIN, pollDescriptors, systemError } from '../net/udp-socket.ts'

const EPOLL_CLOEXEC = 0o2000000 // sys/epoll.h
const EPOLL_CTL_ADD = 1
const EPOLL_CTL_DEL = 2
const EPOLLIN = 1
const POLLERR = 8 // bits/poll.h

/** Descriptors that are waited for. */
export interface FdSet {
  /** Readable when one of them is; -1 once it is closed. */
  readonly fd: number
  add(fd: number): void
  remove(fd: number): void
  /** Block the thread until one is readable or broken, for `timeout` ms at most. */
  block(timeout: number): void
  /** Resolves once one is readable or broken, or `wake` is called; on the main thread only. */
  wait(): Promise<void>
  wake(): void
  /** Those that have an error to be taken. */
  broken(): number[]
  close(): void
}

/** A set to which no descriptor can be added: only `wake` ends the waiting, also when it came before. */
export function createAlarm(): FdSet {
  let isDue = false
  let waiting: PromiseWithResolvers<void> | undefined
  function wake(): void {
    isDue = waiting === undefined
    waiting?.resolve()
    waiting = undefined
  }
  return {
    fd: -1,
    add() {},
    remove() {},
    block() {},
    wait() {
      if (!isDue) return (waiting ??= Promise.withResolvers()).promise
      isDue = false
      return Promise.resolve()
    },
    wake,
    broken: () => [],
    close: wake,
  }
}

/** A set without descriptors. @throws the system error */
export function createFdSet(libc: Libc): FdSet {
  let fd = libc.epoll_create1(EPOLL_CLOEXEC)
  if (fd < 0) throw systemError(libc, 'epoll_create1', '')
  const self = Int32Array.of(fd, POLLIN)
  const event = Uint32Array.of(EPOLLIN, 0, 0, 0) // struct epoll_event, the data of which are not used
  let members = new Int32Array(0) // struct pollfd, to ask for errors alone
  let watch: FdWatch | undefined
  let isWatching = false
  let waiting: PromiseWithResolvers<void> | undefined

  function wake(): void {
    waiting?.resolve()
    waiting = undefined
  }
  function onReady(): void {
    if (waiting === undefined) { // whoever receives is late: not to be told again and again
      watch?.stop()
      isWatching = false
    }
    wake()
  }
  return {
    get fd() { return fd },
    add(member) {
      if (libc.epoll_ctl(fd, EPOLL_CTL_ADD, member, event) < 0) throw systemError(libc, 'epoll_ctl', '')
      members = Int32Array.of(...members, member, 0)
    },
    remove(member) {
      libc.epoll_ctl(fd, EPOLL_CTL_DEL, member, event)
      const rest = Array.from(members).filter((_, i) => i % 2 === 0 && members[i] !== member)
      members = Int32Array.from(rest.flatMap((each) => [each, 0]))
    },
    block: (timeout) => void pollDescriptors(libc, self, timeout),
    wait() {
      if (watch === undefined) watch = libc.watch(fd, onReady)
      else if (!isWatching) watch.start()
      isWatching = true
      waiting ??= Promise.withResolvers()
      return waiting.promise
    },
    wake,
    broken() {
      if (members.length === 0 || !pollDescriptors(libc, members, 0)) return []
      return Array.from(members).filter((_, i) => i % 2 === 0 && ((members[i + 1] >> 16) & POLLERR) !== 0)
    },
    close() {
      if (fd < 0) return
      watch?.close()
      libc.close(fd)
      fd = -1
      wake()
    },
  }
}
