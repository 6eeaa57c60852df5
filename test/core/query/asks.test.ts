/** IPv4 and IPv6 addresses in one report, which other tools have hashed by half of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from '../../../core/flow/address.ts'
import type { FlowBatch } from '../../../core/flow/batch.ts'
import type { FlowReader } from '../../../core/flow/stream.ts'
import { parseKey, topFlows } from '../../../core/query/top.ts'
import { batchOf, type Flow } from '../../formats/flows.ts'

const BASE4 = parseIpv4('192.0.2.77')
const BASE6 = 0x2001_0db8_0123_4567_89ab_cdef_0246_8acen

/** An address for each bit that it differs in from another: none is the same up to the last. */
const ADDRESSES: readonly string[] = [
  formatIpv4(BASE4), ...Array.from({ length: 32 }, (_, bit) => formatIpv4((BASE4 ^ 1 << bit) >>> 0)),
  text6(BASE6), ...Array.from({ length: 128 }, (_, bit) => text6(BASE6 ^ 1n << BigInt(bit))),
]

/** A flow from each address, of 1, 2, 3… bytes, then each once more. */
const FLOWS: readonly Flow[] = [...ADDRESSES, ...ADDRESSES].map((src_addr, i) => ({
  src_addr, dst_addr: ADDRESSES[ADDRESSES.length - 1 - i % ADDRESSES.length], bytes: i % ADDRESSES.length + 1,
}))

function text6(value: bigint): string {
  return formatIpv6(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'), 0)
}

/** The network of an address, by arithmetic on whole numbers. */
function network(address: string, bits4: number, bits6: number): string {
  if (!address.includes(':')) {
    const size = 2 ** (32 - bits4)
    return `${formatIpv4(Math.floor(parseIpv4(address) / size) * size)}/${bits4}`
  }
  const bytes = new Uint8Array(16)
  parseIpv6(address, bytes, 0)
  const free = BigInt(128 - bits6)
  return `${text6(BigInt(`0x${Buffer.from(bytes).toString('hex')}`) >> free << free)}/${bits6}`
}

/** The sums of bytes by what `key` makes of each flow. */
function sums(key: (flow: Flow) => string): Map<string, number> {
  const found = new Map<string, number>()
  for (const flow of FLOWS) found.set(key(flow), (found.get(key(flow)) ?? 0) + Number(flow.bytes))
  return found
}

async function* reader(): FlowReader {
  const batches: FlowBatch[] = [batchOf(FLOWS.slice(0, 100)), batchOf(FLOWS.slice(100))]
  yield* batches
}

/** The same sums as the report has them. */
async function report(...by: string[]): Promise<Map<string, number>> {
  const { rows } = await topFlows(reader(), { by: by.map(parseKey), sums: ['bytes'], limit: 1000 })
  return new Map(rows.map((row) => [row.slice(0, -1).join(' '), Number(row.at(-1))]))
}

function sorted(map: ReadonlyMap<string, number>): [string, number][] {
  return [...map].sort(([a], [b]) => a < b ? -1 : 1)
}

test('addresses that differ in any one bit are apart, IPv4 and IPv6 in one report', async () => {
  const groups = await report('src_addr')
  assert.equal(groups.size, 162)
  assert.deepEqual(sorted(groups), sorted(sums(({ src_addr }) => `${src_addr}`)))
})

test('pairs of an IPv4 and an IPv6 address are grouped by both', async () => {
  assert.deepEqual(sorted(await report('src_addr', 'dst_addr')),
    sorted(sums(({ src_addr, dst_addr }) => `${src_addr} ${dst_addr}`)))
})

test('addresses are grouped by exactly as many bits as asked for, in each family', async () => {
  for (const [bits4, bits6] of [
    [0, 0], [1, 1], [8, 32], [24, 48], [31, 63], [32, 64], [17, 65], [30, 127], [32, 128],
  ]) {
    assert.deepEqual(sorted(await report(`src_addr/${bits4}/${bits6}`)),
      sorted(sums(({ src_addr }) => network(`${src_addr}`, bits4, bits6))), `/${bits4}/${bits6}`)
  }
})
