/** Datagrams of NetFlow v1 to v8 that become the same bytes again from their rows and header values. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FlowBatch } from '../../core/flow/batch.ts'
import { fieldMask, FIELDS } from '../../core/flow/fields.ts'
import { datagramDecoder } from '../../core/netflow/datagram.ts'
import { datagramEncoder } from '../../core/netflow/encode/encode.ts'
import type { DatagramEncoder } from '../../core/netflow/encode/encoder.ts'
import { DatagramReader } from '../../core/pcap/datagrams.ts'

/** What became of the datagrams. */
export interface Reencoded {
  readonly files: number
  readonly same: number
  /** A line for each file with a datagram that differs. */
  readonly problems: readonly string[]
}

/** Decode all datagrams of v1 to v8 below `peers/wire`, each encoder going on from one to the next. */
export function reencode(corpus: string): Reencoded {
  const folder = join(corpus, 'peers/wire')
  const problems: string[] = []
  let files = 0
  let same = 0
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.pcap'))) {
    const { equal, total } = reencodeFile(readFileSync(join(folder, file)))
    if (total === 0) continue
    files++
    same += equal
    if (equal < total) problems.push(`peers/wire/${file}: ${total - equal} of ${total} datagrams differ`)
  }
  return { files, same, problems }
}

function reencodeFile(capture: Uint8Array): { equal: number, total: number } {
  const reader = new DatagramReader()
  reader.capture.window(capture, 0, capture.length)
  const decoder = datagramDecoder({ extras: false, fields: fieldMask(FIELDS.map(({ id }) => id)) })
  const encoders = new Map<string, DatagramEncoder>()
  let [equal, total] = [0, 0]
  while (reader.next()) {
    const bytes = Uint8Array.from(reader.bytes.subarray(reader.start, reader.end))
    const view = new DataView(bytes.buffer)
    const version = view.getUint16(0)
    if (version < 1 || version > 8) continue
    total++
    const batch = new FlowBatch()
    decoder.decode({
      bytes, view, start: 0, end: bytes.length, family: 4, v4: reader.srcAddr, v6: new Uint8Array(16),
      port: reader.srcPort, received: reader.capture.packet.time,
    }, batch)
    const scheme = version === 8 ? bytes[22] : 0
    const encoder = encoders.get(`${version}.${scheme}`)
      ?? datagramEncoder({ version: version as 8, scheme }, { maxSize: 65_000, domain: 0, templateRefresh: 0 })
    encoders.set(`${version}.${scheme}`, encoder)
    const sent: Uint8Array[] = []
    encoder.encode(batch, (datagram) => void sent.push(datagram.slice()))
    encoder.flush((datagram) => void sent.push(datagram.slice()))
    if (Buffer.concat(sent).equals(bytes)) equal++
  }
  return { equal, total }
}
