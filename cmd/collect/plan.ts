/** What the options of `flowkit collect` come to. */
import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join, relative, resolve } from 'node:path'
import type { CollectorOptions, CollectorSettings } from '../../core/collector/collector.ts'
import { rowFilter } from '../../core/collector/row-filter.ts'
import { compileFilter, explainFilter, type Filter } from '../../core/filter/filter.ts'
import { compileTags } from '../../core/filter/tags.ts'
import { formatEndpoint, type Endpoint, type ListenAt } from '../../core/net/endpoint.ts'
import type { Destination } from '../../core/net/send.ts'
import type { PassedSocket } from '../../core/net/systemd.ts'
import type { TlsIdentity } from '../../core/net/tls-acceptor.ts'
import type { MulticastGroup } from '../../core/net/udp-socket.ts'
import type { SamplingRule } from '../../core/netflow/sampling-rules.ts'
import type { Prefix } from '../../core/flow/prefix.ts'
import { UsageError } from '../errors.ts'
import { readFilter, type FilterOptions } from '../filters.ts'
import {
  checkRetention, defaultState, describePlace, placesOf, type Place, type SinkOptions,
} from '../sinks.ts'

/** The options of `flowkit collect`, as its schema has them. */
export interface CollectOptions extends SinkOptions, FilterOptions {
  readonly listen?: readonly ListenAt[]
  readonly join?: readonly MulticastGroup[]
  readonly allow?: readonly Prefix[]
  readonly forward?: readonly Destination[]
  readonly samplingDefault?: readonly SamplingRule[]
  readonly samplingOverride?: readonly SamplingRule[]
  readonly receiveBuffer: number
  readonly metrics?: Endpoint
  readonly state?: string
  readonly spoolSize?: number
  /** Milliseconds. */
  readonly spoolSync: number
  readonly tlsKey?: string
  readonly tlsCert?: string
  readonly tlsCa?: string
  readonly user?: string
  readonly chroot?: string
  readonly pidFile?: string
  /** Threads that collect. */
  readonly workers: number
  readonly config?: string
  readonly check: boolean
}

/** Where NetFlow, IPFIX and sFlow exporters send to by custom. */
const DEFAULT_PORTS = [2055, 4739, 6343]

/** How large the spool may become, unless told. */
const SPOOL_SIZE = 4 * 2 ** 30

/** A collector as it would run. */
export interface Plan {
  readonly listen: readonly ListenAt[]
  readonly places: readonly Place[]
  /** For the spool, and what is known of exporters. */
  readonly state: string
  readonly settings: CollectorSettings
  readonly filter: Filter | undefined
  /** The absolute paths of the files that it was read from. */
  readonly filterFiles: readonly string[]
  readonly tls: TlsIdentity | undefined
  /** The absolute path of the folder that it sees as `/`; places and state are absolute then, and below. */
  readonly chroot: string | undefined
  /** Where relative paths begin. */
  readonly folder: string
  /** The absolute path of the configuration file; undefined where there is none, or it cannot be seen. */
  readonly config: string | undefined
}

/**
 * Make a plan, with everything checked that can be without beginning.
 *
 * @param passed sockets that the service manager has opened: used unless there are others to be opened
 * @throws UsageError, FlowkitError, or the system error of a file that cannot be read
 */
export async function planOf(
  options: CollectOptions, env: NodeJS.ProcessEnv, passed: readonly PassedSocket[] = [],
): Promise<Plan> {
  const { tlsKey, tlsCert, tlsCa } = options
  const listen = options.listen ?? (passed.length > 0 ? passed.map((each) => listenBy(each, options))
    : DEFAULT_PORTS.map((port): ListenAt => ({ protocol: 'udp', address: '::', port })))
  if (listen.some(({ protocol }) => protocol === 'tls') && (tlsKey === undefined || tlsCert === undefined)) {
    throw new UsageError('Cannot listen on tls://: it needs --tls-key and --tls-cert')
  }
  const chroot = chrootOf(options)
  const places = placesOf(options, env).map((place) => ({ ...place, path: pathBelow(place.path, chroot) }))
  const filterFiles: string[] = []
  const filter = await readFilter(options, undefined, (path) => filterFiles.push(resolve(path)))
  return {
    listen, places, chroot, filter, filterFiles, folder: process.cwd(),
    config: options.config === undefined ? undefined : resolve(options.config),
    state: pathBelow(options.state ?? defaultState(places), chroot),
    settings: settingsOf(options, filter),
    tls: tlsKey === undefined || tlsCert === undefined ? undefined : {
      key: readFileSync(tlsKey), cert: readFileSync(tlsCert),
      ...tlsCa !== undefined && { ca: readFileSync(tlsCa) },
    },
  }
}

/**
 * What may be changed while a collector runs.
 *
 * @param filter as it was read
 * @throws UsageError
 */
export function settingsOf(options: CollectOptions, filter: Filter | undefined): CollectorSettings {
  const { allow = [], samplingDefault = [], samplingOverride = [] } = options
  checkRetention(options)
  return {
    allow,
    sampling: { defaults: samplingDefault, overrides: samplingOverride },
    ...filter && { filter: rowFilter(compileFilter(filter), filter.tags && compileTags(filter.tags)) },
  }
}

/**
 * Read the filter again, where a plan is carried out.
 *
 * @throws UsageError if what it is in cannot be seen there; as `readFilter`
 */
export function rereadFilter(
  { folder, chroot }: Plan, { filterFile, ...options }: CollectOptions,
): Promise<Filter | undefined> {
  if (filterFile === undefined) return readFilter(options)
  const path = resolve(folder, filterFile)
  if (!isSeen(path, chroot)) throw notBelow(path, chroot)
  return readFilter({ ...options, filterFile: pathInside(path, chroot) })
}

/** What is said of a file that cannot be read again behind `--chroot`. */
export function notBelow(path: string, chroot: string | undefined): UsageError {
  return new UsageError(`Cannot read ${path} again: it is not below ${chroot}, which is all that --chroot `
    + 'leaves')
}

/** A path below the folder of `--chroot`, as it is seen there. */
function pathInside(path: string, chroot: string | undefined): string {
  return chroot === undefined ? path : join('/', relative(chroot, path))
}

/** The spool of each of several threads, which share what was asked for; room is kept for that only. */
export function spoolOptions(
  { spoolSize, spoolSync }: CollectOptions, threads: number,
): Pick<CollectorOptions, 'spoolSize' | 'spoolSync' | 'isSpoolReserved'> {
  return {
    spoolSize: Math.floor((spoolSize ?? SPOOL_SIZE) / threads), isSpoolReserved: spoolSize !== undefined,
    spoolSync,
  }
}

/** By TLS where there is a certificate: a service manager knows TCP only. */
function listenBy({ fd, protocol, endpoint }: PassedSocket, { tlsCert }: CollectOptions): ListenAt {
  return { ...endpoint, fd, protocol: protocol === 'tcp' && tlsCert !== undefined ? 'tls' : protocol }
}

function chrootOf({ chroot, user, forward = [] }: CollectOptions): string | undefined {
  if (chroot === undefined) return undefined
  if (user === undefined) throw new UsageError('Cannot use option --chroot: it needs --user')
  const named = forward.find(({ host }) => isIP(host.split('%')[0]) === 0)
  if (named) {
    throw new UsageError(`Cannot forward to ${named.name} with --chroot: expected an address, since names `
      + 'cannot be looked up there')
  }
  return resolve(chroot)
}

function pathBelow(path: string, chroot: string | undefined): string {
  if (chroot === undefined) return path
  const full = resolve(path)
  if (isBelow(full, chroot)) return full
  throw new UsageError(`Cannot write to "${path}" with --chroot: it is not below ${chroot}`)
}

/** The files among the configuration and the filter's that who sees only a folder cannot read again. */
export function unreadableAgain({ config, filterFiles, chroot }: Plan): string[] {
  const files = config === undefined ? filterFiles : [config, ...filterFiles]
  return files.filter((path) => !isSeen(path, chroot))
}

/** Whether a file can be seen behind `--chroot`. */
function isSeen(path: string, chroot: string | undefined): boolean {
  return chroot === undefined || isBelow(path, chroot)
}

function isBelow(path: string, folder: string): boolean {
  return relative(folder, path).split('/')[0] !== '..'
}

/**
 * A plan as the child of a monitor has it: with the sockets that it has inherited, and in its folder.
 *
 * What is to be listened to by connections, it opens itself.
 */
export function planInside(
  plan: Plan, options: CollectOptions, inherited: readonly PassedSocket[],
): Plan {
  const { chroot, places, state, config } = plan
  const own = (options.listen ?? []).filter(({ protocol }) => protocol !== 'udp')
  const inside = (path: string): string => pathInside(path, chroot)
  return {
    ...plan,
    listen: [...inherited.map((each) => listenBy(each, options)), ...own],
    places: places.map((place) => ({ ...place, path: inside(place.path) })),
    state: inside(state),
    config: config === undefined || !isSeen(config, chroot) ? undefined : inside(config),
  }
}

/** A plan in words, a line each. */
export function describePlan(plan: Plan, options: CollectOptions): string {
  const { listen, places, state, settings } = plan
  const { allow, sampling: { defaults, overrides } } = settings
  const lines = [
    `listen    ${listen.map((at) => formatEndpoint(at, at.protocol)).join(', ')}`,
    `into      ${places.map(describePlace).join(', ')}`,
    `state     ${state}`,
    `rotate    every ${options.rotate / 1000} s`,
    ...options.maxAge === undefined ? [] : [`max age   ${options.maxAge / 1000} s`],
    ...options.maxSize === undefined ? [] : [`max size  ${options.maxSize} bytes`],
    ...describeFilter(plan, options),
    ...allow.length === 0 ? [] : [`allow     ${allow.length} networks`],
    ...defaults.length + overrides.length === 0 ? [] : [
      `sampling  ${defaults.length} defaults, ${overrides.length} overrides`,
    ],
    ...options.forward === undefined ? [] : [
      `forward   ${options.forward.map(({ name }) => name).join(', ')}`,
    ],
    ...options.metrics === undefined ? [] : [`metrics   ${formatEndpoint(options.metrics, 'http')}/metrics`],
    ...options.workers === 1 ? [] : [`workers   ${options.workers}`],
    ...options.user === undefined ? [] : [`user      ${options.user}`],
  ]
  return `${lines.join('\n')}\n`
}

/** Rules of flowd, which are many lines, as they are understood. */
function describeFilter(
  { filter }: Plan, { filter: text, filterFile, filterDialect }: CollectOptions,
): string[] {
  if (!filter) return []
  const tags = new Set((filter.tags ?? []).map(({ tag }) => tag).filter((tag) => tag !== undefined))
  const shown = filterDialect === 'flowd' ? explainFilter(filter) : text
  return [
    `filter    ${filterFile === undefined ? shown : `from ${filterFile}`}`,
    ...tags.size === 0 ? [] : [`tags      ${Array.from(tags).sort((a, b) => a - b).join(', ')}`],
  ]
}
