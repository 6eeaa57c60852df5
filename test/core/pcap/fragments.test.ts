import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FragmentJoiner, type FragmentLimits } from '../../../core/pcap/fragments.ts'
import { parsePacket } from '../../../core/pcap/headers.ts'
import { PacketHeaders } from '../../../core/pcap/packet-headers.ts'
import { bytesOf, ipv4, ipv6, uint } from './frames.ts'

/** Payload bytes `from` to `to` of a datagram whose byte at i is i modulo 251. */
function piece(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => uint((from + i) % 251, 1)).join('')
}

function fragment4(from: number, to: number, more: boolean, id = 1, data = piece(from, to)): Uint8Array {
  const bytes = bytesOf(ipv4(17, data, uint(from / 8 + (more ? 0x2000 : 0), 2)))
  bytes.set([id >> 8, id & 255], 4)
  return bytes
}

function fragment6(from: number, to: number, more: boolean, id = 1): Uint8Array {
  return bytesOf(ipv6(44, '1100' + uint(from + (more ? 1 : 0), 2) + uint(id, 4) + piece(from, to)))
}

interface Joiner {
  /** Adds fragments a microsecond apart; returns what each completed. */
  add: (...fragments: Uint8Array[]) => (string | undefined)[]
  of: FragmentJoiner
  clock: { now: number }
}

function joiner(limits?: FragmentLimits): Joiner {
  const of = new FragmentJoiner(limits)
  const headers = new PacketHeaders()
  const clock = { now: 1_700_000_000_000_000 }
  function add(...fragments: Uint8Array[]): (string | undefined)[] {
    return fragments.map((bytes) => {
      assert.equal(parsePacket(bytes, 0, bytes.length, 101, headers), true)
      if (!of.add(bytes, headers, clock.now++)) return undefined
      assert.equal(of.proto, 17)
      return Buffer.from(of.bytes.subarray(0, of.length)).toString('hex')
    })
  }
  return { add, of, clock }
}

const NONE = { joined: 0, overlapping: 0, damaged: 0, expired: 0, evicted: 0 }

describe('FragmentJoiner', () => {
  for (const [version, fragment] of [[4, fragment4], [6, fragment6]] as const) {
    test(`joins IPv${version} fragments in any order`, () => {
      const parts = [fragment(0, 1480, true), fragment(1480, 2960, true), fragment(2960, 3001, false)]
      for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
        const { add, of } = joiner()
        assert.deepEqual(add(...order.map((i) => parts[i]!)), [undefined, undefined, piece(0, 3001)])
        assert.deepEqual(of.counts, { ...NONE, joined: 1 })
        assert.equal(of.waiting, 0)
      }
    })
  }

  test('keeps datagrams apart that differ in one part of the key', () => {
    const { add, of } = joiner()
    const otherSource = fragment4(8, 16, false)
    otherSource[15] = 9
    const otherTarget = fragment4(8, 16, false)
    otherTarget[19] = 9
    const otherProtocol = fragment4(8, 16, false)
    otherProtocol[9] = 6
    const otherId = fragment4(8, 16, false, 2)
    const others = [otherId, otherSource, otherTarget, otherProtocol, fragment6(8, 16, false)]
    assert.deepEqual(add(fragment4(0, 8, true, 1), ...others), Array(6).fill(undefined))
    assert.equal(of.waiting, 6)
    assert.deepEqual(add(fragment4(8, 16, false, 1)), [piece(0, 16)])
  })

  test('drops an exact duplicate and joins all the same', () => {
    const { add, of } = joiner()
    const first = fragment4(0, 16, true)
    assert.deepEqual(add(first, first, fragment4(16, 20, false)), [undefined, undefined, piece(0, 20)])
    assert.deepEqual(of.counts, { ...NONE, joined: 1 })
  })

  test('gives up a datagram whose fragments overlap, with all fragments that follow (RFC 5722)', () => {
    for (const second of [
      fragment4(8, 24, true), fragment4(0, 8, true), fragment4(0, 24, true), fragment4(8, 16, true),
      fragment4(0, 16, true, 1, '00'.repeat(16)),
    ]) {
      const { add, of } = joiner()
      const joined = add(fragment4(0, 16, true), second, fragment4(16, 20, false))
      assert.deepEqual(joined, [undefined, undefined, undefined])
      assert.deepEqual(of.counts, { ...NONE, overlapping: 1 })
      assert.equal(of.waiting, 0)
    }
  })

  test('gives up a datagram whose fragments contradict the rules', () => {
    const cut = fragment4(0, 16, true).slice(0, 30)
    for (const parts of [
      [fragment4(0, 12, true)], // not the last, and no multiple of 8
      [fragment4(16, 24, false), fragment4(24, 32, true)], // behind the end
      [fragment4(16, 24, false), fragment4(8, 16, false)], // two ends
      [fragment4(16, 24, true), fragment4(8, 16, false)], // an end before what came
      [fragment4(65528, 65544, false)], // beyond the longest datagram
      [fragment4(8, 8, false)], // empty
      [cut],
    ]) {
      const { add, of } = joiner()
      add(...parts)
      assert.deepEqual(of.counts, { ...NONE, damaged: 1 })
      assert.equal(of.waiting, 0)
    }
  })

  test('gives up a datagram of more than 256 fragments', () => {
    const { add, of } = joiner()
    for (let i = 0; i <= 256; i++) add(fragment4(8 * i, 8 * i + 8, true))
    assert.deepEqual(of.counts, { ...NONE, damaged: 1 })
  })

  test('waits 30 seconds of packet time', () => {
    const { add, of, clock } = joiner()
    add(fragment4(0, 8, true))
    clock.now += 29_999_999
    assert.deepEqual(add(fragment4(8, 16, false)), [piece(0, 16)])
    add(fragment4(0, 8, true))
    clock.now += 30_000_001
    assert.deepEqual(add(fragment4(8, 16, false)), [undefined])
    assert.deepEqual(of.counts, { ...NONE, joined: 1, expired: 1 })
    assert.equal(of.waiting, 1)
  })

  test('keeps to its number of datagrams and lets the oldest go', () => {
    const { add, of } = joiner({ datagrams: 2, bytes: 1e6, timeout: 30e6 })
    add(fragment4(0, 8, true, 1), fragment4(0, 8, true, 2), fragment4(0, 8, true, 3))
    assert.deepEqual([of.waiting, of.counts], [2, { ...NONE, evicted: 1 }])
    assert.deepEqual(add(fragment4(8, 16, false, 2), fragment4(8, 16, false, 1)), [piece(0, 16), undefined])
  })

  test('keeps to its memory, also for datagrams given up', () => {
    const { add, of } = joiner({ datagrams: 1000, bytes: 150_000, timeout: 30e6 })
    for (let id = 0; id < 100; id++) add(fragment4(60000, 60008, true, id))
    assert.deepEqual([of.waiting, of.counts], [2, { ...NONE, evicted: 98 }])
    const few = joiner({ datagrams: 10, bytes: 150_000, timeout: 30e6 })
    for (let id = 0; id < 100; id++) few.add(fragment4(0, 12, true, id))
    few.add(fragment4(0, 8, true, 200))
    assert.deepEqual([few.of.waiting, few.of.counts], [1, { ...NONE, damaged: 100 }])
  })
})
