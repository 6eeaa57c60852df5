/**
 * Seeded fuzz of the flow cache: mutated packets of each kind that the parser reads, at times that jump.
 *
 *     node test/fuzz/packets.ts --count 1000000 [--seed 1]
 *
 * An input is some packets for a fresh meter. One that breaks a promise is written to test/fixtures/fuzz: the
 * meter's options, then a packet a line (time, link type, length on the wire, interface, bytes in
 * hexadecimal).
 */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { BATCH_SIZE } from '../../core/flow/batch.ts'
import { ID } from '../../core/flow/fields.ts'
import { FlowMeter } from '../../core/meter/meter.ts'
import type { MeterOptions } from '../../core/meter/options.ts'
import { FRAMES } from '../core/pcap/frames.ts'
import { checkRow } from './check-row.ts'
import { mutate, randomNumbers } from './mutate.ts'
import { FINDINGS } from './netflow.ts'

const MOST_PACKETS = 1000
const CHECKED_ROWS = 16 // of a batch
const START = 1_795_266_000_000_000
/** What a clock may do from one packet to the next, µs: mostly a little. */
const STEPS = [1, 10, 1000, 50_000, 1e6, 16e6, 400e6, 86_400e6, -1000, -20e6, -86_400e6]

/** One packet for the meter. */
export interface FuzzPacket {
  readonly time: number
  readonly linkType: number
  readonly wireLength: number
  readonly interfaceIndex: number
  readonly bytes: Uint8Array
}

/** Packets for one meter. */
export interface PacketInput {
  readonly options: MeterOptions
  readonly packets: readonly FuzzPacket[]
}

function makeInput(count: number, random: () => number): PacketInput {
  const options: MeterOptions = {
    biflow: random() % 2 === 0, inner: random() % 2 === 0, maxFlows: 1 << random() % 10,
    sample: random() % 8 === 0 ? 3 : 1, seed: random(),
    ...random() % 4 === 0 && { idleTimeout: 1 + random() % 100e6, activeTimeout: 1 + random() % 1000e6 },
  }
  let time = START
  const packets = Array.from({ length: count }, (): FuzzPacket => {
    const frame = FRAMES[random() % FRAMES.length]
    const other = FRAMES[random() % FRAMES.length].bytes
    // many are left whole, so that there are flows and fragments that belong together
    const bytes = random() % 3 === 0 ? frame.bytes : mutate(frame.bytes, other, random)
    const likely = random() % 16 > 0
    time += random() % 64 === 0 ? STEPS[random() % STEPS.length] : random() % 1000
    return {
      time: random() % 512 === 0 ? [2 ** 53 - 1, 2 ** 53, -1, 0][random() % 4] : time,
      linkType: likely ? frame.linkType : random() % 300,
      wireLength: likely ? bytes.length : random() % 100_000,
      interfaceIndex: random() % 8 === 0 ? random() | 0 : 0,
      bytes,
    }
  })
  return { options, packets }
}

/**
 * Meter an input and check what the meter promises: each packet is in one count, each metered one in one
 * flow.
 *
 * @throws AssertionError, or whatever the meter throws
 */
export function checkPackets({ options, packets }: PacketInput): void {
  const meter = new FlowMeter(options)
  const { stats, finished } = meter
  let told = 0
  let flows = 0
  let last = START
  function take(): void {
    for (let row = 0; row < finished.length; row++) {
      const shape = finished.shapes[finished.shape[row]]
      if (row < CHECKED_ROWS) checkRow(finished, row)
      assert.ok(finished.packets[row] > 0 && finished.flowEnd[row] >= finished.flowStart[row], 'counters')
      assert.ok(finished.endReason[row] >= 1 && finished.endReason[row] <= 5, 'end reason')
      told += finished.packets[row]
      if (shape.mask[ID.revPackets] === 1) told += finished.revPackets[row]
    }
    flows += finished.length
    finished.clear()
  }
  for (const { bytes, wireLength, time, linkType, interfaceIndex } of packets) {
    meter.add(bytes, 0, bytes.length, wireLength, time, linkType, interfaceIndex)
    assert.ok(meter.active <= options.maxFlows!, 'active')
    if (time >= 0 && time < 2 ** 53) last = time
    if (finished.length >= BATCH_SIZE) take()
  }
  while (meter.expire(last + 1e6)) take()
  while (meter.flush()) take()
  assert.equal(meter.active, 0)
  assert.equal(told, stats.metered, 'packets in flows')
  const { skipped, metered, tunnelFragments, unknownLink, wireless, notIp, damaged, cut } = stats
  const refused = unknownLink + wireless + notIp + damaged + cut
  assert.equal(skipped + metered + tunnelFragments + refused, packets.length)
  const { endedIdle, endedActive, endedClosed, endedForced, endedForRoom } = stats
  assert.equal(endedIdle + endedActive + endedClosed + endedForced + endedForRoom, flows, 'ends')
}

/** An input that broke a promise. */
export interface PacketFinding {
  readonly input: PacketInput
  readonly error: unknown
}

/** Check `count` packets. @returns the first input that fails */
export function fuzzPackets(count: number, seed: number): PacketFinding | undefined {
  const random = randomNumbers(seed)
  for (let left = count; left > 0; left -= MOST_PACKETS) {
    const input = makeInput(Math.min(left, MOST_PACKETS), random)
    try {
      checkPackets(input)
    } catch (error) {
      return { input, error }
    }
  }
  return undefined
}

/** The text of an input, as it is kept in a file. */
export function formatPackets({ options, packets }: PacketInput): string {
  const lines = packets.map(({ time, linkType, wireLength, interfaceIndex, bytes }) => (
    `${time} ${linkType} ${wireLength} ${interfaceIndex} ${Buffer.from(bytes).toString('hex')}\n`
  ))
  return `${JSON.stringify(options)}\n${lines.join('')}`
}

/** The input of such a text. */
export function parsePackets(text: string): PacketInput {
  const [options, ...lines] = text.split('\n').slice(0, -1)
  const packets = lines.map((line) => {
    const [time, linkType, wireLength, interfaceIndex, hex] = line.split(' ')
    return {
      time: Number(time), linkType: Number(linkType), wireLength: Number(wireLength),
      interfaceIndex: Number(interfaceIndex), bytes: new Uint8Array(Buffer.from(hex, 'hex')),
    }
  })
  return { options: JSON.parse(options) as MeterOptions, packets }
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { count: { type: 'string' }, seed: { type: 'string' } } })
  const count = Number(values.count ?? 100_000)
  const seed = Number(values.seed ?? 1)
  const finding = fuzzPackets(count, seed)
  if (finding) {
    mkdirSync(FINDINGS, { recursive: true })
    const file = new URL(`packets-${seed}.txt`, FINDINGS)
    writeFileSync(file, formatPackets(finding.input))
    process.stderr.write(`packets: an input fails, kept in ${file.pathname}\n`)
    throw finding.error
  }
  process.stdout.write(`packets: ${count} packets of seed ${seed} passed\n`)
}
