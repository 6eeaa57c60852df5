import { FlowkitError } from '../flow/errors.ts'
import { ID } from '../flow/fields.ts'
import { VARIABLE_LENGTH, type Shape } from '../flow/shape.ts'
import { copyBytes, rowShape } from './message.ts'
import { makePlan, type LayoutField, type Plan, type Wanted } from './plan.ts'
import { samplingFields } from './sampling.ts'

/** A record layout that an exporter announced. */
export interface Template {
  readonly id: number
  /** Whether its records are options: about the exporter, not about flows. */
  readonly options: boolean
  /** Fields before the others that tell what an options record is about. */
  readonly scopeCount: number
  readonly layout: readonly LayoutField[]
  /** The template record as it came, to tell a repetition from a change. */
  readonly raw: Uint8Array
  /** Made at the first data set, so that templates without data cost little. */
  ready: Ready | undefined
}

/** A template's plan and the shapes of its rows. */
export interface Ready {
  readonly plan: Plan
  /** Fields that the message header fills: the version's, one array for all, or those that records lack. */
  readonly header: readonly number[]
  /** Shape of rows whose sampling rate is not known, or is in the record. */
  readonly plain: Shape
  /** Shape with a sampling rate from elsewhere. */
  readonly sampled: Shape
  /** Whether the plan counts on the exporter's uptime. */
  readonly canTellUptime: boolean
}

/** A withdrawn template (RFC 7011 §8.1): its id, or 2 or 3 for all of a set's kind. */
export interface Withdrawal {
  readonly id: number
}

const ENTERPRISE = 0x8000

/**
 * The enterprise number under which v9's scope types stand in a layout (RFC 3954 §6.1): 1 system,
 * 2 interface, 3 line card, 4 cache, 5 template.
 */
const V9_SCOPE_PEN = -2

/**
 * Read the template records of one set, whose contents are `bytes[at..end)`.
 *
 * @param options whether it is a set of options templates
 * @throws FlowkitError ERR_MALFORMED when a record does not fit into the set
 */
export function* parseTemplates(
  bytes: Uint8Array, view: DataView, at: number, end: number, version: number, options: boolean,
): Generator<Template | Withdrawal> {
  while (end - at >= 4) { // fewer are padding
    const id = view.getUint16(at)
    const second = view.getUint16(at + 2)
    if (version === 10 && second === 0) {
      yield { id }
      at += 4
      continue
    }
    if (id < 256) {
      if (id === 0 && second === 0) return // padding
      throw new FlowkitError('ERR_MALFORMED', `Cannot read template: its id must be 256 or more, ${id} found`)
    }
    const start = at
    let [fieldCount, scopeCount] = [second, 0]
    at += 4
    if (options) {
      if (end - at < 2) throw tooShort(id, 'options template header')
      const third = view.getUint16(at)
      at += 2
      // v9 gives lengths in bytes of scopes and options, IPFIX counts of all fields and of scopes
      fieldCount = version === 9 ? (second >> 2) + (third >> 2) : second
      scopeCount = version === 9 ? second >> 2 : third
      if (scopeCount > fieldCount) {
        const reason = `${scopeCount} scope fields of ${fieldCount}`
        throw new FlowkitError('ERR_MALFORMED', `Cannot read template ${id}: ${reason}`)
      }
    }
    const layout: LayoutField[] = []
    for (let i = 0; i < fieldCount; i++) {
      if (end - at < 4) throw tooShort(id, `field ${i + 1} of ${fieldCount}`)
      let element = view.getUint16(at)
      const length = view.getUint16(at + 2)
      let pen = 0
      at += 4
      if (version === 10 && (element & ENTERPRISE) !== 0) {
        if (end - at < 4) throw tooShort(id, `field ${i + 1} of ${fieldCount}`)
        element &= 0x7fff
        pen = view.getUint32(at)
        at += 4
      } else if (version === 9) {
        if (length === VARIABLE_LENGTH) {
          throw new FlowkitError('ERR_MALFORMED', `Cannot read template ${id}: a field of 65535 bytes`)
        }
        // the scopes of v9 (system, interface, …) are a number space of their own
        if (i < scopeCount) pen = V9_SCOPE_PEN
      }
      layout.push({ pen, id: element, length })
    }
    yield { id, options, scopeCount, layout, raw: copyBytes(bytes, start, at), ready: undefined }
  }
}

/** The plan of a template, made once, and again when it becomes known how long the exporter has been up. */
export function readyTemplate(
  template: Template, headerFields: readonly number[], wanted: Wanted, canTellUptime: boolean,
): Ready {
  if (template.ready?.canTellUptime === canTellUptime) return template.ready
  const plan = makePlan(template.layout, wanted, canTellUptime)
  const inRecords = headerFields.some((id) => plan.shape.mask[id] === 1)
  const header = inRecords ? headerFields.filter((id) => plan.shape.mask[id] === 0) : headerFields
  const inRecord = plan.shape.mask[ID.samplingRate] === 1
  const sampling = samplingFields(wanted)
  const plain = rowShape(plan.shape, header, inRecord ? sampling : [])
  template.ready = { plan, header, plain, sampled: rowShape(plan.shape, header, sampling), canTellUptime }
  return template.ready
}

function tooShort(id: number, what: string): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot read template ${id}: the set ends before its ${what}`)
}
