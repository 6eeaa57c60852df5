import { dirname, resolve } from 'node:path'
import type { PreparedCapture } from '../../core/capture/options.ts'
import { prepareCapture } from '../../core/capture/prepare.ts'
import { runMonitor } from '../../core/net/monitor.ts'
import { findAccount, makeFolder } from '../../core/net/privileges.ts'
import { openNotifier } from '../../core/net/systemd.ts'
import type { ExitCode } from '../command.ts'
import { UsageError } from '../errors.ts'
import type { Io } from '../io.ts'
import { interfacesOf, type CaptureOptions, type CapturePlan } from './plan.ts'

/** What the child is told. */
export interface Told {
  readonly interfaces: readonly string[]
  /** All but the descriptors, whose numbers are others there. */
  readonly prepared: Omit<PreparedCapture, 'descriptors'>
}

/**
 * Open what it takes root to capture from, and start this program again as another user, who can write to
 * the outputs only; wait for its end.
 *
 * @returns its exit code
 */
export async function monitorCapture(plan: CapturePlan, options: CaptureOptions, io: Io): Promise<ExitCode> {
  const { user = '', pidFile, onRotate, bpf, snaplen, filterFile } = options
  if (onRotate !== undefined) {
    throw new UsageError('Cannot use option --on-rotate with --user: what is confined cannot start programs')
  }
  const { places, singles } = plan
  const interfaces = interfacesOf(plan)
  const account = findAccount(user)
  const folders = places.map(({ path }) => resolve(path))
  for (const folder of folders) makeFolder(folder, account)
  const files = singles.filter(({ path }) => path !== '-').map(({ path }) => dirname(resolve(path)))
  const { descriptors, ...prepared } = await prepareCapture({
    interfaces, snaplen, ...bpf !== undefined && { filter: bpf },
  })
  const notifier = await openNotifier(io.env)
  const code = await runMonitor({
    descriptors, become: { account }, writable: [...folders, ...files],
    told: { interfaces, prepared } satisfies Told,
    readable: filterFile === undefined ? [] : [dirname(resolve(filterFile))],
    network: true, // sockets that were made for it are bound there
    ...pidFile !== undefined && { pidFile },
    notifier,
  })
  notifier.close()
  return code as ExitCode
}
