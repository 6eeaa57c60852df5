import { deserialize, serialize } from 'node:v8'
import { FlowkitError } from '../flow/errors.ts'
import {
  addExporter, forgetExporter, forgetOldest, newExporters, type Exporter, type Exporters, type Forgotten,
} from './exporters.ts'
import { LIMITS } from './limits.ts'
import { NO_RULES, ratesOf, type SamplingRules } from './sampling-rules.ts'
import { dropPlans } from './templates.ts'

/** Counted up whenever what an exporter's state consists of changes: older snapshots are not read then. */
const FORMAT = 2

/**
 * What a decoder knows of its exporters, as bytes for `restoreExporters`: templates, what options have told,
 * sequence numbers, data that waits, counters.
 *
 * Rows in a batch are not part of it: options that come later do not reach them any more.
 */
export function saveExporters(all: Exporters): Uint8Array {
  dropPlans(all.plans)
  for (const { domains } of all.byKey.values()) {
    for (const domain of domains.values()) domain.unsampled = undefined
  }
  const { forgotten, received, asOf } = all
  return serialize({ format: FORMAT, forgotten, received, asOf, exporters: [...all.byKey.values()] })
}

/**
 * The exporters of a snapshot. It must be one that `saveExporters` made: only its format is checked.
 *
 * @param rules as configured now
 * @throws FlowkitError ERR_UNSUPPORTED when it is of another version
 */
export function restoreExporters(bytes: Uint8Array, rules: SamplingRules = NO_RULES): Exporters {
  const { format, forgotten, received, asOf, exporters } = deserialize(bytes) as {
    format: number, forgotten: Forgotten, received: number, asOf: number, exporters: Exporter[]
  }
  if (format !== FORMAT) {
    const reason = `format ${FORMAT} expected, ${format} found`
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read the state of the decoders: ${reason}`)
  }
  const all: Exporters = { ...newExporters(rules), forgotten, received, asOf }
  for (const saved of exporters) {
    const { family, v4, v6 } = saved
    addExporter(all, { ...saved, rates: ratesOf(rules, family, v4, v6) })
  }
  return all
}

/**
 * Add the exporters of a snapshot, in the place of what was known of them, and keep within the limit. What
 * had been forgotten there is not added.
 *
 * @param isWanted which of them are added
 * @throws FlowkitError ERR_UNSUPPORTED as restoreExporters
 */
export function addSnapshot(
  all: Exporters, bytes: Uint8Array, isWanted: (exporter: Readonly<Exporter>) => boolean,
): void {
  const other = restoreExporters(bytes, all.rules)
  all.asOf = Math.max(all.asOf, other.asOf)
  for (const [key, exporter] of other.byKey) {
    if (!isWanted(exporter)) continue
    const known = all.byKey.get(key)
    if (known) forgetExporter(all, known)
    else if (all.byKey.size >= LIMITS.exporters) forgetOldest(all)
    addExporter(all, exporter)
  }
}
