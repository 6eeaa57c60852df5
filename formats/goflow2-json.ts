import type { FlowBatch } from '../core/flow/batch.ts'
import { fieldMask } from '../core/flow/fields.ts'
import { loseFields, newLoss } from '../core/flow/loss.ts'
import type { FlowEncoder } from '../core/flow/stream.ts'
import type { FlowFormat } from './format.ts'
import { goflow2Target } from './goflow2/keys.ts'
import { CARRIED_BY_JSON, keyWriters } from './goflow2/text.ts'
import { firstKeys, jsonDecoder } from './json-objects.ts'
import type { NamedRowsOptions } from './named-rows.ts'

/**
 * JSON lines of goflow2, version 2: times as numbers of ns or RFC 3339, addresses also in hex, keys of any
 * mapping. Written with its keys and in its order, with what it writes where there is nothing: 0, "" and [].
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
    const optionsOf = (kind: string): NamedRowsOptions => ({
      extras, loss, target: (name) => goflow2Target(name, kind),
    })
    return jsonDecoder(optionsOf, onFault, ({ type }) => typeof type === 'string' ? type : '')
  },
  encoder,
}

function encoder(): FlowEncoder {
  const loss = newLoss()
  const carried = fieldMask(CARRIED_BY_JSON)
  function encode(batch: FlowBatch): Uint8Array {
    loseFields(loss, batch, carried, false)
    const writers = keyWriters(batch)
    let text = ''
    for (let row = 0; row < batch.length; row++) {
      let before = '{'
      for (const write of writers) {
        const member = write(row)
        if (member === '') continue
        text += before + member
        before = ','
      }
      text += '}\n'
    }
    return Buffer.from(text)
  }
  return { encode, loss: () => loss }
}
