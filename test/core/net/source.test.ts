import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatIpv6 } from '../../../core/flow/address.ts'
import { plainAddress, setSource } from '../../../core/net/source.ts'

test('setSource() takes IPv4, also that of a socket of both families, as IPv4', () => {
  for (const address of ['192.0.2.1', '::ffff:192.0.2.1']) {
    const source = { family: 0, v4: 0, v6: new Uint8Array(16) }
    setSource(source, address)
    assert.deepEqual([source.family, source.v4, plainAddress(address)], [4, 0xc0000201, '192.0.2.1'])
  }
})

test('setSource() takes IPv6 without its zone', () => {
  for (const [address, text] of [['2001:db8::1', '2001:db8::1'], ['fe80::1%eth0', 'fe80::1']]) {
    const source = { family: 0, v4: 0, v6: new Uint8Array(16) }
    setSource(source, address)
    assert.deepEqual([source.family, formatIpv6(source.v6, 0), plainAddress(address)], [6, text, text])
  }
})
