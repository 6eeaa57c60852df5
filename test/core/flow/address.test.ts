import { test } from 'node:test'
import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import {
  formatIpv4, formatIpv6, formatMac, parseIpv4, parseIpv6, parseMac, writeIpv4, writeIpv6, writeMac,
} from '../../../core/flow/address.ts'

const text = (bytes: Uint8Array, end: number) => Buffer.from(bytes.subarray(0, end)).toString('latin1')
const v6 = (address: string) => {
  const bytes = new Uint8Array(16)
  assert.ok(parseIpv6(address, bytes, 0), address)
  return bytes
}

test('formatIpv4() and writeIpv4() agree with the octets', () => {
  const out = new Uint8Array(20)
  for (const octet of Array.from({ length: 256 }, (_, i) => i)) {
    const value = (octet << 24 | (255 - octet) << 16 | octet << 8 | 7) >>> 0
    const wanted = `${octet}.${255 - octet}.${octet}.7`
    assert.equal(formatIpv4(value), wanted)
    assert.equal(text(out, writeIpv4(value, out, 0)), wanted)
    assert.equal(parseIpv4(wanted), value)
  }
})

test('parseIpv4() refuses what is not four plain octets', () => {
  for (const bad of ['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '1..2.3', '256.1.1.1', '1.2.3.04', 'a.b.c.d', ' 1.2.3.4', '1.2.3.4 ']) {
    assert.equal(parseIpv4(bad), -1, bad)
  }
})

// RFC 5952 sections 4 and 5
const rfc5952: [string, string][] = [
  ['2001:0db8::0001', '2001:db8::1'],
  ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
  ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
  ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['2001:DB8:AAAA:bbbb:CcCc:dddd:eeee:1', '2001:db8:aaaa:bbbb:cccc:dddd:eeee:1'],
  ['0:0:0:0:0:0:0:0', '::'],
  ['0:0:0:0:0:0:0:1', '::1'],
  ['1:0:0:0:0:0:0:0', '1::'],
  ['::ffff:192.0.2.1', '::ffff:192.0.2.1'],
  ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ['fe80:0:0:0:0:0:0:0', 'fe80::'],
]
for (const [given, wanted] of rfc5952) {
  test(`formatIpv6() writes ${given} as ${wanted}`, () => {
    assert.equal(formatIpv6(v6(given), 0), wanted)
    const out = new Uint8Array(60)
    assert.equal(text(out, writeIpv6(v6(given), 0, out, 0)), wanted)
  })
}

test('parseIpv6() accepts exactly what node:net does', () => {
  for (const candidate of [
    '::', '::1', '1::', ':::', '1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1::2::3', '::1.2.3.4', '1.2.3.4',
    '1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:7:1.2.3.4', '::1.2.3', 'g::', '12345::', ':1', '1:', '', '1:2:3:4:5:6:7::', '::2:3:4:5:6:7:8',
    '1.2.3.4::', 'fe80::1',
  ]) {
    assert.equal(parseIpv6(candidate, new Uint8Array(16), 0), isIP(candidate) === 6, candidate)
  }
})

test('MAC addresses are written with colons and read in three notations', () => {
  const value = 0x0a1b2c3d4e5f
  const out = new Uint8Array(20)
  assert.equal(formatMac(value), '0a:1b:2c:3d:4e:5f')
  assert.equal(text(out, writeMac(value, out, 0)), '0a:1b:2c:3d:4e:5f')
  assert.equal(text(out, writeMac(0xffffffffffff, out, 0)), 'ff:ff:ff:ff:ff:ff')
  for (const form of ['0a:1b:2c:3d:4e:5f', '0A-1B-2C-3D-4E-5F', '0a1b.2c3d.4e5f']) assert.equal(parseMac(form), value)
  for (const bad of ['', '0a:1b:2c:3d:4e', '0a:1b:2c:3d:4e:5f:', 'zz:1b:2c:3d:4e:5f']) assert.equal(parseMac(bad), -1, bad)
})
