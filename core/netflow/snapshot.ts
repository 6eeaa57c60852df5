import { deserialize, serialize } from 'node:v8'
import { FlowkitError } from '../flow/errors.ts'
import { newExporters, type Exporter, type Exporters } from './exporters.ts'
import { countSamplers } from './sampling.ts'
import { NO_RULES, ratesOf, type SamplingRules } from './sampling-rules.ts'
import { dropPlans } from './templates.ts'

/** Counted up whenever what an exporter's state consists of changes: older snapshots are not read then. */
const FORMAT = 1

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
  return serialize({ format: FORMAT, forgotten: all.forgotten, exporters: [...all.byKey.values()] })
}

/**
 * The exporters of a snapshot. It must be one that `saveExporters` made: only its format is checked.
 *
 * @param rules as configured now
 * @throws FlowkitError ERR_UNSUPPORTED when it is of another version
 */
export function restoreExporters(bytes: Uint8Array, rules: SamplingRules = NO_RULES): Exporters {
  const { format, forgotten, exporters } = deserialize(bytes) as {
    format: number, forgotten: number, exporters: Exporter[]
  }
  if (format !== FORMAT) {
    const reason = `format ${FORMAT} expected, ${format} found`
    throw new FlowkitError('ERR_UNSUPPORTED', `Cannot read the state of the decoders: ${reason}`)
  }
  const all = newExporters(rules)
  all.forgotten = forgotten
  for (const saved of exporters) {
    const { key, family, v4, v6, domains } = saved
    all.byKey.set(key, { ...saved, rates: ratesOf(rules, family, v4, v6) })
    all.templates += saved.templates
    all.templateBytes += saved.templateBytes
    all.domains += domains.size
    for (const { sampling, names, waiting } of domains.values()) {
      all.samplers += sampling ? countSamplers(sampling) : 0
      all.names += names?.count ?? 0
      all.waitingBytes += waiting?.bytes ?? 0
    }
  }
  return all
}
