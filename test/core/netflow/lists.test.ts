import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatElement } from '../../../core/flow/element-value.ts'
import { findElement } from '../../../core/flow/elements.ts'
import { MAX_LIST_DEPTH, MAX_LIST_SIZE } from '../../../core/flow/list-value.ts'
import { extraNames, extraValues } from '../../../formats/extras.ts'
import {
  basicList, LIST_MESSAGES, SEMANTIC, subTemplateList, subTemplateMultiList,
} from './list-messages.ts'
import {
  collector, hex, ip4, ipfix, join, options10, set, template, text, u16, u32, u8, v9, variable,
  type Collector,
} from './messages.ts'

const VARIABLE = 65_535

/** Decode datagrams. @returns the elements without a column, by name, of the rows of all */
function elementsOf(...datagrams: readonly Uint8Array[]): Record<string, unknown>[] {
  const all = collector({ extras: true })
  for (const datagram of datagrams) all.send(datagram)
  return elementsIn(all)
}

function elementsIn({ batch }: Collector): Record<string, unknown>[] {
  return Array.from({ length: batch.length }, (_, row) => {
    const { extras } = batch.shapes[batch.shape[row]]
    const values = extraValues(extras, batch, row)
    return Object.fromEntries(extraNames(extras, []).map((name, i) => [name, values[i]]))
  })
}

/** The value of a subTemplateList in a record of its own, with the templates announced before. */
function valueOf(list: Uint8Array, ...templates: readonly Uint8Array[]): unknown {
  const [row] = elementsOf(ipfix({},
    set(2, template(300, [292, VARIABLE]), ...templates), set(300, variable(list, 3))))
  return row['subTemplateList']
}

for (const { title, bytes, rows } of LIST_MESSAGES) {
  test(title, () => assert.deepEqual(elementsOf(bytes), rows))
}

test('a list has the templates before it that it names', () => {
  const { batch, send } = collector({ extras: true })
  const inner = template(257, [8, 4], [210, 0], [14, 1, 6871], [82, VARIABLE])
  const list = subTemplateList(257, [join(ip4('192.0.2.1'), u8(7), variable(text('a')))])
  const [row] = send(ipfix({}, set(2, inner, template(256, [292, VARIABLE])), set(256, variable(list))))
  assert.deepEqual(row['extras'], [`0/292=${Buffer.from(hex(`
    fe 0001                                 # one template
    0101 0003                               # 257 with three fields, the one without bytes left out
    00000000 0008 0004                      # sourceIPv4Address
    00001ad7 000e 0001                      # CERT's initialTCPFlags
    00000000 0052 ffff                      # interfaceName
    03 0101 c0000201 07 01 61`)).toString('hex')}`])
  assert.equal(batch.heapLength, 2 + 31 + 10)
})

test('a list that names no template is kept as it was sent', () => {
  const list = basicList([82, VARIABLE], [variable(text('lo'))])
  const [row] = collector({ extras: true })
    .send(ipfix({}, set(2, template(256, [4, 1], [291, VARIABLE])), set(256, u8(6), variable(list, 3))))
  assert.deepEqual(row['extras'], ['0/291=030052ffff026c6f'])
})

test('without elements wanted, lists are not looked at', () => {
  const { send, batch } = collector({ extras: false })
  assert.equal(send(LIST_MESSAGES[6].bytes).length, 1)
  assert.equal(batch.heapLength, 0)
})

test('the semantic shows where it is not that all items are meant', () => {
  const shown = (semantic: number) => {
    const list = basicList([4, 1], [u8(6)], semantic)
    return elementsOf(ipfix({}, set(2, template(256, [291, 6])), set(256, list)))[0]['basicList']
  }
  for (const semantic of [SEMANTIC.allOf, SEMANTIC.ordered, SEMANTIC.undefined]) {
    assert.deepEqual(shown(semantic), [6])
  }
  assert.deepEqual(shown(SEMANTIC.noneOf), { semantic: 'noneOf', list: [6] })
  assert.deepEqual(shown(SEMANTIC.exactlyOneOf), { semantic: 'exactlyOneOf', list: [6] })
  assert.deepEqual(shown(SEMANTIC.oneOrMoreOf), { semantic: 'oneOrMoreOf', list: [6] })
  assert.deepEqual(shown(5), { semantic: 5, list: [6] })
  assert.deepEqual(shown(254), { semantic: 254, list: [6] })
})

test('a list whose template is not known is hexadecimal text, and so is such a part of a list alone', () => {
  assert.equal(valueOf(subTemplateList(999, [u32(1)])), '0303e700000001')
  const list = subTemplateMultiList([[257, u8(6)], [999, u32(1)], [257, u8(17)]])
  const [row] = elementsOf(ipfix({},
    set(2, template(256, [293, VARIABLE]), template(257, [4, 1])), set(256, variable(list))))
  assert.deepEqual(row, {
    subTemplateMultiList: [{ protocolIdentifier: 6 }, '03e7000800000001', { protocolIdentifier: 17 }],
  })
})

test('the template is the one that its id has when the list comes, in the same observation domain', () => {
  const outer = template(256, [292, VARIABLE])
  const data = set(256, variable(subTemplateList(257, [u8(6)])))
  assert.deepEqual(elementsOf(
    ipfix({ domain: 1 }, set(2, outer, template(257, [4, 1])), data),
    ipfix({ domain: 2 }, set(2, outer), data),
    ipfix({ domain: 1 }, set(2, template(257, [5, 1])), data),
    ipfix({ domain: 1 }, set(2, template(257)), data),
  ), [
    { subTemplateList: [{ protocolIdentifier: 6 }] },
    { subTemplateList: '03010106' },
    { subTemplateList: [{ ipClassOfService: 6 }] },
    { subTemplateList: '03010106' },
  ])
})

test('records may be of an options template, and lists may come late', () => {
  const late = collector({ extras: true })
  late.send(ipfix({}, set(256, variable(subTemplateList(257, [join(u32(7), u8(6))])))))
  late.send(ipfix({}, set(3, options10(257, [[10, 4]], [[4, 1]])), set(2, template(256, [292, VARIABLE]))))
  assert.deepEqual(elementsIn(late), [{ subTemplateList: [{ ingressInterface: 7, protocolIdentifier: 6 }] }])
})

test('NetFlow v9 has lists too, of fixed length', () => {
  const list = subTemplateList(257, [u8(6), u8(17)])
  const message = v9({}, set(0, template(257, [4, 1]), template(256, [292, 5])), set(256, list))
  assert.deepEqual(elementsOf(message), [
    { subTemplateList: [{ protocolIdentifier: 6 }, { protocolIdentifier: 17 }] },
  ])
})

test('a list that does not hold together is hexadecimal text', () => {
  const inner = template(257, [4, 1], [82, VARIABLE])
  for (const list of ['', '03', '0301', '03010106', '0301010605616263', '03010106ff0001']) {
    assert.equal(valueOf(hex(list), inner), list)
  }
  for (const list of ['0301', '0301010003', '030101000606', '030101000506ff']) {
    const [row] = elementsOf(
      ipfix({}, set(2, template(300, [293, VARIABLE])), set(300, variable(hex(list), 3))))
    assert.equal(row['subTemplateMultiList'], list)
  }
})

test('a list in a list that does not hold together is hexadecimal text, the list around it is not', () => {
  const list = subTemplateList(257, [
    join(u8(6), variable(hex('0300080004c0'))), join(u8(17), variable(basicList([4, 1], [u8(1)]))),
  ])
  assert.deepEqual(valueOf(list, template(257, [4, 1], [291, VARIABLE])), [
    { protocolIdentifier: 6, basicList: '0300080004c0' }, { protocolIdentifier: 17, basicList: [1] },
  ])
})

test('a list of records without bytes is hexadecimal text unless it is empty', () => {
  for (const inner of [template(257, [4, 0]), template(257, [4, 0], [5, 0], [82, 0])]) {
    assert.equal(valueOf(subTemplateList(257, [u8(1, 2, 3)]), inner), '030101010203')
    assert.deepEqual(valueOf(subTemplateList(257, []), inner), [])
  }
  const [row] = elementsOf(
    ipfix({}, set(2, template(256, [291, 8])), set(256, basicList([4, 0], [u8(1, 2, 3)]))))
  assert.equal(row['basicList'], '0300040000010203')
})

test('records that are padding alone are empty objects', () => {
  assert.deepEqual(valueOf(subTemplateList(257, [u8(0, 0), u8(0, 0)]), template(257, [210, 2])), [{}, {}])
})

/** `depth` lists in each other; `around` makes what stands before a list of so many bytes. */
function nested(depth: number, around: (inner: number) => Uint8Array, innermost: Uint8Array): Uint8Array {
  const parts = [innermost]
  for (let i = 1, size = innermost.length; i < depth; i++) {
    const part = around(size)
    parts.push(part)
    size += part.length
  }
  return join(...parts.reverse())
}

const aroundRecords = (inner: number) => join(u8(3), u16(300), u8(255), u16(inner))
const aroundItems = (inner: number) => join(u8(3), u16(291, inner))

test(`${MAX_LIST_DEPTH} lists in each other are opened, those in them are hexadecimal text`, () => {
  const depthOf = (value: unknown): unknown[] => {
    for (let depth = 0; ; depth++) {
      if (!Array.isArray(value)) return [depth, value]
      value = (value[0] as Record<string, unknown>)?.['subTemplateList']
    }
  }
  const empty = subTemplateList(300, [])
  assert.deepEqual(depthOf(valueOf(nested(8, aroundRecords, empty))), [8, undefined])
  assert.deepEqual(depthOf(valueOf(nested(9, aroundRecords, empty))), [8, '03012c'])
  assert.deepEqual(depthOf(valueOf(nested(10, aroundRecords, empty))), [8, '03012cff000303012c'])
})

test('10,000 lists in each other are opened as deep as any', () => {
  const records = nested(10_000, aroundRecords, subTemplateList(300, []))
  const items = nested(10_000, aroundItems, basicList([4, 1], [u8(6)]))
  for (const [id, list] of [[292, records], [291, items]] as const) {
    const [row] = elementsOf(ipfix({}, set(2, template(300, [id, VARIABLE])), set(300, variable(list, 3))))
    const json = JSON.stringify(row)
    assert.equal(json.replace(/[^[]/g, '').length, 8)
    assert.ok(json.length < 2 * list.length + 300)
  }
})

test('a list as long as a message allows is kept whole', () => {
  const list = subTemplateList(257, [new Uint8Array(65_489)])
  const bytes = ipfix({},
    set(2, template(256, [292, VARIABLE]), template(257, [4, 1])), set(256, variable(list, 3)))
  assert.equal(bytes.length, 65_535)
  const [row] = elementsOf(bytes)
  assert.equal((row['subTemplateList'] as unknown[]).length, 65_489)
})

test(`templates that would make a list longer than ${MAX_LIST_SIZE} bytes are left out`, () => {
  const wide = (id: number, count: number) =>
    set(2, template(id, ...Array.from({ length: count }, (): [number, number] => [4, 1])))
  const all = collector({ extras: true })
  all.send(ipfix({}, wide(257, 7000)))
  all.send(ipfix({}, wide(258, 2000), set(2, template(256, [293, VARIABLE]))))
  const list = subTemplateMultiList([[257, new Uint8Array(7000)], [258, new Uint8Array(2000)]])
  all.send(ipfix({}, set(256, variable(list, 3))))
  const [{ subTemplateMultiList: value }] = elementsIn(all) as { subTemplateMultiList: unknown[] }[]
  assert.equal(value.length, 2)
  assert.equal(Object.keys(value[0] as object).length, 7000)
  assert.equal((value[0] as Record<string, unknown>)['protocolIdentifier_7000'], 0)
  assert.equal(value[1], `010207d4${'00'.repeat(2000)}`)
})

test('many lists of a template with many fields take memory in proportion to what was sent', () => {
  const wide = (id: number, count: number, rest: number) =>
    template(id, ...Array.from({ length: count }, (_, i): [number, number] => [4, i === 0 ? 1 : rest]))
  const all = collector({ extras: true })
  all.send(ipfix({}, set(2, wide(257, 16_000, 0))))
  all.send(ipfix({}, set(2, template(256, [292, VARIABLE]), wide(258, 8000, 1))))
  const lists = [257, 258].flatMap((id) =>
    Array.from({ length: 5000 }, () => variable(subTemplateList(id, [u8(6)]))))
  const bytes = ipfix({}, set(256, ...lists))
  all.send(bytes)
  const values = elementsIn(all)
  assert.equal(values.length, 10_000)
  assert.deepEqual(values[0], { subTemplateList: [{ protocolIdentifier: 6 }] })
  assert.deepEqual(values[9999], { subTemplateList: '03010206' })
  assert.ok(all.batch.heapLength < 10 * bytes.length)
})

test('kept lists that no decoder made are read as far as they hold together', () => {
  const read = (list: string) => {
    const bytes = hex(`ee ${list} ee`)
    return formatElement(findElement(0, 292)!.type, bytes, 1, bytes.length - 1)
  }
  assert.equal(read('fe'), 'fe')
  assert.equal(read('fe00'), 'fe00')
  assert.equal(read('fe0001'), 'fe0001')
  assert.equal(read('fe0001 0101 0001 00000000 0004'), 'fe0001010100010000000000' + '04')
  assert.equal(read('fe0000'), '')
  assert.equal(read('fe0000 03 0101 06'), '03010106')
  assert.equal(read('fe0001 0101 0001 00000000 0004 0000 03 0101 06'), '03010106') // a field without bytes
  assert.deepEqual(read('fe0001 0101 0002 00000000 0005 0000 00000000 0004 0001 03 0101 06'), [
    { protocolIdentifier: 6 },
  ])
})
