import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { FlowkitError } from '../../core/flow/errors.ts'
import type { Protocol } from '../../core/net/endpoint.ts'
import { parseDestination, type Destination } from '../../core/net/send.ts'
import { connectionFault } from '../../core/net/stream-faults.ts'
import { openStreamSender, type StreamSender, type TlsTrust } from '../../core/net/stream-sender.ts'
import type { CaptureFormat } from '../../core/pcap/write.ts'
import { netflowPcap } from '../../formats/netflow-pcap.ts'
import { UsageError } from '../errors.ts'
import { VERSIONS, versionName, versionOf, type SendVersion } from './version.ts'

/** Where flows go by the network, and what they go as, if that is told. */
export interface WireTarget {
  readonly destination: Destination
  readonly version?: SendVersion
}

/** Where flows go. */
export type Target =
  | { readonly kind: 'wire', readonly targets: readonly WireTarget[] }
  | { readonly kind: 'capture', readonly path: string, readonly format: CaptureFormat }
  /** What `openOutput` opens. */
  | { readonly kind: 'flows', readonly path: string }

const PROTOCOLS = ['udp', 'tcp', 'tls'] as const
const VERSION_WORDS = VERSIONS.join(', ').replace(/8\.1, .*(?=, 9)/, '8.1 to 8.14')

/**
 * What the values of --to name.
 *
 * @throws UsageError if there is none; FlowkitError ERR_OPTION about a place that cannot be exported to
 */
export function targetOf(places: readonly string[]): Target {
  if (places.length === 0) throw new UsageError('Cannot run export: option --to is missing')
  const schemes = places.map((place) => /^([a-z][\w+.-]*):\/\//i.exec(place)?.[1].toLowerCase())
  const unknown = schemes.findIndex((scheme) => {
    return scheme !== undefined && !PROTOCOLS.some((protocol) => protocol === scheme)
  })
  if (unknown >= 0) {
    const found = `this version cannot send to ${schemes[unknown]}://`
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${places[unknown]}": ${found}`)
  }
  const path = places.find((_, i) => schemes[i] === undefined)
  if (path === undefined) {
    const isOwn = (i: number) => PROTOCOLS.filter((protocol) => protocol === schemes[i])
    return { kind: 'wire', targets: places.map((place, i) => destinationOf(place, isOwn(i))) }
  }
  if (places.length > 1) {
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${path}" beside others: a file is the only --to`)
  }
  const extension = extname(path)
  if (!netflowPcap.extensions.includes(extension)) return { kind: 'flows', path }
  return { kind: 'capture', path, format: extension === '.pcapng' ? 'pcapng' : 'pcap' }
}

/**
 * Read `udp://HOST:PORT`, or a URL of another of `protocols`, with `?version=V` behind it if that is told.
 *
 * @throws FlowkitError ERR_OPTION; UsageError for a version that does not go this way
 */
export function destinationOf(name: string, protocols: readonly Protocol[] = PROTOCOLS): WireTarget {
  const at = name.indexOf('?')
  if (at < 0) return { destination: parseDestination(name, protocols) }
  const destination = { ...parseDestination(name.slice(0, at), protocols), name }
  const [, text] = /^\?version=([\w.]+)$/.exec(name.slice(at)) ?? []
  if (text === undefined || !VERSIONS.includes(text)) {
    const wanted = `?version= with one of ${VERSION_WORDS}`
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${name}": expected ${wanted}`)
  }
  const version = versionOf(text)
  refuseByStream(destination, version, '?version=10')
  return { destination, version }
}

/** @throws UsageError if something is to go by a connection that is not IPFIX */
export function refuseByStream({ protocol, name }: Destination, version: SendVersion, advice: string): void {
  if (protocol === 'udp' || (version !== 'sflow' && version.version === 10)) return
  const wanted = `only IPFIX goes by connections, by ${advice}`
  throw new UsageError(`Cannot send ${versionName(version)} to ${name}: ${wanted}`)
}

/** Options of TLS: files in PEM, and a name. */
export interface TlsOptions {
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsName?: string
}

/** Whom to trust. @throws UsageError for one file of two; the system error of one that cannot be read */
export function trustOf({ tlsCa, tlsCert, tlsKey, tlsName }: TlsOptions): TlsTrust {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const [there, missing] = tlsKey === undefined ? ['cert', 'key'] : ['key', 'cert']
    throw new UsageError(`Cannot use --tls-${there}: it needs --tls-${missing}`)
  }
  return {
    ...tlsCa !== undefined && { ca: readFileSync(tlsCa) },
    ...tlsCert !== undefined && { cert: readFileSync(tlsCert) },
    ...tlsKey !== undefined && { key: readFileSync(tlsKey) },
    ...tlsName !== undefined && { name: tlsName },
  }
}

/**
 * Connect to a destination of `tcp://` or `tls://`.
 *
 * @throws FlowkitError ERR_INPUT, with the reason in words, where that fails
 */
export async function dial(
  { name, host, port, protocol }: Destination, tls: TlsTrust, from?: string,
): Promise<StreamSender> {
  try {
    return await openStreamSender({
      host, port, ...protocol === 'tls' && { tls }, ...from !== undefined && { from },
    })
  } catch (error) {
    if (error instanceof FlowkitError) throw error
    throw new FlowkitError('ERR_INPUT', `Cannot connect to ${name}: ${connectionFault(error)}`)
  }
}
