import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  DATAGRAM_OVERHEAD, MAX_BLOCK, SEGMENT_HEADER, putDatagram, readDatagram,
} from '../../../core/spool/datagram-block.ts'
import { formatIpv4, formatIpv6 } from '../../../core/flow/address.ts'
import { newDatagram } from '../../../core/netflow/message.ts'
import { DatagramReader } from '../../../core/pcap/datagrams.ts'
import { missing } from '../../interop/peers.ts'
import { hex, join } from '../netflow/messages.ts'
import { TIME, blocksOf, datagramOf, seenIn, seenOf, temporaryFolder } from './spooled.ts'

const ABC = Buffer.from('abc')

/** The IPv4 checksum is tshark's, the UDP checksum of IPv6 that of a sum by hand. */
const BLOCK_V4 = hex(`
  06000000 40000000 00000000 b1600600 91f41278 1f000000 1f000000
  45 00 001f 0000 4000 40 11 4e97 c6336401 c0000202
  c350 0807 000b 0000 616263 00
  40000000`)
const BLOCK_V6 = hex(`
  06000000 54000000 00000000 b1600600 91f41278 33000000 33000000
  60000000 000b 11 40 20010db8000000000000000000000001 20010db8000000000000000000000002
  c350 0807 000b 14a9 616263 00
  54000000`)

test('a segment begins with a section and an interface of raw IP packets', () => {
  assert.deepEqual(SEGMENT_HEADER, hex(`
    0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000
    01000000 14000000 6500 0000 00000000 14000000`))
})

test('a datagram is an enhanced packet block of an IPv4 or IPv6 packet', () => {
  assert.deepEqual(blocksOf(datagramOf(ABC)), BLOCK_V4)
  assert.deepEqual(blocksOf(datagramOf(ABC, '2001:db8::1')), BLOCK_V6)
})

test('what was in the chunk before does not shine through', () => {
  for (const [address, block] of [['198.51.100.1', BLOCK_V4], ['2001:db8::1', BLOCK_V6]] as const) {
    const chunk = new Uint8Array(100).fill(0xff)
    const next = putDatagram(chunk, new DataView(chunk.buffer), 4, datagramOf(ABC, address), 2055)
    assert.equal(next, 4 + block.length)
    assert.deepEqual(chunk.subarray(4, 4 + block.length), block)
    assert.deepEqual(new Set([...chunk.subarray(0, 4), ...chunk.subarray(4 + block.length)]), new Set([0xff]))
  }
})

test('a datagram that does not fit is not written', () => {
  for (const [address, block] of [['198.51.100.1', BLOCK_V4], ['2001:db8::1', BLOCK_V6]] as const) {
    const chunk = new Uint8Array(block.length)
    const view = new DataView(chunk.buffer)
    assert.equal(putDatagram(chunk, view, 1, datagramOf(ABC, address), 2055), -1)
    assert.deepEqual(chunk, new Uint8Array(block.length))
    assert.equal(putDatagram(chunk, view, 0, datagramOf(ABC, address), 2055), block.length)
  }
})

test('the longest datagrams are taken, longer ones there are not', () => {
  for (const [address, longest] of [['198.51.100.1', 65_507], ['2001:db8::1', 65_527]] as const) {
    const payload = new Uint8Array(longest).fill(0xab)
    const blocks = blocksOf(datagramOf(payload, address))
    assert.ok(blocks.length <= MAX_BLOCK && blocks.length <= longest + DATAGRAM_OVERHEAD)
    assert.deepEqual(seenIn(blocks), [seenOf(datagramOf(payload, address))])
    assert.throws(() => blocksOf(datagramOf(new Uint8Array(longest + 1), address)), RangeError)
  }
})

const ADDRESS = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }).map(formatIpv4),
  fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => formatIpv6(bytes, 0)),
)
const DATAGRAM = fc.record({
  payload: fc.oneof(
    fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 0, max: 9000 }).map((size) => new Uint8Array(size)),
  ),
  address: ADDRESS, port: fc.integer({ min: 0, max: 65_535 }),
  received: fc.integer({ min: 0, max: 2 ** 53 - 1 }),
}).map(({ payload, address, port, received }) => datagramOf(payload, address, port, received))

test('what is read is what was put', () => {
  fc.assert(fc.property(fc.array(DATAGRAM, { maxLength: 8 }), (datagrams) => {
    assert.deepEqual(seenIn(blocksOf(...datagrams)), datagrams.map(seenOf))
  }))
})

test('a reader of captures finds the same datagrams, and right checksums', () => {
  fc.assert(fc.property(fc.array(DATAGRAM, { maxLength: 8 }), (datagrams) => {
    const reader = new DatagramReader()
    reader.capture.push(join(SEGMENT_HEADER, blocksOf(...datagrams)))
    for (const datagram of datagrams) {
      assert.ok(reader.next())
      const { bytes, start, end, family, srcAddr, srcAddr6, srcPort, dstPort, capture: { packet } } = reader
      assert.deepEqual(seenOf({
        ...newDatagram(), bytes, start, end, family, v4: srcAddr, v6: srcAddr6, port: srcPort,
        received: packet.time,
      }), seenOf(datagram))
      assert.equal(dstPort, 2055)
      const ip = packet.bytes.subarray(packet.start, packet.start + packet.length)
      const pseudoHeader = join(ip.subarray(8, 40), ip.subarray(4, 6), hex('0011'))
      const summed = family === 4 ? ip.subarray(0, 20) : join(pseudoHeader, ip.subarray(40))
      assert.equal(onesSum(summed), 0xffff)
    }
    assert.ok(!reader.next())
    reader.capture.end()
  }))
})

/** The sum of RFC 1071 over 16-bit words; 0xffff where the checksum in it is right. */
function onesSum(bytes: Uint8Array): number {
  let sum = 0
  for (const [i, byte] of bytes.entries()) sum += i % 2 === 0 ? byte << 8 : byte
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return sum
}

test('a checksum over IPv6 that would be 0 is 0xffff', () => {
  const sum = onesSum(join(BLOCK_V6.subarray(36, 68), hex('000a 0011 c350 0807 000a'))) // with 2 bytes
  const payload = hex((0xffff - sum).toString(16).padStart(4, '0'))
  assert.deepEqual(blocksOf(datagramOf(payload, '2001:db8::1')).subarray(74, 76), hex('ffff'))
})

test('other blocks are skipped', () => {
  const names = hex('04000000 1c000000 0100 0800 c6336401 72310000 0000 0000 1c000000')
  const statistics = hex('05000000 18000000 00000000 b1600600 91f41278 18000000')
  const bytes = join(SEGMENT_HEADER, statistics, BLOCK_V4, names, BLOCK_V6, statistics)
  assert.deepEqual(seenIn(bytes).map(({ address }) => address), ['198.51.100.1', '2001:db8::1'])
})

test('a cut block is truncated, wherever it is cut', () => {
  for (const block of [BLOCK_V4, BLOCK_V6]) {
    for (let size = 1; size < block.length; size++) {
      const bytes = join(block, block.subarray(0, size))
      const datagram = newDatagram()
      const view = new DataView(bytes.buffer)
      assert.equal(readDatagram(bytes, view, 0, bytes.length, datagram), block.length)
      assert.throws(() => readDatagram(bytes, view, block.length, bytes.length, datagram), {
        code: 'ERR_TRUNCATED',
        message: `Cannot read spooled datagram: whole block wanted at byte ${block.length}, ${size} found`,
      })
    }
  }
})

test('damage of a block is noticed, but in the interface, time, ports, payload and padding', () => {
  const before = [8, 9, 10, 11, 12, 13, 16, 17, 18, 19] // interface and time, whose upper bits must be 0
  assert.deepEqual(unnoticed(BLOCK_V4), [...before, 48, 49, 50, 51, 54, 55, 56, 57, 58, 59])
  // nor in the traffic class, flow label, hop limit, addresses and UDP checksum of IPv6
  const addresses = Array.from({ length: 32 }, (_, i) => 36 + i)
  const v6 = [29, 30, 31, 35, ...addresses, 68, 69, 70, 71, 74, 75, 76, 77, 78, 79]
  assert.deepEqual(unnoticed(BLOCK_V6), [...before, ...v6])
})

/** Which bytes of the block of a datagram may have another value. */
function unnoticed(block: Uint8Array): number[] {
  return Array.from(block.keys()).filter((i) => {
    const damaged = block.slice()
    damaged[i] ^= 0x40
    try {
      return seenIn(damaged).length === 1
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^ERR_(MALFORMED|TRUNCATED)$/)
      return false
    }
  })
}

test('messages of damage say what is wanted and found', () => {
  const damaged = BLOCK_V4.slice()
  damaged[40] = 0 // of the source address
  assert.throws(() => seenIn(join(BLOCK_V4, damaged)), {
    code: 'ERR_MALFORMED',
    message: 'Cannot read spooled datagram: ' +
      'IPv4 header that agrees with its checksum wanted at byte 64, 20119 found',
  })
  assert.throws(() => seenIn(hex('00000000 00000000 00000000')), {
    code: 'ERR_MALFORMED',
    message: 'Cannot read spooled datagram: length up to 65608 and a multiple of 4 wanted at byte 0, 0 found',
  })
})

test('tshark reads addresses, ports, times and right checksums', { skip: missing('tshark') }, (t) => {
  const file = joinPath(temporaryFolder(t), 'segment.pcapng')
  const random = Uint8Array.from({ length: 65_507 }, (_, i) => i * i >> 3)
  const datagrams = ['198.51.100.1', '2001:db8::1'].flatMap((address) => {
    return [0, 1, 2, 3, 4, 1464, 65_507].map((size, i) => {
      return datagramOf(random.subarray(0, size), address, 50_000 + i, TIME + i)
    })
  })
  writeFileSync(file, join(SEGMENT_HEADER, blocksOf(...datagrams)))
  const fields = [
    'ip.src', 'ipv6.src', 'udp.srcport', 'udp.dstport', 'frame.time_epoch', 'udp.length',
    'ip.checksum.status', 'udp.checksum.status', '_ws.malformed', '_ws.expert',
  ].flatMap((field) => ['-e', field])
  const options = ['ip.check_checksum:TRUE', 'udp.check_checksum:TRUE'].flatMap((option) => ['-o', option])
  // what the payloads seem to be is not of interest
  const args = ['-r', file, '--disable-protocol', 'cflow', '-T', 'fields', ...options, ...fields]
  const { stdout, status, stderr } = spawnSync('tshark', args, { encoding: 'utf8', timeout: 60_000 })
  assert.equal(status, 0, stderr)
  const lines = stdout.split('\n').slice(0, -1)
  assert.deepEqual(lines.map((line) => line.split('\t')), datagrams.map((datagram) => {
    const { address, port, received } = seenOf(datagram)
    const isV6 = datagram.family === 6
    const time = `${Math.floor(received / 1e6)}.${String(received % 1e6).padStart(6, '0')}000`
    const length = String(8 + datagram.end - datagram.start)
    // status 1 is good, 3 is not present (wireshark: epan/proto.h)
    return [isV6 ? '' : address, isV6 ? address : '', String(port), '2055', time, length, isV6 ? '' : '1',
      isV6 ? '1' : '3', '', '']
  }))
})
