import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { defaultInterface, fileFinder, isMeant } from '../../../core/capture/interfaces.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'flowkit-test-'))
after(() => fs.rmSync(folder, { recursive: true, force: true }))

/** The interface of the default route, of files as Linux writes them. */
function defaultOf(v4: readonly string[], v6: readonly string[]): string | undefined {
  const files = { v4: join(folder, 'route'), v6: join(folder, 'ipv6_route') }
  const heading = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT'
  fs.writeFileSync(files.v4, [heading, ...v4, ''].join('\n'))
  fs.writeFileSync(files.v6, [...v6, ''].join('\n'))
  return defaultInterface(files)
}

const NONE = '0'.repeat(32)
const V4 = {
  local: 'eth0\t0002000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0',
  wired: 'eth1\t00000000\t0102000A\t0003\t0\t0\t100\t00000000\t0\t0\t0',
  wireless: 'wlan0\t00000000\t0102000A\t0003\t0\t0\t600\t00000000\t0\t0\t0',
  half: 'tun0\t00000000\t0102000A\t0003\t0\t0\t0\t00000080\t0\t0\t0',
  rejected: '*\t00000000\t00000000\t0200\t0\t0\t50\t00000000\t0\t0\t0',
}
const V6 = {
  none: `${NONE} 00 ${NONE} 00 ${NONE} ffffffff 00000001 00000000 00200200       lo`,
  slow: `${NONE} 00 ${NONE} 00 fe80${'0'.repeat(27)}1 00000400 00000001 00000000 00450003     ens3`,
  fast: `${NONE} 00 ${NONE} 00 fe80${'0'.repeat(27)}1 00000064 00000001 00000000 00450003     ens4`,
  local: `20010db8${'0'.repeat(24)} 40 ${NONE} 00 ${NONE} 00000100 00000001 00000000 00000001     ens3`,
}

test('the default interface is that of the default route with the lowest metric', () => {
  assert.equal(defaultOf([V4.local, V4.wireless, V4.wired, V4.half, V4.rejected], [V6.slow]), 'eth1')
  assert.equal(defaultOf([V4.wireless], []), 'wlan0')
})

test('without a default route of IPv4, that of IPv6 counts', () => {
  assert.equal(defaultOf([V4.local], [V6.none, V6.local, V6.slow, V6.fast]), 'ens4')
})

test('without a default route there is no default interface', () => {
  assert.equal(defaultOf([V4.local, V4.half, V4.rejected], [V6.none, V6.local]), undefined)
  assert.equal(defaultInterface({ v4: join(folder, 'missing'), v6: join(folder, 'missing') }), undefined)
})

test('a pattern means the names that begin as it does', () => {
  assert.equal(isMeant('eth0', 'eth0'), true)
  assert.equal(isMeant('eth01', 'eth0'), false)
  assert.equal(isMeant('eth01', 'eth0*'), true)
  assert.equal(isMeant('eth0', 'eth0*'), true)
  assert.equal(isMeant('lo', '*'), true)
  assert.equal(isMeant('veth0', 'eth*'), false)
})

const noLinux = process.platform !== 'linux' && 'only Linux has this'

test('lo is found, of type 772 and index 1', { skip: noLinux }, () => {
  assert.ok(fileFinder.names().includes('lo'))
  const { isUp: _, ...found } = fileFinder.find('lo')!
  assert.deepEqual(found, { name: 'lo', index: 1, type: 772 })
  assert.equal(fileFinder.find('none0'), undefined)
})
