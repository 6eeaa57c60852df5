import { test } from 'node:test'
import assert from 'node:assert/strict'
import { ipv6Storage } from '../../../core/flow/address.ts'
import { appendRows } from '../../../core/flow/append-rows.ts'
import { FlowBatch } from '../../../core/flow/batch.ts'
import { FIELDS, FIELD_COUNT, ID, findField } from '../../../core/flow/fields.ts'
import { addFields, makeShape } from '../../../core/flow/shape.ts'
import { formatTime } from '../../../core/flow/time.ts'

function sample(rows: number, capacity = 4): FlowBatch {
  const batch = new FlowBatch(capacity)
  const shape = makeShape([ID.bytes, ID.srcAddr, ID.flowId, ID.userName], 3, [{ pen: 9, id: 1, length: 2 }])
  for (let i = 0; i < rows; i++) {
    batch.reserve(1)
    batch.shape[i] = batch.intern(shape)
    batch.bytes[i] = i * 2 ** 40
    batch.srcAddr.family[i] = i % 2 ? 6 : 4
    batch.srcAddr.v4[i] = i % 2 ? 0 : i
    if (i % 2) ipv6Storage(batch.srcAddr)[i * 16 + 15] = i
    batch.flowId[i * 2 + 1] = i
    batch.userName[i * 2] = batch.addBytes(Buffer.from(`user${i}`), 0, 5)
    batch.userName[i * 2 + 1] = 5
    batch.useExtras()[i * 2] = batch.addBytes(new Uint8Array([i, i]), 0, 2)
    batch.extras[i * 2 + 1] = 2
    batch.length++
  }
  return batch
}

function rowOf(batch: FlowBatch, row: number): unknown[] {
  const user = batch.userName[row * 2]
  return [
    batch.bytes[row], batch.srcAddr.family[row], batch.srcAddr.v4[row],
    batch.srcAddr.family[row] === 6 ? batch.srcAddr.v6[row * 16 + 15] : undefined,
    batch.flowId[row * 2 + 1], Buffer.from(batch.heap.subarray(user, user + 5)).toString(), batch.heap[batch.extras[row * 2]],
  ]
}
const wanted = (i: number) => [i * 2 ** 40, i % 2 ? 6 : 4, i % 2 ? 0 : i, i % 2 ? i : undefined, i, `user${i}`, i]

test('a batch keeps its rows when it grows', () => {
  const batch = sample(9)
  assert.ok(batch.capacity >= 9)
  for (let i = 0; i < 9; i++) assert.deepEqual(rowOf(batch, i), wanted(i))
})

test('keep() leaves the selected rows, in order, with all their columns', () => {
  for (const chosen of [[0, 1, 2, 3, 4, 5, 6, 7, 8], [], [8], [0], [0, 1, 5, 8], [3, 4]]) {
    const batch = sample(9)
    batch.keep(Uint8Array.from({ length: 9 }, (_, i) => chosen.includes(i) ? 1 : 0))
    assert.equal(batch.length, chosen.length)
    assert.deepEqual(chosen.map((_, i) => rowOf(batch, i)), chosen.map(wanted))
  }
})

test('append() copies a row with its bytes in the heap', () => {
  const from = sample(4)
  const to = new FlowBatch(1)
  for (const row of [3, 0, 2]) to.append(from, row)
  assert.deepEqual([0, 1, 2].map((i) => rowOf(to, i)), [3, 0, 2].map(wanted))
  assert.deepEqual(to.shapes, from.shapes)
})

test('appendRows() copies a range of rows as append() does, behind those that are there', () => {
  const from = sample(9)
  from.shape[4] = from.intern(makeShape([ID.bytes]))
  const to = new FlowBatch(2)
  for (const [start, end] of [[7, 9], [3, 3], [0, 5], [5, 6]]) appendRows(to, from, start, end)
  const rows = [7, 8, 0, 1, 2, 3, 4, 5]
  const one = new FlowBatch()
  for (const row of rows) one.append(from, row)
  assert.equal(to.length, rows.length)
  for (const [i, row] of rows.entries()) {
    assert.deepEqual(to.shapes[to.shape[i]], from.shapes[from.shape[row]])
    if (row !== 4) assert.deepEqual(rowOf(to, i), wanted(row))
  }
  assert.deepEqual([to.bytes[6], to.heapLength], [4 * 2 ** 40, one.heapLength])
})

test('presence is told by shape, so that 0 and absent differ', () => {
  const batch = new FlowBatch(2)
  const plain = makeShape([ID.bytes])
  batch.shape[0] = batch.intern(plain)
  batch.shape[1] = batch.intern(addFields(plain, [ID.packets]))
  batch.length = 2
  batch.packets[0] = 7
  assert.deepEqual([...batch.present(ID.packets)], [0, 1])
  assert.deepEqual([...batch.present(ID.bytes)], [1, 1])
  assert.equal(batch.intern(makeShape([ID.packets, ID.bytes])), 1)
  assert.equal(batch.has(ID.packets), true)
  assert.equal(batch.has(ID.srcPort), false)
})

test('a cleared batch does not pile up shapes', () => {
  const batch = new FlowBatch(1)
  for (let i = 0; i < 5000; i++) {
    batch.intern(makeShape([i % FIELD_COUNT], -1, [{ pen: 1, id: i, length: 1 }]))
    batch.clear()
    assert.ok(batch.shapes.length <= 256)
  }
})

test('the field table has unique names, and each name, column and id finds its field', () => {
  assert.equal(new Set(FIELDS.map((f) => f.name)).size, FIELD_COUNT)
  for (const field of FIELDS) {
    assert.equal(findField(field.name), field)
    assert.equal(findField(field.column), field)
    assert.equal(findField(field.name.toUpperCase()), field)
    assert.equal(ID[field.column], field.id)
    assert.match(field.name, /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/)
    assert.ok(field.doc.length > 5)
  }
  assert.equal(findField('mplsLabel10')?.name, 'mpls_label_10')
  assert.equal(findField('nonsense'), undefined)
})

test('each peer has one field to a name, but for prefix lengths and what it folds together', () => {
  for (const peer of ['nfdump', 'goflow2', 'flowd', 'flow-tools'] as const) {
    const names = FIELDS.map((f) => f.peers[peer]).filter((n) => n !== undefined)
    assert.deepEqual(names.filter((n, i) => names.indexOf(n) !== i), [], peer)
  }
})

test('an element fills one field, or two that take parts of it', () => {
  const shared = new Map<string, string[]>()
  for (const field of FIELDS) {
    for (const { pen, id } of field.elements) {
      const key = `${pen}/${id}`
      shared.set(key, [...shared.get(key) ?? [], field.name])
    }
  }
  const twice = Object.fromEntries([...shared].filter(([, names]) => names.length > 1))
  assert.deepEqual(twice, {
    '0/85': ['bytes', 'total_bytes'],
    '0/86': ['packets', 'total_packets'],
    '0/32': ['icmp_type', 'icmp_code'],
    '0/139': ['icmp_type', 'icmp_code'],
  })
})

test('formatTime() agrees with Date, and shows the digits that a time has', () => {
  for (const ms of [0, 951_782_400_000, 1_709_208_000_123, 4_102_444_799_999, -1, 1_582_934_400_000]) {
    assert.equal(formatTime(ms * 1000), new Date(ms).toISOString())
  }
  assert.equal(formatTime(1_700_000_000_123_456), '2023-11-14T22:13:20.123456Z')
  assert.equal(formatTime(1_700_000_000_123_456, 789), '2023-11-14T22:13:20.123456789Z')
  assert.equal(formatTime(1_700_000_000_123_456, 0, 0), '2023-11-14T22:13:20Z')
  assert.equal(formatTime(1_700_000_000_123_456, 0, 3), '2023-11-14T22:13:20.123Z')
})
