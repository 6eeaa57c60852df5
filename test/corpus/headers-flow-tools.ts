/** Headers of flow-tools' files: what flow-header prints of them, and what flowkit reads. */
import { FlowkitError } from '../../core/flow/errors.ts'
import { BIG, FLAG, LITTLE, readHeader, TLV, type Header } from '../../formats/flow-tools/header.ts'

/** The flag of a header that was of stream version 1, which flow-tools sets when it reads one. */
const TRANSLATED = 16

/** Values by what flow-header calls them. */
const NUMBERS: Readonly<Record<string, number>> = {
  'export version': TLV.version, 'export agg_version': TLV.aggregationVersion, 'lost flows': TLV.lost,
  'corrupt packets': TLV.corrupt, 'sequencer resets': TLV.resets, 'capture flows': TLV.flows,
}
const TEXTS: Readonly<Record<string, number>> = { 'capture hostname': TLV.hostname, comments: TLV.comments }
const TIMES: Readonly<Record<string, number>> = { 'capture start': TLV.start, 'capture end': TLV.end }

/** One value of a header. */
export interface HeaderValue {
  readonly name: string
  /** `none` where flowkit has nothing of that name, or no header at all. */
  readonly ours: string
  readonly theirs: string
}

/** All that flow-header printed of a file, none where it refused the file, each with what flowkit reads. */
export function headerValues(file: Uint8Array, golden: string): HeaderValue[] {
  const header = headerOf(file)
  const lines = Array.from(golden.matchAll(/^# ([^:]+): +(.*)$/gm))
  if (lines.length === 0) return [{ name: 'header', ours: header ? 'one' : 'none', theirs: 'none' }]
  return lines.map(([, name, theirs]) => ({ name, ours: (header && textOf(header, name)) ?? 'none', theirs }))
}

function headerOf(file: Uint8Array): Header | undefined {
  try {
    return readHeader(file, 0)
  } catch (error) {
    if (error instanceof FlowkitError) return undefined
    throw error
  }
}

/** A value as flow-header writes it. */
function textOf({ stream, order, numbers, texts }: Header, name: string): string | undefined {
  const flags = numbers.get(TLV.flags) ?? 0
  const number = numbers.get(NUMBERS[name])
  if (number !== undefined) return String(number)
  const text = texts.get(TEXTS[name])
  if (text !== undefined) return text
  const time = numbers.get(TIMES[name])
  // `Sat, 21 Nov 2026 02:26:10 GMT`
  if (time !== undefined) return new Date(time * 1000).toUTCString().replace('GMT', '+0000')
  switch (name) {
    case 'mode': return flags & FLAG.streaming ? 'streaming' : 'normal'
    case 'translated': return stream === 1 || flags & TRANSLATED ? 'yes' : undefined
    case 'compress': return flags & FLAG.compressed ? 'on' : 'off'
    case 'byte order': return order === LITTLE ? 'little' : order === BIG ? 'big' : 'BROKEN'
    case 'stream version': return String(stream)
    case 'capture period': return `${numbers.get(TLV.end)! - numbers.get(TLV.start)!} seconds`
    case 'export agg_method': return SCHEMES[numbers.get(TLV.aggregation)!]
  }
  return undefined
}

/** Schemes of aggregation from 1 on. */
const SCHEMES: readonly string[] = [
  '', 'AS', 'Protocol Port', 'Source Prefix', 'Destination Prefix', 'Prefix', 'Destination',
  'Source Destination', 'Full Flow', 'ToS AS', 'ToS Proto Port', 'ToS Source Prefix',
  'ToS Destination Prefix', 'ToS Prefix', 'ToS Prefix Port',
].map((name, number) => `${number} (${name})`)
