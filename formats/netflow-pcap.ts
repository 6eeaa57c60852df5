import { BATCH_SIZE } from '../core/flow/batch.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { fieldMask } from '../core/flow/fields.ts'
import type { FlowDecoder } from '../core/flow/stream.ts'
import { datagramDecoder } from '../core/netflow/datagram.ts'
import { isExportDatagram } from '../core/netflow/detect.ts'
import { captureEncoder } from '../core/netflow/encode/capture.ts'
import { DEFAULT_EXPORT } from '../core/netflow/encode/export-streams.ts'
import { newDatagram } from '../core/netflow/message.ts'
import { isCapture } from '../core/pcap/capture.ts'
import { DatagramReader } from '../core/pcap/datagrams.ts'
import type { FlowFormat, ReadRequest } from './format.ts'

/** Export datagrams in a packet capture: pcap or pcapng, on any UDP port. */
export const netflowPcap: FlowFormat = {
  name: 'netflow-pcap',
  summary: 'NetFlow, IPFIX and sFlow datagrams in a pcap or pcapng capture',
  extensions: ['.pcap', '.pcapng', '.cap'],
  probe: (head) => isCapture(head) ? 90 : 0,
  decoder,
  encoder: () => captureEncoder(DEFAULT_EXPORT, 'pcap'),
}

function decoder(request: ReadRequest): FlowDecoder {
  const reader = new DatagramReader()
  const { capture } = reader
  const { fields, extras = false } = request
  const netflow = datagramDecoder({ extras, ...fields && { fields: fieldMask(fields) } })
  const datagram = newDatagram()
  datagram.v6 = reader.srcAddr6
  let found = false
  return {
    decode(bytes, at, batch) {
      capture.window(bytes, at, bytes.length)
      while (batch.length < BATCH_SIZE && nextDatagram(reader, request)) {
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
          netflow.decode(datagram, batch)
        } catch (error) {
          if (!(error instanceof FlowkitError)) throw error
          request.onFault({ code: error.code, reason: error.message, offset })
        }
      }
      return capture.at
    },
    end() {
      const { truncated, malformed } = reader.counts
      if (truncated > 0) {
        const reason = `Cannot decode ${truncated} datagrams: the capture holds only their beginning`
        request.onFault({ code: 'ERR_TRUNCATED', reason })
      }
      if (malformed > 0) {
        const reason = `Cannot decode ${malformed} datagrams: their UDP lengths contradict their packets`
        request.onFault({ code: 'ERR_MALFORMED', reason })
      }
      if (reader.incomplete > 0) {
        const reason = `Cannot join ${reader.incomplete} datagrams: fragments are missing`
        request.onFault({ code: 'ERR_TRUNCATED', reason })
      }
      if (found || truncated > 0) return
      throw new FlowkitError('ERR_INPUT', 'Cannot find NetFlow: to meter its packets use flowkit capture -r')
    },
  }
}

/** Go to the next datagram, over damaged records that the capture's format can step over. */
function nextDatagram(reader: DatagramReader, { onFault }: ReadRequest): boolean {
  for (;;) {
    const { at } = reader.capture
    try {
      return reader.next()
    } catch (error) {
      if (!(error instanceof FlowkitError) || reader.capture.at === at) throw error
      onFault({ code: error.code, reason: error.message })
    }
  }
}
