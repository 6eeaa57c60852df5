import { test } from 'node:test'
import assert from 'node:assert/strict'
import { serialize } from 'node:v8'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { parsePrefix } from '../../../core/flow/prefix.ts'
import { datagramDecoder } from '../../../core/netflow/datagram.ts'
import { generateDatagrams } from '../../../core/netflow/generate/datagrams.ts'
import { parseTraffic } from '../../../core/netflow/generate/options.ts'
import { LIMITS } from '../../../core/netflow/limits.ts'
import { addSnapshot, restoreExporters, saveExporters } from '../../../core/netflow/snapshot.ts'
import {
  collector, ipfix, options9, pick, rows, set, template, text, u32, v9, type Collector,
} from './messages.ts'

const FLOWS = set(0, template(256, [1, 4], [10, 4]))

/** A decoder that goes on where another was. */
function resumed({ decoder }: Collector): Collector {
  return collector({ extras: false }, { exporters: restoreExporters(saveExporters(decoder.exporters)) })
}

test('templates, sampling, names and the start of the exporter outlive the decoder', () => {
  const before = collector()
  before.send(v9({ sequence: 1 }, FLOWS, set(1, options9(300, [[1, 4]], [[34, 4], [10, 4], [82, 8]])),
    set(300, u32(0, 100, 7), text('ge-0', 8))))
  const after = resumed(before)
  const flows = after.send(v9({ sequence: 2 }, set(256, u32(5, 7))))
  assert.deepEqual(pick(flows, 'bytes', 'sampling_rate', 'in_if_name'),
    [{ bytes: 5, sampling_rate: 100, in_if_name: 'ge-0' }])
  const { datagrams, records, templates } = after.exporter().counters
  assert.deepEqual([datagrams, records, templates], [2, 1, 2])
})

test('data that waits is decoded by the next decoder, once', () => {
  const before = collector()
  before.send(ipfix({ sequence: 5 }, set(256, u32(1))))
  const after = resumed(before)
  assert.equal(after.decoder.exporters.waitingBytes, before.decoder.exporters.waitingBytes)
  const late = after.send(ipfix({ sequence: 6 }, set(2, template(256, [1, 4]))))
  assert.deepEqual(pick(late, 'bytes', 'sequence_num'), [{ bytes: 1, sequence_num: 5 }])
  assert.equal(after.decoder.exporters.waitingBytes, 0)
})

test('sequence numbers go on: what is lost in between is missing', () => {
  const before = collector()
  before.send(v9({ sequence: 10 }, FLOWS))
  const after = resumed(before)
  after.send(v9({ sequence: 14 }, FLOWS))
  assert.equal(after.domain(9).sequence.missing, 3)
})

test('senders that were told apart still are', () => {
  const before = collector()
  before.send(v9({}, set(0, template(256, [1, 4]))), undefined, { port: 1 })
  before.send(v9({}, set(0, template(256, [2, 4]))), undefined, { port: 2 })
  const { send } = resumed(before)
  for (const [port, name] of [[1, 'bytes'], [2, 'packets']] as const) {
    const flows = send(v9({}, set(256, u32(9))), undefined, { port })
    assert.deepEqual(pick(flows, 'bytes', 'packets'), [{ [name]: 9 }])
  }
})

test('configured rates are those of the new decoder', () => {
  const before = collector()
  before.send(v9({}, FLOWS))
  const rules = { defaults: [{ ...parsePrefix('192.0.2.0/24')!, rate: 64 }], overrides: [] }
  const exporters = restoreExporters(saveExporters(before.decoder.exporters), rules)
  const { send } = collector({ extras: false }, { exporters })
  assert.deepEqual(pick(send(v9({}, set(256, u32(1, 1)))), 'sampling_rate'), [{ sampling_rate: 64 }])
})

test('a decoder that is replaced by its snapshot again and again decodes the same', () => {
  const traffic = 'flows=3000,exporters=6,versions=5/9/10,sampling=1/100,late-templates=3,loss=2%,conflicts=1'
  const decode = (every: number) => {
    const batch = new FlowBatch()
    let decoder = datagramDecoder()
    let count = 0
    for (const sent of generateDatagrams(parseTraffic(traffic))) {
      decoder.decode(sent, batch)
      if (++count % every === 0) {
        decoder = datagramDecoder(undefined, { exporters: restoreExporters(saveExporters(decoder.exporters)) })
      }
    }
    const exporters = [...decoder.exporters.byKey.values()].map(({ key, counters, domains }) => (
      { key, counters, sequences: [...domains].map(([id, { sequence }]) => [id, sequence]) }
    ))
    const { templates, templateBytes, domains, waitingBytes, samplers } = decoder.exporters
    return { exporters, templates, templateBytes, domains, waitingBytes, samplers, flows: rows(batch).length }
  }
  assert.deepEqual(decode(10), decode(Infinity))
})

test('a snapshot of another format is refused', () => {
  assert.throws(() => restoreExporters(serialize({ format: 0, exporters: [] })), {
    code: 'ERR_UNSUPPORTED', message: 'Cannot read the state of the decoders: format 2 expected, 0 found',
  })
})

test('saving changes nothing for the decoder that goes on', () => {
  const { send, decoder } = collector()
  send(v9({}, FLOWS, set(256, u32(1, 2))))
  saveExporters(decoder.exporters)
  assert.deepEqual(pick(send(v9({}, set(256, u32(3, 4)))), 'bytes', 'in_if'), [{ bytes: 3, in_if: 4 }])
})

test('a snapshot is added to what is known: of exporters in both, what it says counts', () => {
  const [known, other] = [collector(), collector()]
  known.send(v9({ sequence: 1 }, set(0, template(256, [2, 4]))), '198.51.100.1')
  known.send(v9({ sequence: 1 }, FLOWS), '198.51.100.2')
  known.send(v9({ sequence: 1 }, set(256, u32(1, 2))), '198.51.100.3') // waits
  for (const address of ['198.51.100.1', '198.51.100.3', '198.51.100.4', '203.0.113.1']) {
    other.send(v9({ sequence: 7 }, FLOWS, set(999, u32(1))), address)
  }
  const snapshot = saveExporters(other.decoder.exporters)
  addSnapshot(known.decoder.exporters, snapshot, ({ v4 }) => v4 >>> 8 === 0xc63364)
  const all = known.decoder.exporters
  assert.deepEqual([...all.byKey.keys()].sort(), [1, 2, 3, 4].map((i) => 0xc6336400 + i))
  for (const [i, missing] of [[1, 2], [2, 8], [3, 2], [4, 2]]) {
    const flows = known.send(v9({ sequence: 10 }, set(256, u32(5, 7))), `198.51.100.${i}`)
    assert.deepEqual(pick(flows, 'bytes', 'in_if'), [{ bytes: 5, in_if: 7 }])
    const [domain] = all.byKey.get(0xc6336400 + i)!.domains.values()
    assert.equal(domain.sequence.missing, missing)
  }
  const fresh = restoreExporters(saveExporters(all)) // which counts anew
  for (const total of ['domains', 'templates', 'templateBytes', 'waitingBytes'] as const) {
    assert.equal(all[total], fresh[total], total)
  }
})

test('more exporters than there may be push out those not heard for longest', () => {
  const [known, other] = [collector(), collector()]
  for (let i = 0; i < LIMITS.exporters; i++) known.send(v9({}, FLOWS), `10.0.${i >>> 8}.${i & 255}`)
  for (let i = 0; i < 3; i++) other.send(v9({}, FLOWS), `192.0.2.${i}`)
  const { exporters } = known.decoder
  addSnapshot(exporters, saveExporters(other.decoder.exporters), () => true)
  assert.equal(exporters.byKey.size, LIMITS.exporters)
  assert.equal(exporters.byKey.has(0x0a000000), false)
  assert.equal(exporters.byKey.has(0xc0000202), true)
})
