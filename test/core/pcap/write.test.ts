import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatagramReader } from '../../../core/pcap/datagrams.ts'
import { captureWriter, type CaptureFormat, type Source } from '../../../core/pcap/write.ts'
import { hex, ip6, join } from '../netflow/messages.ts'

const TIME = 1_795_165_200_250_001 // 2026-11-20T09:00:00.250001Z
const V4: Source = { family: 4, v4: 0xc6336401, v6: new Uint8Array(16), port: 50_000 } // 198.51.100.1
const V6: Source = { family: 6, v4: 0, v6: ip6('2001:db8::1'), port: 50_000 }

/** With the checksums that tshark computes. */
const FRAME_V4 = hex(`
  020000000002 020000000001 0800       # Ethernet
  45 00 001f 0000 4000 40 11 4e97 c6336401 c0000202
  c350 0807 000b 83e6 616263`)

function captured(format: CaptureFormat, ...datagrams: readonly [Uint8Array, Source][]): Uint8Array {
  const writer = captureWriter(format)
  for (const [payload, source] of datagrams) writer.write(payload, source, 2055, TIME)
  return writer.take().slice()
}

/** The sum of RFC 1071 over 16-bit words; 0xffff where the checksum in it is right. */
function onesSum(bytes: Uint8Array): number {
  let sum = 0
  for (const [i, byte] of bytes.entries()) sum += i % 2 === 0 ? byte << 8 : byte
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

test('a pcap file is a header and a record for each datagram', () => {
  const bytes = captured('pcap', [Buffer.from('abc'), V4])
  assert.deepEqual(bytes, join(
    hex('d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000'),
    hex('100c006b 91d00300 2d000000 2d000000'), FRAME_V4,
  ))
})

test('a pcapng file is a section, an interface, and a packet block for each datagram', () => {
  const bytes = captured('pcapng', [Buffer.from('abc'), V4])
  assert.deepEqual(bytes, join(
    hex('0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000'),
    hex('01000000 14000000 0100 0000 00000000 14000000'),
    hex('06000000 50000000 00000000 b1600600 91f41278 2d000000 2d000000'), FRAME_V4,
    hex('000000 50000000'),
  ))
})

test('checksums are right for payloads of any length, also where they would be 0', () => {
  for (let size = 0; size < 300; size++) {
    const payload = Uint8Array.from({ length: size }, (_, i) => i * 7 + size)
    const v4 = captured('pcap', [payload, V4]).subarray(24 + 16 + 14)
    assert.equal(onesSum(v4.subarray(0, 20)), 0xffff)
    const length = hex((size + 8).toString(16).padStart(4, '0'))
    assert.equal(onesSum(join(v4.subarray(12, 20), hex('0011'), length, v4.subarray(20))), 0xffff)
    const v6 = captured('pcap', [payload, V6]).subarray(24 + 16 + 14)
    assert.equal(onesSum(join(v6.subarray(8, 40), hex('0011'), length, v6.subarray(40))), 0xffff)
  }
  const zero = captured('pcap', [hex('0000'), V4]).subarray(24 + 16 + 14 + 20)
  const wanted = (zero[6] << 8 | zero[7]) // what the payload must add for a sum of 0xffff
  const full = captured('pcap', [Uint8Array.of(wanted >> 8, wanted), V4]).subarray(24 + 16 + 14 + 20)
  assert.deepEqual([...full.subarray(6, 8)], [0xff, 0xff])
})

for (const format of ['pcap', 'pcapng'] as const) {
  test(`${format} is read back, in as many pieces as it was taken`, () => {
    const writer = captureWriter(format)
    const reader = new DatagramReader()
    const payloads = [0, 1, 1400, 65_507].map((size) => new Uint8Array(size).fill(size))
    for (const [i, payload] of payloads.entries()) {
      writer.write(payload, i % 2 === 0 ? V4 : V6, 4739, TIME + i)
      reader.capture.push(writer.take().slice())
      assert.ok(reader.next())
      assert.deepEqual(reader.bytes.slice(reader.start, reader.end), payload)
      assert.deepEqual([reader.family, reader.srcPort, reader.dstPort], [i % 2 === 0 ? 4 : 6, 50_000, 4739])
      assert.equal(reader.capture.packet.time, TIME + i)
      if (i % 2 === 0) assert.equal(reader.srcAddr, V4.v4)
      else assert.deepEqual(reader.srcAddr6, V6.v6)
    }
    assert.equal(writer.take().length, 0)
    reader.capture.end()
  })
}
