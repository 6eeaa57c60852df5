import { test } from 'node:test'
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { flowExport } from '../../formats/flow-export.ts'
import { flowPrint, flowPrintFormats } from '../../formats/flow-print.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import { fileOf, readBatch, RECORDS, valuesOf } from '../formats/flow-tools-files.ts'
import { bytesOf } from '../formats/flows.ts'
import { missing } from './peers.ts'

const skip = missing('flow-export', 'flow-print')

process.env.TZ = 'UTC'

function output(program: string, args: readonly string[], input: Uint8Array): { text: string, ok: boolean } {
  const { stdout, status } = spawnSync(program, args, { input })
  return { text: stdout.toString(), ok: status === 0 }
}

for (const version of Object.keys(RECORDS)) {
  test(`flow-tools reads version ${version} as it is written, and prints the same`, { skip }, () => {
    const flows = Array.from({ length: 300 }, (_, i) => ({ ...valuesOf(version), dPkts: i, dOctets: i * 40 }))
    const batch = readBatch(fileOf(version, flows))
    for (const compression of ['none', 'zlib:1', 'zlib:9']) {
      const file = bytesOf(flowTools, [batch, batch], { compression })
      assert.equal(output('flow-export', ['-f2'], file).text, bytesOf(flowExport, [batch, batch]).toString())
      assert.equal(output('flow-print', [], file).text, bytesOf(flowPrint, [batch, batch]).toString())
    }
    for (const [number, format] of flowPrintFormats.entries()) {
      const { text, ok } = output('flow-print', ['-f', String(number)], bytesOf(flowTools, [batch]))
      if (ok) assert.equal(text, bytesOf(format, [batch]).toString())
    }
  })
}
