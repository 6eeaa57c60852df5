/** IPFIX messages with lists of RFC 6313, and what their rows should tell of them. */
import {
  hex, ip4, ipfix, join, mac, set, template, text, u16, u32, u8, variable, type TemplateField,
} from './messages.ts'

/** A message that announces what it needs, and the elements without a column of each of its rows. */
export interface ListMessage {
  readonly title: string
  readonly bytes: Uint8Array
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** The semantics of RFC 6313 §4.4. */
export const SEMANTIC = {
  noneOf: 0, exactlyOneOf: 1, oneOrMoreOf: 2, allOf: 3, ordered: 4, undefined: 255,
} as const

const VARIABLE = 65_535

/** A basicList: RFC 6313 §4.5.1. */
export function basicList(
  [id, length, pen]: TemplateField, items: readonly Uint8Array[], semantic = 3,
): Uint8Array {
  const field = pen === undefined ? u16(id, length) : join(u16(id | 0x8000, length), u32(pen))
  return join(u8(semantic), field, ...items)
}

/** A subTemplateList: RFC 6313 §4.5.2. */
export function subTemplateList(id: number, records: readonly Uint8Array[], semantic = 3): Uint8Array {
  return join(u8(semantic), u16(id), ...records)
}

/** A subTemplateMultiList of templates with their records: RFC 6313 §4.5.3. */
export function subTemplateMultiList(
  parts: readonly (readonly [id: number, ...records: Uint8Array[]])[], semantic = 3,
): Uint8Array {
  return join(u8(semantic), ...parts.map(([id, ...records]) => {
    const bytes = join(...records)
    return join(u16(id, bytes.length + 4), bytes)
  }))
}

const IN_ADDRESSES: readonly TemplateField[] = [[10, 4], [8, 4], [12, 4]]

/** All kinds of lists, alone and in each other. */
export const LIST_MESSAGES: readonly ListMessage[] = [
  {
    title: 'a multicast flow that leaves by three interfaces (RFC 6313 §8.1)',
    bytes: ipfix({}, set(2, template(256, ...IN_ADDRESSES, [291, VARIABLE])), hex(`
      0100 0024  # set 256 of 36 bytes
      00000009   # ingressInterface 9
      c00002c9   # sourceIPv4Address 192.0.2.201
      e9fc0001   # destinationIPv4Address 233.252.0.1
      ff 0011    # variable length, 17 bytes
      03         # allOf
      000e 0004  # egressInterface, 4 bytes each
      00000001 00000004 00000008`)),
    rows: [{ basicList: [1, 4, 8] }],
  },
  {
    title: 'a balanced flow that leaves by one of three interfaces (RFC 6313 §8.2)',
    bytes: ipfix({}, set(2, template(256, ...IN_ADDRESSES, [291, VARIABLE])), hex(`
      0100 0024 00000009 c00002c9 e9fc0001 ff 0011
      01         # exactlyOneOf
      000e 0004 00000001 00000004 00000008`)),
    rows: [{ basicList: { semantic: 'exactlyOneOf', list: [1, 4, 8] } }],
  },
  {
    title: 'TCP options with ExIDs of 16 and 32 bits (RFC 9740)',
    bytes: ipfix({}, set(2, template(256, [4, 1], [523, VARIABLE], [524, VARIABLE])), hex(`
      0100 001d 06
      ff 0009 03 0209 0002 0348 454e
      ff 0009 03 020a 0004 e2d4c3d9`)),
    rows: [{ tcpSharedOptionExID16List: [840, 17742], tcpSharedOptionExID32List: [3805594585] }],
  },
  {
    title: 'a basicList of texts, whose lengths differ, and one of an enterprise',
    bytes: ipfix({}, set(2, template(256, [4, 1], [291, VARIABLE], [291, 13])), set(256, join(
      u8(6),
      variable(basicList(
        [82, VARIABLE], [variable(text('FE0/0')), variable(text('FE7/0'), 3)], SEMANTIC.ordered)),
      basicList([900, 4, 8057], [u32(1460)], SEMANTIC.undefined),
    ))),
    rows: [{ basicList: ['FE0/0', 'FE7/0'], basicList_2: [1460] }],
  },
  {
    title: 'a subTemplateList of variable length, and one of fixed length',
    bytes: ipfix({}, set(2,
      template(257, [8, 4], [12, 4], [4, 1], [210, 3], [82, VARIABLE], [82, VARIABLE]),
      template(256, [4, 1], [292, VARIABLE], [292, 18]),
    ), set(256, join(
      u8(17),
      variable(subTemplateList(257, [
        join(ip4('192.0.2.1'), ip4('192.0.2.2'), u8(6, 0, 0, 0), variable(text('a')), variable(text('b'))),
        join(ip4('192.0.2.3'), ip4('192.0.2.4'), u8(17, 0, 0, 0), variable(text('')), variable(text('d'), 3)),
      ]), 3),
      subTemplateList(257, [
        join(ip4('192.0.2.5'), ip4('192.0.2.6'), u8(1, 0, 0, 0), variable(text('')), variable(text('e'))),
      ], SEMANTIC.oneOrMoreOf),
    ))),
    rows: [{
      subTemplateList: [
        {
          sourceIPv4Address: '192.0.2.1', destinationIPv4Address: '192.0.2.2', protocolIdentifier: 6,
          interfaceName: 'a', interfaceName_2: 'b',
        },
        {
          sourceIPv4Address: '192.0.2.3', destinationIPv4Address: '192.0.2.4', protocolIdentifier: 17,
          interfaceName: '', interfaceName_2: 'd',
        },
      ],
      subTemplateList_2: {
        semantic: 'oneOrMoreOf',
        list: [{
          sourceIPv4Address: '192.0.2.5', destinationIPv4Address: '192.0.2.6', protocolIdentifier: 1,
          interfaceName: '', interfaceName_2: 'e',
        }],
      },
    }],
  },
  {
    title: 'a subTemplateMultiList as yaf sends it, with some, one and no parts',
    bytes: ipfix({}, set(2,
      template(0xc003, [184, 4], [14, 1, 6871], [15, 1, 6871]),
      template(0xc004, [56, 6], [80, 6]),
      template(256, [4, 1], [293, VARIABLE]),
    ), set(256, join(
      u8(6), variable(subTemplateMultiList([
        [0xc003, join(u32(1_502_464_279), u8(20, 0)), join(u32(1_502_464_280), u8(2, 24))],
        [0xc004, join(mac('02:00:00:00:00:01'), mac('02:00:00:00:00:02'))],
      ])),
      u8(17), variable(subTemplateMultiList([
        [0xc004, join(mac('02:00:00:00:00:03'), mac('02:00:00:00:00:04'))],
      ])),
      u8(1), variable(subTemplateMultiList([])),
    ))),
    rows: [
      {
        subTemplateMultiList: [
          { tcpSequenceNumber: 1_502_464_279, initialTCPFlags: 20, unionTCPFlags: 0 },
          { tcpSequenceNumber: 1_502_464_280, initialTCPFlags: 2, unionTCPFlags: 24 },
          { sourceMacAddress: '02:00:00:00:00:01', destinationMacAddress: '02:00:00:00:00:02' },
        ],
      },
      {
        subTemplateMultiList: [
          { sourceMacAddress: '02:00:00:00:00:03', destinationMacAddress: '02:00:00:00:00:04' },
        ],
      },
      { subTemplateMultiList: [] },
    ],
  },
  {
    title: 'lists of each kind in lists of each kind',
    bytes: ipfix({}, set(2,
      template(257, [7, 2], [291, VARIABLE]),
      template(258, [4, 1], [292, VARIABLE]),
      template(259, [293, VARIABLE]),
      template(256, [4, 1], [293, VARIABLE], [291, VARIABLE]),
    ), set(256, join(
      u8(6),
      variable(subTemplateMultiList([
        [258, join(u8(1), variable(subTemplateList(257, [
          join(u16(53), variable(basicList([5, 1], [u8(7), u8(8)]))),
        ])))],
        [259, variable(subTemplateMultiList([[257, join(u16(80), variable(basicList([5, 1], [])))]]))],
      ]), 3),
      variable(basicList([292, VARIABLE], [
        variable(subTemplateList(257, [join(u16(443), variable(basicList([11, 2], [u16(9), u16(10)])))])),
        variable(subTemplateList(257, [], SEMANTIC.noneOf)),
      ]), 3),
    ))),
    rows: [{
      subTemplateMultiList: [
        { protocolIdentifier: 1, subTemplateList: [{ sourceTransportPort: 53, basicList: [7, 8] }] },
        { subTemplateMultiList: [{ sourceTransportPort: 80, basicList: [] }] },
      ],
      basicList: [
        [{ sourceTransportPort: 443, basicList: [9, 10] }],
        { semantic: 'noneOf', list: [] },
      ],
    }],
  },
  {
    title: 'a basicList of basicLists, and an element of lists that has a name of its own',
    bytes: ipfix({}, set(2,
      template(257, [513, 1], [514, 1]),
      template(256, [4, 1], [291, VARIABLE], [516, VARIABLE]),
    ), set(256, join(
      u8(6),
      variable(basicList([291, VARIABLE], [
        variable(basicList([4, 1], [u8(6), u8(17)])), variable(basicList([8, 4], [ip4('192.0.2.1')])),
      ])),
      variable(subTemplateList(257, [u8(0, 1), u8(43, 2)])),
    ))),
    rows: [{
      basicList: [[6, 17], ['192.0.2.1']],
      ipv6ExtensionHeaderTypeCountList: [
        { ipv6ExtensionHeaderType: 0, ipv6ExtensionHeaderCount: 1 },
        { ipv6ExtensionHeaderType: 43, ipv6ExtensionHeaderCount: 2 },
      ],
    }],
  },
]
