import assert from 'node:assert/strict'
import { test } from 'node:test'
import { leftOutLog } from '../../cmd/loss-report.ts'

test('what files of a format are without is said once, whatever folder they are in', () => {
  const said: string[] = []
  const log = leftOutLog([
    { path: '/srv/flows', format: 'flowd' }, { path: '/srv/flows/inner', format: 'nfdump' },
    { path: '/srv/more', format: 'nfdump' },
  ], (text) => said.push(text))
  log('/srv/flows/inner/nfcapd.202611211300', ['min_ttl', 'tag'])
  log('/srv/more/nfcapd.202611211300', ['tag'])
  log('/srv/flows/a.flowd', ['tag'])
  log('/srv/flows/inner/nfcapd.202611211305', ['min_ttl', 'max_ttl'])
  log('/srv/flows/inner/nfcapd.202611211310')
  log('/srv/flows/inner/nfcapd.202611211315', [])
  assert.deepEqual(said, [
    'files of nfdump are without min_ttl, tag', 'files of flowd are without tag',
    'files of nfdump are without max_ttl',
  ])
})
