/** What the options of `flowkit capture` come to. */
import { defaultInterface } from '../../core/capture/interfaces.ts'
import type { Dialect, Filter } from '../../core/filter/filter.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { MeterOptions } from '../../core/meter/options.ts'
import { UsageError } from '../errors.ts'
import { destinationOf, type WireTarget } from '../export/targets.ts'
import { readFilter } from '../filters.ts'
import {
  checkRetention, describePlace, isFileName, placesOf, type Place, type Retention, type SinkOptions,
} from '../sinks.ts'
import { askedByEnvironment, type Asked } from './environment.ts'

/** The options of `flowkit capture`, as its schema has them. */
export interface CaptureOptions extends SinkOptions {
  readonly interface?: readonly string[]
  readonly read?: readonly string[]
  readonly bpf?: string
  readonly snaplen: number
  /** Milliseconds. */
  readonly activeTimeout: number
  readonly idleTimeout: number
  readonly maxFlows: number
  readonly sample: number
  readonly inner: boolean
  readonly biflow: boolean
  readonly promiscuous: boolean
  readonly ringSize: number
  /** Threads that capture. */
  readonly workers: number
  readonly filter?: string
  readonly filterFile?: string
  readonly filterDialect?: Dialect
  readonly force: boolean
  readonly dir: string
  readonly user?: string
  readonly pidFile?: string
}

/** A file, or `-` for standard output, that takes all flows. */
export interface SingleFile {
  readonly path: string
  readonly format?: string
  readonly compression?: string
}

/** Where flows come from, and where they go. */
export interface CapturePlan {
  /** Empty for that of the default route, and where files are read. */
  readonly interfaces: readonly string[]
  readonly files: readonly string[]
  /** Of each worker. */
  readonly meter: MeterOptions
  readonly filter: Filter | undefined
  readonly places: readonly Place[]
  readonly singles: readonly SingleFile[]
  readonly targets: readonly WireTarget[]
  readonly retention: Retention
}

/**
 * Make a plan, with everything checked that can be without beginning.
 *
 * @param files that stand behind the options: more of `--read`
 * @throws UsageError, FlowkitError, or the system error of a file of filters
 */
export async function planOf(
  options: CaptureOptions, files: readonly string[], env: NodeJS.ProcessEnv,
): Promise<CapturePlan> {
  const { to, read, interface: named } = options
  if (files.length > 0 && read === undefined) {
    throw new UsageError(`Cannot run capture: "${files[0]}" is no option; to read captures name them after -r`)
  }
  if (read && named) throw new UsageError('Cannot use option -r beside -i')
  const asked = to || read || named ? undefined : askedByEnvironment(env, options.dir)
  const { rotate, maxAge, maxSize } = options
  const retention = { rotate, ...maxAge !== undefined && { maxAge }, ...maxSize !== undefined && { maxSize } }
  checkRetention(retention)
  const filter = await readFilter(options)
  const outputs = asked ? outputsOf(asked) : outputsNamed(options, env)
  const [single] = outputs.singles
  if (options.workers > 1 && single !== undefined) {
    throw new UsageError(`Cannot use option --workers with --to ${single.path}: each worker writes files of `
      + 'its own, into a folder')
  }
  return {
    interfaces: (asked ? [asked.interface] : named ?? []).map(patternOf),
    files: [...read ?? [], ...files],
    meter: meterOptions(options, asked),
    filter,
    retention: asked ? { rotate: asked.interval, ...asked.files && { maxAge: asked.files.maxAge } } : retention,
    ...outputs,
  }
}

type Outputs = Pick<CapturePlan, 'places' | 'singles' | 'targets'>

function outputsOf({ files, target }: Asked): Outputs {
  return {
    places: files ? [files.place] : [], singles: [],
    targets: target === undefined ? [] : [destinationOf(target)],
  }
}

/** Tell places of files, single files and collectors apart. */
function outputsNamed({ to, toFormat = [], compression }: CaptureOptions, env: NodeJS.ProcessEnv): Outputs {
  const isUrl = (place: string): boolean => /^[a-z][\w+.-]*:\/\//i.test(place)
  const targets = (to ?? []).filter(isUrl).map((place) => destinationOf(place))
  const paths = to?.filter((place) => !isUrl(place))
  if (paths?.length === 0 && toFormat.length > 0) {
    throw new UsageError('Cannot use option --to-format: collectors take what ?version= says')
  }
  if (toFormat.length > 1 && toFormat.length !== paths?.length) {
    const count = paths?.length ?? 1
    const wanted = count === 1 ? '1' : `1, or ${count} as of --to`
    throw new UsageError(`Cannot use option --to-format: expected ${wanted}, found ${toFormat.length}`)
  }
  const formatAt = (i: number): string | undefined => toFormat[i] ?? toFormat[0]
  const isSingle = (path: string): boolean => path === '-' || isFileName(path)
  const singles = (paths ?? []).flatMap((path, i): SingleFile[] => {
    if (!isSingle(path)) return []
    const format = formatAt(i)
    return [{
      path, ...format !== undefined && { format }, ...compression !== undefined && { compression },
    }]
  })
  const folders = paths?.map((path, i) => ({ path, format: formatAt(i) })).filter(({ path }) => !isSingle(path))
  if (folders?.length === 0) return { places: [], singles, targets }
  const formats = folders?.map(({ format }) => format).filter((format) => format !== undefined) ?? toFormat
  const places = placesOf({
    toFormat: formats, ...folders && { to: folders.map(({ path }) => path) },
    ...compression !== undefined && { compression },
  }, env)
  return { places, singles, targets }
}

function meterOptions(
  { activeTimeout, idleTimeout, maxFlows, workers, sample, inner, biflow }: CaptureOptions,
  asked: Asked | undefined,
): MeterOptions {
  return {
    activeTimeout: (asked?.interval ?? activeTimeout) * 1000,
    idleTimeout: (asked?.interval ?? idleTimeout) * 1000,
    maxFlows: Math.ceil(maxFlows / workers), sample, inner, biflow,
  }
}

/** `any` is what libpcap calls all interfaces. */
function patternOf(name: string): string {
  return name === 'any' ? '*' : name
}

/**
 * The interfaces of a plan.
 *
 * @throws FlowkitError ERR_INPUT if none is named and there is no default route
 */
export function interfacesOf({ interfaces }: CapturePlan): readonly string[] {
  if (interfaces.length > 0) return interfaces
  const name = defaultInterface()
  if (name !== undefined) return [name]
  const reason = 'there is no default route whose interface could be taken; name one with -i'
  throw new FlowkitError('ERR_INPUT', `Cannot capture: ${reason}`)
}

/** A plan's outputs in words. */
export function describeOutputs({ places, singles, targets }: Outputs): string {
  return [
    ...places.map(describePlace),
    ...singles.map(({ path }) => path === '-' ? 'standard output' : path),
    ...targets.map(({ destination }) => destination.name),
  ].join(', ')
}
