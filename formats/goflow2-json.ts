import type { FlowBatch } from '../core/flow/batch.ts'
import { fieldMask } from '../core/flow/fields.ts'
import { loseFields, newLoss } from '../core/flow/loss.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat, WriteRequest } from './format.ts'
import { Goflow2JsonWriter } from './goflow2/json-writer.ts'
import { CARRIED_BY_JSON, goflow2Target, loseSecondMacs } from './goflow2/keys.ts'
import { firstKeys, jsonDecoder } from './json-objects.ts'
import type { NamedRowsOptions } from './named-rows.ts'

/**
 * JSON lines of goflow2, version 2: times as numbers of ns or RFC 3339, addresses also in hex, keys of any
 * mapping. Written with its keys and in its order, with what it writes where there is nothing: 0, "" and [];
 * elements without a field come last, as what is mapped does.
 */
export const goflow2Json: FlowFormat = {
  name: 'goflow2-json',
  summary: 'JSON lines as goflow2 writes them',
  extensions: [],
  probe: (head) => {
    const keys = new Set(firstKeys(head))
    return keys.has('time_received_ns') || (keys.has('sampler_address') && keys.has('type')) ? 95 : 0
  },
  decoder: ({ extras = false, loss, onFault }) => {
    const optionsOf = (isSflow: boolean): NamedRowsOptions => ({
      extras, loss, target: (name) => goflow2Target(name, isSflow),
    })
    return jsonDecoder(optionsOf, onFault, { key: 'type', value: 'SFLOW_5' })
  },
  encoder,
}

function encoder({ extras = false }: WriteRequest): FlowEncoder {
  const loss = newLoss()
  const carried = fieldMask(CARRIED_BY_JSON)
  const writer = new Goflow2JsonWriter(extras)
  function encode(batch: FlowBatch): Uint8Array {
    loseFields(loss, batch, carried, extras)
    loseSecondMacs(loss, batch)
    return writer.take(writer.rows(batch))
  }
  return { encode, loss: () => loss }
}
