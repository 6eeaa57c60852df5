import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FlowkitError } from '../../../core/flow/errors.ts'
import type { InputFault } from '../../../core/flow/stream.ts'
import { FlowMeter } from '../../../core/meter/meter.ts'
import type { MeterOptions } from '../../../core/meter/options.ts'
import { meterCaptures, type CaptureInput } from '../../../core/meter/read.ts'
import { bytesOf, uint } from '../pcap/frames.ts'
import {
  ACK, FIN, ip4, pcap, pick, record, rowsOf, segment, SYN, tcp, T0, type Told,
} from './packets.ts'

function block(type: number, body: string): string {
  const size = uint(body.length / 2 + 12, 4)
  return uint(type, 4) + size + body + size
}

const SECTION = block(0x0a0d0d0a, '1a2b3c4d00010000ffffffffffffffff')
const INTERFACE = block(1, '0065000000000000')

/** An Enhanced Packet Block. */
function enhanced(at: number, packet: string): string {
  const time = BigInt(T0 + Math.round(at * 1e6)).toString(16).padStart(16, '0')
  const size = packet.length / 2
  return block(6, `00000000${time}${uint(size, 4)}${uint(size, 4)}${packet}${'00'.repeat(-size & 3)}`)
}

async function* chunksOf(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}

function input(name: string, bytes: Uint8Array, size = bytes.length): CaptureInput {
  return { name, chunks: chunksOf(bytes, size) }
}

async function read(
  inputs: readonly CaptureInput[], options: MeterOptions = {},
): Promise<{ rows: Told[], faults: InputFault[], meter: FlowMeter }> {
  const meter = new FlowMeter(options)
  const rows: Told[] = []
  const faults: InputFault[] = []
  const flows = meterCaptures(inputs, meter, (fault) => faults.push(fault))
  for await (const batch of flows) rows.push(...rowsOf(batch))
  return { rows, faults, meter }
}

const NAMES = ['src_port', 'packets', 'flow_start', 'flow_end', 'end_reason']

test('the packets of a file become flows, whatever its chunks are', async () => {
  const file = pcap(record(0, segment(SYN)), record(0.5, segment(FIN)), record(20, ip4(6, tcp(1, 2, ACK))))
  for (const size of [1, 7, 40, 1000]) {
    const { rows, faults } = await read([input('a.pcap', file, size)])
    assert.deepEqual(pick(rows, ...NAMES), [[50000, 2, 0, 0.5, 3], [1, 1, 20, 20, 4]])
    assert.deepEqual(faults, [])
  }
})

test('flows go on from one file to the next, of whatever format', async () => {
  const { rows, meter } = await read([
    input('a.pcap', pcap(record(0, segment(SYN)))),
    input('b.pcapng', bytesOf(SECTION + INTERFACE + enhanced(1, segment(ACK)))),
  ])
  assert.deepEqual(pick(rows, ...NAMES), [[50000, 2, 0, 1, 4]])
  assert.equal(meter.stats.packets, 2)
})

test('a packet without a time has that of the one before it', async () => {
  const simple = block(3, `${uint(40, 4)}${segment(ACK)}`)
  const { rows } = await read([input('a', bytesOf(SECTION + INTERFACE + enhanced(1, segment(ACK)) + simple))])
  assert.deepEqual(pick(rows, ...NAMES), [[50000, 2, 1, 1, 4]])
})

test('a file that is cut gives the flows before, and the next file follows', async () => {
  const whole = pcap(record(0, segment(SYN)), record(1, segment(ACK)))
  const { rows, faults } = await read([
    input('cut.pcap', whole.subarray(0, whole.length - 10)), input('b.pcap', pcap(record(2, segment(ACK)))),
  ])
  assert.deepEqual(pick(rows, ...NAMES), [[50000, 2, 0, 2, 4]])
  assert.deepEqual(faults, [{
    code: 'ERR_TRUNCATED', input: 'cut.pcap',
    reason: 'Cannot read capture at byte 80: 56 bytes wanted, 46 found',
  }])
})

test('damage that the format can step over is reported with its place', async () => {
  const bad = block(6, '00000005' + '00'.repeat(16)) // of an interface that there is not
  const blocks = SECTION + INTERFACE + enhanced(0, segment(ACK)) + bad + enhanced(1, segment(ACK))
  const { rows, faults } = await read([input('a.pcapng', bytesOf(blocks))])
  assert.deepEqual(pick(rows, ...NAMES), [[50000, 2, 0, 1, 4]])
  assert.deepEqual(faults.map(({ code, input }) => [code, input]), [['ERR_MALFORMED', 'a.pcapng']])
})

test('what is no capture is a fault', async () => {
  const { rows, faults } = await read([input('notes.txt', bytesOf('48656c6c6f20776f726c64'))])
  assert.deepEqual(rows, [])
  assert.deepEqual(faults.map(({ code, reason }) => [code, reason]), [
    ['ERR_MALFORMED', 'Cannot read capture: magic number of pcap or pcapng wanted, 0x48656c6c found'],
  ])
})

test('damage in what unwraps a file is a fault, another error comes out', async () => {
  async function* failing(error: Error): AsyncGenerator<Uint8Array> {
    yield pcap(record(0, segment(ACK)))
    throw error
  }
  const damage = new FlowkitError('ERR_CHECKSUM', 'Cannot unwrap gzip: its checksum is wrong')
  const { rows, faults } = await read([{ name: 'a.gz', chunks: failing(damage) }])
  assert.equal(rows.length, 1)
  assert.deepEqual(faults, [{ code: 'ERR_CHECKSUM', input: 'a.gz', reason: damage.message }])
  await assert.rejects(read([{ name: 'a', chunks: failing(new Error('EIO')) }]), { message: 'EIO' })
})

test('batches are given out as they fill', async () => {
  const records = Array.from({ length: 20_000 }, (_, i) => record(i / 1000, ip4(6, tcp(i, 443, SYN))))
  const meter = new FlowMeter({ idleTimeout: 1e6 })
  const sizes: number[] = []
  const refuse = ({ reason }: InputFault): void => assert.fail(reason)
  for await (const { length } of meterCaptures([input('a', pcap(...records), 65_536)], meter, refuse)) {
    sizes.push(length)
  }
  assert.equal(sizes.length, 3)
  assert.equal(sizes.reduce((sum, size) => sum + size), 20_000)
  assert.ok(meter.stats.endedIdle > 18_000)
})
