/** What the options of `flowkit collect` come to. */
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { defaultArchive } from '../core/archive/places.ts'
import type { CollectorSettings } from '../core/collector/collector.ts'
import { rowFilter } from '../core/collector/row-filter.ts'
import { compileFilter, parseFilter } from '../core/filter/filter.ts'
import { formatEndpoint, type Endpoint, type ListenAt } from '../core/net/endpoint.ts'
import type { TlsIdentity } from '../core/net/tls-acceptor.ts'
import type { MulticastGroup } from '../core/net/udp-socket.ts'
import type { SamplingRule } from '../core/netflow/sampling-rules.ts'
import type { Prefix } from '../core/flow/prefix.ts'
import { UsageError } from './errors.ts'

/** The options of `flowkit collect`, as its schema has them. */
export interface CollectOptions {
  readonly listen?: readonly ListenAt[]
  readonly join?: readonly MulticastGroup[]
  readonly allow?: readonly Prefix[]
  readonly to?: readonly string[]
  /** Milliseconds. */
  readonly rotate: number
  readonly onRotate?: string
  readonly filter?: string
  readonly samplingDefault?: readonly SamplingRule[]
  readonly samplingOverride?: readonly SamplingRule[]
  readonly receiveBuffer: number
  readonly metrics?: Endpoint
  readonly state?: string
  readonly spoolSize: number
  /** Milliseconds. */
  readonly spoolSync: number
  readonly tlsKey?: string
  readonly tlsCert?: string
  readonly tlsCa?: string
  readonly user?: string
  readonly chroot?: string
  readonly pidFile?: string
  readonly config?: string
  readonly check: boolean
}

/** Where NetFlow, IPFIX and sFlow exporters send to by custom. */
const DEFAULT_PORTS = [2055, 4739, 6343]

/** How often files may begin, in ms. */
const MIN_ROTATE = 1000
const MAX_ROTATE = 86_400_000

/** A collector as it would run. */
export interface Plan {
  readonly listen: readonly ListenAt[]
  readonly places: readonly string[]
  /** For the spool, and what is known of exporters. */
  readonly state: string
  readonly rotate: number
  readonly settings: CollectorSettings
  readonly tls: TlsIdentity | undefined
}

/**
 * Make a plan, with everything checked that can be without beginning.
 *
 * @throws UsageError, FlowkitError, or the system error of a file that cannot be read
 */
export function planOf(options: CollectOptions, env: NodeJS.ProcessEnv): Plan {
  const { rotate, tlsKey, tlsCert, tlsCa } = options
  if (rotate < MIN_ROTATE || rotate > MAX_ROTATE) {
    throw new UsageError(`Cannot use option --rotate: expected 1s to 1d, found ${rotate / 1000}s`)
  }
  const listen = options.listen
    ?? DEFAULT_PORTS.map((port): ListenAt => ({ protocol: 'udp', address: '::', port }))
  if (listen.some(({ protocol }) => protocol === 'tls') && (tlsKey === undefined || tlsCert === undefined)) {
    throw new UsageError('Cannot listen on tls://: it needs --tls-key and --tls-cert')
  }
  const places = options.to ?? [defaultArchive(env)]
  return {
    listen, places, rotate,
    state: options.state ?? join(places[0], 'state'),
    settings: {
      allow: options.allow ?? [],
      sampling: { defaults: options.samplingDefault ?? [], overrides: options.samplingOverride ?? [] },
      ...options.filter !== undefined && { filter: rowFilter(compileFilter(parseFilter(options.filter))) },
    },
    tls: tlsKey === undefined || tlsCert === undefined ? undefined : {
      key: readFileSync(tlsKey), cert: readFileSync(tlsCert),
      ...tlsCa !== undefined && { ca: readFileSync(tlsCa) },
    },
  }
}

/** A plan in words, a line each. */
export function describePlan({ listen, places, state, rotate, settings }: Plan, options: CollectOptions): string {
  const { allow, sampling: { defaults, overrides } } = settings
  const lines = [
    `listen    ${listen.map((at) => formatEndpoint(at, at.protocol)).join(', ')}`,
    `into      ${places.join(', ')}`,
    `state     ${state}`,
    `rotate    every ${rotate / 1000} s`,
    ...options.filter === undefined ? [] : [`filter    ${options.filter}`],
    ...allow.length === 0 ? [] : [`allow     ${allow.length} networks`],
    ...defaults.length + overrides.length === 0 ? [] : [
      `sampling  ${defaults.length} defaults, ${overrides.length} overrides`,
    ],
    ...options.metrics === undefined ? [] : [`metrics   ${formatEndpoint(options.metrics, 'http')}/metrics`],
    ...options.user === undefined ? [] : [`user      ${options.user}`],
  ]
  return `${lines.join('\n')}\n`
}
