import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit } from '../support/flowkit.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-vpc-'))
after(() => rm(folder, { recursive: true }))

test('--vpc-format names the fields of VPC flow logs without a header', async () => {
  const log = join(folder, 'flows.log')
  await writeFile(log, 'eni-1 10.0.0.1 10.0.0.2 77 ACCEPT\n')
  const format = '${interface-id} ${srcaddr} ${dstaddr} ${bytes} ${action}'
  const { stdout, stderr } = await flowkit(['read', log, '--vpc-format', format, '--fields', 'all'])
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), {
    type: 'VPC', bytes: 77, src_addr: '10.0.0.1', dst_addr: '10.0.0.2', etype: 2048, forwarding_status: 64,
    interface_id: 'eni-1',
  })
  const without = await flowkit(['read', log])
  assert.equal(without.exitCode, 1)
  assert.match(without.stderr, /14 fields expected, 5 found: name them with --vpc-format$/m)
  const wrong = await flowkit(['read', log, '--vpc-format', 'bytes bytes'])
  assert.equal(wrong.exitCode, 1)
  assert.match(wrong.stderr, /^flowkit: Cannot use the VPC format "bytes bytes": names of fields/)
})
