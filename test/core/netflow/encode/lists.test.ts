import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lossByField } from '../../../../core/flow/loss.ts'
import { setEncoder, type SetEncoderOptions } from '../../../../core/netflow/encode/sets.ts'
import { basicList, LIST_MESSAGES, subTemplateList } from '../list-messages.ts'
import { collector, ipfix, join, set, template, u16, u8, v9, variable } from '../messages.ts'
import { decodeAll, encodeAll } from './rows.ts'

const OPTIONS: SetEncoderOptions = { maxSize: 1400, domain: 7, templateRefresh: 60e6 }
const VARIABLE = 65_535

test('a basicList is sent as it came', () => {
  const { batch, send } = collector({ extras: true })
  send(LIST_MESSAGES[3].bytes)
  const encoder = setEncoder(10, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batch))
  assert.deepEqual(row['extras'], [
    '0/291=040052ffff054645302f30ff00054645372f30', '0/291=ff8384000400001f79000005b4',
  ])
  assert.deepEqual(lossByField(encoder.loss), [])
})

test('lists of records are reported as not carried: their templates are not announced here', () => {
  const { batch, send } = collector({ extras: true })
  send(LIST_MESSAGES[4].bytes)
  send(LIST_MESSAGES[5].bytes)
  const encoder = setEncoder(10, OPTIONS)
  const rows = decodeAll(encodeAll(encoder, batch))
  assert.equal(rows.length, 4)
  for (const row of rows) assert.equal(row['extras'], undefined)
  assert.deepEqual(lossByField(encoder.loss), [
    { name: 'subTemplateList', leftOut: 2, narrowed: 0 },
    { name: 'subTemplateMultiList', leftOut: 3, narrowed: 0 },
  ])
})

test('a basicList of lists of records is left out of its row alone', () => {
  const { batch, send } = collector({ extras: true })
  const plain = basicList([291, VARIABLE], [variable(basicList([4, 1], [u8(6)]))])
  const known = basicList([292, VARIABLE], [variable(subTemplateList(257, [u8(6)]))])
  const unknown = basicList([292, VARIABLE], [variable(subTemplateList(999, [u8(6)]))])
  const record = (port: number, list: Uint8Array) => join(u16(port), variable(list), variable(plain))
  send(ipfix({},
    set(2, template(256, [7, 2], [291, VARIABLE], [291, VARIABLE]), template(257, [4, 1])),
    set(256, record(1, plain), record(2, known), record(3, unknown), record(4, plain))))
  const encoder = setEncoder(10, OPTIONS)
  const kept = `0/291=${Buffer.from(plain).toString('hex')}`
  const rows = decodeAll(encodeAll(encoder, batch))
  assert.deepEqual(rows.map((row) => [row['src_port'], row['extras']]), [
    [1, [kept, kept]], [2, [kept]], [3, [kept]], [4, [kept, kept]],
  ])
  assert.deepEqual(lossByField(encoder.loss), [{ name: 'basicList', leftOut: 2, narrowed: 0 }])
})

test('NetFlow v9 carries no lists', () => {
  const { batch, send } = collector({ extras: true })
  send(v9({}, set(0, template(256, [7, 2], [291, 6])), set(256, u16(53), basicList([4, 1], [u8(6)]))))
  const encoder = setEncoder(9, OPTIONS)
  const [row] = decodeAll(encodeAll(encoder, batch))
  assert.equal(row['src_port'], 53)
  assert.deepEqual(lossByField(encoder.loss).filter(({ name }) => name === 'basicList'), [
    { name: 'basicList', leftOut: 1, narrowed: 0 },
  ])
})
