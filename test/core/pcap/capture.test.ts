import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { CaptureReader, isCapture } from '../../../core/pcap/capture.ts'
import { bytesOf, FRAMES, uint } from './frames.ts'
import { random } from './random.ts'

interface Seen {
  time: number
  nanos: number
  linkType: number
  originalLength: number
  offset: number
  hex: string
}

/** The packets and errors of a capture pushed in chunks of `size` bytes; errors do not end the reading. */
function readAll(capture: Uint8Array, size: number = capture.length): { packets: Seen[]; errors: string[] } {
  const reader = new CaptureReader()
  const packets: Seen[] = []
  const errors: string[] = []
  function attempt(action: () => boolean): boolean {
    try {
      return action()
    } catch (error) {
      assert.equal((error as Error).name, 'FlowkitError', String(error))
      errors.push(`${(error as { code: string }).code} ${(error as Error).message}`)
      return true
    }
  }
  function drain(): void {
    while (attempt(() => {
      if (!reader.next()) return false
      const { time, nanos, linkType, bytes, start, length, originalLength, offset } = reader.packet
      const hex = Buffer.from(bytes.subarray(start, start + length)).toString('hex')
      assert.equal(hex.length, length * 2)
      packets.push({ time, nanos, linkType, originalLength, offset, hex })
      return true
    }));
  }
  for (let at = 0; at < capture.length; at += size) {
    // a copy that is wiped, as a caller may reuse its buffer
    const chunk = capture.slice(at, at + size)
    reader.push(chunk)
    drain()
    chunk.fill(0xee)
  }
  attempt(() => {
    reader.end()
    return false
  })
  return { packets, errors }
}

function fixture(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../fixtures/pcap/${name}`, import.meta.url)))
}

/** Offsets where a little-endian pcapng file, or a pcap file by its packets, may be cut without loss. */
function bordersOf(capture: Uint8Array): number[] {
  const view = new DataView(capture.buffer)
  if (view.getUint32(0) !== 0x0a0d0d0a) {
    return [...readAll(capture).packets.map(({ offset }) => offset), capture.length]
  }
  const borders: number[] = []
  for (let at = 0; at < capture.length; at += view.getUint32(at + 4, true)) if (at > 0) borders.push(at)
  return [...borders, capture.length]
}

function block(type: number, body: string): string {
  const size = uint(12 + body.length / 2, 4)
  return uint(type, 4) + size + body + size
}

const SECTION = block(0x0a0d0d0a, '1a2b3c4d' + '00010000' + 'ffffffffffffffff')
const INTERFACE = block(1, '0001' + '0000' + '00000000')

function enhanced(ticks: bigint, data: string, id: number = 0): string {
  const size = uint(data.length / 2, 4)
  return block(6, uint(id, 4) + ticks.toString(16).padStart(16, '0') + size + size + data)
}

/** The time, as [µs, ns], that the options of an interface make of a tick count. */
function timeOf(ticks: bigint, options: string): [number, number] {
  const capture = bytesOf(SECTION + block(1, '00010000' + '00000000' + options) + enhanced(ticks, '00000000'))
  const { packets, errors } = readAll(capture)
  assert.deepEqual(errors, [])
  return [packets[0]!.time, packets[0]!.nanos]
}

describe('capture files', () => {
  const ethernet = FRAMES.filter((frame) => frame.linkType === 1).slice(0, 4)

  for (const [name, nanosecond] of [
    ['ethernet.pcap', false], ['ethernet-modified.pcap', false],
    ['ethernet-nano.pcap', true], ['ethernet.pcapng', true],
  ] as const) {
    test(`${name} has the packets that went into it`, () => {
      const { packets, errors } = readAll(fixture(name))
      assert.deepEqual(errors, [])
      assert.deepEqual(
        packets.map(({ offset, ...packet }) => packet),
        ethernet.map(({ bytes }, i) => ({
          time: 1_700_000_000_123_456,
          nanos: nanosecond ? i : 0,
          linkType: 1,
          originalLength: bytes.length,
          hex: Buffer.from(bytes).toString('hex'),
        })),
      )
    })

    test(`${name} reads the same in chunks of every size`, () => {
      const capture = fixture(name)
      const whole = readAll(capture)
      for (let size = 1; size < capture.length; size++) assert.deepEqual(readAll(capture, size), whole)
    })

    test(`${name} cut at any length gives the whole records before the cut, then ERR_TRUNCATED`, () => {
      const capture = fixture(name)
      const whole = readAll(capture).packets
      const borders = bordersOf(capture)
      for (let length = 0; length < capture.length; length++) {
        const { packets, errors } = readAll(capture.slice(0, length), 100)
        const good = whole.filter(({ offset }) => borders[borders.indexOf(offset) + 1]! <= length)
        assert.deepEqual(packets, good)
        if (borders.includes(length)) assert.deepEqual(errors, [])
        else {
          const at = borders.findLast((border) => border < length) ?? 0
          const wanted = / \d+ bytes wanted/.exec(errors[0]!)?.[0]
          const message = `Cannot read capture at byte ${at}:${wanted}, ${length - at} found`
          assert.deepEqual(errors, [`ERR_TRUNCATED ${message}`])
        }
      }
    })
  }

  test('the offset of each record is told', () => {
    const { packets } = readAll(fixture('ethernet.pcap'))
    assert.deepEqual(packets.map(({ offset }) => offset), [24, 100, 182, 262])
  })

  test('a window over bytes that the caller keeps is read up to the record that is cut', () => {
    const capture = fixture('ethernet.pcap')
    const padded = new Uint8Array(capture.length + 50)
    padded.set(capture, 50)
    const reader = new CaptureReader()
    reader.window(padded, 50, 250)
    let count = 0
    while (reader.next()) count++
    assert.deepEqual([count, reader.at], [2, 50 + 182])
    reader.window(padded.slice(232), 0, padded.length - 232)
    while (reader.next()) count++
    assert.deepEqual([count, reader.packet.offset], [4, 262])
    reader.end()
  })

  test('isCapture knows pcap and pcapng by four bytes', () => {
    const magics = ['a1b2c3d4', 'd4c3b2a1', 'a1b23c4d', '4d3cb2a1', 'a1b2cd34', '34cdb2a1', '0a0d0d0a']
    for (const magic of magics) {
      assert.equal(isCapture(bytesOf(magic)), true, magic)
    }
    for (const other of ['', 'a1b2c3', '00050001', '0ca50100', 'a1b2c3d5', '1f8b0800']) {
      assert.equal(isCapture(bytesOf(other)), false, other)
    }
  })

  test('a file of another kind is refused with its first bytes', () => {
    assert.deepEqual(readAll(bytesOf('0005000100000000')).errors, [
      'ERR_MALFORMED Cannot read capture: magic number of pcap or pcapng wanted, 0x00050001 found',
    ])
  })

  test('damage anywhere is an error or other packets, never another failure', () => {
    const next = random(20261121)
    for (const name of ['ethernet.pcap', 'ethernet-modified.pcap', 'ethernet-nano.pcap', 'ethernet.pcapng']) {
      const capture = fixture(name)
      for (let i = 0; i < 500; i++) {
        const mutant = capture.slice()
        for (let k = next(4); k >= 0; k--) mutant[next(mutant.length)] = next(256)
        const whole = readAll(mutant)
        assert.ok(whole.packets.length <= capture.length / 12)
        assert.deepEqual(readAll(mutant, 1 + next(200)), whole)
      }
    }
  })
})

describe('pcap', () => {
  const header = 'a1b2c3d4' + '00020004' + '0000000000000000' + '00000020' + '00000001'

  test('a packet longer than the snap length of the header is read', () => {
    const size = 300_000
    const record = uint(1, 4) + uint(2, 4) + uint(size, 4) + uint(size + 1, 4) + '55'.repeat(size)
    const { packets, errors } = readAll(bytesOf(header + record), 4096)
    assert.deepEqual(errors, [])
    const { time, hex, originalLength } = packets[0]!
    assert.deepEqual([time, hex.length / 2, originalLength], [1_000_002, size, size + 1])
  })

  test('an impossible length ends the reading, after the good records', () => {
    const good = uint(1, 4) + uint(2, 4) + uint(4, 4) + uint(4, 4) + 'aabbccdd'
    const bad = uint(1, 4) + uint(2, 4) + 'ffffffff' + uint(4, 4)
    const { packets, errors } = readAll(bytesOf(header + good + bad + good), 10)
    assert.equal(packets.length, 1)
    assert.deepEqual(errors, [
      'ERR_MALFORMED Cannot read pcap record at byte 44: length up to 16777216 wanted, 4294967295 found',
    ])
  })

  test('a version other than 2 is refused', () => {
    const { errors } = readAll(bytesOf('a1b2c3d4' + '00030000' + '00'.repeat(16)))
    assert.deepEqual(errors, ['ERR_UNSUPPORTED Cannot read pcap file: version 2 wanted, 3 found'])
  })

  test('the frame check sequence length above the link type is not taken for a part of it', () => {
    const record = uint(1, 4) + uint(2, 4) + uint(4, 4) + uint(4, 4) + 'aabbccdd'
    const { packets } = readAll(bytesOf(header.slice(0, -8) + '24000001' + record))
    assert.equal(packets[0]!.linkType, 1)
  })
})

describe('pcapng', () => {
  // if_tsresol is option 9, if_tsoffset option 14; 2023-11-14T22:13:20Z is 1,700,000,000
  const resolution = (value: string): string => `00090001${value}000000` + '00000000'

  test('a time that no number holds exactly is none', () => {
    const offset = '000e0008' + '4000000000000000'
    assert.deepEqual(timeOf(2n ** 63n, resolution('00')), [0, 0])
    assert.deepEqual(timeOf(2n ** 54n, resolution('06')), [0, 0])
    assert.deepEqual(timeOf(7n, offset), [0, 0])
  })

  test('times are exact in every resolution', () => {
    assert.deepEqual(timeOf(1_700_000_000_123_456n, ''), [1_700_000_000_123_456, 0])
    assert.deepEqual(timeOf(1_700_000_000n, resolution('00')), [1_700_000_000_000_000, 0])
    assert.deepEqual(timeOf(1_700_000_000_123n, resolution('03')), [1_700_000_000_123_000, 0])
    assert.deepEqual(timeOf(17_000_000_001_234_567n, resolution('07')), [1_700_000_000_123_456, 700])
    assert.deepEqual(timeOf(1_700_000_000_123_456_789n, resolution('09')), [1_700_000_000_123_456, 789])
    assert.deepEqual(timeOf(17_000_000_001_234_567_890n, resolution('0a')), [1_700_000_000_123_456, 789])
    assert.deepEqual(timeOf(1_700_000_123_456_789_012n, resolution('0c')), [1_700_000_123_456, 789])
    const seconds = 1_700_000_000n
    assert.deepEqual(timeOf((seconds << 20n) | 524_289n, resolution('94')), [1_700_000_000_500_000, 953])
    assert.deepEqual(timeOf((seconds << 32n) | 0x8000_0000n, resolution('a0')), [1_700_000_000_500_000, 0])
    assert.deepEqual(timeOf((1_000_000n << 40n) | 0xc0_0000_0000n, resolution('a8')), [1_000_000_750_000, 0])
  })

  test('the time offset of the interface is added, also a negative one', () => {
    assert.deepEqual(timeOf(5n, '000e0008' + '000000006553f100'), [1_700_000_000_000_005, 0])
    assert.deepEqual(timeOf(5_000_000n, '000e0008' + 'fffffffffffffffe'), [3_000_000, 0])
  })

  test('options of a wrong length, or that run over the block, are ignored', () => {
    assert.deepEqual(timeOf(1_000_001n, '00090002' + '09090000'), [1_000_001, 0])
    assert.deepEqual(timeOf(1_000_001n, '00090400' + '09000000'), [1_000_001, 0])
  })

  test('sections have their own byte order and interfaces', () => {
    const little =
      '0a0d0d0a 1c000000 4d3c2b1a 01000000 ffffffffffffffff 1c000000' +
      '01000000 14000000 6500 0000 00000000 14000000' +
      '06000000 24000000 00000000 01000000 02000000 04000000 08000000 45000000 24000000'
    const { packets, errors } = readAll(bytesOf(SECTION + INTERFACE + enhanced(7n, 'aabbccdd') + little))
    assert.deepEqual(errors, [])
    assert.deepEqual(packets, [
      { time: 7, nanos: 0, linkType: 1, originalLength: 4, offset: 48, hex: 'aabbccdd' },
      { time: 2 ** 32 + 2, nanos: 0, linkType: 101, originalLength: 8, offset: 132, hex: '45000000' },
    ])
  })

  test('Simple Packet Blocks and obsolete Packet Blocks are packets', () => {
    const limited = block(1, '0065' + '0000' + '00000006')
    const simple = block(3, uint(100, 4) + 'aabbccddeeff0000')
    const obsolete = block(2, '0000' + 'ffff' + '0000000000000009' + '00000003' + '00000005' + 'aabbcc00')
    const { packets, errors } = readAll(bytesOf(SECTION + limited + simple + obsolete))
    assert.deepEqual(errors, [])
    assert.deepEqual(packets, [
      { time: 0, nanos: 0, linkType: 101, originalLength: 100, offset: 48, hex: 'aabbccddeeff' },
      { time: 9, nanos: 0, linkType: 101, originalLength: 5, offset: 72, hex: 'aabbcc' },
    ])
  })

  test('name resolution, statistics, secrets, custom and unknown blocks are skipped', () => {
    const others = [4, 5, 10, 0xbad, 0x40000bad, 0x80000001].map((type) => block(type, '00000000')).join('')
    const packet = enhanced(1n, 'aabbccdd')
    const { packets, errors } = readAll(bytesOf(SECTION + others + INTERFACE + others + packet + others))
    assert.deepEqual(errors, [])
    assert.equal(packets.length, 1)
  })

  test('a packet block damaged inside is told with its offset, and the reading goes on', () => {
    const good = enhanced(1n, 'aabbccdd')
    const noInterface = enhanced(1n, 'aabbccdd', 3)
    const tooLong = block(6, '00000000' + '0000000000000001' + '00000005' + '00000005' + 'aabbccdd')
    const tooShort = block(6, '00000000')
    const capture = SECTION + INTERFACE + good + noInterface + tooLong + tooShort + good
    const { packets, errors } = readAll(bytesOf(capture))
    assert.deepEqual(packets.map(({ offset }) => offset), [48, 172])
    assert.deepEqual(errors, [
      'ERR_MALFORMED Cannot read pcapng block at byte 84: interface below 1 wanted, 3 found',
      'ERR_MALFORMED Cannot read pcapng block at byte 120: captured length up to 4 wanted, 5 found',
      'ERR_MALFORMED Cannot read pcapng block at byte 156: length of at least 32 wanted, 16 found',
    ])
  })

  test('a damaged interface block keeps its number', () => {
    const capture = SECTION + block(1, '') + INTERFACE + enhanced(1n, 'aabbccdd', 1)
    const { packets, errors } = readAll(bytesOf(capture))
    assert.deepEqual(errors, [
      'ERR_MALFORMED Cannot read pcapng block at byte 28: length of at least 20 wanted, 12 found',
    ])
    assert.equal(packets[0]!.linkType, 1)
  })

  test('a block whose length is impossible, or not the same at its end, ends the reading', () => {
    const good = INTERFACE + enhanced(1n, 'aabbccdd')
    for (const [bad, reason] of [
      [INTERFACE.slice(0, -8) + '00000018', 'length 20 at its end wanted, 24 found'],
      [block(6, '00'), 'length of 12 to 16777216 and a multiple of 4 wanted, 13 found'],
      [uint(6, 4) + 'fffffffc', 'length of 12 to 16777216 and a multiple of 4 wanted, 4294967292 found'],
    ] as const) {
      const { packets, errors } = readAll(bytesOf(SECTION + bad + good))
      assert.equal(packets.length, 0)
      assert.deepEqual(errors, [`ERR_MALFORMED Cannot read pcapng block at byte 28: ${reason}`])
    }
  })

  test('a section without the byte-order magic or of another version is refused', () => {
    const magic = block(0x0a0d0d0a, '1a2b3c4e' + '00010000' + 'ffffffffffffffff')
    const reason = 'byte-order magic 0x1a2b3c4d wanted, 0x1a2b3c4e found'
    assert.deepEqual(readAll(bytesOf(magic)).errors, [
      `ERR_MALFORMED Cannot read pcapng block at byte 0: ${reason}`,
    ])
    const version = block(0x0a0d0d0a, '1a2b3c4d' + '00020000' + 'ffffffffffffffff')
    assert.deepEqual(readAll(bytesOf(version)).errors, [
      'ERR_UNSUPPORTED Cannot read pcapng section at byte 0: version 1 wanted, 2 found',
    ])
  })
})
