import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FlowMeter } from '../../core/meter/meter.ts'
import { meterCaptures } from '../../core/meter/read.ts'
import { ACK, FIN, ip4, pcap, record, rowsOf, SYN, tcp, type Told } from '../core/meter/packets.ts'
import { ipv6, uint } from '../core/pcap/frames.ts'
import { randomNumbers } from '../fuzz/mutate.ts'
import { missing } from './peers.ts'

const CONVERSATIONS = 60
const PACKETS = 1500

/** Two hosts that talk, and what their packets are, the other way round if `back`. */
interface Conversation {
  readonly proto: number
  readonly ports: readonly [number, number]
  begun: boolean
  packet(back: boolean, flags: number, size: number): string
}

function conversation(number: number): Conversation {
  const proto = number % 3 === 0 ? 17 : 6
  const ports = [50_000 + number, number % 2 === 0 ? 443 : 60_000] as const
  const hosts = [uint(0x0a000000 + number * 7 % 5, 4), uint(0x0a000000 + number * 11 % 300 + 5, 4)] as const
  const isSix = number % 4 === 1
  return {
    proto, ports, begun: false,
    packet(back, flags, size) {
      const [src, dst] = back ? [1, 0] : [0, 1]
      const data = '61'.repeat(size)
      const transport = proto === 6 ? tcp(ports[src], ports[dst], flags, data)
        : `${uint(ports[src], 2)}${uint(ports[dst], 2)}${uint(8 + size, 2)}0000${data}`
      if (!isSix) return ip4(proto, transport, { src: hosts[src], dst: hosts[dst] })
      const packet = ipv6(proto, transport)
      const [from, to] = [packet.slice(16, 48), packet.slice(48, 80)]
      return back ? packet.slice(0, 16) + to + from + packet.slice(80) : packet
    },
  }
}

/** A capture of conversations that take turns; all within one idle timeout. */
function capture(): Uint8Array {
  const random = randomNumbers(7)
  const all = Array.from({ length: CONVERSATIONS }, (_, i) => conversation(i))
  const records = Array.from({ length: PACKETS }, (_, i) => {
    const one = all[random() % all.length]
    const flags = one.begun ? [ACK, ACK, ACK | 8, FIN | ACK][random() % 4] : SYN
    const back = one.begun && random() % 2 === 0
    one.begun = true
    return record(i / 1000, one.packet(back, flags, flags === SYN ? 0 : random() % 200))
  })
  return pcap(...records)
}

/**
 * Lines `proto A B packets-of-A bytes-of-A packets-of-B bytes-of-B`, A the end of which the text comes first.
 */
function line(proto: number, a: string, b: string, ab: string, ba: string): string {
  return a < b ? `${proto} ${a} ${b} ${ab} ${ba}` : `${proto} ${b} ${a} ${ba} ${ab}`
}

/**
 * What tshark tells of the conversations of a protocol: the columns are those to the left and to the right.
 */
function conversationsOf(file: string, name: 'tcp' | 'udp'): string[] {
  const text = execFileSync('tshark', ['-n', '-q', '-r', file, '-z', `conv,${name}`], { encoding: 'utf8' })
  const row = /^(\S+) +<-> (\S+) +(\d+) (\d+) bytes +(\d+) (\d+) bytes/gm
  return Array.from(text.matchAll(row), ([, a, b, packetsLeft, bytesLeft, packetsRight, bytesRight]) => (
    line(name === 'tcp' ? 6 : 17, a, b, `${packetsRight} ${bytesRight}`, `${packetsLeft} ${bytesLeft}`)
  )).sort()
}

function lineOf(row: Told): string {
  const [a, b] = [`${row.src_addr}:${row.src_port}`, `${row.dst_addr}:${row.dst_port}`]
  const reverse = `${row.rev_packets ?? 0} ${row.rev_bytes ?? 0}`
  return line(Number(row.proto), a, b, `${row.packets} ${row.bytes}`, reverse)
}

test('biflows are the conversations that tshark lists', { skip: missing('tshark') }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-conversations-'))
  try {
    const file = join(directory, 'made.pcap')
    const bytes = capture()
    writeFileSync(file, bytes)
    const flows: Told[] = []
    const inputs = [{ name: file, chunks: (async function* () { yield bytes })() }]
    const meter = new FlowMeter({ biflow: true })
    for await (const batch of meterCaptures(inputs, meter, ({ reason }) => assert.fail(reason))) {
      flows.push(...rowsOf(batch))
    }
    for (const [proto, name] of [[6, 'tcp'], [17, 'udp']] as const) {
      const ours = flows.filter((row) => row.proto === proto).map(lineOf).sort()
      assert.ok(ours.length > 10)
      assert.deepEqual(ours, conversationsOf(file, name))
    }
    // in all of them it was the end with the port from 50000 on that began
    for (const { src_port: port } of flows) assert.ok(Number(port) >= 50_000 && Number(port) < 50_100)
    assert.equal(flows.length, CONVERSATIONS)
  } finally {
    rmSync(directory, { recursive: true })
  }
})
