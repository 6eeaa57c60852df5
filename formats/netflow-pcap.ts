import { BATCH_SIZE, FlowBatch } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { fieldMask } from '../core/flow/fields.ts'
import type { Fault, FlowDecoder, RowDecoder } from '../core/flow/stream.ts'
import { datagramDecoder } from '../core/netflow/datagram.ts'
import { isExportDatagram, SFLOW_V5 } from '../core/netflow/detect.ts'
import { captureEncoder } from '../core/netflow/encode/capture.ts'
import { DEFAULT_EXPORT } from '../core/netflow/encode/export-streams.ts'
import { newDatagram, type Datagram } from '../core/netflow/message.ts'
import { counterRow, type CounterRow } from '../core/netflow/sflow/counter-row.ts'
import type { CounterSample } from '../core/netflow/sflow/counters.ts'
import { decodeSflow, newSflow } from '../core/netflow/sflow/sflow.ts'
import { isCapture, nextSound } from '../core/pcap/capture.ts'
import { DatagramReader } from '../core/pcap/datagrams.ts'
import type { CounterRequest, FlowFormat, ReadRequest } from './format.ts'

/** Export datagrams in a packet capture: pcap or pcapng, on any UDP port. */
export const netflowPcap: FlowFormat = {
  name: 'netflow-pcap',
  summary: 'NetFlow, IPFIX and sFlow datagrams in a pcap or pcapng capture',
  extensions: ['.pcap', '.pcapng', '.cap'],
  probe: (head) => isCapture(head) ? 90 : 0,
  decoder,
  counterDecoder,
  encoder: () => captureEncoder({ ...DEFAULT_EXPORT, byDomain: true }, 'pcap'),
}

function decoder(request: ReadRequest): FlowDecoder {
  const { fields, extras = false } = request
  const netflow = datagramDecoder({ extras, ...fields && { fields: fieldMask(fields) } })
  return exportDecoder(request.onFault, (datagram, batch) => netflow.decode(datagram, batch))
}

function counterDecoder({ onFault, onNote }: CounterRequest): RowDecoder<CounterRow[]> {
  const samples: CounterSample[] = []
  const flows = new FlowBatch() // decoded beside them, and dropped
  const sflow = newSflow({ extras: false, fields: fieldMask([]) }, (sample) => samples.push(sample))
  const counters = exportDecoder(onFault, (datagram, rows: CounterRow[]) => {
    const { view, start, end } = datagram
    if (end - start < 4 || view.getUint32(start) !== SFLOW_V5) return
    try {
      decodeSflow(sflow, datagram, flows)
    } finally {
      flows.clear()
    }
    for (const sample of samples) rows.push(counterRow(sample))
    samples.length = 0
  })
  return {
    decode: counters.decode,
    end(rows, rest) {
      const { counterRecords } = sflow.counts
      if (counterRecords.size > 0) onNote(unknownFormats(counterRecords))
      counters.end?.(rows, rest)
    },
  }
}

/** What is said of counter records of formats that flowkit does not read. */
function unknownFormats(counts: ReadonlyMap<number, number>): string {
  const records = counts.values().reduce((sum, count) => sum + count, 0)
  const names = [...counts.keys()].map((format) => (
    format < 0 ? 'others' : format < 4096 ? format : `${format >>> 12}:${format & 4095}`
  ))
  return `counter records of formats that flowkit does not know are left out: ${records} (${names.join()})`
}

/** Gives the export datagrams of a capture to `take`; what it throws of one is reported. */
function exportDecoder<Rows extends { readonly length: number }>(
  onFault: (fault: Fault) => void, take: (datagram: Datagram, rows: Rows) => void,
): RowDecoder<Rows> {
  const reader = new DatagramReader()
  const { capture } = reader
  const onDamage = ({ code, message }: FlowkitError): void => onFault({ code, reason: message })
  const datagram = newDatagram()
  datagram.v6 = reader.srcAddr6
  let isBegun = false
  let found = false
  return {
    decode(bytes, at, rows) {
      isBegun ||= at < bytes.length
      capture.window(bytes, at, bytes.length)
      while (rows.length < BATCH_SIZE && nextSound(reader, capture, onDamage)) {
        const { start, end } = reader
        if (datagram.bytes !== reader.bytes) {
          datagram.bytes = reader.bytes
          datagram.view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset, reader.bytes.byteLength)
        }
        if (!isExportDatagram(datagram.view, start, end, reader.dstPort)) continue
        found = true
        datagram.start = start
        datagram.end = end
        datagram.family = reader.family
        datagram.v4 = reader.srcAddr
        datagram.port = reader.srcPort
        datagram.received = capture.packet.time
        const { offset } = capture.packet
        try {
          take(datagram, rows)
        } catch (error) {
          if (!(error instanceof FlowkitError)) throw error
          onFault({ code: error.code, reason: error.message, offset })
        }
      }
      return capture.at
    },
    end() {
      const { packets, truncated, malformed } = reader.counts
      if (truncated > 0) {
        const reason = `Cannot decode ${truncated} datagrams: the capture holds only their beginning`
        onFault({ code: 'ERR_TRUNCATED', reason })
      }
      if (malformed > 0) {
        const reason = `Cannot decode ${malformed} datagrams: their UDP lengths contradict their packets`
        onFault({ code: 'ERR_MALFORMED', reason })
      }
      if (reader.incomplete > 0) {
        const reason = `Cannot join ${reader.incomplete} datagrams: fragments are missing`
        onFault({ code: 'ERR_TRUNCATED', reason })
      }
      if (found || truncated > 0 || (isBegun && packets === 0)) return
      throw new FlowkitError('ERR_INPUT', 'Cannot find NetFlow: to meter its packets use flowkit capture -r')
    },
  }
}
