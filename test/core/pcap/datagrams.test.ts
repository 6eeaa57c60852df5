import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { DatagramReader } from '../../../core/pcap/datagrams.ts'
import { FlowkitError } from '../../../core/flow/errors.ts'
import { bytesOf, ethernet, FRAMES, ipv4, ipv6, udp, uint } from './frames.ts'
import { random } from './random.ts'

interface Seen {
  time: number
  nanos: number
  from: string
  ports: [number, number]
  payload: string
}

function readAll(capture: Uint8Array, size = capture.length): { seen: Seen[]; reader: DatagramReader } {
  const reader = new DatagramReader()
  const seen: Seen[] = []
  for (let at = 0; at < capture.length; at += size) {
    reader.capture.push(capture.slice(at, at + size))
    while (reader.next()) {
      const { bytes, start, end, family, srcAddr, srcAddr6, srcPort, dstPort } = reader
      const { time, nanos } = reader.capture.packet
      seen.push({
        time,
        nanos,
        from: family === 4 ? uint(srcAddr, 4) : Buffer.from(srcAddr6).toString('hex'),
        ports: [srcPort, dstPort],
        payload: Buffer.from(bytes.subarray(start, end)).toString('hex'),
      })
    }
  }
  reader.capture.end()
  return { seen, reader }
}

function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../fixtures/pcap/${name}`, import.meta.url)))
}

/** A big-endian pcap file of packets a second apart; each cut to `snapLength`. */
function pcap(linkType: number, packets: string[], snapLength: number = 65535): Uint8Array {
  const records = packets.map((hex, i) => {
    const captured = hex.slice(0, 2 * snapLength)
    return uint(i + 1, 4) + uint(0, 4) + uint(captured.length / 2, 4) + uint(hex.length / 2, 4) + captured
  })
  const header = 'a1b2c3d4' + '00020004' + '0000000000000000' + '0000ffff' + uint(linkType, 4)
  return bytesOf(header + records.join(''))
}

/** What the fixtures' senders sent: the n-th datagram's byte at i is (n + i) modulo 256. */
function sent(n: number, size: number): string {
  return Array.from({ length: size }, (_, i) => uint((n + i) & 255, 1)).join('')
}

const COUNTS = {
  packets: 0, datagrams: 0, notIp: 0, notUdp: 0, truncated: 0, malformed: 0, fragments: 0, unknownLink: 0,
  wireless: 0,
}
const LOOPBACK4 = '7f000001'
const LOOPBACK6 = '00000000000000000000000000000001'

describe('DatagramReader', () => {
  test('joins the fragments that Linux makes, IPv4 and IPv6, in chunks of any size', () => {
    const capture = fixture('fragments.pcap')
    const { seen, reader } = readAll(capture)
    assert.deepEqual(
      seen.map(({ from, ports, payload }) => [from, ports, payload]),
      [LOOPBACK4, LOOPBACK6].flatMap((from) =>
        [100, 2000, 4000].map((size, n) => [from, [40000, 2055], sent(n, size)])),
    )
    assert.deepEqual(reader.counts, { ...COUNTS, packets: 14, datagrams: 6, fragments: 8 })
    assert.deepEqual(reader.fragmentCounts, { joined: 4, overlapping: 0, damaged: 0, expired: 0, evicted: 0 })
    for (const size of [1, 7, 1000, 1296, 1297, 5000]) assert.deepEqual(readAll(capture, size).seen, seen)
  })

  test('reads Linux cooked captures of all interfaces', () => {
    const { seen } = readAll(fixture('fragments-any.pcap'))
    assert.deepEqual(seen.map(({ payload }) => payload), [sent(0, 100), sent(1, 2000), sent(2, 4000)])
  })

  test('finds datagrams in tunnels, through fragments of both', () => {
    const { seen, reader } = readAll(fixture('vxlan-fragments.pcap'))
    assert.deepEqual(
      seen.map(({ from, ports, payload }) => [from, ports, payload]),
      [['ac100001', [40000, 2055], sent(0, 100)], ['ac100001', [40000, 2055], sent(1, 2000)]],
    )
    assert.equal(reader.fragmentCounts.joined, 2)
  })

  test('finds the same datagram in every kind of packet that has it', () => {
    const { seen, reader } = readAll(fixture('frames.pcapng'))
    const datagram = udp(40000, 2055, '61626364')
    const whole = FRAMES.filter(({ name, bytes }) =>
      Buffer.from(bytes).toString('hex').includes(datagram) && !/first fragment|last fragment/.test(name))
    assert.deepEqual(
      seen.map(({ from, ports, payload }) => [from.slice(0, 8), ports, payload]),
      whole.map(({ bytes }) => {
        // the innermost packet's address is the last
        const hex = Buffer.from(bytes).toString('hex')
        const from = hex.lastIndexOf('20010db8') > hex.lastIndexOf('c0000201') ? '20010db8' : 'c0000201'
        return [from, [40000, 2055], '61626364']
      }),
    )
    assert.equal(reader.incomplete, 2)
  })

  test('gives the outer datagram when the inner packet has none', () => {
    const carried = '08000000' + '00002a00' + ethernet('0806', '0001080006040001')
    const { seen } = readAll(pcap(101, [ipv4(17, udp(7, 4789, carried))]))
    assert.deepEqual(seen.map(({ ports, payload }) => [ports, payload]), [[[7, 4789], carried]])
  })

  test('counts every packet once, by why it was skipped', () => {
    const first = ipv4(17, udp(1, 2, '61'.repeat(8)), '2000')
    const packets = [
      ethernet('0800', ipv4(17, udp(1, 2, ''))),
      ethernet('0806', '0001080006040001'),
      ethernet('0800', ipv4(6, '00')),
      ethernet('0800', ipv4(17, udp(1, 2, '61'.repeat(200)))),
      ethernet('86dd', ipv6(17, '00010002' + '00ff0000')),
      ethernet('0800', first),
      ethernet('0800', ipv4(50, '00'.repeat(20))),
    ]
    const { reader, seen } = readAll(pcap(1, packets, 100))
    assert.deepEqual(seen.map(({ time, payload }) => [time, payload]), [[1_000_000, '']])
    assert.deepEqual(reader.counts, {
      ...COUNTS, packets: 7, datagrams: 1, notIp: 1, notUdp: 2, truncated: 1, malformed: 1, fragments: 1,
    })
    assert.equal(reader.incomplete, 1)
    assert.deepEqual(readAll(pcap(147, packets)).reader.counts, { ...COUNTS, packets: 7, unknownLink: 7 })
    assert.deepEqual(readAll(pcap(127, packets)).reader.counts, { ...COUNTS, packets: 7, wireless: 7 })
  })

  test('a joined datagram has the time of the packet that completed it', () => {
    const payload = '61'.repeat(16)
    const parts = [ipv4(17, udp(1, 2, payload).slice(0, 32), '2000'), ipv4(17, payload.slice(16), '0002')]
    const { seen } = readAll(pcap(101, parts))
    assert.deepEqual(seen, [{ time: 2_000_000, nanos: 0, from: 'c0000201', ports: [1, 2], payload }])
  })

  test('joined IPv6 fragments may begin with destination options', () => {
    const whole = '11000104' + '00000000' + udp(1, 2, '61'.repeat(8))
    const first = ipv6(44, '3c00000100000005' + whole.slice(0, 32))
    const second = ipv6(44, '3c00001000000005' + whole.slice(32))
    const { seen } = readAll(pcap(101, [first, second]))
    assert.deepEqual(seen.map(({ ports, payload }) => [ports, payload]), [[[1, 2], '61'.repeat(8)]])
  })

  test('a damaged capture gives FlowkitErrors and datagrams, and the counts still add up', () => {
    const next = random(5722)
    for (const name of ['frames.pcapng', 'vxlan-fragments.pcap']) {
      const capture = fixture(name)
      for (let i = 0; i < 500; i++) {
        const mutant = capture.slice()
        for (let k = next(20); k >= 0; k--) mutant[next(mutant.length)] = next(256)
        const reader = new DatagramReader()
        reader.capture.push(mutant)
        let going = true
        while (going) {
          try {
            going = reader.next()
            if (going) assert.ok(reader.start <= reader.end && reader.end <= reader.bytes.length)
          } catch (error) {
            assert.ok(error instanceof FlowkitError, String(error))
          }
        }
        const { packets, ...outcomes } = reader.counts
        assert.equal(Object.values(outcomes).reduce((sum, count) => sum + count, 0), packets)
      }
    }
  })
})
