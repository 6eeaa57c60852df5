import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../../core/flow/address.ts'
import { cryptopan } from '../../../core/steps/cryptopan.ts'

/** The key of the sample that comes with Crypto-PAn 1.0. */
const KEY = Uint8Array.of(
  21, 34, 23, 141, 51, 164, 207, 128, 19, 10, 91, 22, 73, 144, 125, 16,
  216, 152, 143, 131, 121, 121, 101, 39, 98, 87, 76, 45, 42, 132, 34, 2,
)

test('IPv4 addresses become those of the sample trace of Crypto-PAn 1.0', () => {
  const map = cryptopan(KEY)
  for (const [address, expected] of [
    ['128.11.68.132', '135.242.180.132'], ['129.118.74.4', '134.136.186.123'],
    ['130.132.252.244', '133.68.164.234'], ['141.223.7.43', '141.167.8.160'],
    ['141.233.145.108', '141.129.237.235'], ['152.163.225.39', '151.140.114.167'],
    ['156.29.3.236', '147.225.12.42'], ['165.247.96.84', '162.9.99.234'],
    ['166.107.77.190', '160.132.178.185'], ['192.102.249.13', '252.138.62.131'],
  ]) assert.equal(formatIpv4(map.v4(parseIpv4(address))), expected)
})

test('IPv6 addresses become what other programs make of them', () => {
  const map = cryptopan(KEY)
  for (const [address, expected] of [
    ['::1', '78ff:f001:9fc0:20df:8380:b1f1:704:ed'], ['::2', '78ff:f001:9fc0:20df:8380:b1f1:704:ef'],
    ['::ffff', '78ff:f001:9fc0:20df:8380:b1f1:704:f838'],
    ['2001:db8::1', '4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1e'],
    ['2001:db8::2', '4401:2bc:603f:d91d:27f:ff8e:e6f1:dc1c'],
  ]) {
    const bytes = new Uint8Array(16)
    assert.ok(parseIpv6(address, bytes, 0))
    map.v6(bytes)
    assert.equal(formatIpv6(bytes, 0), expected)
  }
})

test('MAC addresses of one maker stay of one maker', () => {
  const map = cryptopan(KEY)
  const [a, b, c] = [0x001122334455, 0x001122334456, 0x101122334455].map((mac) => map.mac(mac))
  assert.equal(Math.floor(a / 2 ** 24), Math.floor(b / 2 ** 24))
  assert.notEqual(Math.floor(a / 2 ** 24), Math.floor(c / 2 ** 24))
  assert.notEqual(a, b)
})
