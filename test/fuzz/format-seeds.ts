/** Files that the fuzz of formats begins with: those that flowkit writes, and by hand what it only reads. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { gzipSync } from 'node:zlib'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { captureEncoder } from '../../core/netflow/encode/capture.ts'
import { DEFAULT_EXPORT } from '../../core/netflow/encode/export-streams.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import type { FlowFormat, WriteRequest } from '../../formats/format.ts'
import { EXTENSIONS } from '../../formats/nfdump/extensions.ts'
import { capture } from '../core/netflow/sflow/datagrams.ts'
import { join, text } from '../core/netflow/messages.ts'
import {
  fileOf, header, recordBytes, RECORDS, STREAM1_RECORD, valuesOf,
} from '../formats/flow-tools-files.ts'
import { FULL, hex, record } from '../formats/flowd-records.ts'
import { addFlow, type Flow, type Value } from '../formats/flows.ts'
import {
  block, exporter, extension, file, flow, generic, le, sampler, V4,
} from '../formats/nfdump-files.ts'
import { madeUpSeeds } from './seeds.ts'

/** Traffic of a few flows each. */
const TRAFFIC = ['flows=1,v6=0%,nat=0%', 'flows=3,v6=50%', 'flows=8,nat=50%,sampling=1/10']

/** The batches that are written: generated flows, and flows with every field, of IPv4 and of IPv6. */
export function batches(): FlowBatch[] {
  const all = TRAFFIC.map((traffic) => {
    const batch = new FlowBatch(16)
    for (const flows of generateFlows(parseTraffic(traffic))) {
      for (let row = 0; row < flows.length; row++) batch.append(flows, row)
    }
    return batch
  })
  const every = new FlowBatch(2)
  for (const address of ['192.0.2.7', '2001:db8::7']) {
    const flow = FIELDS.map(({ id, name, type }): [string, Value] => {
      if (id === ID.flowStartNs || id === ID.flowEndNs) return [name, 7]
      switch (type) {
        case 'u64': return [name, 2n ** 60n + 7n]
        case 'time': return [name, 1_795_000_000_000_007]
        case 'addr': return [name, address]
        case 'mac': return [name, '02:00:00:00:00:07']
        case 'text': return [name, 'é7 "']
        case 'octets': return [name, Uint8Array.of(7, 0, 255)]
        default: return [name, 7]
      }
    })
    addFlow(every, Object.fromEntries(flow) as Flow)
  }
  return [...all, every]
}

/** A file of a batch, as the format writes it. */
export async function written(
  format: FlowFormat, batch: FlowBatch, request: WriteRequest = {},
): Promise<Uint8Array> {
  const encoder = format.encoder?.({ extras: true, ...request })
  if (encoder) {
    const bytes = Uint8Array.from(encoder.encode(batch))
    return join(bytes, encoder.finish?.() ?? new Uint8Array(0))
  }
  const folder = mkdtempSync(joinPath(tmpdir(), 'flowkit-fuzz-'))
  try {
    const path = joinPath(folder, 'seed')
    const writer = await format.create!(path, { extras: true, ...request })
    await writer.write(batch)
    await writer.close()
    return new Uint8Array(readFileSync(path))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Seeds of a format: files that it writes itself, in its own compressions too, and those made by hand. */
export async function seedsOf(format: FlowFormat): Promise<Uint8Array[]> {
  const seeds = MADE[format.name]?.() ?? []
  if (!format.encoder && !format.create) return seeds
  const none = format.compressions ? { compression: 'none' } : {}
  const all = batches()
  for (const batch of all) seeds.push(await written(format, batch, none))
  for (const compression of format.compressions ?? []) {
    if (compression !== 'none') seeds.push(await written(format, all[1], { compression }))
  }
  return format.name === 'goflow2-protobuf' ? [...seeds, ...seeds.map(withoutNewlines)] : seeds
}

/** Messages of goflow2 without what separates them. */
function withoutNewlines(messages: Uint8Array): Uint8Array {
  const parts: Uint8Array[] = []
  for (let at = 0; at < messages.length;) {
    const isLong = messages[at] > 127
    const length = isLong ? messages[at] & 127 | messages[at + 1] << 7 : messages[at]
    const end = at + (isLong ? 2 : 1) + length
    parts.push(messages.subarray(at, end))
    at = end + 1
  }
  return join(...parts)
}

const MADE: Readonly<Record<string, () => Uint8Array[]>> = {
  'netflow-pcap': madeCaptures, 'nfdump': madeNfdump, 'flowd': madeFlowd, 'flow-tools': madeFlowTools,
  'vpc-log': madeVpcLogs, 'json': madeJson, 'goflow2-json': madeJson,
}

function madeCaptures(): Uint8Array[] {
  const captures = ['fragments.pcap', 'softflowd-v10.pcapng', 'softflowd-v9.pcap', 'softflowd-v5.pcap']
    .map((name) => new Uint8Array(readFileSync(new URL(`../fixtures/netflow/${name}`, import.meta.url))))
  const packets = ['ethernet-modified.pcap', 'ethernet-nano.pcap', 'frames.pcapng', 'vxlan-fragments.pcap']
    .map((name) => new Uint8Array(readFileSync(new URL(`../fixtures/pcap/${name}`, import.meta.url))))
  const encoder = captureEncoder(DEFAULT_EXPORT, 'pcapng')
  const [, batch] = batches()
  return [
    ...captures, ...packets, join(encoder.encode(batch), encoder.finish()),
    ...madeUpSeeds().map((datagrams) => capture(...datagrams)),
  ]
}

/** Blocks of nfdump packed by bzip2 1.0.8 -1, as flowkit cannot: flows; identifier and statistics. */
const BZIP2_FLOWS = Uint8Array.fromBase64(
  'QlpoMTFBWSZTWT49aW4AAHzvn/+cAAgMAEgEQQFkAAAIIAAASAkAAAQAAQAAoACQMYACYAAmCKQkZNNGgB6DUuGYxOVLp3CEEDEKQRAM'
  + 'ZjAuIwBwGgyHEegyX6IYDUeI0Wo0GSDsMYDGYyHYZjmOgyHwMA8h0Go6DqNRsP4bxsIajYdx3H12gLCF4/xdyRThQkD49aW4',
)
const BZIP2_APPENDIX = Uint8Array.fromBase64(
  'QlpoMTFBWSZTWaKvvYUAAANBYHAgAgHAAgQAIAAxADAgGh6hDJSQcVPFLxdyRThQkKKvvYU=',
)

/** Extensions of layout 1 and their bytes (bin/nfx.h of nfdump 1.6). */
const FORMER_EXTENSIONS = [
  [4, 4], [5, 8], [6, 4], [7, 8], [8, 4], [9, 4], [10, 16], [11, 4], [12, 16], [13, 4], [14, 4], [15, 8],
  [16, 4], [17, 8], [18, 4], [19, 8], [20, 16], [21, 16], [22, 40], [23, 4], [24, 16], [25, 4], [26, 8],
  [27, 8], [37, 20], [38, 4], [39, 8], [40, 32], [41, 24], [42, 24], [43, 72], [45, 24], [46, 12], [47, 8],
  [48, 8],
] as const

function madeNfdump(): Uint8Array[] {
  const counting = (length: number) => Uint8Array.from({ length }, (_, i) => i)
  const others = EXTENSIONS.filter(({ id }) => id > 1).map(({ id, size }) => extension(id, counting(size)))
  const named = [13, 14, 16, 17].map((type) => join(le(2, type, 24, 1, 12), le(4, 8, 3), text('eth3', 8)))
  const known = [
    exporter(1, 9, 7, join(new Uint8Array(8), le(2, 0, 0xffff), le(4, 0xc0000201))), sampler(1, -1, 1, 99),
    join(le(2, 8, 32), le(4, 1), new Uint8Array(24)), ...named,
  ]
  return [
    file([block([...known, flow({ sysid: 1 }, generic(), V4), flow({ sysid: 1 }, generic(), ...others)])]),
    file([block(others.map((each) => flow({ version: 9 }, generic(), each)))]),
    file([block([], { count: 6, pack: () => BZIP2_FLOWS })], { compression: 2, pack: () => BZIP2_APPENDIX }),
    ...madeFormerNfdump(counting),
  ]
}

/** Files of layout 1, which nfdump 1.5 and 1.6 wrote. */
function madeFormerNfdump(counting: (length: number) => Uint8Array): Uint8Array[] {
  const former = (flags: number, type: number, ...records: readonly Uint8Array[]) => join(
    le(2, 0xa50c, 1), le(4, flags, 1), text('none', 128), new Uint8Array(136), block(records, { type }),
  )
  const map = (id: number, ...ids: readonly number[]) => {
    const list = [...ids, 0, ...ids.length % 2 === 0 ? [0] : []]
    return join(le(2, 2, 8 + list.length * 2, id, 0), le(2, ...list))
  }
  const start = join(le(2, 123, 456), le(4, 1_567_000_000, 1_567_000_010), le(1, 64, 0x1b, 6, 0xb8))
  const common = (flags: number, mapId: number, ...parts: readonly Uint8Array[]) => {
    const addresses = counting(flags & 4 ? 32 : 8)
    const counters = join(counting(flags & 2 ? 8 : 4), counting(flags & 1 ? 8 : 4))
    const body = join(
      le(1, flags, 9), le(2, mapId), start, le(2, 50_000, 443, 1), le(1, 1, 3), addresses, counters, ...parts,
    )
    return join(le(2, 10, body.length + 4), body)
  }
  const alone = FORMER_EXTENSIONS.flatMap(([id, size]) => [map(id, id), common(0, id, counting(size))])
  const sum = FORMER_EXTENSIONS.reduce((sum, [, size]) => sum + size, 0)
  const first = join(
    le(1, 128, 1), le(2, 0), start, le(2, 50_000, 443), le(4, 0x0a010203, 0xc6336407, 10, 1500),
  )
  const oldest = join(
    le(2, 0), start, le(2, 3, 4, 50_000, 443, 64_496, 64_497), le(4, 0x0a010203, 0xc6336407, 10, 1500),
  )
  const known = join(le(2, 7, 32), le(4, 9), new Uint8Array(8), le(4, 0xc0000203, 0), le(2, 2, 1), le(4, 7))
  return [
    former(0, 2, map(0), ...[0, 1, 2, 4, 7].map((flags) => common(flags, 0))), former(0, 2, ...alone),
    former(0, 2, map(1, ...FORMER_EXTENSIONS.map(([id]) => id)), common(0, 1, counting(sum))),
    former(0, 2, map(0), known, join(le(2, 1, first.length + 4), first)),
    former(0, 1, join(le(4, 0), le(2, oldest.length + 6), oldest)),
  ]
}

/** Records with and without checksums, of newer minor versions, and a log of version 2. */
function madeFlowd(): Uint8Array[] {
  const six = record(0x550, `
    20010db8000000000000000000000001 20010db8000000000000000000000002 20010db8000000000000000000000003`)
  const plain = record(0x000008a0, '0a000001 c6336401 8235 01bb')
  const unchecked = Buffer.concat([FULL.subarray(0, -4)])
  unchecked[1]-- // words
  unchecked[4] &= ~0x40 // of the mask: a checksum
  const more = record(0x00080001, '0000002a 01020304 05060708', 0x61)
  const version2 = hex(`
    012cf047 00000002 6a100000 00000000
    0007faaf 0000002a  6a100000  1b062800  c0000201 0a000001 c6336401 c00002fe  823501bb
    0000000000000003 0000000000000abc  0004 0005
    066ff300 6a0fffff 19e792c0 0005 0000  066fd9c4 066fec5a
    fbf4 3b41 18 10 0000  01 07 0000 000003e8
    00000040 20010db8000000000000000000000001  00001000 0000000000000007`)
  return [
    Buffer.concat([FULL, plain, six]), Buffer.concat([plain, unchecked, unchecked]),
    Buffer.concat([more, plain]), version2,
  ].map((bytes) => new Uint8Array(bytes))
}

/** Of the records of `valuesOf`. */
const EXPORTER = valuesOf('5')['exaddr']

/** Every version in either byte order, packed or not, headers with further values, and stream version 1. */
function madeFlowTools(): Uint8Array[] {
  const files = Object.keys(RECORDS).flatMap((version) => {
    const records = [valuesOf(version), valuesOf(version), valuesOf(version)]
    return [
      fileOf(version, records), fileOf(version, records, { little: false }),
      fileOf(version, records, { little: version !== '5', level: 6 }),
    ]
  })
  const value = (type: number, ...parts: readonly Uint8Array[]) => {
    const body = join(...parts)
    return join(le(2, type, body.length), body)
  }
  const named = Buffer.concat([
    header('5', 0, true,
      value(6, le(4, 1_700_000_000)), value(7, le(4, 1_700_000_060)), value(9, le(4, 0)), value(10, le(4, 1)),
      value(15, text('router\0')), value(16, text('a comment\0')),
      value(17, le(4, EXPORTER), le(2, 7), text('eth7\0')),
      value(18, le(4, EXPORTER), le(2, 1, 7), text('up\0'))),
    recordBytes(RECORDS['5'], valuesOf('5'), true),
  ])
  const former = [true, false].map((little) => {
    const head = Buffer.alloc(360)
    head.set([0xcf, 0x10, little ? 1 : 2, 1, little ? 5 : 0, little ? 0 : 5])
    head.write('router', 36)
    return Buffer.concat([head, recordBytes(STREAM1_RECORD, valuesOf('5'), little)])
  })
  return [...files, named, ...former].map((bytes) => new Uint8Array(bytes))
}

const VPC_LINE = '2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 '
  + '1418530010 1418530070 ACCEPT OK'
const VPC_NODATA = '2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA'
const VPC_HEADER = 'version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes '
  + 'start end action log-status vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region '
  + 'az-id sublocation-type sublocation-id pkt-src-aws-service pkt-dst-aws-service flow-direction '
  + 'traffic-path ecs-cluster-arn reject-reason resource-id encryption-status'

/** Lines with and without a header, as CloudWatch exports them, and in the JSON of its subscribers. */
function madeVpcLogs(): Uint8Array[] {
  const message = (...lines: readonly string[]) => JSON.stringify({
    messageType: 'DATA_MESSAGE', owner: '1', logGroup: 'g', logStream: 's', subscriptionFilters: ['f'],
    logEvents: lines.map((line, i) => ({ id: `${i}`, timestamp: 1418530010000, message: line })),
  })
  const control = '{"messageType":"CONTROL_MESSAGE","logEvents":[{"id":"","timestamp":1,"message":"x"}]}'
  const packed = (text: string) => gzipSync(text).toString('base64')
  const values = '5 1 eni-1 10.0.0.1 2001:db8::1 1 65535 6 20 18446744073709551615 1620140761 1620140821 '
    + 'REJECT OK vpc-1 subnet-1 i-1 19 IPv4 10.1.2.3 203.0.113.5 eu-west-1 euw1-az1 wavelength w-1 S3 EC2 '
    + 'ingress 8 arn:aws:ecs:1 BPA r-1 0'
  return [
    `${VPC_LINE}\n${VPC_LINE.replace('20641 22', '- -')}\n${VPC_NODATA}\n`,
    `${VPC_HEADER}\n${values}\r\n${VPC_LINE}`,
    `2014-12-14T04:06:50.250Z ${VPC_LINE}\n2014-12-14T04:06:50.250Z ${VPC_NODATA}`,
    '10.0.0.1 - 7 ACCEPT\n2001:db8::1 99 8 -\n',
    control + message(VPC_LINE, VPC_NODATA) + message(`${VPC_LINE}\n`),
    `[${JSON.stringify({ events: [{ message: VPC_LINE, timestamp: 1, ingestionTime: 2 }] }, null, 2)},\n{}]`,
    JSON.stringify({ awslogs: { data: packed(message(VPC_LINE, VPC_LINE)) } }),
    JSON.stringify({ Records: [{ kinesis: { data: packed(message(VPC_LINE)) } }, { kinesis: {} }] }),
    JSON.stringify({ records: [
      { recordId: '1', data: packed(message(VPC_LINE) + message(VPC_NODATA)) },
      { recordId: '2', data: Buffer.from(`${VPC_LINE}\n`).toString('base64') },
    ] }),
  ].map(bytesOf)
}

/** goflow2's JSON in its several forms, and what other tools write. */
function madeJson(): Uint8Array[] {
  return [
    '{"type":"NETFLOW_V9","time_received_ns":1795165200123456789,"sampler_address":"192.0.2.1","src_addr":'
      + '"10.0.0.1","dst_addr":"10.0.0.2","bytes":1500,"packets":10,"proto":"TCP","etype":"IPv4",'
      + '"src_mac":"02:00:00:00:00:01","time_flow_start":"2026-11-20T09:00:00.123456789Z",'
      + '"mpls_label":[1,2,3],"mpls_ip":["10.0.0.9",""],"as_path":[64496],'
      + '"post_nat_src_ipv4_address":"cb007101","unknown":{"a":[1]}}\n',
    `{"ip":{"src":"${'\\u0031'}92.0.2.1","dst":["::1"]},"n":1e3,"m":-0.5,"t":true,"z":null}\n{}\n`,
  ].map(bytesOf)
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}
