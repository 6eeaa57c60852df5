/** Whatever a format can hold comes back from it: each field at its edges, through all that are written. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID, type Field } from '../../core/flow/fields.ts'
import { newLoss, rowsLost } from '../../core/flow/loss.ts'
import { FORMATS } from '../../formats/index.ts'
import { inputOfPath, readInputs } from '../../formats/locations.ts'
import { isWritable, openOutput } from '../../formats/outputs.ts'
import { addFlow, largest, plainRow, type Flow, type Value } from './flows.ts'

const folder = mkdtempSync(join(tmpdir(), 'flowkit-round-trip-'))
after(() => rmSync(folder, { recursive: true }))

/** µs of whole milliseconds, which uptimes count. */
const TIME = 1_795_265_998_125_000
const BASE: Flow = {
  type: 5, received: TIME + 2_000_000, exporter_addr: '192.0.2.254', export_secs: Math.ceil(TIME / 1e6),
  export_nsecs: 0, sys_uptime: 100_000, flow_start: TIME, flow_end: TIME + 1_000, proto: 6,
  src_addr: '10.1.2.3', dst_addr: '198.51.100.7', src_port: 50_001, dst_port: 443,
}
const BASE6: Flow = { ...BASE, src_addr: '2001:db8::1', dst_addr: '2001:db8::2' }
const LABEL = /^mpls_label_(\d+)$/

/** Values at the edges of a field, of those that make sense in it. */
function edgesOf(field: Field): Value[] {
  const { name, type } = field
  switch (name) {
    case 'type': return [1, 2, 4, 5]
    case 'etype': return [0x800]
    case 'ip_version': return [4]
    case 'sampling_applied': return [1]
    case 'as_path': case 'bgp_communities': return ['65000', '65000 4200000000']
  }
  if (LABEL.test(name)) return [1, 0xfffff]
  switch (type) {
    case 'time': return [TIME, TIME + 1_000, 946_684_800_000_000, 4_294_967_295_000_000]
    case 'addr': return ['0.0.0.0', '255.255.255.255', '::1', '::ffff:10.0.0.1', largest(field)]
    case 'mac': return ['00:00:00:00:00:01', largest(field)]
    case 'u64': return [0n, 1n, 2n ** 32n, 2n ** 53n, largest(field)]
    case 'count': return [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
    case 'text': return ['a', 'é"\n,']
    case 'octets': return [new Uint8Array(1), new Uint8Array(24).fill(255)]
    default: return [0, 1, largest(field)]
  }
}

/** A flow that has a value, and what goes with it: the family of its addresses, other labels, ICMP. */
function flowWith({ name, type }: Field, value: Value): Flow {
  const base = type === 'addr' && String(value).includes(':') ? BASE6 : BASE
  const labels = Array.from({ length: Number(LABEL.exec(name)?.[1] ?? 0) }, (_, i) => `mpls_label_${i + 1}`)
  const above = Object.fromEntries(labels.map((label) => [label, 16]))
  const icmp = name.startsWith('icmp') ? { proto: 1, icmp_type: 8, icmp_code: 0, dst_port: 2048 } : {}
  return { ...base, ...above, ...icmp, [name]: value }
}

interface Case {
  readonly field: Field
  readonly value: Value
  readonly flow: Flow
}

/** Each has its own number of bytes, or of packets, by which it is found again. */
const CASES: readonly Case[] = FIELDS
  .flatMap((field) => edgesOf(field).map((value) => ({ field, value })))
  .map(({ field, value }, i) => ({
    field, value, flow: { bytes: i + 1000, packets: i + 1, ...flowWith(field, value) },
  }))

/** What a message says for all its flows: a header's, the transport's, or worked out. */
const OF_MESSAGES = [
  'type', 'received', 'observation_domain_id', 'sequence_num', 'export_secs', 'export_nsecs', 'sys_uptime',
  'sampling_source',
]
/** Reverse counters are where outgoing ones are, the version is the addresses'. */
const OF_NFDUMP = [
  'rev_bytes', 'rev_packets', 'sampling_algorithm', 'sampling_source', 'icmp_code', 'ip_version',
]
/** Fields that are others' in a format, and are not told as lost; by the format. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  'netflow-pcap': OF_MESSAGES, 'ipfix-file': OF_MESSAGES, 'flow-tools': OF_MESSAGES, flowd: OF_MESSAGES,
  nfdump: OF_NFDUMP, 'nfdump-1.6': OF_NFDUMP, 'nfdump-1.7.8': OF_NFDUMP,
  'goflow2-json': ['dst_mac'], 'goflow2-protobuf': ['dst_mac'],
}

/** What is read as another format than it is written as. */
const READ_AS: Readonly<Record<string, string>> = { 'nfdump-1.7.8': 'nfdump' }

for (const format of FORMATS) {
  const reader = FORMATS.find(({ name }) => name === (READ_AS[format.name] ?? format.name))!
  if (!isWritable(format) || (!reader.decoder && !reader.open)) continue
  test(`${format.name} gives back every field that it does not say it lost`, async () => {
    const path = join(folder, `x.${format.name}`)
    const { writer } = await openOutput(path, {
      format: format.name, force: false, extras: true, print: async () => {},
    })
    const batch = new FlowBatch()
    for (const { flow } of CASES) addFlow(batch, flow)
    const sent = CASES.map((_, row) => plainRow(batch, row)) // a writer may reorder what it is given
    await writer.write(batch)
    await writer.close()
    const loss = writer.loss?.() ?? newLoss()

    const rows: Record<string, unknown>[] = []
    const input = await inputOfPath(path, reader)
    const wanted = { fields: FIELDS.map(({ id }) => id), extras: true }
    for await (const read of readInputs([input], wanted, ({ reason }) => assert.fail(reason))) {
      for (let row = 0; row < read.length; row++) rows.push(plainRow(read, row))
    }
    assert.equal(rows.length + rowsLost(loss), CASES.length)

    const byBytes = new Map(rows.map((row) => [row['bytes'], row]))
    const byPackets = new Map(rows.map((row) => [row['packets'], row]))
    for (const [i, { field, value }] of CASES.entries()) {
      const { id, name } = field
      const isLost = loss.leftOut[id] + loss.narrowed[id] > 0 || ELSEWHERE[format.name]?.includes(name)
      if (isLost || name === 'flow_start_ns' || name === 'flow_end_ns') continue
      const found = name === 'bytes' ? byPackets.get(i + 1) : byBytes.get(i + 1000)
      if (!found) continue // a flow that was lost
      const isNothing = found[name] === undefined && (Number(value) === 0 || value === '0.0.0.0')
      const isMapped = /^(archive|parquet)$/.test(format.name) && String(value).startsWith('::ffff:')
      if (isNothing || isMapped) continue
      assert.deepEqual(plain(found[name]), plain(sent[i][name]), `${name} of ${String(value)}`)
    }
    assert.ok(loss.leftOut[ID.bytes] === 0)
  })
}

/** A time without the digits that are 0. */
function plain(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/\.?0*Z$/, 'Z') : value
}
