import { dirname, join, resolve } from 'node:path'
import { runMonitor } from '../../core/net/monitor.ts'
import { findAccount, makeFolder } from '../../core/net/privileges.ts'
import { openNotifier } from '../../core/net/systemd.ts'
import { openUdpSocket } from '../../core/net/udp-receiver.ts'
import { groupsFor } from '../../core/net/udp-socket.ts'
import { unreadableAgain, type CollectOptions, type Plan } from './plan.ts'
import { isOpenedByMonitor, openSockets, type Told } from './sockets.ts'
import type { ExitCode } from '../command.ts'
import { UsageError } from '../errors.ts'
import type { Io } from '../io.ts'

/**
 * Open the sockets, and start this program again as another user, who can write to the archive and the state
 * only; wait for its end.
 *
 * @returns its exit code
 */
export async function monitorCollector(plan: Plan, options: CollectOptions, io: Io): Promise<ExitCode> {
  const { user = '', chroot, pidFile, onRotate, config, tlsKey, tlsCert, tlsCa } = options
  if (onRotate !== undefined) {
    throw new UsageError('Cannot use option --on-rotate with --user: what is confined cannot start programs')
  }
  for (const path of unreadableAgain(plan)) {
    io.talk.warn(`${path} is read once only, since it is not below ${chroot}: SIGHUP begins new files, and `
      + 'a change of it needs a restart')
  }
  const account = findAccount(user)
  const writable = [plan.state, ...plan.places.map(({ path }) => path)].map((path) => resolve(path))
  for (const folder of [...writable, join(resolve(plan.state), 'spool')]) makeFolder(folder, account)
  const lanes = await openSockets(plan.listen.filter(isOpenedByMonitor), options, io)
  const descriptors = lanes ? lanes.flat().map(({ fd = -1 }) => fd) : await openOne(plan, options)
  const files = [config, tlsKey, tlsCert, tlsCa, ...plan.filterFiles].filter((path) => path !== undefined)
  const notifier = await openNotifier(io.env)
  const isNetwork = options.metrics !== undefined || options.forward !== undefined
    || plan.listen.some(({ protocol }) => protocol !== 'udp')
  const code = await runMonitor({
    descriptors, writable, network: isNetwork,
    become: { account, ...chroot !== undefined && { chroot } },
    readable: files.map((path) => dirname(resolve(path))),
    ...pidFile !== undefined && { pidFile },
    notifier,
    told: { lanes: lanes?.length ?? 1 } satisfies Told,
  })
  notifier.close()
  return code as ExitCode
}

/** Sockets of a collector of one thread. */
async function openOne(
  { listen }: Plan, { receiveBuffer, join: groups = [] }: CollectOptions,
): Promise<number[]> {
  const descriptors: number[] = []
  for (const { protocol, ...endpoint } of listen.filter(isOpenedByMonitor)) {
    const own = groupsFor(endpoint, groups)
    descriptors.push(protocol === 'udp' ? await openUdpSocket({ ...endpoint, receiveBuffer, groups: own })
      : endpoint.fd!)
  }
  return descriptors
}
