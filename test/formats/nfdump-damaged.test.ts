import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compressLzo, lzoBound } from '../../core/compress/lzo.ts'
import { join, text } from '../core/netflow/messages.ts'
import { block, extension, file, flow, le, readFile, type Read } from './nfdump-files.ts'

/** A flow with so many packets, in 64 bytes. */
function numbered(packets: number): Uint8Array {
  const times = le(8, 1_795_000_000_000, 1_795_000_000_001, 0)
  return flow({}, extension(1, times, le(8, packets, 40), le(2, 1, 2), le(4, 6)))
}

function packets({ rows }: Read): (string | number | readonly string[])[] {
  return rows.map((row) => row['packets'])
}

function lzo(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(lzoBound(bytes.length))
  return target.subarray(0, compressLzo(bytes, target))
}

const TWO = [block([numbered(1), numbered(2)]), block([numbered(3)])]

/** What is said of the faults, with their offsets. */
function said({ faults }: Read): (readonly [number | undefined, string])[] {
  return faults.map(({ offset, reason }) => [offset, reason.replace(/^Cannot read (all of )?nfdump /, '')])
}

test('a block of an unknown kind is stepped over', () => {
  const found = readFile(file([block([numbered(1)], { type: 99 }), TWO[1]]))
  assert.deepEqual(packets(found), [3])
  assert.deepEqual(said(found), [[40, 'block at byte 40: type 1 to 4 expected, 99 found']])
})

test('an array block holds no flows', () => {
  const found = readFile(file([block([le(4, 1, 2, 3)], { type: 4 }), TWO[1]]))
  assert.deepEqual([packets(found), found.faults, found.error], [[3], [], undefined])
})

test('a record that reaches beyond its block ends the block, not the file', () => {
  const long = numbered(2)
  long.set(le(2, 0xffff), 2)
  const found = readFile(file([block([numbered(1), long]), TWO[1]]))
  assert.deepEqual(packets(found), [1, 3])
  assert.deepEqual(said(found), [
    [40, 'block at byte 40: its record at byte 64 contradicts its size, the rest is left out'],
  ])
  const packed = readFile(file(
    [block([numbered(1), long], { pack: lzo }), block([numbered(3)], { pack: lzo })],
    { compression: 1, pack: lzo },
  ))
  assert.deepEqual([packets(packed), said(packed)], [[1, 3], said(found)])
})

test('a record smaller than its header ends the block too', () => {
  const found = readFile(file([block([numbered(1), le(2, 11, 3), numbered(2)]), TWO[1]]))
  assert.deepEqual(packets(found), [1, 3])
  assert.match(said(found)[0][1], /its record at byte 64 contradicts its size/)
})

test('records whose extensions do not fill them are counted and stepped over', () => {
  const short = numbered(2)
  short.set(le(2, 40), 14) // the extension's length
  const many = numbered(2)
  many.set(le(2, 2), 4) // the number of extensions
  const none = numbered(2)
  none.set(le(2, 0), 14)
  const found = readFile(file([block([numbered(1), short, many, none, numbered(4)])]))
  assert.deepEqual(packets(found), [1, 4])
  assert.deepEqual(said(found), [[40, 'block at byte 40: 3 of its records contradict their sizes']])
})

test('a wrong number of records is told of', () => {
  const found = readFile(file([block([numbered(1)], { count: 9999 }), TWO[1]]))
  assert.deepEqual(packets(found), [1, 3])
  assert.deepEqual(said(found), [[40, 'block at byte 40: 9999 records expected, 1 found']])
})

test('a packed block that is damaged is stepped over', () => {
  const damaged = block([numbered(1)], { pack: lzo })
  damaged.fill(0xff, 14, 24)
  const found = readFile(file([damaged, block([numbered(3)], { pack: lzo })], { compression: 1, pack: lzo }))
  assert.deepEqual(packets(found), [3])
  assert.match(said(found)[0][1], /^block at byte 40: Cannot unpack LZO at byte \d+: /)
})

test('a block larger than any ends the reading, since nobody knows where the next begins', () => {
  const bytes = file(TWO)
  bytes.set(le(4, 0x7fffffff), 44)
  const found = readFile(bytes)
  assert.deepEqual(packets(found), [])
  assert.equal(found.error,
    'Cannot read nfdump block at byte 40: at most 5242880 bytes expected, 2147483647 announced')
})

test('blocks that end elsewhere than the header says are told of, and the end is found again', () => {
  const bytes = file([block([numbered(1)])])
  bytes.set(le(4, 5), 44)
  const found = readFile(bytes)
  assert.deepEqual([packets(found), found.error], [[], undefined])
  assert.deepEqual(said(found), [
    [40, 'block at byte 40: its record at byte 0 contradicts its size, the rest is left out'],
    [57, 'file: its blocks expected to end at byte 116, found at 57'],
  ])
})

test('of a file that was cut the records before the cut are read', () => {
  const bytes = file(TWO)
  const cases: readonly (readonly [number, number[], string])[] = [
    [20, [], '20 bytes are left'],
    [40, [], 'Cannot read nfdump file: 2 blocks expected, 0 found'],
    [40 + 12 + 64, [1], 'Cannot read nfdump file: the block at byte 40 expected to its end, 64 bytes lack'],
    [40 + 12 + 128 + 12 + 64, [1, 2, 3], 'Cannot read nfdump file: its appendix expected at byte 256'],
    [bytes.length - 1, [1, 2, 3], 'Cannot read nfdump file: its appendix expected at byte 256'],
  ]
  for (const [length, expected, error] of cases) {
    const found = readFile(bytes.subarray(0, length))
    assert.deepEqual([packets(found), found.faults, found.error], [expected, [], error])
  }
})

test('a file of another version, compression or byte order is refused', () => {
  const change = (at: number, ...bytes: number[]) => {
    const changed = file(TWO)
    changed.set(bytes, at)
    return readFile(changed).error
  }
  assert.equal(change(2, 9), 'Cannot read nfdump file: layout 1 or 2 expected, 9 found')
  assert.equal(change(16, 9), 'Cannot read nfdump file: compression 0 to 4 expected, 9 found')
  assert.equal(change(17, 1), 'Cannot read nfdump file: no encryption expected, kind 1 found')
  assert.equal(change(0, 0), 'Cannot read nfdump file: magic 0xa50c expected, 0xa500 found')
  const swapped = change(0, 0xa5, 0x0c, 0, 2)
  assert.equal(swapped,
    'Cannot read nfdump file: numbers with their lowest byte first expected, found the highest first')
})

test('what nfdump -i of 1.7.1 leaves behind the end is no flow', () => {
  const { rows, faults, error } = readFile(join(file(TWO), block([text('....')]), file(TWO).subarray(0, 40)))
  assert.deepEqual([rows.length, faults, error], [3, [], undefined])
})

test('records of exporters and names that contradict their sizes change nothing', () => {
  const bad = [
    join(le(2, 7, 30), new Uint8Array(26)), join(le(2, 15, 16), new Uint8Array(12)),
    join(le(2, 9, 24), new Uint8Array(20)),
    join(le(2, 13, 16, 9, 12), le(4, 8, 0)), join(le(2, 12, 16, 9, 12), le(4, 8, 0)),
    join(le(2, 12, 16, 9, 0), le(4, 8, 0)),
    join(le(2, 13, 4)), join(le(2, 2, 6), le(2, 0)),
  ]
  const found = readFile(file([block([...bad, numbered(1)])]))
  assert.deepEqual(packets(found), [1])
  assert.match(said(found)[0][1], /: 8 of its records contradict their sizes$/)
})
