import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatElement } from '../../../core/flow/element-value.ts'
import {
  REVERSE_PEN, elementName, elements, findElement, findElementByName, type Element, type ElementType,
} from '../../../core/flow/elements.ts'

const isNetflow9 = ({ pen, id }: Element) => pen === 0 && (id >= 32768 || id === 16386 || id === 16387 ||
  (id >= 6660 && id <= 6800))

/** Decode hexadecimal text that lies inside a larger buffer, so that offsets matter. */
function decode(type: ElementType | undefined, hex: string): unknown {
  const bytes = Buffer.from(`ff${hex.replaceAll(' ', '')}ff`, 'hex')
  return formatElement(type, bytes, 1, bytes.length - 1)
}

test('the lists have as many elements as their registries', () => {
  const counts: Record<string, number> = {}
  for (const element of elements()) {
    const registry = isNetflow9(element) ? 'v9' : element.pen
    counts[registry] = (counts[registry] ?? 0) + 1
  }
  assert.deepEqual(counts, {
    0: 502, 9: 59, 5951: 121, 6871: 241, 6876: 23, 8057: 140, 39499: 202, v9: 34,
  })
})

test('every listed element has an id of its registry, a plain name, a type and units that are words', () => {
  for (const element of elements()) {
    assert.ok(element.id > 0 && element.id < (isNetflow9(element) ? 65536 : 32768), element.name)
    assert.match(element.name, /^[A-Za-z][A-Za-z0-9-]*$/)
    assert.match(element.type, /^[a-z]+[0-9A-Za-z]*$/)
    assert.match(element.units, /^([a-z0-9-]+( words)?)?$/)
  }
})

test('no two listed elements have the same enterprise number and id', () => {
  const seen = new Set<string>()
  for (const { pen, id, name } of elements()) {
    assert.ok(!seen.has(`${pen}/${id}`), name)
    seen.add(`${pen}/${id}`)
  }
})

test('no two elements of a registry have the same name', () => {
  const seen = new Set<string>()
  for (const element of elements()) {
    const key = `${isNetflow9(element) ? 'v9' : element.pen}/${element.name.toLowerCase()}`
    assert.ok(!seen.has(key), element.name)
    seen.add(key)
  }
})

test('IANA elements have the names, types and units of the registry', () => {
  const facts: [number, string, ElementType, string][] = [
    [1, 'octetDeltaCount', 'unsigned64', 'octets'],
    [4, 'protocolIdentifier', 'unsigned8', ''],
    [6, 'tcpControlBits', 'unsigned16', ''],
    [8, 'sourceIPv4Address', 'ipv4Address', ''],
    [21, 'flowEndSysUpTime', 'unsigned32', 'milliseconds'],
    [28, 'destinationIPv6Address', 'ipv6Address', ''],
    [56, 'sourceMacAddress', 'macAddress', ''],
    [70, 'mplsTopLabelStackSection', 'octetArray', ''],
    [89, 'forwardingStatus', 'unsigned32', ''],
    [95, 'applicationId', 'octetArray', ''],
    [152, 'flowStartMilliseconds', 'dateTimeMilliseconds', 'milliseconds'],
    [154, 'flowStartMicroseconds', 'dateTimeMicroseconds', 'microseconds'],
    [156, 'flowStartNanoseconds', 'dateTimeNanoseconds', 'nanoseconds'],
    [207, 'ipv4IHL', 'unsigned8', '4-octet words'],
    [225, 'postNATSourceIPv4Address', 'ipv4Address', ''],
    [236, 'VRFname', 'string', ''],
    [255, 'postDot1qCustomerVlanId', 'unsigned16', ''],
    [276, 'dataRecordsReliability', 'boolean', ''],
    [291, 'basicList', 'basicList', ''],
    [293, 'subTemplateMultiList', 'subTemplateMultiList', ''],
    [311, 'samplingProbability', 'float64', ''],
    [315, 'dataLinkFrameSection', 'octetArray', ''],
    [322, 'observationTimeSeconds', 'dateTimeSeconds', 'seconds'],
    [434, 'mibObjectValueInteger', 'signed32', ''],
    [520, 'tcpOptionsFull', 'unsigned256', ''],
    [533, 'pathDelaySumDeltaMicroseconds', 'unsigned64', ''],
  ]
  for (const [id, name, type, units] of facts) {
    assert.deepEqual(findElement(0, id), { pen: 0, id, name, type, units })
  }
})

test('enterprise elements are found under their enterprise number', () => {
  assert.deepEqual(findElement(9, 12235), {
    pen: 9, id: 12235, name: 'appHTTPHost', type: 'string', units: '',
  })
  assert.equal(findElement(9, 12239)?.type, 'ipv6Address')
  assert.deepEqual(findElement(5951, 128), {
    pen: 5951, id: 128, name: 'roundTripTime', type: 'unsigned32', units: 'milliseconds',
  })
  assert.equal(findElement(5951, 255)?.name, 'icaNetworkUpdateEndTime')
  assert.equal(findElement(6871, 33)?.name, 'silkAppLabel')
  assert.equal(findElement(6871, 255)?.name, 'httpExpires')
  assert.equal(findElement(6876, 889)?.name, 'vxlanExportRole')
  assert.deepEqual(findElement(8057, 900), {
    pen: 8057, id: 900, name: 'tcpMss', type: 'unsigned32', units: '',
  })
  assert.equal(findElement(39499, 338)?.name, 'tlsSni')
})

test('NetFlow v9 fields that IANA does not know are found as enterprise 0', () => {
  assert.equal(findElement(0, 33000)?.name, 'ingressAclId')
  assert.equal(findElement(0, 33002)?.type, 'unsigned16')
  assert.equal(findElement(0, 40000)?.name, 'userName')
  assert.equal(findElement(0, 6667), undefined)
  assert.equal(findElement(0, 6662)?.name, 'EkinopsTcpMeanRtt')
})

test('a NetFlow v9 field above 32768 is the Cisco element 32768 below', () => {
  assert.deepEqual(findElement(0, 45003), {
    pen: 0, id: 45003, name: 'appHTTPHost', type: 'string', units: '',
  })
  assert.equal(findElement(0, 42036)?.name, 'clientRetransPackets')
})

test('enterprise 29305 is the reverse of the IANA element of that id', () => {
  assert.deepEqual(findElement(REVERSE_PEN, 1), {
    pen: 29305, id: 1, name: 'reverseOctetDeltaCount', type: 'unsigned64', units: 'octets',
  })
  assert.equal(findElement(29305, 184)?.name, 'reverseTcpSequenceNumber')
  assert.equal(findElement(29305, 236)?.name, 'reverseVRFname')
  assert.equal(findElement(29305, 65), undefined)
  assert.equal(findElement(29305, 6660), undefined)
  assert.equal(findElementByName('reversePacketDeltaCount')?.pen, 29305)
})

test('bit 0x4000 makes the reverse of a CERT element, unless it is one already', () => {
  assert.deepEqual(findElement(6871, 14 | 0x4000), {
    pen: 6871, id: 16398, name: 'reverseInitialTCPFlags', type: 'unsigned16', units: '',
  })
  assert.equal(findElement(6871, 40 | 0x4000)?.name, 'reverseFlowAttributes')
  assert.equal(findElement(6871, 21)?.name, 'reverseFlowDeltaMilliseconds')
  assert.equal(findElement(6871, 21 | 0x4000), undefined)
})

test('names are found in any case, IANA before enterprises before NetFlow v9', () => {
  assert.deepEqual(findElementByName('OCTETDELTACOUNT'), findElement(0, 1))
  assert.deepEqual(findElementByName('userName'), findElement(0, 371))
  assert.deepEqual(findElementByName('flowDirection'), findElement(0, 61))
  assert.deepEqual(findElementByName('appHTTPHost'), findElement(9, 12235))
  assert.deepEqual(findElementByName('clientIPv4Address'), findElement(9, 12236))
  assert.deepEqual(findElementByName('ingressAclId'), findElement(39499, 232))
  assert.equal(findElementByName('noSuchElement'), undefined)
})

test('an element without a known name is called by its numbers', () => {
  assert.equal(elementName(0, 12), 'destinationIPv4Address')
  assert.equal(elementName(29305, 2), 'reversePacketDeltaCount')
  assert.equal(elementName(0, 127), 'en0id127')
  assert.equal(elementName(35632, 57), 'en35632id57')
  assert.equal(elementName(4294967295, 32767), 'en4294967295id32767')
})

test('unsigned integers of every length are numbers below 2^53 and decimal text from there', () => {
  assert.equal(decode('unsigned8', '06'), 6)
  assert.equal(decode('unsigned64', '01'), 1)
  assert.equal(decode('unsigned64', '0186a0'), 100000)
  assert.equal(decode('unsigned32', 'ffffffff'), 4294967295)
  assert.equal(decode('unsigned64', '001fffffffffffff'), 9007199254740991)
  assert.equal(decode('unsigned64', '0020000000000000'), '9007199254740992')
  assert.equal(decode('unsigned64', '20000000000001'), '9007199254740993')
  assert.equal(decode('unsigned64', 'ffffffffffffffff'), '18446744073709551615')
  assert.equal(decode('unsigned256', '00'.repeat(31) + '11'), 17)
  assert.equal(decode('unsigned256', '01' + '00'.repeat(16)), '340282366920938463463374607431768211456')
})

test('signed integers of every length keep their sign', () => {
  assert.equal(decode('signed8', 'ff'), -1)
  assert.equal(decode('signed32', 'fffe'), -2)
  assert.equal(decode('signed32', '80000000'), -2147483648)
  assert.equal(decode('signed64', '7fffffff'), 2147483647)
  assert.equal(decode('signed64', 'ffffffffffffff85'), -123)
  assert.equal(decode('signed64', 'ffe0000000000001'), -9007199254740991)
  assert.equal(decode('signed64', '8000000000000000'), '-9223372036854775808')
  assert.equal(decode('signed64', '7fffffffffffffff'), '9223372036854775807')
})

test('floats are read from four or eight bytes, and those JSON has no number for are text', () => {
  assert.equal(decode('float32', '3fc00000'), 1.5)
  assert.equal(decode('float64', '3fb999999999999a'), 0.1)
  assert.equal(decode('float64', 'c0490000'), -3.140625)
  assert.equal(decode('float64', '7ff8000000000000'), 'NaN')
  assert.equal(decode('float32', 'ff800000'), '-Infinity')
})

test('a boolean is 1 or 2 (RFC 7011 section 6.1.5), and nothing else', () => {
  assert.equal(decode('boolean', '01'), true)
  assert.equal(decode('boolean', '02'), false)
  assert.equal(decode('boolean', '00'), '00')
  assert.equal(decode('boolean', '0001'), '0001')
})

test('addresses are their usual text', () => {
  assert.equal(decode('ipv4Address', 'c0000201'), '192.0.2.1')
  assert.equal(decode('ipv6Address', '20010db8 00000000 00000000 00000001'), '2001:db8::1')
  assert.equal(decode('macAddress', '00005e005301'), '00:00:5e:00:53:01')
})

test('a string loses its trailing NULs, and bytes that are not UTF-8 are replaced', () => {
  assert.equal(decode('string', '65746830 00000000'), 'eth0')
  assert.equal(decode('string', '6100620000'), 'a\0b')
  assert.equal(decode('string', '5ac3bc72696368'), 'Zürich')
  assert.equal(decode('string', '61ff62'), 'a\ufffdb')
  assert.equal(decode('string', ''), '')
})

test('times in seconds and milliseconds count from 1970', () => {
  assert.equal(decode('dateTimeSeconds', '499602d2'), '2009-02-13T23:31:30Z')
  assert.equal(decode('dateTimeSeconds', 'ffffffff'), '2106-02-07T06:28:15Z')
  assert.equal(decode('dateTimeMilliseconds', '0000011f71fb0450'), '2009-02-13T23:31:30.000Z')
  assert.equal(decode('dateTimeMilliseconds', '0000e677d21fdbff'), '9999-12-31T23:59:59.999Z')
  assert.equal(decode('dateTimeMilliseconds', '0000e677d21fdc00'), '0000e677d21fdc00')
})

test('times in microseconds and nanoseconds are NTP timestamps', () => {
  assert.equal(decode('dateTimeMicroseconds', '83aa7e80 80000000'), '1970-01-01T00:00:00.500000Z')
  assert.equal(decode('dateTimeMicroseconds', '83aa7e80 1f9ad800'), '1970-01-01T00:00:00.123456Z')
  assert.equal(decode('dateTimeMicroseconds', '83aa7e80 1f9adfff'), '1970-01-01T00:00:00.123456Z')
  assert.equal(decode('dateTimeMicroseconds', '83aa7e80 fffff800'), '1970-01-01T00:00:01.000000Z')
  assert.equal(decode('dateTimeNanoseconds', '83aa7e80 1f9add37'), '1970-01-01T00:00:00.123456789Z')
  assert.equal(decode('dateTimeNanoseconds', 'ffffffff 00000000'), '2036-02-07T06:28:15.000000000Z')
  assert.equal(decode('dateTimeNanoseconds', '00000000 00000000'), '2036-02-07T06:28:16.000000000Z')
})

test('a basicList of fixed items is an array of their values', () => {
  // RFC 6313 section 4.5.1: semantic allOf, field bgpSourceAsNumber (16), 4 bytes each
  assert.deepEqual(decode('basicList', '03 0010 0004 0000fde8 0000fde9'), [65000, 65001])
  assert.deepEqual(decode('basicList', 'ff 0008 0004'), [])
  assert.deepEqual(decode('basicList', '03 8384 0004 00001f79 000005b4'), [1460])
})

test('a basicList whose items are not all meant says so', () => {
  assert.deepEqual(decode('basicList', '02 0010 0004 0000fde8 0000fde9'), {
    semantic: 'oneOrMoreOf', list: [65000, 65001],
  })
})

test('a basicList of variable items reads both forms of the length', () => {
  // field 82, interfaceName
  assert.deepEqual(decode('basicList', 'ff 0052 ffff 02 6c6f ff0004 65746830 00'), ['lo', 'eth0', ''])
})

test('a basicList in a basicList is an array in an array', () => {
  assert.deepEqual(decode('basicList', 'ff 0123 ffff 06 ff 0004 0001 06'), [[6]])
})

test('a basicList that does not hold together stays hexadecimal', () => {
  for (const list of [
    '', 'ff000800', 'ff0008000001', 'ff00080004c00002', 'ff838400040000', 'ff0052ffff05', 'ff0052ffffff00',
  ]) assert.equal(decode('basicList', list), list)
})

test('what has no other form is lower-case hexadecimal', () => {
  assert.equal(decode('octetArray', 'DEADBEEF'), 'deadbeef')
  assert.equal(decode(undefined, '0A'), '0a')
  assert.equal(decode('subTemplateList', 'ff010006'), 'ff010006')
  for (const [type, hex] of [
    ['unsigned32', ''], ['unsigned64', '01'.repeat(9)], ['signed8', ''], ['float64', '3fc000'],
    ['macAddress', '0102030405'], ['ipv4Address', '0a0000'], ['ipv6Address', '0a000001'],
    ['dateTimeSeconds', '010203'], ['dateTimeMilliseconds', '01020304'], ['dateTimeNanoseconds', '01020304'],
  ] as const) assert.equal(decode(type, hex), hex)
})
