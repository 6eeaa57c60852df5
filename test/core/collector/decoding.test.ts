import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newDecoding, type DecodingCounts, type Taker } from '../../../core/collector/decoding.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { newExporters, type Exporters } from '../../../core/netflow/exporters.ts'
import { set, template, u32, v9 } from '../netflow/messages.ts'
import { blocksOf, datagramOf } from '../spool/spooled.ts'

const TEMPLATE = v9({ sequence: 0 }, set(0, template(256, [1, 4])))

/** A datagram of flows of these bytes, without their template. */
function flows(sequence: number, ...bytes: number[]): Uint8Array {
  return v9({ sequence }, set(256, u32(...bytes)))
}

/** What a taker has been given: the bytes of the flows, a batch each. */
function takerOf(given: number[][], free = async (): Promise<boolean> => true): Taker {
  return {
    async write(batch: FlowBatch) {
      given.push([...batch.bytes.subarray(0, batch.length)])
      return free()
    },
    async writeCounters() {},
  }
}

function newCounts(): DecodingCounts {
  return { records: 0, filtered: 0, counterSamples: 0 }
}

function decodeAll(
  exporters: Exporters, takers: readonly Taker[], counts: DecodingCounts, faults: FlowkitError[],
  keep: (payload: Uint8Array) => string | undefined, ...datagrams: readonly Uint8Array[]
): ReturnType<typeof newDecoding> {
  const decoding = newDecoding(exporters, {
    onFault: (error) => faults.push(error),
    keep: ({ bytes, start, end }) => keep(bytes.slice(start, end)),
  }, counts, takers)
  const blocks = blocksOf(...datagrams.map((datagram) => datagramOf(datagram)))
  decoding.decode(blocks, new DataView(blocks.buffer), 0, blocks.length, Infinity)
  return decoding
}

test('records are counted when they are decoded, before anybody has them', async () => {
  const given: number[][] = []
  const counts = newCounts()
  const datagrams = [TEMPLATE, flows(1, 7, 8)]
  const decoding = decodeAll(newExporters(), [takerOf(given)], counts, [], () => undefined, ...datagrams)
  assert.deepEqual([counts.records, given], [2, []])
  await decoding.flush()
  assert.deepEqual([counts.records, given], [2, [[7, 8]]])
})

test('a bug in a decoder costs one datagram, which is counted as malformed, told and kept', async (t) => {
  const exporters = newExporters()
  const given: number[][] = []
  const counts = newCounts()
  const faults: FlowkitError[] = []
  const kept: Uint8Array[] = []
  const keep = (payload: Uint8Array): string => `file ${kept.push(payload)}`
  await decodeAll(exporters, [takerOf(given)], counts, faults, keep, TEMPLATE, flows(1, 1)).flush()
  const [exporter] = exporters.byKey.values()
  const [{ templates }] = exporter.domains.values()
  // a template that cannot be: what is wrong with it is no fault of the datagram
  const get = t.mock.method(templates, 'get', () => { throw new TypeError('x is undefined') })
  await decodeAll(exporters, [takerOf(given)], counts, faults, keep, flows(2, 2, 3)).flush()
  get.mock.restore()
  await decodeAll(exporters, [takerOf(given)], counts, faults, keep, flows(3, 4)).flush()
  assert.deepEqual([given, counts.records], [[[1], [4]], 2])
  const { datagrams, records, faults: counted } = exporter.counters
  assert.deepEqual([datagrams, records, counted], [4, 2, { ERR_MALFORMED: 1 }])
  assert.deepEqual(kept, [flows(2, 2, 3)])
  const [{ code, message, cause }] = faults
  assert.deepEqual([faults.length, code, message], [1, 'ERR_MALFORMED', 'Cannot decode datagram, which is a '
    + 'bug of flowkit: TypeError: x is undefined; please report it with file 1'])
  assert.match((cause as Error).stack!, /decoding\.test/)
})

test('a batch that is not given back is replaced, and never used again', async () => {
  const seen = new Set<FlowBatch>()
  let isFree = false
  const taker: Taker = {
    async write(batch) {
      assert.equal(seen.has(batch), false)
      if (!isFree) seen.add(batch)
      return isFree
    },
    async writeCounters() {},
  }
  const counts = newCounts()
  const decoding = newDecoding(newExporters(), { onFault: (error) => assert.fail(error) }, counts, [taker])
  for (let i = 0; i < 100; i++) {
    const blocks = blocksOf(datagramOf(i === 0 ? TEMPLATE : flows(i, i)))
    decoding.decode(blocks, new DataView(blocks.buffer), 0, blocks.length, Infinity)
    await decoding.flush()
    isFree = i > 50
  }
  assert.deepEqual([seen.size, counts.records, decoding.isFree], [51, 99, true])
})
