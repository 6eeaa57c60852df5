import type { FlowBatch } from '../../flow/batch.ts'
import { FIELD_COUNT, FIELDS, ID } from '../../flow/fields.ts'
import { ETYPE_IPV4, ETYPE_IPV6 } from '../../flow/names.ts'
import type { TimeDigits } from '../../flow/shape.ts'
import { loseElement, newLoss } from '../../flow/loss.ts'
import type { DatagramEncoder, Emit, EncoderOptions } from './encoder.ts'
import { exportClocks, type ExportClock } from './clock.ts'
import type { SetVersion } from './layout.ts'
import { basicLists, listForms, markLists } from './out-lists.ts'
import { outMessage } from './out-message.ts'
import { FIRST_TEMPLATE, writeSampling, writeStatistics } from './out-options.ts'
import { outSampling } from './out-sampling.ts'
import { outTemplate, recordSize, writeRecord, writeRecords, type OutTemplate } from './out-template.ts'
import { ADDRESS_FIELDS, endOfRun, familyOf, markRuns, shapeOf } from './row-runs.ts'

/** Options of the versions with templates. */
export interface SetEncoderOptions extends EncoderOptions {
  /** How often templates and options are sent again, in µs of export time. */
  readonly templateRefresh: number
  /** After how many messages they are sent again, if that comes first. */
  readonly templateMessages?: number
  /** Whether options tell how much was exported. */
  readonly statistics?: boolean
  /** Most digits of a second that flow times of IPFIX are told with: all that the rows have, unless given. */
  readonly timeDigits?: TimeDigits
  /**
   * Records of IPFIX tell when they were received (collectionTimeMilliseconds) and from which exporter, since
   * nobody else will; they have no place for the address that an exporter gives itself then.
   */
  readonly arrival?: boolean
}

/** Templates kept; rows of more shapes than that announce theirs anew. */
const MAX_TEMPLATES = 1024
const LAST_TEMPLATE = 65_535
/** What an options template with its record needs, and what the length of a message tells. */
const MIN_SIZE = 128
const MAX_SIZE = 65_535

const OCTET_FIELDS = FIELDS.filter(({ type }) => type === 'octets').map(({ id }) => id)

/**
 * An encoder of NetFlow v9 or IPFIX: a template for each shape of row, announced before its first records.
 *
 * Templates are announced again, when they are next used, once `templateRefresh` or `templateMessages` have passed,
 * or on demand; then options are sent again as well. They tell the sampling rate of flows that have it in common.
 *
 * @throws RangeError if `maxSize` is less than 128, or more than the 65535 that a message can have
 */
export function setEncoder(version: SetVersion, options: SetEncoderOptions): DatagramEncoder {
  const { maxSize, domain, templateRefresh, templateMessages = Infinity, statistics = false } = options
  const { timeDigits = 9, arrival = false } = options
  if (maxSize < MIN_SIZE || maxSize > MAX_SIZE) throw new RangeError(`no message has ${maxSize} bytes`)
  const message = outMessage(version, maxSize, domain)
  const largest = message.room(FIRST_TEMPLATE)
  const clocks = exportClocks(true)
  const clock: ExportClock = { ...clocks.now } // of the message
  const sampling = outSampling()
  const loss = newLoss()
  const templates = new Map<string, OutTemplate>()
  const recent = new Map<number, OutTemplate>() // of this batch, by shape, rate and families
  let nextId = FIRST_TEMPLATE
  let clockNumber = 0
  let refresh = 0 // how often templates have been sent
  let refreshedAt = 0 // µs
  let refreshedAfter = 0 // messages
  let isAsked = false // to send them again
  let usedSince = true // whether records were written since then
  let begins = new Uint8Array(0)
  let rates = new Uint8Array(0)

  function mark(batch: FlowBatch): void {
    const { length, capacity } = batch
    if (begins.length < length) {
      begins = new Uint8Array(capacity)
      rates = new Uint8Array(capacity)
    }
    markRuns(batch, [], begins)
    sampling.decide(batch, rates)
    for (let row = 1; row < length; row++) if (rates[row] !== rates[row - 1]) begins[row] = 1
    if (version === 10) return markLists(batch, begins)
    for (const id of OCTET_FIELDS) { // in v9 the length is the template's
      if (!batch.has(id)) continue
      const column = batch.column(id) as Uint32Array
      for (let row = 1; row < length; row++) if (column[row * 2 + 1] !== column[row * 2 - 1]) begins[row] = 1
    }
  }

  function templateOf(batch: FlowBatch, row: number): OutTemplate {
    const shape = shapeOf(batch, row)
    const { mask } = shape
    const etype = needsEtype(batch, row)
    let code = rates[row] * 2 + (etype ? 1 : 0)
    for (const id of ADDRESS_FIELDS) if (mask[id] === 1) code = code * 3 + (familyOf(batch, id, row) + 2 >> 2)
    const place = code * 65_536 + batch.shape[row]
    const differs = version === 9 ? OCTET_FIELDS.some((id) => mask[id] === 1) : basicLists(shape).length > 0
    let template = differs ? undefined : recent.get(place)
    if (template) return template
    const forms = formsOf(batch, row, version)
    const key = `${shape.key};${code};${[...forms.values()].join()}`
    template = templates.get(key)
    if (!template) {
      if (templates.size >= MAX_TEMPLATES) forgetTemplates()
      const layout = { rate: rates[row], etype, timeDigits, arrival }
      template = outTemplate(nextId, shape, forms, version, layout)
      nextId = nextId === LAST_TEMPLATE ? FIRST_TEMPLATE : nextId + 1
      templates.set(key, template)
    }
    if (!differs) recent.set(place, template)
    return template
  }

  /** Make the message one of the clock that the next rows have. */
  function takeClock(emit: Emit): void {
    if (clockNumber === clocks.number) return
    if (!message.isEmpty()) message.finish(clock, emit)
    Object.assign(clock, clocks.now)
    clockNumber = clocks.number
  }

  /** Send what must come before records of `template`. */
  function announce(template: OutTemplate, emit: Emit): void {
    const makeRoom = () => message.finish(clock, emit)
    const { messages } = message.sent
    const isDue = usedSince && (refresh === 0 || isAsked || messages - refreshedAfter >= templateMessages ||
      Math.abs(clock.exportMicros - refreshedAt) >= templateRefresh)
    if (isDue) {
      isAsked = false
      refresh++
      refreshedAt = clock.exportMicros
      refreshedAfter = messages
      usedSince = false
      if (statistics) writeStatistics(message, version, domain, makeRoom)
    }
    if (isDue || sampling.changed) writeSampling(message, version, domain, sampling, makeRoom)
    sampling.changed = false
    if (template.sentIn === refresh) return
    const set = version === 9 ? 0 : 2
    if (message.room(set) < template.record.length) makeRoom()
    message.inSet(set, 4)
    message.bytes.set(template.record, message.at)
    message.at += template.record.length
    message.count(1, 'templates')
    template.sentIn = refresh
  }

  /** Write rows `row` up to `end`, one run, under the message's clock. */
  function write(template: OutTemplate, batch: FlowBatch, row: number, end: number, emit: Emit): void {
    for (let fresh = true; row < end; fresh = message.isEmpty()) {
      const size = template.size || recordSize(template, batch, row)
      if (size > largest) {
        loss.rows.oversized++
        row++
        continue
      }
      if (fresh) announce(template, emit)
      const fit = Math.floor(message.room(template.id) / size)
      if (fit === 0) {
        message.finish(clock, emit)
        continue
      }
      const count = template.size ? Math.min(fit, end - row) : 1
      message.inSet(template.id, template.least)
      if (template.size) writeRecords(template, message, batch, row, row + count, clock, loss.narrowed)
      else writeRecord(template, message, batch, row, clock, loss.narrowed)
      message.count(count, 'flows')
      template.rows += count
      usedSince = true
      row += count
    }
  }

  function encodeRun(batch: FlowBatch, row: number, end: number, emit: Emit): void {
    const template = templateOf(batch, row)
    if (template.layout.length === 0) {
      loss.rows.empty += end - row
      return
    }
    if (template.record.length > largest) {
      loss.rows.oversized += end - row
      return
    }
    while (row < end) {
      const spanEnd = clocks.span(batch, row, end)
      takeClock(emit)
      write(template, batch, row, spanEnd, emit)
      row = spanEnd
    }
  }

  /** Enter the rows encoded by each template into the loss. */
  function settle(): void {
    for (const template of templates.values()) {
      if (template.rows === 0) continue
      for (const id of template.lost) loss.leftOut[id] += template.rows
      for (const name of template.lostElements) {
        loseElement(loss, name, template.rows)
      }
      template.rows = 0
    }
  }

  function forgetTemplates(): void {
    settle()
    templates.clear()
    recent.clear()
  }

  return {
    get loss() {
      settle()
      return loss
    },
    encode(batch, emit) {
      mark(batch)
      clocks.begin(batch)
      recent.clear()
      for (let row = 0; row < batch.length;) {
        const end = endOfRun(begins, row, batch.length)
        encodeRun(batch, row, end, emit)
        row = end
      }
    },
    flush(emit) {
      message.finish(clock, emit)
    },
    announce() {
      isAsked = true
    },
  }
}

/** Whether the EtherType does not follow from the addresses. */
function needsEtype(batch: FlowBatch, row: number): boolean {
  if (shapeOf(batch, row).mask[ID.etype] === 0) return false
  const family = familyOf(batch, ID.srcAddr, row) || familyOf(batch, ID.dstAddr, row)
  return family === 0 || batch.etype[row] !== (family === 6 ? ETYPE_IPV6 : ETYPE_IPV4)
}

/** What the template of a row depends on beside its shape: see `exportLayout`. */
function formsOf(batch: FlowBatch, row: number, version: SetVersion): Map<number, number> {
  const shape = shapeOf(batch, row)
  const { mask } = shape
  const forms = new Map<number, number>()
  for (const id of ADDRESS_FIELDS) if (mask[id] === 1) forms.set(id, familyOf(batch, id, row))
  if (version === 10) {
    const lists = listForms(batch, row)
    for (const [i, place] of basicLists(shape).entries()) forms.set(FIELD_COUNT + place, lists[i])
    return forms
  }
  for (const id of OCTET_FIELDS) if (mask[id] === 1) forms.set(id, (batch.column(id) as Uint32Array)[row * 2 + 1])
  return forms
}
