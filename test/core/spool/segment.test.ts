import assert from 'node:assert/strict'
import { appendFileSync, writeFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SEGMENT_HEADER } from '../../../core/spool/datagram-block.ts'
import { readSegment } from '../../../core/spool/segment.ts'
import type { FlowkitError } from '../../../core/flow/errors.ts'
import { join, u32 } from '../netflow/messages.ts'
import { TIME, blocksOf, datagramOf, seenIn, seenOf, temporaryFolder, type Seen } from './spooled.ts'

interface ReadAll {
  readonly seen: Seen[]
  readonly dropped: number
  readonly damage: readonly FlowkitError[]
  readonly chunks: number
}

async function readAll(path: string): Promise<ReadAll> {
  const seen: Seen[] = []
  const damage: FlowkitError[] = []
  const reader = readSegment(path, (error) => damage.push(error))
  let chunks = 0
  let behind = 0
  for await (const { bytes, start, end, offset } of reader) {
    assert.ok(offset >= behind && end > start)
    behind = offset + end - start
    chunks++
    seen.push(...seenIn(bytes, start, end))
  }
  return { seen, dropped: reader.dropped, damage, chunks }
}

/** A file of that content. */
function fileOf(t: TestContext, ...content: readonly Uint8Array[]): string {
  const path = joinPath(temporaryFolder(t), 'segment.pcapng')
  writeFileSync(path, join(...content))
  return path
}

const DATAGRAMS = [
  datagramOf(Buffer.from('one')),
  datagramOf(Buffer.from('two and more'), '2001:db8::1', 1, TIME + 1),
  datagramOf(Buffer.from(''), '203.0.113.9', 2, TIME + 2),
]
const [ONE, TWO, THREE] = DATAGRAMS.map((datagram) => blocksOf(datagram))
const SEEN = DATAGRAMS.map(seenOf)

test('a whole segment is one chunk of all that it has', async (t) => {
  const path = fileOf(t, SEGMENT_HEADER, ONE, TWO, THREE)
  assert.deepEqual(await readAll(path), { seen: SEEN, dropped: 0, damage: [], chunks: 1 })
})

test('a segment cut at any byte gives its whole blocks, and the bytes that are dropped', async (t) => {
  const whole = join(SEGMENT_HEADER, ONE, TWO, THREE)
  const ends = [0, 28, 48, 48 + ONE.length, 48 + ONE.length + TWO.length, whole.length]
  const path = fileOf(t)
  for (let size = 0; size <= whole.length; size++) {
    writeFileSync(path, whole.subarray(0, size))
    const last = ends.findLastIndex((end) => end <= size)
    const { seen, dropped, damage } = await readAll(path)
    assert.deepEqual({ seen, dropped, damage }, {
      seen: SEEN.slice(0, Math.max(0, last - 2)), dropped: size - ends[last], damage: [],
    }, `${size} bytes`)
  }
})

test('zeros from any byte of the last blocks on are dropped with the blocks that they cut', async (t) => {
  const whole = join(SEGMENT_HEADER, ONE, TWO, THREE)
  const ends = [48 + ONE.length, 48 + ONE.length + TWO.length, whole.length]
  const path = fileOf(t)
  for (let size = ends[0]; size < whole.length; size++) {
    // zeros instead of zeros at the end of a number change nothing
    if (whole.subarray(size, ends.find((end) => end > size)).every((byte) => byte === 0)) continue
    const zeroed = join(whole.subarray(0, size), new Uint8Array(10_000))
    const last = ends.findLastIndex((end) => end <= size)
    writeFileSync(path, zeroed)
    const { seen, dropped, damage } = await readAll(path)
    assert.deepEqual({ seen, dropped, damage }, {
      seen: SEEN.slice(0, last + 1), dropped: zeroed.length - ends[last], damage: [],
    }, `${size} bytes`)
  }
})

test('a damaged place is told with its offset and size, and reading goes on behind it', async (t) => {
  const at = 48 + ONE.length
  const damages: readonly [offset: number, value: number, description: string][] = [
    [0, 9, `type of block that spools have wanted at byte ${at}, 9 found`],
    [4, 0, `length up to 65608 and a multiple of 4 wanted at byte ${at}, 0 found`],
    [4, 88, `packet that fills its block wanted at byte ${at}, 60 found`],
    [14, 0xff, `time below 2^53 µs wanted at byte ${at}, 71882434401203340 found`],
    [28, 0x70, `IPv4 or IPv6 header wanted at byte ${at}, 112 found`],
    [33, 0, `IP and UDP headers that agree with the packet's length wanted at byte ${at}, 60 found`],
    [TWO.length - 4, 0, `its length at its end wanted at byte ${at}, 0 found`],
  ]
  for (const [offset, value, description] of damages) {
    const damaged = TWO.slice()
    damaged[offset] = value
    const path = fileOf(t, SEGMENT_HEADER, ONE, damaged, THREE)
    const { seen, dropped, damage } = await readAll(path)
    assert.deepEqual(damage.map(({ code, message }) => [code, message]), [[
      'ERR_MALFORMED', `Cannot read spool segment "${path}": ${description}, ${TWO.length} bytes are skipped`,
    ]])
    assert.deepEqual({ seen, dropped }, { seen: [SEEN[0], SEEN[2]], dropped: 0 })
  }
})

test('zeros in the middle, as a sudden end can leave them, are one damaged place', async (t) => {
  const path = fileOf(t, SEGMENT_HEADER, ONE, new Uint8Array(3_000_000), TWO, THREE)
  const { seen, dropped, damage } = await readAll(path)
  assert.match(damage[0].message, /wanted at byte 112, 0 found, 3000000 bytes are skipped$/)
  assert.deepEqual({ seen, dropped, places: damage.length }, { seen: SEEN, dropped: 0, places: 1 })
})

test('a damaged begin of the file costs no datagram', async (t) => {
  const path = fileOf(t, new Uint8Array(48), ONE, TWO, THREE)
  const { seen, damage } = await readAll(path)
  assert.match(damage[0].message, /wanted at byte 0, 0 found, 48 bytes are skipped$/)
  assert.deepEqual(seen, SEEN)
})

test('blocks within the payload of a cut or damaged block are not read', async (t) => {
  const carrier = blocksOf(datagramOf(join(ONE, TWO, THREE))) // of 28 + 28 bytes before the payload
  const cut = fileOf(t, SEGMENT_HEADER, carrier.subarray(0, -4))
  assert.deepEqual(await readAll(cut), { seen: [], dropped: carrier.length - 4, damage: [], chunks: 1 })

  const zeroed = join(carrier.subarray(0, -4), u32(0))
  const { seen, damage } = await readAll(fileOf(t, SEGMENT_HEADER, zeroed, ONE))
  assert.deepEqual([seen, damage.length], [[SEEN[0]], 1])

  const mismatched = carrier.slice()
  mismatched[40] ^= 1 // of the source address
  const after = await readAll(fileOf(t, SEGMENT_HEADER, mismatched, ONE))
  assert.deepEqual([after.seen, after.damage.length], [[SEEN[0]], 1])
})

test('long segments come in chunks of whole blocks', async (t) => {
  const path = fileOf(t, SEGMENT_HEADER)
  const wanted: Seen[] = []
  for (let i = 0; wanted.length < 300; i++) {
    const payload = Uint8Array.from({ length: (i * 7919) % 65_508 }, (_, k) => k + i)
    const datagram = datagramOf(payload, i % 3 === 0 ? '2001:db8::1' : '192.0.2.77', i, TIME + i)
    wanted.push(seenOf(datagram))
    appendFileSync(path, blocksOf(datagram))
  }
  const { seen, dropped, damage, chunks } = await readAll(path)
  assert.deepEqual(seen, wanted)
  assert.deepEqual({ dropped, damage }, { dropped: 0, damage: [] })
  assert.ok(chunks >= 9 && chunks <= 11, `${chunks} chunks`)
})

test('a segment that is not there is a system error', async (t) => {
  await assert.rejects(readAll(joinPath(temporaryFolder(t), 'no.pcapng')), { code: 'ENOENT' })
})
