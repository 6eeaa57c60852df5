import { FlowkitError } from '../flow/errors.ts'
import { ID } from '../flow/fields.ts'
import { VARIABLE_LENGTH, withoutField, type Shape } from '../flow/shape.ts'
import { LIMITS } from './limits.ts'
import { rowShape, type MessageHeader } from './message.ts'
import type { NameStep } from './name-steps.ts'
import { nameSteps } from './option-names.ts'
import { makePlan, type LayoutField, type Plan, type Wanted } from './plan.ts'
import { samplingFields, type SampledShapes } from './sampling.ts'

/** A record layout that an exporter announced. It is small, since there may be many that are never used. */
export interface Template {
  readonly id: number
  readonly version: number
  /** Whether its records are options: about the exporter, not about flows. */
  readonly options: boolean
  /** Fields before the others that tell what an options record is about. */
  readonly scopeCount: number
  /** Its field specifiers as they came, a character a byte: to tell a repetition from a change. */
  readonly fields: string
  /** Source port of the datagram that it came in last. */
  port: number
  /** When it was announced or used last, µs since the epoch. */
  seen: number
  /** Made at the first data set, and dropped when too many are made. */
  ready: Ready | undefined
}

/** A template's plan, the shapes of its rows, and what its messages add to them. */
export interface Ready extends SampledShapes {
  readonly plan: Plan
  /** Fields that the message header fills: the version's, one array for all, or those that records lack. */
  readonly header: readonly number[]
  /** Shape of rows whose record has a sampling rate that is 0. */
  readonly bare: Shape
  /** Names that options may give to its rows. */
  readonly names: readonly NameStep[]
  /** Whether the plan counts on the exporter's uptime. */
  readonly canTellUptime: boolean
}

/** What is made ready for templates: once for all of one layout, for exporters of one kind have the same. */
export interface Plans {
  readonly byLayout: Map<string, Ready>
  /** Templates that refer to one of them. */
  users: Template[]
  /** What they take, in bytes of field specifiers. */
  bytes: number
}

/** Nothing made yet. */
export function newPlans(): Plans {
  return { byLayout: new Map(), users: [], bytes: 0 }
}

/** A withdrawn template (RFC 7011 §8.1): its id, or 2 or 3 for all of a set's kind. */
export interface Withdrawal {
  readonly id: number
}

/** The bit of a field specifier's first byte that an enterprise number follows. */
const ENTERPRISE = 0x80
/** What a plan takes beside its fields, in bytes of field specifiers. */
const PLAN_OVERHEAD = 64

/**
 * The enterprise number under which v9's scope types stand in a layout (RFC 3954 §6.1): 1 system,
 * 2 interface, 3 line card, 4 cache, 5 template.
 */
export const V9_SCOPE_PEN = -2

/**
 * Read the template records of one set, whose contents are `bytes[at..end)`.
 *
 * @param options whether it is a set of options templates
 * @throws FlowkitError ERR_MALFORMED when a record does not fit into the set
 */
export function* parseTemplates(
  bytes: Uint8Array, view: DataView, at: number, end: number, { version, port, received }: MessageHeader,
  options: boolean,
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
    const fields = at
    for (let i = 0; i < fieldCount; i++) {
      if (end - at < 4) throw tooShort(id, `field ${i + 1} of ${fieldCount}`)
      if (version === 10 && bytes[at] >= ENTERPRISE) {
        if (end - at < 8) throw tooShort(id, `field ${i + 1} of ${fieldCount}`)
        at += 4
      } else if (version === 9 && view.getUint16(at + 2) === VARIABLE_LENGTH) {
        throw new FlowkitError('ERR_MALFORMED', `Cannot read template ${id}: a field of 65535 bytes`)
      }
      at += 4
    }
    const text = Buffer.from(bytes.buffer, bytes.byteOffset + fields, at - fields).toString('latin1')
    yield { id, version, options, scopeCount, fields: text, port, seen: received, ready: undefined }
  }
}

/** The fields of a template. */
export function layoutOf({ version, scopeCount, fields }: Template): LayoutField[] {
  const layout: LayoutField[] = []
  for (let at = 0; at < fields.length; at += 4) {
    let id = numberAt(fields, at)
    const length = numberAt(fields, at + 2)
    let pen = 0
    if (version === 10 && id >= ENTERPRISE << 8) {
      id -= ENTERPRISE << 8
      at += 4
      pen = numberAt(fields, at) * 65536 + numberAt(fields, at + 2)
    } else if (version === 9 && layout.length < scopeCount) pen = V9_SCOPE_PEN
    layout.push({ pen, id, length })
  }
  return layout
}

function numberAt(text: string, at: number): number {
  return text.charCodeAt(at) << 8 | text.charCodeAt(at + 1)
}

/** Whether two templates say the same. */
export function isSame(a: Template, b: Template): boolean {
  return a.fields === b.fields && a.options === b.options && a.scopeCount === b.scopeCount
}

/** The plan of a template, made again when it becomes known how long the exporter has been up. */
export function readyTemplate(
  plans: Plans, template: Template, headerFields: readonly number[], wanted: Wanted, canTellUptime: boolean,
): Ready {
  if (template.ready?.canTellUptime === canTellUptime) return template.ready
  const key = `${template.version} ${canTellUptime} ${template.fields}`
  let ready = plans.byLayout.get(key)
  if (!ready || plans.users.length >= LIMITS.templates) {
    const size = template.fields.length + PLAN_OVERHEAD
    if (plans.bytes + size > LIMITS.planBytes || plans.users.length >= LIMITS.templates) dropPlans(plans)
    plans.bytes += size
    ready = makeReady(template, headerFields, wanted, canTellUptime)
    plans.byLayout.set(key, ready)
  }
  plans.users.push(template)
  return template.ready = ready
}

/** Forget all plans; they are made again when they are needed. */
export function dropPlans(plans: Plans): void {
  for (const user of plans.users) user.ready = undefined
  plans.users = []
  plans.byLayout.clear()
  plans.bytes = 0
}

function makeReady(
  template: Template, headerFields: readonly number[], wanted: Wanted, canTellUptime: boolean,
): Ready {
  const plan = makePlan(layoutOf(template), wanted, canTellUptime)
  const inRecords = headerFields.some((id) => plan.shape.mask[id] === 1)
  const header = inRecords ? headerFields.filter((id) => plan.shape.mask[id] === 0) : headerFields
  const inRecord = plan.shape.mask[ID.samplingRate] === 1
  const sampling = samplingFields(wanted, false)
  return {
    plan, header, canTellUptime,
    plain: rowShape(plan.shape, header, inRecord ? sampling : []),
    sampled: rowShape(plan.shape, header, sampling),
    sampledHow: rowShape(plan.shape, header, samplingFields(wanted, true)),
    bare: withoutField(rowShape(plan.shape, header, []), ID.samplingRate),
    names: nameSteps(plan, wanted),
  }
}

function tooShort(id: number, what: string): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot read template ${id}: the set ends before its ${what}`)
}
