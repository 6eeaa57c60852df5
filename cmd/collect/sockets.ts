/** The sockets of the threads of `flowkit collect`. */
import { FlowkitError } from '../../core/flow/errors.ts'
import type { ListenAt } from '../../core/net/endpoint.ts'
import type { Inheritance } from '../../core/net/monitor.ts'
import { openLanes } from '../../core/net/steering.ts'
import type { CollectOptions } from './plan.ts'
import type { Io } from '../io.ts'

/**
 * Open the sockets of each of `workers` threads.
 *
 * @returns undefined where one thread is to collect, which opens its own: also where more of them cannot
 *   share sockets, which is said
 * @throws the system error of a socket that cannot be opened; FlowkitError ERR_OPTION for no address
 */
export async function openSockets(
  listen: readonly ListenAt[], { workers, receiveBuffer, join: groups = [] }: CollectOptions, io: Io,
): Promise<ListenAt[][] | undefined> {
  if (workers === 1) return undefined
  const alone = (reason: string): void => io.talk.warn(`one worker collects, not ${workers}: ${reason}`)
  if (listen.some(({ fd }) => fd !== undefined)) {
    alone('the sockets of the service manager cannot be shared')
    return undefined
  }
  try {
    return await openLanes(listen, workers, { receiveBuffer, groups })
  } catch (error) {
    if (!(error instanceof FlowkitError) || error.code !== 'ERR_UNSUPPORTED') throw error
    alone(error.message)
    return undefined
  }
}

/** Whether a monitor opens it: its child listens for connections itself, unless it is given a socket. */
export function isOpenedByMonitor({ protocol, fd }: ListenAt): boolean {
  return protocol === 'udp' || fd !== undefined
}

/** What a monitor tells its child. */
export interface Told {
  /** How many threads the sockets are for, those of each together. */
  readonly lanes: number
}

/**
 * In the child: the sockets of each thread; undefined where one collects, by `inherited` and its own.
 *
 * @param inherited those that the monitor has opened
 */
export async function laneSockets(
  { told }: Inheritance, inherited: readonly ListenAt[], options: CollectOptions, io: Io,
): Promise<ListenAt[][] | undefined> {
  const { lanes } = told as Told
  if (lanes === 1) return undefined
  const others = (options.listen ?? []).filter((each) => !isOpenedByMonitor(each))
  const own = await openSockets(others, options, io)
  const each = inherited.length / lanes
  return own?.map((sockets, lane) => [...inherited.slice(lane * each, (lane + 1) * each), ...sockets])
}
