/** IPFIX files that tshark reads, which takes them as they are. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { FlowBatch } from '../../core/flow/batch.ts'
import { ipfixFile } from '../../formats/ipfix-file.ts'
import { batchOf, type RowSource } from '../core/netflow/encode/rows.ts'
import { missing, output } from './peers.ts'
import { interopRows, richRows } from './rows.ts'

const skip = missing('tshark')

function fileOf(...batches: readonly FlowBatch[]): Uint8Array {
  const encoder = ipfixFile.encoder!({})
  return Buffer.concat([...batches.map((batch) => Buffer.from(encoder.encode(batch))), encoder.finish!()])
}

function throughTshark(bytes: Uint8Array, ...args: readonly string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-tshark-'))
  try {
    const file = join(directory, 'flows.ipfix')
    writeFileSync(file, bytes)
    return output('tshark', '-r', file, ...args)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

test('tshark reads an IPFIX file: no flaw, all records, when and from whom they came', { skip }, () => {
  const more = { exporter_addr: '192.0.2.9' }
  const flows = [...interopRows, ...richRows].map(({ fields }, i) => {
    return { fields: { ...fields, ...more, observation_domain_id: i % 2 } as RowSource['fields'] }
  })
  const bytes = fileOf(batchOf(...flows), batchOf(...flows))
  assert.equal(throughTshark(bytes, '-Y', '_ws.malformed or _ws.expert or cflow.unknown_field_type'), '')
  assert.doesNotMatch(throughTshark(bytes, '-V'), /unknown|no template|\[malformed/i)
  const text = throughTshark(
    bytes, '-T', 'fields', '-E', 'aggregator=|', '-e', 'cflow.protocol', '-e', 'cflow.exporter_addr',
    '-e', 'cflow.collection_time_milliseconds', '-e', 'cflow.od_id',
  )
  const frames = text.trimEnd().split('\n').map((line) => line.split('\t'))
  const values = (index: number) => frames.flatMap((frame) => frame[index] === '' ? [] : frame[index].split('|'))
  const all = [...flows, ...flows]
  assert.deepEqual(values(0).sort(), all.map(({ fields }) => String(fields['proto'])).sort())
  assert.deepEqual(values(1), all.map(() => '192.0.2.9'))
  assert.equal(values(2).length, all.filter(({ fields }) => 'received' in fields).length)
  assert.deepEqual(new Set(values(3)), new Set(['0', '1']))
})
