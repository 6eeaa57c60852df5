/** What became of the flows of marked-flows.ts in other files than those of the archive. */
import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { formatIpv4 } from '../../core/flow/address.ts'
import { ID } from '../../core/flow/fields.ts'
import { findInputs, readInputs } from '../../formats/locations.ts'

/** Assert that a folder has files of nfcapd's names and nothing else, and each flow of an archive once. */
export async function checkNfdump(folder: string, archive: string): Promise<void> {
  for (const name of await readdir(folder)) assert.match(name, /^nfcapd\.\d{14}(-\d+)?$/)
  await checkFiles(folder, archive)
}

/** Assert that the files of a folder are whole, and have no flow twice; with `archive`, each of that. */
export async function checkFiles(folder: string, archive?: string): Promise<void> {
  const flows = await flowsIn(folder)
  assert.equal(new Set(flows).size, flows.length, 'flows that are there twice')
  if (archive !== undefined) assert.deepEqual(new Set(flows), new Set(await flowsIn(archive)))
}

/** The exporter and the mark of each flow. */
async function flowsIn(folder: string): Promise<string[]> {
  const flows: string[] = []
  const inputs = await findInputs([folder], undefined, process.stdin)
  const request = { fields: [ID.exporterAddr, ID.bytes] }
  for await (const batch of readInputs(inputs, request, ({ reason }) => assert.fail(reason))) {
    for (let row = 0; row < batch.length; row++) {
      flows.push(`${formatIpv4(batch.exporterAddr.v4[row])} ${batch.bytes[row]}`)
    }
  }
  return flows
}
