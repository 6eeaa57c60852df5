import type { FlowBatch } from '../flow/batch.ts'
import { FlowkitError } from '../flow/errors.ts'
import { ID } from '../flow/fields.ts'
import { SAMPLING_SOURCE } from '../flow/names.ts'
import { VARIABLE_LENGTH } from '../flow/shape.ts'
import {
  addTemplate, keyOf, removeTemplate, splitDomain, type Domain, type Exporter, type Exporters,
} from './exporters.ts'
import { LIMITS } from './limits.ts'
import { copyBytes, fillHeader, type MessageHeader } from './message.ts'
import { applyNames } from './option-names.ts'
import { learnOptions } from './options.ts'
import type { LayoutField, Plan, Wanted } from './plan.ts'
import { findRecords, isZero, runPlan } from './records.ts'
import { applySampling, fillSampling, type SampledShapes } from './sampling.ts'
import { takeSections } from './sections.ts'
import { countLate, settle } from './sequence.ts'
import { isSame, layoutOf, parseTemplates, readyTemplate, type Ready, type Template } from './templates.ts'
import { rememberUnsampled, resample, samplerColumns, type RowRange } from './unsampled.ts'
import { holdSet, newWaiting, releaseSets } from './waiting.ts'

/** Where a message's sets are decoded to and from what state. */
export interface SetContext {
  readonly exporters: Exporters
  readonly exporter: Exporter
  /** Changes when the message proves to be of another sender with the same domain. */
  domain: Domain
  readonly header: MessageHeader
  readonly wanted: Wanted
  /** Fields that the header fills in rows whose records do not have them. */
  readonly headerFields: readonly number[]
  readonly batch: FlowBatch
  /** First row that still wants its header's fields, which are filled for all sets of a message at once. */
  unfilled: number
  /** Templates that came and may release data that waits for them. */
  readonly learned: Template[]
  /** Rows whose sampling rate options may still tell. */
  readonly unsampled: RowRange[]
  /** Whether options told something new of sampling. */
  resample: boolean
  /** Whether data is waiting now, so that its records could not be counted. */
  held: boolean
}

const SET_HEADER = 4
/** Sets 0 and 1 of v9, 2 and 3 of IPFIX are templates and options templates. */
const TEMPLATE_SET: Readonly<Record<number, number>> = { 9: 0, 10: 2 }

/** Starts and lengths of one options record's fields; as many as the largest template has. */
let starts: Uint32Array = new Uint32Array(64)
let lengths: Uint32Array = new Uint32Array(64)

/**
 * Decode the sets of one NetFlow v9 or IPFIX message, which are `bytes[at..end)`.
 *
 * The lengths of all sets are checked before the first is decoded. Data before its template is kept until the
 * template comes, here or in a later message: `decodeHeld` then decodes it with its own header.
 *
 * @returns the number of data records, of flows and of options
 * @throws FlowkitError ERR_MALFORMED; rows added by then are the caller's to take back
 */
export function decodeSets(
  context: SetContext, bytes: Uint8Array, view: DataView, at: number, end: number,
): number {
  end = checkSets(bytes, view, at, end)
  const { exporters, exporter, header } = context
  const templateSet = TEMPLATE_SET[header.version]
  let records = 0
  while (end - at >= SET_HEADER) {
    const id = view.getUint16(at)
    const next = at + view.getUint16(at + 2)
    const body = at + SET_HEADER
    if (id === templateSet || id === templateSet + 1) {
      for (const template of parseTemplates(bytes, view, body, next, header, id !== templateSet)) {
        if ('fields' in template) {
          exporter.counters.templates++
          learn(context, template)
        } else withdraw(context, template.id, templateSet)
      }
    } else if (id >= 256) {
      const template = knownTemplate(context, id)
      if (template) records += decodeRecords(context, template, bytes, view, body, next)
      else {
        const held = { templateId: id, bytes: copyBytes(bytes, body, next), header: copyOf(header) }
        exporter.counters.heldSets++
        exporter.counters.abandonedSets += holdSet(exporters, context.domain.waiting ??= newWaiting(), held)
        context.held = true
      }
    }
    at = next
  }
  fillUnfilled(context, context.batch.length)
  return records
}

/** Once a message's datagram has proved sound: decode what waited for its templates, apply its sampling. */
export function finishSets(context: SetContext): void {
  const { domain, batch, wanted, unsampled, learned, exporter } = context
  if (unsampled.length > 0) domain.unsampled = rememberUnsampled(domain.unsampled, batch, unsampled)
  if (context.resample && domain.unsampled && exporter.rates.override === 0) {
    resample(domain.unsampled, domain.sampling!, wanted)
  }
  for (const template of learned) decodeWaiting(context, template)
  const { sequence, waiting } = domain
  if (!sequence.uncertain || !waiting || waiting.byTemplate.size > 0) return
  settle(sequence, !waiting.incomplete)
  waiting.incomplete = false
}

/**
 * The template of a data set, unless it was not heard of for too long: its id may mean another. In a session
 * it holds to the end (RFC 7011 §8).
 */
function knownTemplate(
  { exporters, exporter, domain, header }: SetContext, id: number,
): Template | undefined {
  const template = domain.templates.get(id)
  if (!template) return undefined
  if (!header.session && header.received - template.seen > LIMITS.templateLifetime) {
    exporter.counters.expiredTemplates++
    removeTemplate(exporters, exporter, domain, id)
    return undefined
  }
  template.seen = header.received
  return template
}

function learn(context: SetContext, template: Template): void {
  const { exporters, exporter, domain, header, learned } = context
  const { id, port, seen } = template
  const old = domain.templates.get(id)
  if (old && isSame(old, template)) {
    old.port = port
    old.seen = seen
    if (domain.waiting?.byTemplate.has(id)) learned.push(old)
    return
  }
  if (old && old.port !== port) {
    exporter.counters.templateConflicts++
    const key = keyOf(header.version, header.domain)
    context.domain = splitDomain(exporters, exporter, key, domain, old.port, port)
  }
  addTemplate(exporters, exporter, context.domain, template)
  learned.push(template)
}

/** Decode one data set's records, `bytes[at..end)`. @returns how many */
function decodeRecords(
  context: SetContext, template: Template, bytes: Uint8Array, view: DataView, at: number, end: number,
): number {
  const { domain, header, wanted, exporter } = context
  if (template.options) {
    const count = decodeOptions(context, template, bytes, at, end)
    exporter.counters.optionsRecords += count
    return count
  }
  const canTellUptime = header.version === 9 || domain.systemInit > 0
  if (header.version === 10 && canTellUptime) {
    header.sysUptime = (header.exportMicros / 1000 - domain.systemInit) % 2 ** 32
  }
  const { plan } = readyTemplate(
    context.exporters.plans, template, context.headerFields, wanted, canTellUptime,
  )
  const records = findRecords(plan, template.id, bytes, view, at, end)
  const { count } = records
  if (count === 0) return 0 // padding
  const { batch } = context
  const row = batch.length
  batch.reserve(count)
  runPlan(plan, records, batch, row, header, domain.templates)
  finishRows(context, template, row, count)
  if (plan.sections) takeSections(plan.sections, records, view, batch, row, wanted.fields)
  exporter.counters.records += count
  return count
}

/** Give new rows their shape and what the header and the options say, and count them in. */
function finishRows(context: SetContext, template: Template, row: number, count: number): void {
  const { batch, domain, header, exporter: { rates } } = context
  const ready = template.ready!
  const { header: fields, plan, names } = ready
  if (fields !== context.headerFields) { // the records have some of them
    fillUnfilled(context, row)
    fillHeader(header, fields, batch, row, count)
    context.unfilled = row + count
  }
  const inRecord = plan.shape.mask[ID.samplingRate] === 1
  const end = row + count
  if (rates.override > 0) {
    const sampler = { rate: rates.override, algorithm: 0 }
    fillSampling(sampler, SAMPLING_SOURCE.config, 0, ready, batch, row, end)
  } else if (inRecord) finishSampled(context, ready, row, end)
  else finishUnsampled(context, plan, ready, row, end)
  if (names.length > 0 && domain.names) applyNames(domain.names, names, batch, row, count)
  batch.length = end
}

/** Finish the sampling of rows whose records carry a rate; 0 is none. */
function finishSampled(context: SetContext, ready: Ready, row: number, end: number): void {
  const { batch } = context
  const { plain, plan, bare } = ready
  const rates = batch.samplingRate
  const index = batch.intern(plain)
  while (row < end) { // runs of rows with a rate, and without
    const isTold = rates[row] > 0
    const first = row++
    while (row < end && rates[row] > 0 === isTold) row++
    if (!isTold) finishUnsampled(context, plan, { ...ready, plain: bare }, first, row)
    else {
      if (plain.mask[ID.samplingSource] === 1) batch.samplingSource.fill(SAMPLING_SOURCE.record, first, row)
      batch.shape.fill(index, first, row)
    }
  }
}

/** Finish the sampling of rows whose records carry none. */
function finishUnsampled(
  context: SetContext, plan: Plan, shapes: SampledShapes, row: number, end: number,
): void {
  const { batch, domain, exporter: { rates } } = context
  const { hasSampler, hasInterface } = plan
  const columns = samplerColumns(batch, plan)
  if (applySampling(domain.sampling, columns, rates.assumed, shapes, batch, row, end)) return
  context.unsampled.push({ row, end, hasSampler, hasInterface })
}

function fillUnfilled(context: SetContext, end: number): void {
  const { unfilled, header, headerFields, batch } = context
  if (end > unfilled) fillHeader(header, headerFields, batch, unfilled, end - unfilled)
  context.unfilled = end
}

function decodeOptions(
  context: SetContext, template: Template, bytes: Uint8Array, at: number, end: number,
): number {
  const { exporters, domain } = context
  const layout = layoutOf(template)
  let count = 0
  while (at < end) {
    const next = measure(layout, bytes, at, end)
    if (next <= at) break // padding
    const isNew = learnOptions(exporters, domain, layout, template.scopeCount, bytes, starts, lengths)
    if (isNew) context.resample = true
    count++
    at = next
  }
  return count
}

/** Decode the sets that waited for `template`; a damaged one is counted and dropped like a message. */
function decodeWaiting(context: SetContext, template: Template): void {
  const { exporters, exporter, domain, batch } = context
  const { waiting } = domain
  if (!waiting) return
  for (const { bytes, header } of releaseSets(exporters, waiting, template.id)) {
    const mark = batch.mark()
    const late = { ...context, header, unfilled: mark.length, unsampled: [] }
    try {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
      const count = decodeRecords(late, template, bytes, view, 0, bytes.length)
      fillUnfilled(late, batch.length)
      countLate(domain.sequence, count)
      exporter.counters.lateSets++
    } catch (error) {
      if (!(error instanceof FlowkitError)) throw error
      batch.restore(mark)
      waiting.incomplete = true
      exporter.counters.abandonedSets++
      continue
    }
    domain.unsampled = rememberUnsampled(domain.unsampled, batch, late.unsampled)
    if (late.resample) resample(domain.unsampled, domain.sampling!, late.wanted)
  }
}

/**
 * Check that each set lies inside the message.
 *
 * @returns where the sets end: some exporters (Cisco ACI, Palo Alto) fill the rest of a message with zeros
 */
function checkSets(bytes: Uint8Array, view: DataView, at: number, end: number): number {
  while (end - at >= SET_HEADER) {
    const length = view.getUint16(at + 2)
    if (length === 0 && isZero(bytes, at, end)) return at
    if (length < SET_HEADER || length > end - at) {
      const why = `${end - at} bytes are left, its length is ${length}`
      throw new FlowkitError('ERR_MALFORMED', `Cannot decode set: ${why}`)
    }
    at += length
  }
  return at
}

/**
 * Find the fields of the options record at `at`, into `starts` and `lengths`.
 *
 * @returns where the record ends; -1 if that is behind `end`
 */
function measure(layout: readonly LayoutField[], bytes: Uint8Array, at: number, end: number): number {
  if (layout.length > starts.length) {
    starts = new Uint32Array(layout.length)
    lengths = new Uint32Array(layout.length)
  }
  for (let i = 0; i < layout.length; i++) {
    let { length } = layout[i]
    if (length === VARIABLE_LENGTH) { // RFC 7011 §7: one byte, or 255 and two bytes
      if (at >= end) return -1
      length = bytes[at++]
      if (length === 255) {
        if (end - at < 2) return -1
        length = bytes[at] << 8 | bytes[at + 1]
        at += 2
      }
    }
    starts[i] = at
    lengths[i] = length
    at += length
    if (at > end) return -1
  }
  return at
}

/** RFC 7011 §8.1: one template, or with the id of a set all of its kind; other ids withdraw nothing. */
function withdraw({ exporters, exporter, domain }: SetContext, id: number, templateSet: number): void {
  if (id >= 256) return removeTemplate(exporters, exporter, domain, id)
  if (id !== templateSet && id !== templateSet + 1) return
  for (const template of [...domain.templates.values()]) {
    if (template.options === (id !== templateSet)) removeTemplate(exporters, exporter, domain, template.id)
  }
}

/** A header that outlives its message. */
function copyOf(header: MessageHeader): MessageHeader {
  return { ...header, v6: copyBytes(header.v6, 0, 16) }
}
