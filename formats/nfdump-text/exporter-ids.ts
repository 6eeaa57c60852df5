import type { FlowBatch } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'

/**
 * Numbers exporters as nfdump's files do, from 1 in the order of their first flow.
 *
 * An exporter is an address with an observation domain, or with an engine where there is none.
 */
export class ExporterIds {
  private readonly ids = new Map<string, number>()

  /** The number of the exporter of a row whose shape has the fields of `mask`; 0 where there is none. */
  idOf(batch: FlowBatch, mask: Uint8Array, row: number): number {
    if (mask[ID.exporterAddr] === 0) return 0
    const { family, v4, v6 } = batch.exporterAddr
    let key = family[row] === 6 ? v6.subarray(row * 16, row * 16 + 16).join('.') : String(v4[row])
    if (mask[ID.observationDomainId]) key += `/${batch.observationDomainId[row]}`
    else if (mask[ID.engineId]) {
      key += `/${mask[ID.engineType] ? batch.engineType[row] : 0}.${batch.engineId[row]}`
    }
    let id = this.ids.get(key)
    if (id === undefined) this.ids.set(key, id = this.ids.size + 1)
    return id
  }
}
