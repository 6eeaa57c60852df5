import { dirname, resolve } from 'node:path'
import type { PreparedCapture } from '../../core/capture/options.ts'
import { prepareCapture } from '../../core/capture/prepare.ts'
import { runMonitor, type Inheritance } from '../../core/net/monitor.ts'
import { findAccount, makeFolder } from '../../core/net/privileges.ts'
import { openNotifier } from '../../core/net/systemd.ts'
import type { ExitCode } from '../command.ts'
import { UsageError } from '../errors.ts'
import type { Io } from '../io.ts'
import { interfacesOf, type CaptureOptions, type CapturePlan } from './plan.ts'
import type { CaptureSource } from './threads.ts'

/** What the child is told. */
interface Told {
  readonly interfaces: readonly string[]
  /** For each worker, but how many descriptors: their numbers are others there. */
  readonly prepared: readonly (Omit<PreparedCapture, 'descriptors'> & { readonly descriptors: number })[]
}

/**
 * Open what it takes root to capture from, and start this program again as another user, who can write to
 * the outputs only; wait for its end.
 *
 * @returns its exit code
 */
export async function monitorCapture(plan: CapturePlan, options: CaptureOptions, io: Io): Promise<ExitCode> {
  const { user = '', pidFile, onRotate, bpf, snaplen, filterFile, workers } = options
  if (onRotate !== undefined) {
    throw new UsageError('Cannot use option --on-rotate with --user: what is confined cannot start programs')
  }
  const { places, singles } = plan
  const interfaces = interfacesOf(plan)
  const account = findAccount(user)
  const folders = places.map(({ path }) => resolve(path))
  for (const folder of folders) makeFolder(folder, account)
  const files = singles.filter(({ path }) => path !== '-').map(({ path }) => dirname(resolve(path)))
  const prepared: PreparedCapture[] = []
  for (let i = 0; i < workers; i++) {
    prepared.push(await prepareCapture({
      interfaces, snaplen, ...bpf !== undefined && { filter: bpf }, ...workers > 1 && { fanout: 0 },
    }))
  }
  const notifier = await openNotifier(io.env)
  const code = await runMonitor({
    descriptors: prepared.flatMap(({ descriptors }) => descriptors),
    become: { account }, writable: [...folders, ...files],
    told: {
      interfaces, prepared: prepared.map((each) => ({ ...each, descriptors: each.descriptors.length })),
    } satisfies Told,
    readable: filterFile === undefined ? [] : [dirname(resolve(filterFile))],
    network: true, // sockets that were made for it are bound there
    ...pidFile !== undefined && { pidFile },
    notifier,
  })
  notifier.close()
  return code as ExitCode
}

/** In the child: what to capture from, opened for each worker. */
export function preparedBy({ told, descriptors }: Inheritance): CaptureSource {
  const { interfaces, prepared } = told as Told
  let at = 0
  return {
    interfaces,
    prepared: prepared.map(({ descriptors: count, ...each }) => {
      return { ...each, descriptors: descriptors.slice(at, at += count) }
    }),
  }
}
