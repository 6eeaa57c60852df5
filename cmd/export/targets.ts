import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { FlowkitError } from '../../core/flow/errors.ts'
import { parseDestination, type Destination } from '../../core/net/send.ts'
import { connectionFault } from '../../core/net/stream-faults.ts'
import { openStreamSender, type StreamSender, type TlsTrust } from '../../core/net/stream-sender.ts'
import type { CaptureFormat } from '../../core/pcap/write.ts'
import { archive } from '../../formats/archive.ts'
import type { FlowFormat } from '../../formats/format.ts'
import { FORMATS } from '../../formats/index.ts'
import { netflowPcap } from '../../formats/netflow-pcap.ts'
import { UsageError } from '../errors.ts'

/** Where flows go. */
export type Target =
  | { readonly kind: 'wire', readonly destinations: readonly Destination[] }
  | (FileTarget & { readonly kind: 'capture', readonly format: CaptureFormat })
  | (FileTarget & { readonly kind: 'flows', readonly format: FlowFormat, readonly create: Create })

interface FileTarget {
  readonly path: string
  /** What is there already stays. */
  readonly appends: boolean
}

type Create = NonNullable<FlowFormat['create']>

const PROTOCOLS = ['udp', 'tcp', 'tls'] as const

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
    return { kind: 'wire', destinations: places.map((place, i) => parseDestination(place, isOwn(i))) }
  }
  if (places.length > 1) {
    throw new FlowkitError('ERR_OPTION', `Cannot export to "${path}" beside others: a file is the only --to`)
  }
  return fileTarget(path)
}

function fileTarget(path: string): Target {
  const extension = extname(path)
  const format = extension === '' && path !== '-'
    ? archive : FORMATS.find(({ extensions }) => extensions.includes(extension))
  if (format === netflowPcap) {
    return { kind: 'capture', path, format: extension === '.pcapng' ? 'pcapng' : 'pcap', appends: false }
  }
  if (format?.create) {
    return { kind: 'flows', path, format, create: format.create, appends: format === archive }
  }
  const known = 'udp://, tcp:// or tls://HOST:PORT, a file .pcap, .pcapng or .parquet, or a folder'
  throw new FlowkitError('ERR_OPTION', `Cannot export to "${path}": expected ${known}`)
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
