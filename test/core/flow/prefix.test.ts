import { test } from 'node:test'
import assert from 'node:assert/strict'
import { hasPrefix, mapIpv4, parsePrefix } from '../../../core/flow/prefix.ts'

test('a prefix is an address with or without a length', () => {
  assert.deepEqual(parsePrefix('10.0.0.0/8'), { address: mapIpv4(0x0a000000), length: 104 })
  assert.deepEqual(parsePrefix('192.0.2.1'), { address: mapIpv4(0xc0000201), length: 128 })
  assert.deepEqual(parsePrefix('::/0'), { address: new Uint8Array(16), length: 0 })
  assert.equal(parsePrefix('2001:db8::/32')!.length, 32)
  for (const bad of ['', '/8', '10/8', '10.0.0.0/33', '::/129', '1.2.3.4/', '1.2.3.4/-1', '1.2.3.4/8/8', 'a']) {
    assert.equal(parsePrefix(bad), undefined, bad)
  }
})

test('an address begins with a prefix when all its bits are the same', () => {
  for (const [prefix, v4, expected] of [
    ['10.0.0.0/8', 0x0aff0000, true], ['10.0.0.0/8', 0x0b000000, false], ['10.1.2.3', 0x0a010203, true],
    ['10.1.2.3', 0x0a010202, false], ['10.128.0.0/9', 0x0a800000, true], ['10.128.0.0/9', 0x0a7fffff, false],
    ['0.0.0.0/0', 0xffffffff, true], ['::/0', 0, true], ['::1:0:0/96', 0, false],
  ] as const) {
    assert.equal(hasPrefix(mapIpv4(v4), parsePrefix(prefix)!), expected, `${prefix} ${v4.toString(16)}`)
  }
})
