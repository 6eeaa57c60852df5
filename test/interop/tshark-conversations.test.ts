import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { FlowMeter } from '../../core/meter/meter.ts'
import { meterCaptures } from '../../core/meter/read.ts'
import { ACK, FIN, ip4, pcapOf, record, rowsOf, SYN, tcp, type Told } from '../core/meter/packets.ts'
import { uint } from '../core/pcap/frames.ts'
import { randomNumbers } from '../fuzz/mutate.ts'
import { missing } from './peers.ts'

const CONVERSATIONS = 96
const TURNS = 1500
const LINK_ETHERNET = 1
const ETHERNET_SIZE = 14
const TAG_SIZE = 4

const ICMP = 1, TCP = 6, UDP = 17, ESP = 50, ICMPV6 = 58, SCTP = 132
/** Of the conversations in turn; 44 stands for UDP in fragments. */
const FRAGMENTED = 44
const KINDS = [TCP, UDP, TCP, SCTP, FRAGMENTED, ICMP, UDP, ESP] as const
/** Tags in front of the EtherType. */
const TAGS = ['', '', '81000005', '88a8006481000007'] as const

/** Two hosts that talk. */
interface Conversation {
  readonly kind: typeof KINDS[number]
  readonly isSix: boolean
  readonly tags: string
  readonly hosts: readonly [string, string]
  readonly ports: readonly [number, number]
  begun: boolean
}

function conversation(number: number): Conversation {
  const kind = KINDS[number % KINDS.length]
  const isSix = (number >> 3) % 3 === 1
  const host = (value: number): string => {
    return isSix ? `20010db8${'00'.repeat(8)}${uint(value, 4)}` : uint(0x0a000000 + value, 4)
  }
  // pairs of hosts have several conversations, but of those in fragments, which tshark tells of by host only
  const pair = kind === FRAGMENTED ? 1000 + number : number % 29
  return {
    kind, isSix, tags: TAGS[(number >> 1) % TAGS.length], begun: false,
    hosts: [host(pair * 7 % 5), host(100 + pair)],
    ports: [50_000 + number, number % 2 === 0 ? 443 : 60_000],
  }
}

/** The frames of a packet, the other way round if `back`. */
function framesOf(one: Conversation, back: boolean, flags: number, size: number, id: number): string[] {
  const { kind, isSix, hosts, ports, tags } = one
  const [src, dst] = back ? [1, 0] : [0, 1]
  const data = '61'.repeat(size)
  const pair = uint(ports[src], 2) + uint(ports[dst], 2)
  const wrap = (proto: number, payload: string, offset = 0, more = false): string => {
    const addresses = { src: hosts[src], dst: hosts[dst] }
    const header = `02000000000${dst}02000000000${src}${tags}`
    if (!isSix) return `${header}0800${ip4(proto, payload, { ...addresses, id, offset, more })}`
    return `${header}86dd60000000${uint(payload.length / 2, 2)}${uint(proto, 1)}40`
      + `${addresses.src}${addresses.dst}${payload}`
  }
  switch (kind) {
    case TCP: return [wrap(TCP, tcp(ports[src], ports[dst], flags, data))]
    case UDP: return [wrap(UDP, `${pair}${uint(8 + size, 2)}0000${data}`)]
    case SCTP: return [wrap(SCTP, `${pair}0000000100000000${'0300001000000001'}${'0000ffff00000000'}`)]
    case ICMP: {
      const type = isSix ? back ? 129 : 128 : back ? 0 : 8
      return [wrap(isSix ? ICMPV6 : ICMP, `${uint(type, 1)}000000${uint(ports[0], 2)}0001${data}`)]
    }
    case ESP: return [wrap(ESP, `0000000100000001${data}`)]
    case FRAGMENTED: {
      const whole = `${pair}${uint(8 + size + 400, 2)}0000${'62'.repeat(400)}${data}`
      const parts = [0, 160, 320].map((offset): string => {
        const more = offset < 320
        const part = whole.slice(offset * 2, more ? offset * 2 + 320 : undefined)
        if (!isSix) return wrap(UDP, part, offset, more)
        return wrap(FRAGMENTED, `1100${uint(offset | (more ? 1 : 0), 2)}${uint(id, 4)}${part}`)
      })
      return id % 3 === 0 ? parts.toReversed() : parts
    }
  }
}

/** A capture of conversations that take turns; all within one idle timeout. */
function makeCapture(): Uint8Array {
  const random = randomNumbers(7)
  const all = Array.from({ length: CONVERSATIONS }, (_, i) => conversation(i))
  const records = Array.from({ length: TURNS }, (_, i) => {
    const one = i < all.length ? all[i] : all[random() % all.length]
    const flags = one.begun ? [ACK, ACK, ACK | 8, FIN | ACK][random() % 4] : SYN
    const back = one.begun && random() % 2 === 0
    one.begun = true
    const frames = framesOf(one, back, flags, flags === SYN ? 0 : random() % 200, i + 1)
    return frames.map((frame, part) => record(i / 1000 + part / 1e5, frame)).join('')
  })
  return pcapOf(LINK_ETHERNET, records)
}

/** What both ends of a pair sent: packets and bytes. */
type Counts = readonly [packets: number, bytes: number, packetsBack: number, bytesBack: number]

/** Add to the conversations by their ends, of which that comes first whose text does. */
function tell(table: Map<string, Counts>, a: string, b: string, [p, q, r, s]: Counts): void {
  const [key, counts] = a < b ? [`${a} ${b}`, [p, q, r, s]] : [`${b} ${a}`, [r, s, p, q]]
  const before = table.get(key) ?? [0, 0, 0, 0]
  table.set(key, counts.map((count, i) => count + before[i]) as unknown as Counts)
}

/** What tshark's tables tell together: their columns are those to the left and to the right. */
function tsharkTable(file: string, ...names: string[]): Map<string, Counts> {
  const table = new Map<string, Counts>()
  // joined fragments of IPv6 would be one packet
  const asTheyAre = ['-o', 'ip.defragment:FALSE', '-o', 'ipv6.defragment:FALSE']
  const taps = names.flatMap((name) => ['-z', `conv,${name}`])
  const args = ['-n', '-q', '-r', file, ...asTheyAre, ...taps]
  const text = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const row = /^(\S+) +<-> (\S+) +(\d+) (\d+) bytes +(\d+) (\d+) bytes/gm
  for (const [, a, b, ...counts] of text.matchAll(row)) {
    const [packetsLeft, bytesLeft, packetsRight, bytesRight] = counts.map(Number)
    tell(table, a, b, [packetsRight, bytesRight, packetsLeft, bytesLeft])
  }
  return table
}

/** What ends are told by: addresses with or without port, those of the link. */
type Ends = 'addr' | 'port' | 'mac'

function endOf(row: Told, side: 'src' | 'dst', ends: Ends): string {
  if (ends === 'mac') return String(row[`${side}_mac`])
  return `${row[`${side}_addr`]}${ends === 'port' ? `:${row[`${side}_port`]}` : ''}`
}

/** The same of flows; tshark counts frames. */
function flowTable(flows: readonly Told[], ends: Ends): Map<string, Counts> {
  const table = new Map<string, Counts>()
  for (const row of flows) {
    const of = (name: string): number => Number(row[name] ?? 0)
    const tags = ['vlan_id', 'customer_vlan_id'].filter((name) => row[name] !== undefined).length
    const link = ETHERNET_SIZE + tags * TAG_SIZE
    const [packets, back] = [of('packets'), of('rev_packets')]
    const counts = [packets, of('bytes') + packets * link, back, of('rev_bytes') + back * link] as const
    tell(table, endOf(row, 'src', ends), endOf(row, 'dst', ends), counts)
  }
  return table
}

/** Whether one of the ends is of those whose packets come in fragments. */
function isFragmented(ends: string): boolean {
  return /\b10\.0\.4\.|::4[0-9a-f]{2}\b/.test(ends)
}

/** Without those in fragments. */
function whole(table: Map<string, Counts>): Map<string, Counts> {
  return new Map([...table].filter(([ends]) => !isFragmented(ends)))
}

describe('biflows are the conversations that tshark lists', { skip: missing('tshark') }, () => {
  let folder: string
  let file: string
  const flows: Told[] = []

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'flowkit-conversations-'))
    file = join(folder, 'made.pcap')
    const bytes = makeCapture()
    writeFileSync(file, bytes)
    const inputs = [{ name: file, chunks: (async function* () { yield bytes })() }]
    const meter = new FlowMeter({ biflow: true })
    for await (const batch of meterCaptures(inputs, meter, ({ reason }) => assert.fail(reason))) {
      flows.push(...rowsOf(batch))
    }
  })

  after(() => rmSync(folder, { recursive: true }))

  for (const [proto, name] of [[TCP, 'tcp'], [UDP, 'udp'], [SCTP, 'sctp']] as const) {
    test(`${name}, packets and bytes of both directions`, () => {
      const ours = whole(flowTable(flows.filter((row) => row.proto === proto), 'port'))
      assert.ok(ours.size >= 12, `${ours.size} conversations`)
      assert.deepEqual(ours, whole(tsharkTable(file, name)))
    })
  }

  test('IPv4, all protocols, with fragments', () => {
    const ours = flowTable(flows.filter((row) => row.etype === 0x800), 'addr')
    assert.ok(ours.size - whole(ours).size >= 4)
    assert.deepEqual(ours, tsharkTable(file, 'ip'))
  })

  test('IPv6, all protocols', () => {
    const rows = flows.filter((row) => row.etype === 0x86dd)
    // later fragments are not in this table
    assert.deepEqual(whole(flowTable(rows, 'addr')), whole(tsharkTable(file, 'ipv6')))
    const fragmented = rows.filter((row) => isFragmented(`${row.dst_addr} ${row.src_addr}`))
    assert.ok(fragmented.length >= 4)
    // one by one, since it writes large numbers in kB
    const each = fragmented.map(({ src_addr: a, dst_addr: b }) => `eth,ipv6.addr==${a} && ipv6.addr==${b}`)
    assert.deepEqual(flowTable(fragmented, 'mac'), tsharkTable(file, ...each))
  })

  test('each conversation is one flow, begun by the end that began it', () => {
    assert.equal(flows.length, CONVERSATIONS)
    for (const { proto, src_port: port } of flows) {
      if (proto !== TCP && proto !== UDP && proto !== SCTP) continue
      assert.ok(Number(port) >= 50_000 && Number(port) < 50_100, String(port))
    }
  })
})
