import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MACROS } from '../../../core/duck/macros.ts'
import { plainSql } from './plain.ts'

/** RFC 5952 §4 and §5, RFC 4291 §2.2: text as it may be written, and as it should be. */
const ADDRESSES: readonly (readonly [text: string, shown: string])[] = [
  ['0.0.0.0', '0.0.0.0'], ['255.255.255.255', '255.255.255.255'], ['192.0.2.1', '192.0.2.1'],
  ['::', '::'], ['::1', '::1'], ['0:0:0:0:0:0:0:1', '::1'], ['1::', '1::'],
  ['2001:0db8::0001', '2001:db8::1'],
  ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'], ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'], ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:DB8::A', '2001:db8::a'],
  ['ABCD:EF01:2345:6789:ABCD:EF01:2345:6789', 'abcd:ef01:2345:6789:abcd:ef01:2345:6789'],
  ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'], ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
  ['0:0:3:4:5:6:0:0', '::3:4:5:6:0:0'],
  ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'],
  ['::ffff:192.0.2.1', '192.0.2.1'], ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
]

const NO_ADDRESSES = [
  '', '1.2.3', '1.2.3.256', '1.2.3.4.5', '1.2.3.4/8', ':', ':::', '1::2::3', '1:2:3:4:5:6:7',
  '1:2:3:4:5:6:7:8:9', '12345::', 'g::',
  '::1.2.3.400', '0x1::', ' ::1', 'host.example',
]

test('addr gives the text of RFC 5952, of an address however it was written', async () => {
  const rows = ADDRESSES.map(([text]) => `('${text}')`).join()
  const found = await plainSql(`SELECT addr(addr_hi(t), addr_lo(t)) FROM (VALUES ${rows}) v(t)`, MACROS)
  assert.deepEqual(found.flat(), ADDRESSES.map(([, shown]) => shown))
})

test('text that is no address has no halves', async () => {
  const rows = NO_ADDRESSES.map((text) => `('${text}')`).join()
  const found = await plainSql(`SELECT addr_hi(t), addr_lo(t) FROM (VALUES ${rows}, (NULL)) v(t)`, MACROS)
  assert.deepEqual(found, [...NO_ADDRESSES, null].map(() => [null, null]))
})

const NETWORKS: readonly (readonly [address: string, network: string, inside: boolean])[] = [
  ['10.1.2.3', '10.0.0.0/8', true], ['11.1.2.3', '10.0.0.0/8', false], ['10.1.2.3', '10.1.2.3', true],
  ['10.1.2.4', '10.1.2.3', false],
  ['10.1.3.255', '10.1.2.0/23', true], ['10.1.4.0', '10.1.2.0/23', false], ['10.9.9.9', '10.1.2.3/8', true],
  ['1.2.3.4', '0.0.0.0/0', true], ['::1', '0.0.0.0/0', false], ['1.2.3.4', '::/0', true],
  ['2001:db8:ffff::5', '2001:db8::/32', true], ['2001:db9::5', '2001:db8::/32', false],
  ['2001:db8::3', '2001:db8::/126', true],
  ['2001:db8::4', '2001:db8::/126', false], ['2001:db8::1', '2001:db8::/64', true],
  ['2001:db8:0:1::1', '2001:db8::/64', false],
  ['ffff::1', '8000::/1', true], ['7fff::1', '8000::/1', false],
]

test('cidr tells whether an address is in a network', async () => {
  const tests = NETWORKS.map(([address, network]) => (
    `cidr(addr_hi('${address}'), addr_lo('${address}'), '${network}')`
  ))
  const [found] = await plainSql(`SELECT ${tests.map((test, i) => `${test} AS c${i}`).join()}`, MACROS)
  assert.deepEqual(found, NETWORKS.map(([, , inside]) => String(inside)))
  assert.deepEqual(await plainSql(`SELECT cidr(NULL::UBIGINT, NULL::UBIGINT, '10.0.0.0/8')`, MACROS),
    [[null]])
})

test('cidr refuses what is no network', async () => {
  for (const network of ['banana', '10.0.0.0/33', '2001:db8::/129', '10.0.0/8']) {
    await assert.rejects(plainSql(`SELECT cidr(0::UBIGINT, 0::UBIGINT, '${network}')`, MACROS),
      { message: new RegExp(`no network: ${network}`) })
  }
})

test('mac gives the text of a number', async () => {
  const numbers = [0, 281474976710655, 187723572702975, null].map((number) => `(${number}::BIGINT)`)
  assert.deepEqual((await plainSql(`SELECT mac(n) FROM (VALUES ${numbers.join()}) t(n)`, MACROS)).flat(), [
    '00:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff', 'aa:bb:cc:dd:ee:ff', null,
  ])
})
