/** Filters for capture files: what passes, held against tcpdump's choice; and programs, against libpcap. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { compileFileFilter } from '../../core/capture/filter.ts'
import { filterMachine } from '../../core/capture/filter-machine.ts'
import type { Instruction } from '../../core/net/bpf.ts'
import { openLibrary } from '../../core/net/ffi.ts'
import { CaptureReader } from '../../core/pcap/capture.ts'
import { randomNumbers } from '../fuzz/mutate.ts'
import { missing } from './peers.ts'

const random = randomNumbers(5)

function pick<T>(...values: readonly T[]): T {
  return values[random() % values.length]
}

function bytesOf(size: number, ...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * size)
  for (const [i, value] of values.entries()) bytes.writeUIntBE(value, i * size, size)
  return bytes
}

function transport(protocol: number): Buffer {
  const data = Buffer.alloc(random() % 40, 'data')
  const ports = (): Buffer => bytesOf(2, pick(53, 80, 443, 6003, 40_000), pick(22, 53, 80, 443, 50_000))
  switch (protocol) {
    case 1: return Buffer.concat([bytesOf(1, pick(0, 3, 8, 11), pick(0, 1, 3)), Buffer.alloc(6), data])
    case 6: {
      const flags = bytesOf(1, 0x50, pick(0x02, 0x12, 0x10, 0x18, 0x11, 0x04))
      return Buffer.concat([ports(), bytesOf(4, random(), random()), flags, Buffer.alloc(6), data])
    }
    case 17: return Buffer.concat([ports(), bytesOf(2, 8 + data.length, 0), data])
    case 58: return Buffer.concat([bytesOf(1, pick(1, 128, 135, 136), 0), Buffer.alloc(6), data])
    case 132: return Buffer.concat([ports(), Buffer.alloc(8), data])
    default: return data
  }
}

function ipv4(): Buffer {
  const protocol = pick(1, 2, 6, 6, 6, 17, 17, 17, 47, 132)
  const options = Buffer.alloc(pick(0, 0, 0, 4, 40), 1)
  const above = transport(protocol)
  const length = 20 + options.length + above.length
  return Buffer.concat([
    bytesOf(1, 0x40 | 5 + options.length / 4, pick(0, 0, 0xb8)),
    bytesOf(2, length, random() % 65_536, pick(0, 0, 0x4000, 0x2000, 0x2010, 0x0010)),
    bytesOf(1, pick(1, 63, 64, 255), protocol), bytesOf(2, 0),
    bytesOf(4, pick(0x0a140001, 0x0a140002, 0x0a150001)),
    bytesOf(4, pick(0xc0a8014d, 0x0a140001, 0xe0000005, 0xffffffff)),
    options, above,
  ])
}

function ipv6(): Buffer {
  const protocol = pick(6, 17, 58, 132)
  const extension = pick(0, 0, 0, 44, 60) // fragment, destination options
  const above = transport(protocol)
  const payload = extension === 0 ? above : Buffer.concat([bytesOf(1, protocol), Buffer.alloc(7), above])
  const address = (): Buffer => Buffer.from(pick(
    '20010db8000000000000000000000001', '20010db8000000010000000000000002',
    'fe80000000000000000000ffff000001', 'ff020000000000000000000000000001',
  ), 'hex')
  return Buffer.concat([
    bytesOf(4, 0x60000000 + pick(0, 0x0b800000)), bytesOf(2, payload.length),
    bytesOf(1, extension === 0 ? protocol : extension, pick(1, 64, 255)), address(), address(), payload,
  ])
}

function ethernet(): Buffer {
  const isV6 = random() % 3 === 0
  const ip = isV6 ? ipv6() : ipv4()
  const type = isV6 ? 0x86dd : 0x0800
  const to = Buffer.from(pick('021100000002', 'ffffffffffff', '0180c2000000'), 'hex')
  const begin = [to, bytesOf(2, 0x0211, 0), bytesOf(1, 0, pick(1, 3))]
  const tag = (): Buffer => bytesOf(2, pick(5, 6, 0x6005))
  switch (random() % 8) {
    case 0: return Buffer.concat([...begin, bytesOf(2, 0x8100), tag(), bytesOf(2, type), ip])
    case 1: {
      const tags = [bytesOf(2, 0x88a8), tag(), bytesOf(2, 0x8100), tag()]
      return Buffer.concat([...begin, ...tags, bytesOf(2, type), ip])
    }
    case 2: return Buffer.concat([...begin, bytesOf(2, 0x8847), bytesOf(4, 0x64140, 0xc8140), ip])
    case 3: {
      const session = bytesOf(2, 0x8864, 0x1100, 7, ip.length + 2, isV6 ? 0x57 : 0x21)
      return Buffer.concat([...begin, session, ip])
    }
    case 4: {
      const arp = [bytesOf(2, 0x0806, 1, 0x0800, 0x0604, pick(1, 2)), Buffer.alloc(6), bytesOf(4, 0x0a140001)]
      return Buffer.concat([...begin, ...arp, Buffer.alloc(6), bytesOf(4, 0xc0a8014d), Buffer.alloc(18)])
    }
    default: return Buffer.concat([...begin, bytesOf(2, type), ip])
  }
}

function cooked(): Buffer {
  const isV6 = random() % 3 === 0
  const link = bytesOf(2, pick(0, 4), 1, 6, 0x0211, 0, 1, 0, isV6 ? 0x86dd : 0x0800)
  return Buffer.concat([link, isV6 ? ipv6() : ipv4()])
}

const PACKETS = 400
const folder = mkdtempSync(join(tmpdir(), 'flowkit-bpf-files-'))
after(() => rmSync(folder, { recursive: true }))

/** A capture of packets, one a second, of which some are cut. @returns where it lies */
function writeCapture(name: string, linkType: number, make: () => Buffer): string {
  const records = Array.from({ length: PACKETS }, (_, i) => {
    const packet = make()
    const captured = random() % 4 === 0 ? random() % (packet.length + 1) : packet.length
    return Buffer.concat([bytesOf(4, i, 0, captured, packet.length), packet.subarray(0, captured)])
  })
  const path = join(folder, name)
  const header = [bytesOf(4, 0xa1b2c3d4), bytesOf(2, 2, 4), bytesOf(4, 0, 0, 65_535, linkType)]
  writeFileSync(path, Buffer.concat([...header, ...records]))
  return path
}

const CAPTURES = {
  ethernet: writeCapture('ethernet.pcap', 1, ethernet),
  raw: writeCapture('raw.pcap', 101, () => random() % 3 === 0 ? ipv6() : ipv4()),
  cooked: writeCapture('cooked.pcap', 113, cooked),
}

/** Of any link. */
const COMMON: readonly string[] = [
  '', 'ip', 'ip6', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'not ip', 'ip proto 47', 'ip6 proto 17',
  'ip protochain 17', 'ip6 protochain 6', 'host 10.20.0.1', 'src host 10.20.0.1', 'dst host 192.168.1.77',
  'host 2001:db8::1', 'net 10.20.0.0/16', 'src net 10.21', 'net 2001:db8::/64', 'port 80', 'src port 53',
  'udp port 53', 'tcp dst port 443', 'portrange 6000-6008', 'tcp src portrange 400-60000',
  'not port 80 and tcp', 'less 60', 'greater 100', 'len > 70', 'ip[8] < 64', 'ip[6:2] & 0x1fff != 0',
  'ip[0] & 0xf != 5', 'ip[2:2] - ((ip[0] & 0xf) << 2) > 40',
  'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn', 'tcp[12:1] & 0xf0 == 0x50', 'udp[4:2] >= 20',
  'icmp[icmptype] = icmp-echo', 'ip6[6] = 44', 'ip6[40] = 17', 'ip multicast', 'ip6 multicast',
  'ip[12:4] = ip[16:4]', 'ip[len - 40] * 3 / 2 % 7 > 2',
  'ip[9] ^ 6 = 0 or udp[0:2] << 1 < 200 or tcp[2] >> 1 = 0',
  '(tcp or udp) and (port 53 or port 443) and not (src net 10.21.0.0/16 or ip6)',
]
const EXPRESSIONS: Readonly<Record<keyof typeof CAPTURES, readonly string[]>> = {
  ethernet: [
    ...COMMON, 'arp', 'arp[6:2] = 1', 'arp host 192.168.1.77', 'vlan', 'vlan 5', 'vlan and udp',
    'vlan 5 and vlan 6', 'vlan and vlan and tcp', 'not vlan and tcp', 'mpls', 'mpls 100',
    'mpls 100 and mpls 200 and tcp', 'pppoes', 'pppoes 7 and udp port 53', 'pppoes and ip6',
    'ether broadcast', 'ether multicast', 'ether host 02:11:00:00:00:01', 'ether src 02:11:00:00:00:03',
    'ether proto 0x8864', 'ether[0] & 1 = 1', 'stp or ip6',
  ],
  raw: COMMON,
  cooked: [...COMMON, 'outbound', 'inbound', 'arp', 'ether proto 0x86dd', 'link[0:2] = 4'],
}

/** Numbers of the packets that a filter chooses; the times tell them. */
async function chosenHere(capture: Uint8Array, expression: string): Promise<number[]> {
  const filter = await compileFileFilter(expression)
  return numbersIn(capture, ({ bytes, start, length, originalLength, linkType }) => {
    return filter(bytes, start, start + length, originalLength, linkType)
  })
}

function numbersIn(capture: Uint8Array, wanted: (packet: CaptureReader['packet']) => boolean): number[] {
  const reader = new CaptureReader()
  reader.push(capture)
  const numbers: number[] = []
  while (reader.next()) if (wanted(reader.packet)) numbers.push(reader.packet.time / 1e6)
  return numbers
}

const noTcpdump = missing('tcpdump')

function tcpdump(...args: readonly string[]): Uint8Array {
  return execFileSync('tcpdump', args, { stdio: ['ignore', 'pipe', 'ignore'] })
}

for (const link of ['ethernet', 'raw', 'cooked'] as const) {
  test(`filters choose from a ${link} capture what tcpdump chooses`, { skip: noTcpdump }, async () => {
    const path = CAPTURES[link]
    const capture = readFileSync(path)
    let choosing = 0
    for (const expression of EXPRESSIONS[link]) {
      const expected = numbersIn(tcpdump('-r', path, '-w', '-', '--', expression), () => true)
      assert.deepEqual(await chosenHere(capture, expression), expected, expression)
      if (expected.length > 0 && expected.length < PACKETS) choosing++
    }
    assert.ok(choosing > 35, `${choosing} expressions choose some and not all`)
  })
}

/** Codes of all instructions: linux/bpf_common.h. */
const CODES = [
  0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x00, 0x80, 0x60, 0x01, 0x81, 0x61, 0xb1, 0x02, 0x03, 0x04, 0x14,
  0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x84, 0x94, 0xa4, 0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c, 0x6c, 0x7c,
  0x9c, 0xac, 0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d, 0x06, 0x16, 0x07, 0x87,
]
/** libpcap does not clear its memory as the kernel does: programs begin by that. */
const CLEAR = Array.from({ length: 16 }, (_, i): Instruction => [0x02, 0, 0, i])

function randomProgram(): Instruction[] {
  const length = 1 + random() % 40
  const middle = Array.from({ length }, (_, i): Instruction => {
    const left = length - i // instructions that a jump can leave out
    const code = random() % 8 ? pick(...CODES) : 0x28
    const value = pick(random() % 40, random() % 40, random(), 0xffffffff - random() % 20)
    const [ifTrue, ifFalse] = [random() % left, random() % left]
    if (code === 0x05) return [code, 0, 0, ifTrue]
    if ([0x02, 0x03, 0x60, 0x61].includes(code)) return [code, 0, 0, value % 16]
    if ([0x64, 0x74].includes(code)) return [code, 0, 0, value % 32]
    if ([0x34, 0x94].includes(code)) return [code, 0, 0, Math.max(value, 1)]
    return [code, ifTrue, ifFalse, value]
  })
  return [...CLEAR, ...middle, pick<Instruction>([0x16, 0, 0, 0], [0x06, 0, 0, random()])]
}

/** As an array of struct bpf_insn: u_short code, u_char jt, jf, u_int k, of this machine's order. */
function encode(program: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(program.length * 8))
  for (const [i, [code, ifTrue, ifFalse, value]] of program.entries()) {
    view.setUint16(i * 8, code, true)
    view.setUint8(i * 8 + 2, ifTrue)
    view.setUint8(i * 8 + 3, ifFalse)
    view.setUint32(i * 8 + 4, value, true)
  }
  return new Uint8Array(view.buffer)
}

type Run = (program: Uint8Array, packet: Uint8Array, wireLength: number, captured: number) => number
type Check = (program: Uint8Array, length: number) => number

const NAMES = ['libpcap.so.1', 'libpcap.so.0.8']
const libpcap = process.platform === 'linux' ? await openLibrary(NAMES) : undefined
const noLibpcap = libpcap === undefined && 'libpcap is not installed'

test("random programs return what libpcap's machine returns", { skip: noLibpcap }, () => {
  const run = libpcap!.bind<Run>('uint32_t bpf_filter(void *code, void *packet, uint32_t wire, uint32_t size)')
  const isValid = libpcap!.bind<Check>('int bpf_validate(void *code, int length)')
  let kept = 0
  for (let round = 0; round < 5000; round++) {
    const program = randomProgram()
    const encoded = encode(program)
    assert.equal(isValid(encoded, program.length), 1)
    const machine = filterMachine(program)
    for (let at = 0; at < 5; at++) {
      const packet = Buffer.from(Array.from({ length: 1 + random() % 50 }, () => random() % pick(8, 256)))
      const wireLength = packet.length + random() % 3 * 1000
      const bytes = Buffer.concat([Buffer.alloc(at, 0xaa), packet, Buffer.alloc(8, 0xbb)])
      const result = machine(bytes, at, at + packet.length, wireLength)
      const expected = run(encoded, packet, wireLength, packet.length)
      assert.equal(result, expected, JSON.stringify([program, packet.toString('hex')]))
      if (result > 0) kept++
    }
  }
  assert.ok(kept > 5000, `${kept} kept`)
})
