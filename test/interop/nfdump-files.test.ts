import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID, type Field } from '../../core/flow/fields.ts'
import { FLOW_TYPE, SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { VARIABLE_LENGTH } from '../../core/flow/shape.ts'
import { datagramEncoder } from '../../core/netflow/encode/encode.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic, type TrafficOptions } from '../../core/netflow/generate/options.ts'
import { nfdump, nfdump16 } from '../../formats/nfdump.ts'
import { batchOf, encodeAll, type RowSource } from '../core/netflow/encode/rows.ts'
import { collector, rows, type Row } from '../core/netflow/messages.ts'
import { addFlow, batchOf as flowBatchOf, largest, type Flow, type Value } from '../formats/flows.ts'
import { readFile, writeFile } from '../formats/nfdump-files.ts'
import { fileOfNfcapd, missing, output, pickAs, type Told } from './peers.ts'
import { interopRows, richRows } from './rows.ts'

const skip = missing('nfdump', 'nfcapd')

/** Run `use` with the path of a file that has these bytes. */
function withFile<T>(bytes: Uint8Array, use: (path: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-nfdump-'))
  try {
    const path = join(folder, 'nfcapd.202611211300')
    writeFileSync(path, bytes)
    return use(path)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** What nfdump 1.7.1 reads in a file. */
function told(bytes: Uint8Array): readonly Told[] {
  return withFile(bytes, (path) => JSON.parse(output('nfdump', '-r', path, '-o', 'json')) as Told[])
}

/** RFC 3339 without the zone, as nfdump prints times. */
function timeText(value: Row[string] | undefined): string {
  return new Date(Number(value) / 1000).toISOString().slice(0, -1)
}

/** A row as nfdump's JSON has it. */
function asNfdump(row: Row): Told {
  const family = row['etype'] === 0x86dd ? 6 : 4
  const flags = [...'CEUAPRSF']
    .map((letter, bit) => Number(row['tcp_flags']) & 0x80 >> bit ? letter : '.').join('')
  const isIcmp = 'icmp_type' in row
  return {
    first: timeText(row['flow_start']), last: timeText(row['flow_end']), received: timeText(row['received']),
    in_packets: row['packets'], in_bytes: row['bytes'], proto: row['proto'], src_tos: row['tos'],
    [`src${family}_addr`]: row['src_addr'], [`dst${family}_addr`]: row['dst_addr'],
    [`ip${family}_next_hop`]: row['next_hop'], input_snmp: row['in_if'], output_snmp: row['out_if'],
    src_as: row['src_as'], dst_as: row['dst_as'], src_mask: row['src_mask'], dst_mask: row['dst_mask'],
    ...!isIcmp && { src_port: row['src_port'], dst_port: row['dst_port'] },
    ...isIcmp && { icmp_type: row['icmp_type'], icmp_code: row['icmp_code'] },
    ...'tcp_flags' in row && { tcp_flags: flags },
  }
}

for (const compression of ['none', 'lzo', 'lz4']) {
  test(`nfdump reads the flows of a file written with compression ${compression}`, { skip }, async () => {
    const { bytes } = await writeFile({ compression }, batchOf(...interopRows))
    const expected = interopRows.map(({ fields }) => asNfdump(fields))
    assert.deepEqual(pickAs(told(bytes), expected), expected)
  })
}

test('nfdump reads MAC addresses, VLANs, MPLS labels, NAT, VRFs, and counters beside', { skip }, async () => {
  const { bytes } = await writeFile({}, batchOf(...richRows))
  const expected = richRows.map(({ fields }) => {
    const family = fields['etype'] === 0x86dd ? 6 : 4
    return {
      ...asNfdump(fields), in_src_mac: fields['src_mac'], in_dst_mac: fields['dst_mac'],
      out_src_mac: fields['post_src_mac'], out_dst_mac: fields['post_dst_mac'], src_vlan: 100, dst_vlan: 200,
      mpls_1: '1000-5-0', mpls_2: '2000-2-1', mpls_3: '0-0-0',
      [`bgp${family}_next_hop`]: fields['bgp_next_hop'],
      dst_tos: 8, direction: 1, fwd_status: 66, out_bytes: 99, out_packets: 9, aggr_flows: 3, next_as: 64_501,
      prev_as: 64_502, src_xlt_port: '1025', dst_xlt_port: '8443', nat_event_id: '4', ingress_vrf: '11',
      egress_vrf: '12', [`src${family}_xlt_ip`]: fields['post_nat_src_addr'],
      [`dst${family}_xlt_ip`]: fields['post_nat_dst_addr'],
    }
  })
  assert.deepEqual(pickAs(told(bytes), expected), expected)
})

test('nfdump reads events of firewalls, delays, tunnels, observation points, port blocks', { skip }, async () => {
  const [{ fields }] = interopRows
  const row = {
    ...fields, type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 0x1234, exporter_addr: '192.0.2.9',
    event_time: 1_795_000_000_123_000, firewall_event: 2, firewall_ext_event: 1001, flow_id: 123_456,
    in_acl: '0102030405060708090a0b0c', out_acl: '00000001000000020000000a', user_name: 'alice',
    client_latency: 1500, server_latency: 2500, app_latency: 2 ** 32 - 1, observation_point_id: 77,
    post_napt_src_port: 1, post_napt_dst_port: 2, end_reason: 3, biflow_direction: 1,
    tun_src_addr: '192.0.2.1',
    tun_dst_addr: '192.0.2.2', tun_proto: 47, port_block_start: 1024, port_block_end: 2047,
    port_block_step: 1,
    port_block_size: 1024,
  }
  const { bytes } = await writeFile({}, batchOf({ fields: row }))
  const [flow] = told(bytes)
  const expected = {
    type: 'EVENT', sampled: 0, export_sysid: 1, ip4_router: '192.0.2.9', event_id: '2', xevent_id: '1001',
    connect_id: '123456', ingress_acl: '0x1020304/0x5060708/0x90a0b0c', egress_acl: '0x1/0x2/0xa',
    user_name: 'alice', cli_latency: 1.5, srv_latency: 2.5, app_latency: 4_294_967.295,
    observationPointID: 77, pblock_start: '1024', pblock_end: '2047', pblock_step: '1', pblock_size: '1024',
    'tun proto': 47, src4_tun_ip: '192.0.2.1', dst4_tun_ip: '192.0.2.2', t_event: timeText(row.event_time),
  }
  assert.deepEqual(pickAs([flow], [expected]), [expected])
  const raw = withFile(bytes, (path) => output('nfdump', '-r', path, '-o', 'raw'))
  assert.match(raw, /engine type {2}= +18\n {2}engine ID {4}= +52\n/)
  assert.match(raw, /biFlow Dir {3}= +0x01.*\n {2}end reason {3}= +0x03/)
})

test('nfdump complains of no flow, whatever fields and values it has', { skip }, async () => {
  const { type: _, ...base } = interopRows[0].fields
  const flows = FIELDS.flatMap((field) => [largest(field), smallest(field)].map((value): Flow => (
    { ...base as Flow, [field.name]: value }
  )))
  const batch = flowBatchOf([...flows, Object.fromEntries(FIELDS.map((field) => [field.name, largest(field)]))])
  for (const [pen, id, ...bytes] of [
    [6871, 18, 71, 69], [6871, 18], [6871, 16_402], [637, 91, 0, 1], [637, 93, 65], [637, 93], [0, 408, 0, 1],
    [0, 315, 1], [0, 315],
  ]) {
    const extras = [{ pen, id, length: VARIABLE_LENGTH }]
    addFlow(batch, base as Flow, { extras, extraBytes: Uint8Array.of(0, bytes.length, ...bytes) })
  }
  const count = batch.length
  const { bytes, loss } = await writeFile({ extras: true }, batch)
  for (const format of ['json', 'long', 'csv']) {
    withFile(bytes, (path) => output('nfdump', '-r', path, '-o', format))
  }
  const raw = withFile(bytes, (path) => output('nfdump', '-r', path, '-o', 'raw'))
  assert.equal(raw.match(/^Flow Record:/gm)?.length, count)
  const again = withFile(bytes, (path) => {
    output('nfdump', '-r', path, '-w', `${path}.again`)
    return readFileSync(`${path}.again`)
  })
  assert.deepEqual(readFile(again), readFile(bytes))
  assert.ok(loss.leftOut[ID.minTtl] > 0 && loss.elements.get('payload') === 1)
})

function smallest({ type }: Field): Value {
  switch (type) {
    case 'addr': return '0.0.0.1'
    case 'mac': return '00:00:00:00:00:01'
    case 'u64': return 0n
    case 'text': return ''
    case 'octets': return new Uint8Array(0)
    default: return 0
  }
}

test('nfdump finds whole blocks and the sums of all flows in a written file', { skip }, async () => {
  const traffic = parseTraffic('flows=20K,exporters=3,v6=20%,seed=11')
  const batches = generated(traffic)
  const all = batches.flatMap((batch) => rows(batch))
  const { bytes } = await writeFile({}, ...batches)
  const [report, sums] = withFile(bytes, (path) => [
    output('nfdump', '-v', path), output('nfdump', '-I', '-r', path),
  ])
  assert.match(report, /Type 3 blocks : [2-9]\n/)
  const total = (name: string, proto?: number) => all
    .filter((row) => proto === undefined || row['proto'] === proto)
    .reduce((sum, row) => sum + Number(name === 'flows' ? 1 : row[name]), 0)
  for (const [word, name] of [['Flows', 'flows'], ['Packets', 'packets'], ['Bytes', 'bytes']] as const) {
    assert.match(sums, new RegExp(`^${word}: ${total(name)}$`, 'm'))
    assert.match(sums, new RegExp(`^${word}_udp: ${total(name, 17)}$`, 'm'))
  }
  const first = Math.min(...all.map((row) => Number(row['flow_start']))) / 1000
  assert.match(sums, new RegExp(`^First: ${Math.floor(first / 1000)}$`, 'm'))
  assert.match(sums, new RegExp(`^msec_first: ${Math.floor(first % 1000)}$`, 'm'))
})

/** Batches of their own, since the generator uses one again. */
function generated(traffic: TrafficOptions): FlowBatch[] {
  return Array.from(generateFlows(traffic), (batch) => {
    const copy = new FlowBatch()
    for (let row = 0; row < batch.length; row++) copy.append(batch, row)
    return copy
  })
}

/** What nfdump prints of the same flows in files of layout 1 and 2. */
async function inBoth(
  batches: readonly FlowBatch[], compression: string, ...options: readonly string[]
): Promise<readonly string[]> {
  const texts: string[] = []
  for (const format of [nfdump16, nfdump]) {
    const { bytes } = await writeFile({ format, compression }, ...batches)
    texts.push(withFile(bytes, (path) => output('nfdump', ...options, '-r', path)))
  }
  return texts
}

for (const compression of ['none', 'lzo', 'lz4']) {
  test(`nfdump reads a file of 1.6 with compression ${compression} as its own`, { skip }, async () => {
    const [{ fields }] = interopRows
    const own = [
      { packets: 2 ** 40 }, { bytes: 2 ** 50 }, { packets: 2 ** 32, bytes: 2 ** 33, out_bytes: 2 ** 41 },
      { type: FLOW_TYPE.NETFLOW_V9, observation_domain_id: 0x1234, exporter_addr: '2001:db8::9' },
      { type: FLOW_TYPE.NETFLOW_V5, engine_type: 1, engine_id: 7, exporter_addr: '192.0.2.9' },
      { client_latency: 1500, server_latency: 2500, app_latency: 3500, biflow_direction: 1, end_reason: 3 },
    ].map((group) => ({ fields: { ...fields, ...group } }))
    const rich = richRows.map((row) => { // nfdump 1.7.1 reads events only if it was built so
      const { nat_event: _, src_vrf: __, dst_vrf: ___, ...rest } = row.fields
      const kept = Object.entries(rest).filter(([name]) => !/^post_na/.test(name))
      return { fields: Object.fromEntries(kept) }
    })
    const batches = [batchOf(...interopRows, ...own, ...rich), ...generated(parseTraffic('flows=20K,seed=3'))]
    for (const options of [['-o', 'csv'], ['-q', '-o', 'json'], ['-q', '-o', 'extended'], ['-I']]) {
      const [found, expected] = await inBoth(batches, compression, ...options)
      assert.equal(found, expected)
    }
  })
}

test('nfdump reads on behind the events of a file of 1.6, and lists its exporters', { skip }, async () => {
  const [{ fields }, second] = interopRows
  const event = {
    ...fields, type: FLOW_TYPE.IPFIX, observation_domain_id: 99, exporter_addr: '192.0.2.9',
    event_time: 1_795_000_000_123_000, firewall_event: 2, firewall_ext_event: 1001, flow_id: 123_456,
    nat_event: 4, in_acl: '0102030405060708090a0b0c', out_acl: '00000001000000020000000a', user_name: 'alice',
    src_vrf: 1, post_napt_src_port: 1, post_nat_src_addr: '203.0.113.1', port_block_start: 1024,
    client_latency: 1500,
  }
  const { bytes } = await writeFile({ format: nfdump16 }, batchOf({ fields: event }, second))
  const expected = [
    {
      ...asNfdump(event), type: 'EVENT', sampled: 0, export_sysid: 1, ip4_router: '192.0.2.9',
      cli_latency: 1.5,
    },
    asNfdump(second.fields),
  ]
  assert.deepEqual(pickAs(told(bytes), expected), expected)
  const [list, maps, report] = withFile(bytes, (path) => [
    output('nfdump', '-E', path), output('nfdump', '-x', path), output('nfdump', '-v', path),
  ])
  assert.match(list, /SysID: 1, IP: +192\.0\.2\.9, version: 10, ID: 99, .* flows: 1\n/)
  assert.match(maps, /Map ID   = 1\n  Map Size = 20\n  Ext Size = 32\n/)
  assert.match(report, /Version {4}: 1 - lzo compressed[^]*Type 2 blocks : 1\n/)
})

test('nfdump complains of no flow in a file of 1.6, whatever it has', { skip }, async () => {
  const { type: _, ...base } = interopRows[0].fields
  const flows = FIELDS.filter(({ id }) => id !== ID.samplingRate) // whose record 1.7 does not know
    .flatMap((field) => [largest(field), smallest(field)].map((value): Flow => (
      { ...base as Flow, [field.name]: value }
    )))
  const { bytes } = await writeFile({ format: nfdump16 }, flowBatchOf(flows))
  for (const format of ['json', 'long', 'csv']) {
    withFile(bytes, (path) => output('nfdump', '-r', path, '-o', format))
  }
  const raw = withFile(bytes, (path) => output('nfdump', '-r', path, '-o', 'raw'))
  assert.equal(raw.match(/^Flow Record:/gm)?.length, flows.length)
})

for (const [option, name] of [['', 'no compression'], ['-z', 'LZO'], ['-y', 'LZ4'], ['-j', 'bzip2']] as const) {
  test(`flows come back from what nfdump writes of a file with ${name}`, { skip }, async () => {
    const sources = [...interopRows, ...richRows]
    const { bytes } = await writeFile({}, batchOf(...sources))
    const again = withFile(bytes, (path) => {
      output('nfdump', '-r', path, ...option === '' ? [] : [option], '-w', `${path}.again`)
      return readFileSync(`${path}.again`)
    })
    const { rows: found, faults, error } = readFile(again)
    assert.deepEqual([faults, error], [[], undefined])
    assert.deepEqual(found, readFile(bytes).rows)
    assert.equal(found.length, sources.length)
  })
}

for (const version of [5, 9, 10] as const) {
  test(`a file that nfcapd makes of version ${version} has the flows that were sent`, { skip }, async () => {
    const sources = interopRows.filter(({ fields }) => version > 8 || fields['etype'] === 0x800)
    const { found, sent } = await throughNfcapd(version, sources)
    const compared = [
      'flow_start', 'flow_end', 'packets', 'bytes', 'proto', 'tcp_flags', 'tos', 'src_addr', 'dst_addr',
      'src_port',
      'dst_port', 'in_if', 'out_if', 'src_as', 'dst_as', 'next_hop', 'etype', 'type', 'exporter_addr',
      ...version > 8 ? ['observation_domain_id', 'src_mask', 'dst_mask'] : [], // 1.7.1 does not keep those of v5
    ]
    for (const [i, row] of sent.entries()) {
      for (const name of compared) {
        if (name in row && !isPort(name, row)) assert.deepEqual(found[i][name], row[name], name)
      }
    }
    assert.equal(found.length, sent.length)
  })
}

/** nfcapd has type and code of ICMP in place of the destination port. */
function isPort(name: string, row: Row): boolean {
  return name === 'dst_port' && (row['proto'] === 1 || row['proto'] === 58)
}

test('a file that nfcapd makes of sampled flows has their rate, and scaled counters', { skip }, async () => {
  const sampling = { sampling_rate: 100, sampling_algorithm: 1, sampling_source: SAMPLING_SOURCE.config }
  const [{ fields }] = interopRows
  const { found: [row] } = await throughNfcapd(9, [{ fields: { ...fields, ...sampling } }])
  assert.deepEqual(
    [row['packets'], row['bytes'], row['sampling_rate'], row['sampling_applied'], row['sampling_source']],
    [1200, 345_600, 100, 1, SAMPLING_SOURCE.options],
  )
})

/** What a file of nfcapd has of rows that are sent to it, and what flowkit collects of the same datagrams. */
async function throughNfcapd(
  version: 5 | 9 | 10, sources: readonly RowSource[],
): Promise<{ readonly found: readonly Row[], readonly sent: readonly Row[] }> {
  const options = { maxSize: 1400, domain: 7, templateRefresh: 60e6, statistics: true }
  const datagrams = encodeAll(datagramEncoder({ version }, options), batchOf(...sources))
  const { rows: found, faults, error } = readFile(await fileOfNfcapd(datagrams))
  assert.deepEqual([faults, error], [[], undefined])
  const own = collector()
  return { found, sent: datagrams.flatMap((bytes) => own.send(bytes, '127.0.0.1')) }
}

test('an exporter is the same to nfdump and in what it writes', { skip }, async () => {
  const [{ fields }] = interopRows
  const row = { ...fields, type: FLOW_TYPE.IPFIX, observation_domain_id: 99, exporter_addr: '2001:db8::9' }
  const { bytes } = await writeFile({}, batchOf({ fields: row }))
  const list = withFile(bytes, (path) => output('nfdump', '-E', path))
  assert.match(list, /SysID: 1, IP: +2001:db8::9, version: 10, ID: 99/)
  const again = withFile(bytes, (path) => {
    output('nfdump', '-r', path, '-w', `${path}.again`)
    return readFileSync(`${path}.again`)
  })
  const [found] = readFile(again, { fields: [ID.type, ID.exporterAddr, ID.observationDomainId] }).rows
  assert.deepEqual(found, { type: FLOW_TYPE.IPFIX, observation_domain_id: 99, exporter_addr: '2001:db8::9' })
})
