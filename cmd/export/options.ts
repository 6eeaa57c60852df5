import { Type, type TString, type TTransform } from '@sinclair/typebox'
import { FlowkitError } from '../../core/flow/errors.ts'
import { parseCount } from '../../core/flow/quantity.ts'
import { DEFAULT_EXPORT } from '../../core/netflow/encode/export-streams.ts'
import { UsageError } from '../errors.ts'
import type { SendEncoding } from './lanes.ts'
import { versionOf, type SendVersion } from './version.ts'

/** What a datagram of sFlow must have room for, bytes. */
const MIN_SFLOW = 800
/** Engine type and id are a byte each. */
const MOST_ENGINES = 65_535

/** What the options say of how flows become datagrams, if no version is told beside. */
export function encodingOf({ version = '10', mtu, templateRefresh = 60_000, sourceId = 0, sampling }: {
  readonly version?: string
  readonly mtu?: number
  readonly templateRefresh?: number
  readonly sourceId?: number
  readonly sampling?: number
}): SendEncoding {
  const { agent } = DEFAULT_EXPORT
  return {
    version: versionOf(version), maxSize: mtu, templateRefresh: templateRefresh * 1000, domain: sourceId,
    agent, sampling,
  }
}

/** @throws UsageError for values of options that a version has no room for */
export function refuseByVersion(version: SendVersion, { maxSize, domain }: SendEncoding): void {
  if (version === 'sflow') {
    if (maxSize !== undefined && maxSize < MIN_SFLOW) {
      const wanted = `at least ${MIN_SFLOW} for sFlow`
      throw new UsageError(`Cannot use option --mtu: expected ${wanted}, found "${maxSize}"`)
    }
  } else if (version.version < 9 && domain > MOST_ENGINES) {
    const wanted = `at most ${MOST_ENGINES} for v${version.version}`
    throw new UsageError(`Cannot use option --source-id: expected ${wanted}, found "${domain}"`)
  }
}

/** An option such as `10x`. */
export function speedOption(description: string): TTransform<TString, number> {
  const expected = 'a speed such as 1x, 0.5x, 10x or max'
  const schema = Type.String({ title: '1x|10x|max', expected, description })
  return Type.Transform(schema)
    .Decode((text) => {
      const [, digits] = /^(\d+(?:\.\d+)?)x$/.exec(text) ?? []
      if (text === 'max') return Infinity
      if (Number(digits) > 0) return Number(digits)
      throw new FlowkitError('ERR_OPTION', `Cannot use speed "${text}": expected one such as 10x`)
    })
    .Encode((times) => times === Infinity ? 'max' : `${times}x`)
}

/** An option such as `100K/s`. */
export function rateOption(description: string): TTransform<TString, number> {
  const expected = 'flows a second such as 500/s or 100K/s'
  const schema = Type.String({ title: 'N/s', expected, description })
  return Type.Transform(schema)
    .Decode((text) => {
      const rate = parseCount(text.replace(/\/s$/, ''))
      if (rate !== undefined && rate > 0) return rate
      throw new FlowkitError('ERR_OPTION', `Cannot use rate "${text}": expected one such as 100K/s`)
    })
    .Encode((flows) => `${flows}/s`)
}
