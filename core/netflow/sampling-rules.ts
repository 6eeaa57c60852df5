import { hasPrefix, mapIpv4, type Prefix } from '../flow/prefix.ts'

/** A rate for all exporters whose address begins with a prefix. */
export interface SamplingRule extends Prefix {
  /** One packet in this many is observed. */
  readonly rate: number
}

/** Sampling rates as configured: of several rules for an exporter that of the longest prefix counts. */
export interface SamplingRules {
  /** Rates of exporters that do not tell theirs. */
  readonly defaults: readonly SamplingRule[]
  /** Rates that go before what exporters tell. */
  readonly overrides: readonly SamplingRule[]
}

/** Nothing is configured. */
export const NO_RULES: SamplingRules = { defaults: [], overrides: [] }

/** What rules say of one exporter; 0 where none does. */
export interface ExporterRates {
  readonly assumed: number
  readonly override: number
}

/** The rates of the exporter at an address: IPv4 in host order, or 16 bytes. */
export function ratesOf(
  { defaults, overrides }: SamplingRules, family: number, v4: number, v6: Uint8Array,
): ExporterRates {
  if (defaults.length + overrides.length === 0) return { assumed: 0, override: 0 }
  const address = family === 4 ? mapIpv4(v4) : v6
  return { assumed: rateOf(defaults, address), override: rateOf(overrides, address) }
}

function rateOf(rules: readonly SamplingRule[], address: Uint8Array): number {
  let best: SamplingRule | undefined
  for (const rule of rules) {
    if ((!best || rule.length >= best.length) && hasPrefix(address, rule)) best = rule
  }
  return best ? best.rate : 0
}
