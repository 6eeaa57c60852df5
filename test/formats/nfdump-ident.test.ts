import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { lossByField, newLoss } from '../../core/flow/loss.ts'
import { nfdump } from '../../formats/nfdump.ts'
import { readIdent } from '../../formats/nfdump/ident.ts'
import { rotatedTime } from '../../formats/nfdump/names.ts'
import { batchOf } from './flows.ts'
import { readFile, writeFile } from './nfdump-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'flowkit-ident-'))
after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'nfcapd.1')

async function identOf(bytes: Uint8Array): Promise<string | undefined> {
  writeFileSync(path, bytes)
  return readIdent(path)
}

for (const compression of ['none', 'lzo', 'lz4', 'zstd']) {
  test(`the identifier of a file with compression ${compression} is read without its flows`, async () => {
    for (const ident of ['upstream', 'router1', '20261121T130402004Z-0badcafe']) {
      const { bytes } = await writeFile({ compression, ident }, batchOf([{ bytes: 1 }, { bytes: 2 }]))
      assert.equal(await identOf(bytes), ident)
      bytes.fill(0xff, 52, Number(bytes.readBigUInt64LE(24))) // whatever the flows are
      assert.equal(await identOf(bytes), ident)
    }
    const { bytes } = await writeFile({ compression }, batchOf([{ bytes: 1 }]))
    assert.equal(await identOf(bytes), 'none')
  })
}

test('a file that is cut, damaged or no such file has no identifier', async () => {
  const { bytes } = await writeFile({ compression: 'none', ident: 'a' }, batchOf([{ bytes: 1 }]))
  const appendix = Number(bytes.readBigUInt64LE(24))
  for (const length of [0, 3, 39, 40, appendix, appendix + 11, appendix + 15]) {
    assert.equal(await identOf(bytes.subarray(0, length)), undefined, `${length} bytes`)
  }
  assert.equal(await identOf(Buffer.from('something else that is long enough to be a header')), undefined)
  const open = Buffer.from(bytes)
  open.writeUInt16LE(0, 18) // blocks of the appendix
  assert.equal(await identOf(open), undefined)
  const long = Buffer.from(bytes)
  long.writeUInt32LE(2 ** 31, appendix + 4)
  assert.equal(await identOf(long), undefined)
  await assert.rejects(readIdent(join(folder, 'absent')), { code: 'ENOENT' })
})

test('an identifier that names a source is told as lost, the segment of a rotated file is not', async () => {
  const lostOf = async (ident: string) => {
    const { bytes } = await writeFile({ ident }, batchOf([{ bytes: 1 }]))
    const loss = newLoss()
    readFile(bytes, { loss })
    return lossByField(loss).map(({ name }) => name)
  }
  assert.deepEqual(await lostOf('upstream'), ['nfdump ident'])
  assert.deepEqual(await lostOf('20261121T130402004Z-0badcafe'), [])
  assert.deepEqual(await lostOf('none'), [])
})

test('the time of a name is that of the local zone, and other names have none', () => {
  const date = new Date(2026, 10, 21, 13, 5).getTime() * 1000
  assert.equal(rotatedTime('nfcapd.202611211305'), date)
  assert.equal(rotatedTime('nfcapd.20261121130509'), date + 9e6)
  assert.equal(rotatedTime('nfcapd.20261121130500'), date)
  for (const name of [
    'nfcapd.2026112113050', 'nfcapd.202613011305', 'nfcapd.202602301305', 'nfcapd.202611212405',
    'nfcapd.202611211305-2', 'xnfcapd.202611211305', 'nfcapd.current.1',
  ]) assert.equal(rotatedTime(name), undefined, name)
  assert.equal(nfdump.fileNames!.nameOf(date, false), 'nfcapd.202611211305')
  assert.equal(nfdump.fileNames!.nameOf(date, true), 'nfcapd.20261121130500')
})
