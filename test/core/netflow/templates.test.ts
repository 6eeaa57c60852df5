import { test } from 'node:test'
import assert from 'node:assert/strict'
import { SET_OVERHEAD } from '../../../core/netflow/limits.ts'
import {
  collector, hex, ip4, ipfix, join, options10, options9, pick, RECEIVED, set, template, text, u16, u32, u8,
  v9, variable, type Row,
} from './messages.ts'

const BYTES = template(256, [1, 4])
const PACKETS = template(256, [2, 4])

function values(rows: readonly Row[]): unknown[] {
  return rows.map(({ bytes, packets, src_port }) => bytes ?? { packets, src_port })
}

test('a template holds for later messages of its version and domain', () => {
  for (const [message, id] of [[v9, 0], [ipfix, 2]] as const) {
    const { send } = collector()
    assert.deepEqual(send(message({ sequence: 1 }, set(id, BYTES))), [])
    assert.deepEqual(values(send(message({ sequence: 2 }, set(256, u32(7), u32(8))))), [7, 8])
    assert.deepEqual(values(send(message({ sequence: 3 }, set(256, u32(9))))), [9])
  }
})

test('a template sent again is the same, and counted', () => {
  const { send, domain, exporter } = collector()
  for (let i = 0; i < 5; i++) {
    assert.deepEqual(values(send(v9({ sequence: i }, set(0, BYTES), set(256, u32(i))))), [i])
  }
  assert.deepEqual([domain(9).templates.size, exporter().counters.templates], [1, 5])
})

test('a template of another layout takes the place of that before', () => {
  const { send, decoder } = collector()
  send(v9({}, set(0, template(256, [1, 4], [7, 2])), set(256, u32(1), u16(2))))
  assert.deepEqual(values(send(v9({}, set(256, u32(1), u16(2)), set(0, PACKETS), set(256, u32(5))))), [
    1, { packets: 5, src_port: undefined },
  ])
  assert.deepEqual(values(send(v9({}, set(256, u32(6))))), [{ packets: 6, src_port: undefined }])
  assert.deepEqual([decoder.exporters.templates, decoder.exporters.templateBytes], [1, 4])
})

test('a template becomes an options template, and data templates, by its set', () => {
  const { send, exporter } = collector()
  send(ipfix({}, set(3, options10(256, [[149, 4]], [[34, 4]])), set(256, u32(0, 100))))
  assert.equal(exporter().counters.optionsRecords, 1)
  assert.deepEqual(values(send(ipfix({}, set(2, BYTES), set(256, u32(5))))), [5])
})

test('a withdrawn template is gone (RFC 7011 §8.1), and its data waits for the next', () => {
  const { send, domain } = collector()
  send(ipfix({}, set(2, BYTES, template(257, [2, 4]))))
  send(ipfix({}, set(2, u16(256, 0))))
  assert.deepEqual([...domain(10).templates.keys()], [257])
  assert.deepEqual(send(ipfix({}, set(256, u32(1)))), [])
  assert.deepEqual(values(send(ipfix({}, set(2, BYTES)))), [1])
})

test('withdrawals of all templates and of all options templates leave those of the other sort', () => {
  const { send, domain } = collector()
  const all = ipfix({}, set(2, BYTES, template(257, [2, 4])), set(3, options10(300, [[149, 4]], [[34, 4]])))
  send(all)
  send(ipfix({}, set(2, u16(2, 0))))
  assert.deepEqual([...domain(10).templates.keys()], [300])
  send(all)
  send(ipfix({}, set(3, u16(3, 0))))
  assert.deepEqual([...domain(10).templates.keys()], [256, 257])
})

test('a withdrawal and a new template may be in one set', () => {
  const { send, domain } = collector()
  send(ipfix({}, set(2, BYTES)))
  send(ipfix({}, set(2, u16(256, 0), template(258, [2, 4]))))
  assert.deepEqual([...domain(10).templates.keys()], [258])
})

test('one template id may mean different things in each domain, version and exporter', () => {
  const { send } = collector()
  send(ipfix({ domain: 1 }, set(2, BYTES)))
  send(ipfix({ domain: 2 }, set(2, PACKETS)))
  send(v9({ domain: 1 }, set(0, template(256, [7, 4]))))
  send(ipfix({ domain: 1 }, set(2, template(256, [11, 4]))), '198.51.100.9')
  send(ipfix({ domain: 1 }, set(2, template(256, [10, 4]))), '2001:db8::9')
  const data = set(256, u32(77))
  const names = ['bytes', 'packets', 'src_port', 'dst_port', 'in_if', 'exporter_addr']
  const of = (bytes: Uint8Array, from?: string) => pick(send(bytes, from), ...names)
  assert.deepEqual(of(ipfix({ domain: 1 }, data)), [{ bytes: 77, exporter_addr: '192.0.2.1' }])
  assert.deepEqual(of(ipfix({ domain: 2 }, data)), [{ packets: 77, exporter_addr: '192.0.2.1' }])
  assert.deepEqual(of(v9({ domain: 1 }, data)), [{ src_port: 77, exporter_addr: '192.0.2.1' }])
  assert.deepEqual(of(ipfix({ domain: 1 }, data), '198.51.100.9'),
    [{ dst_port: 77, exporter_addr: '198.51.100.9' }])
  assert.deepEqual(of(ipfix({ domain: 1 }, data), '2001:db8::9'),
    [{ in_if: 77, exporter_addr: '2001:db8::9' }])
  assert.deepEqual(of(ipfix({ domain: 3 }, data)), [])
})

test('an IPv6 exporter with the bits of an IPv4 one is another', () => {
  const { send, decoder } = collector()
  send(ipfix({}, set(2, BYTES)), '192.0.2.1')
  send(ipfix({}, set(2, BYTES)), '::192.0.2.1')
  send(ipfix({}, set(2, BYTES)), '::ffff:192.0.2.1')
  assert.equal(decoder.exporters.byKey.size, 3)
})

test('several templates in one set, and several sets of them, in a message with their data', () => {
  const { send } = collector()
  const sent = send(v9({}, set(0, template(256, [1, 4]), template(257, [2, 4], [7, 2])),
    set(0, template(258, [1, 2])),
    set(257, u32(5), u16(6)), set(258, u16(7), u16(8)), set(256, u32(9))))
  assert.deepEqual(values(sent), [{ packets: 5, src_port: 6 }, 7, 8, 9])
})

test('sets padded to 4 bytes: templates, options templates and data', () => {
  const { send, exporter } = collector()
  const sent = send(v9({}, set(0, template(256, [7, 2], [1, 4], [4, 1]), new Uint8Array(3)),
    set(1, options9(300, [[1, 4]], [[34, 4]]), new Uint8Array(2)),
    set(300, u32(1, 10), new Uint8Array(3)), set(256, u16(1), u32(2), u8(6), new Uint8Array(1))))
  assert.deepEqual(pick(sent, 'src_port', 'bytes', 'proto', 'sampling_rate'), [
    { src_port: 1, bytes: 2, proto: 6, sampling_rate: 10 },
  ])
  assert.equal(exporter().counters.optionsRecords, 1)
})

test('zeros behind the template records of a v9 set are padding however many there are', () => {
  const { send } = collector()
  assert.deepEqual(values(send(v9({}, set(0, BYTES, new Uint8Array(24)), set(256, u32(3))))), [3])
})

test('padding behind variable-length records is passed over', () => {
  const { send } = collector()
  const layout = template(256, [371, 65535], [1, 4])
  const sent = send(ipfix({}, set(2, layout),
    set(256, variable(text('a')), u32(1), variable(text('bc')), u32(2), new Uint8Array(3))))
  assert.deepEqual(pick(sent, 'user_name', 'bytes'), [
    { user_name: 'a', bytes: 1 }, { user_name: 'bc', bytes: 2 },
  ])
})

test('a message filled up with zeros, as Cisco ACI and Palo Alto send them', () => {
  const { send } = collector()
  assert.deepEqual(values(send(join(v9({}, set(0, BYTES), set(256, u32(3))), new Uint8Array(40)))), [3])
})

test('sets of ids that are reserved are passed over', () => {
  const { send } = collector()
  for (const id of [0, 1, 4, 100, 255]) {
    const first = id < 2 ? set(4, u32(1)) : set(id, u32(1))
    assert.deepEqual(values(send(ipfix({}, first, set(2, BYTES), set(256, u32(id))))), [id])
  }
})

test('the count in a v9 header is not believed: exporters count records, sets or nothing', () => {
  for (const count of [0, 1, 99, 65535]) {
    const message = v9({}, set(0, BYTES), set(256, u32(3), u32(4)))
    message.set(u16(count), 2)
    assert.deepEqual(values(collector().send(message)), [3, 4])
  }
})

test('the template and records of RFC 7011, appendix A', () => {
  const layout = hex(`
    0002 001c   # template set, 28 bytes
    0100 0005   # template 256, 5 fields
    0008 0004   # sourceIPv4Address
    000c 0004   # destinationIPv4Address
    000f 0004   # ipNextHopIPv4Address
    0002 0004   # packetDeltaCount
    0001 0004   # octetDeltaCount`)
  const data = hex(`
    0100 0040   # data set 256, 64 bytes
    c000020c c00002fe c0000201 00001391 00518c81
    c000021b c0000217 c0000202 000002ec 0005ef46
    c0000238 c0000241 c0000203 00000005 00001986`)
  const sent = collector().send(ipfix({}, layout, data))
  assert.deepEqual(pick(sent, 'src_addr', 'dst_addr', 'next_hop', 'packets', 'bytes'), [
    { src_addr: '192.0.2.12', dst_addr: '192.0.2.254', next_hop: '192.0.2.1', packets: 5009, bytes: 5344385 },
    { src_addr: '192.0.2.27', dst_addr: '192.0.2.23', next_hop: '192.0.2.2', packets: 748, bytes: 388934 },
    { src_addr: '192.0.2.56', dst_addr: '192.0.2.65', next_hop: '192.0.2.3', packets: 5, bytes: 6534 },
  ])
})

// Data before its template

test('data before its template is decoded when the template comes, with its own header', () => {
  const { send, decoder, exporter } = collector()
  assert.deepEqual(send(v9({ sequence: 5, domain: 9, secs: 1_000_000, uptime: 100_000 },
    set(256, u32(90_000, 11)))), [])
  assert.deepEqual([decoder.exporters.waitingBytes, exporter().counters.heldSets], [8 + SET_OVERHEAD, 1])
  const sent = send(v9({ sequence: 6, domain: 9, secs: 1_000_030, uptime: 130_000 },
    set(0, template(256, [22, 4], [1, 4])), set(256, u32(125_000, 22))))
  assert.deepEqual(sent.map(({ type, ...row }) => row), [
    { flow_start: 1_000_025e6, bytes: 22, sequence_num: 6, observation_domain_id: 9, received: RECEIVED,
      exporter_addr: '192.0.2.1' },
    { flow_start: 999_990e6, bytes: 11, sequence_num: 5, observation_domain_id: 9, received: RECEIVED,
      exporter_addr: '192.0.2.1' },
  ])
  assert.equal(decoder.exporters.waitingBytes, 0)
  const { heldSets, lateSets, abandonedSets, records } = exporter().counters
  assert.deepEqual([heldSets, lateSets, abandonedSets, records], [1, 1, 0, 2])
})

test('data before its template in one message is decoded', () => {
  assert.deepEqual(values(collector().send(ipfix({}, set(256, u32(1), u32(2)), set(2, BYTES)))), [1, 2])
})

test('waiting sets come out in the order they came in, those of other templates wait on', () => {
  const { send, domain } = collector()
  for (let i = 0; i < 3; i++) send(ipfix({ sequence: i }, set(256, u32(i)), set(257, u32(i))))
  assert.deepEqual(values(send(ipfix({}, set(2, template(256, [1, 4]))))), [0, 1, 2])
  assert.deepEqual([...domain(10).waiting!.byTemplate].map(([id, sets]) => [id, sets.length]), [[257, 3]])
  assert.equal(domain(10).waiting!.bytes, 3 * (4 + SET_OVERHEAD))
})

test('data that waits is copied, so that the caller may reuse its buffer', () => {
  const { send, decoder, batch } = collector()
  const buffer = Buffer.from(ipfix({}, set(256, u32(0xaabbccdd))))
  const address = ip4('10.0.0.9')
  decoder.decode({
    bytes: buffer, view: new DataView(buffer.buffer, buffer.byteOffset, buffer.length), start: 0,
    end: buffer.length, family: 4, v4: 0xc0000201, v6: address, port: 1, received: 5,
  }, batch)
  buffer.fill(0)
  assert.deepEqual(pick(send(ipfix({}, set(2, BYTES))), 'bytes', 'received'),
    [{ bytes: 0xaabbccdd, received: 5 }])
})

test('a waiting set that its template does not fit is given up, the others are not', () => {
  const { send, exporter } = collector()
  send(ipfix({}, set(256, variable(text('a')))))
  send(ipfix({}, set(256, u8(9), text('short'))))
  send(ipfix({}, set(256, variable(text('c')))))
  assert.deepEqual(pick(send(ipfix({}, set(2, template(256, [371, 65535])))), 'user_name'),
    [{ user_name: 'a' }, { user_name: 'c' }])
  assert.deepEqual([exporter().counters.lateSets, exporter().counters.abandonedSets], [2, 1])
})

test('options data before its template is learned from when it comes', () => {
  const { send } = collector()
  send(v9({}, set(300, u32(0, 50))))
  send(v9({}, set(1, options9(300, [[1, 4]], [[34, 4]]))))
  assert.equal(send(v9({}, set(0, BYTES), set(256, u32(1))))[0]['sampling_rate'], 50)
})
