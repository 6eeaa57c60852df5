import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { killAgainAndAgain } from '../support/kills.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-kill-'))
after(() => rm(folder, { recursive: true }))

test('each flow is archived once, or the ledger tells of it, whenever the collector is killed', async (t) => {
  const kills = 22
  const { sent, archived, files, spooled } = await killAgainAndAgain({
    archive: join(folder, 'archive'), kills, seed: 20_261_121,
  })
  t.diagnostic(`${kills} kills, ${sent} datagrams sent, ${archived} archived in ${files} files, `
    + `${spooled} seen in spools`)
  assert.ok(archived > sent / 4 && archived < sent)
  assert.ok(spooled > 0)
})

test('each flow of the archive is in files of nfdump once, whenever the collector is killed', async (t) => {
  const kills = 5
  const { archived, spooled } = await killAgainAndAgain({
    archive: join(folder, 'beside'), nfcapd: join(folder, 'nfcapd'), kills, seed: 20_261_122, workers: [1, 2],
  })
  t.diagnostic(`${kills} kills, ${archived} datagrams in both, ${spooled} seen in spools`)
  assert.ok(archived > 0)
  assert.ok(spooled > 0)
})
