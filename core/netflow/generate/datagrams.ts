import { FlowBatch } from '../../flow/batch.ts'
import { fixedEncoder } from '../encode/fixed.ts'
import { setEncoder } from '../encode/sets.ts'
import type { DatagramEncoder, Emit } from '../encode/encoder.ts'
import { takeTemplates, writeAnnouncement } from './announcement.ts'
import type { TrafficOptions } from './options.ts'
import { appendRows } from './rows.ts'
import type { Profile, Stream } from './streams.ts'
import { mix } from './talk.ts'
import { scheduleOf } from './generate.ts'
import type { Datagram } from '../message.ts'

/** What a perfect collector would count of one process on one exporter, up to the datagram that came last. */
export interface ExpectedCounts {
  /** Family and source address of the exporter, and the port. */
  readonly family: 4 | 6
  readonly v4: number
  readonly v6: Uint8Array
  readonly port: number
  readonly version: number
  /** Observation domain, or engine id. */
  readonly domain: number
  /** Datagrams that came, and those left out on the way. */
  datagrams: number
  lost: number
  /** Flow records in the datagrams that came. */
  records: number
  /** Options records. */
  optionsRecords: number
  /** What the sequence numbers show to be missing: flows (v5 to v7), messages (v9), data records (IPFIX). */
  missing: number
  /** Datagrams that came after the next one. */
  reordered: number
  /** Datagrams of data that came before their templates. */
  late: number
}

/** Datagrams, and what there is to count of them: a row for each process of each exporter. */
export type DatagramTraffic = Generator<Datagram> & { readonly expected: readonly ExpectedCounts[] }

/** A stream with what makes its datagrams. */
interface Sender {
  readonly encoder: DatagramEncoder
  /** Template records; empty where the version has none. */
  readonly templates: Uint8Array
  readonly counts: ExpectedCounts
  /** A datagram that waits for the next to go first; empty if none does. */
  held: Uint8Array
}

/** Room for template records in the message from which they are taken. */
const TEMPLATE_ROOM = 4096
/** What the length of an IPFIX message can tell. */
const MAX_MESSAGE = 65_535
const NO_BYTES = new Uint8Array(0)
/** Where headers have their sequence number. */
const SEQUENCE_AT: Readonly<Record<number, number>> = { 5: 16, 6: 16, 7: 16, 9: 12, 10: 8 }
/** Random numbers that decide on faults have salts of their own, so that faults do not change the traffic. */
const LOSS_SALT = 0x2545f491
const REORDER_SALT = 0x4f6cdd1d

/**
 * The flows of `generateFlows` as export datagrams, with the faults that `options` ask for, in the order and
 * at the times they are received.
 *
 * Templates are sent at first, or after `lateTemplates` datagrams of data, and again every minute of export
 * time; sampling is told by the header (v5), by options beside the templates (v9) or in the records (IPFIX).
 * What announces templates, and the first and last datagram of a stream, are neither lost nor reordered, so
 * that sequence numbers show all that is missing. Without loss a collector gets the rows of `generateFlows`,
 * of which only `received` is another where datagrams are reordered.
 *
 * The datagram is reused, and valid until the next step. Equal options give equal bytes, everywhere.
 */
export function generateDatagrams(options: TrafficOptions): DatagramTraffic {
  const expected: ExpectedCounts[] = []
  return Object.assign(send(options, expected), { expected })
}

function* send(options: TrafficOptions, expected: ExpectedCounts[]): Generator<Datagram> {
  const { loss, reorder, mtu } = options
  const bytes = new Uint8Array(mtu)
  const view = new DataView(bytes.buffer)
  const datagram: Datagram = {
    bytes, view, start: 0, end: 0, family: 4, v4: 0, v6: NO_BYTES, port: 0, received: 0,
  }
  const senders = new Map<Stream, Sender>()
  const batches = new Map<Profile, FlowBatch>() // the fewer shapes a batch has, the faster it is encoded
  const schedule = scheduleOf(options)
  const take: Emit = (made) => {
    if (datagram.end > 0) throw new RangeError('the records of one datagram have become two')
    bytes.set(made)
    datagram.end = made.length
  }
  for (let stream = schedule.next; stream; schedule.advance(), stream = schedule.next) {
    const { profile, rows, done, quota, sequence } = stream
    const { version, hasTemplates } = profile
    let sender = senders.get(stream)
    if (!sender) {
      senders.set(stream, sender = newSender(stream, mtu))
      expected.push(sender.counts)
    }
    const { encoder, templates, counts } = sender
    datagram.family = stream.family
    datagram.v4 = stream.v4
    datagram.v6 = stream.v6
    datagram.port = stream.port
    datagram.received = schedule.received
    if (schedule.announces) {
      // a message more (v9), or none of data records (IPFIX)
      datagram.end = writeAnnouncement(stream, templates, version === 9 ? sequence - 1 : sequence, view)
      counts.datagrams++
      if (version === 9 && profile.rate > 1) counts.optionsRecords++
      yield datagram
    }

    datagram.end = 0
    let batch = batches.get(profile)
    if (!batch) batches.set(profile, batch = new FlowBatch(256))
    batch.clear()
    appendRows(stream, schedule.received, batch, true)
    encoder.encode(batch, take)
    encoder.flush(take)
    if (version !== 1) view.setUint32(SEQUENCE_AT[version], sequence)

    const isMiddle = done > 0 && done + rows < quota
    const isLate = hasTemplates && stream.announcedAt === -Infinity
    if (isMiddle && happens(loss, stream, LOSS_SALT)) {
      counts.lost++
      if (version !== 1) counts.missing += version === 9 ? 1 : rows
      continue
    }
    counts.datagrams++
    counts.records += rows
    if (isLate) counts.late++
    if (isMiddle && !isLate && sender.held.length === 0 && happens(reorder, stream, REORDER_SALT)) {
      sender.held = bytes.slice(0, datagram.end)
      counts.reordered++
      continue
    }
    yield datagram
    if (sender.held.length > 0) {
      bytes.set(sender.held)
      datagram.end = sender.held.length
      sender.held = NO_BYTES
      yield datagram
    }
  }
}

function newSender(stream: Stream, mtu: number): Sender {
  const { profile, family, v4, v6, port, domain } = stream
  const { version, hasTemplates } = profile
  const maxSize = Math.min(mtu + TEMPLATE_ROOM, MAX_MESSAGE)
  const encoder = version === 9 || version === 10
    ? setEncoder(version, { maxSize, domain, templateRefresh: Infinity })
    : fixedEncoder(version, { maxSize: mtu, domain })
  return {
    encoder,
    templates: hasTemplates ? takeTemplates(encoder, profile) : NO_BYTES,
    counts: {
      family, v4, v6, port, version, domain,
      datagrams: 0, lost: 0, records: 0, optionsRecords: 0, missing: 0, reordered: 0, late: 0,
    },
    held: NO_BYTES,
  }
}

/** Whether a fault of the share `share` befalls a stream's next datagram. */
function happens(share: number, { salt, datagrams }: Stream, faultSalt: number): boolean {
  return share > 0 && mix(mix(datagrams ^ salt) ^ faultSalt) < share * 2 ** 32
}
