import { test } from 'node:test'
import assert from 'node:assert/strict'
import { renderReport, REPORT_OUTPUTS } from '../../cmd/report.ts'
import { flowkit } from '../support/flowkit.ts'

test('columns of the same name are numbered, in every output', () => {
  const table = { columns: ['a', 'b', 'a', 'a_2', 'a'], rows: [[1, 2, 3, 4, 5]] }
  assert.equal(renderReport(table, 'json'), '{"a":1,"b":2,"a_3":3,"a_2":4,"a_4":5}\n')
  assert.equal(renderReport(table, 'csv'), 'a,b,a_3,a_2,a_4\n1,2,3,4,5\n')
  for (const output of REPORT_OUTPUTS) assert.match(renderReport(table, output), /a_3.*a_2.*a_4/)
})

test('text with commas, quotes and lines is in quotes in csv, and whole', () => {
  const table = { columns: ['a,b', 'c'], rows: [['x,y', 'say "hi"'], ['1\n2', null]] }
  assert.equal(renderReport(table, 'csv'), '"a,b",c\n"x,y","say ""hi"""\n"1\n2",\n')
})

test('a report grouped by what it adds up has both in json, and nothing beside json comes out', async () => {
  const demo = 'test/fixtures/netflow/demo.pcap'
  const { exitCode, stdout, stderr } = await flowkit([
    'analyze', demo, '--by', 'proto,bytes,proto', '--sum', 'bytes,flows', '-n', '3', '-o', 'json', '--quiet',
  ])
  assert.deepEqual([exitCode, stderr], [0, ''])
  const rows = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.equal(rows.length, 3)
  for (const row of rows) {
    assert.deepEqual(Object.keys(row), ['proto', 'bytes', 'proto_2', 'bytes_2', 'flows'])
    assert.equal(row['proto'], row['proto_2'])
  }
})
