import { findExtension } from './extensions.ts'
import { extension, lost, type Extension } from './parts.ts'
import { makePlan, type Placed, type Plan, type Wanted } from './plan.ts'

/** Bytes of a flow record before its extensions, and of the header of each. */
export const FLOW_HEADER = 12
export const EXTENSION_HEADER = 4

/** Layouts that are remembered: steady traffic has a few dozen, payloads of all lengths some thousands. */
const MOST_LAYOUTS = 4096
/** Places where the last layout of a size is found at once, a power of two. */
const SLOTS = 1024

interface Layout {
  readonly plan: Plan
  readonly size: number
  readonly count: number
  /** Headers of the extensions, and where they lie. */
  readonly headers: Uint32Array
  readonly ats: Uint32Array
}

/** The layouts of the flow records of nfdump 1.7, by the extensions they have. */
export class Layouts {
  private readonly wanted: Wanted
  private readonly known = new Map<string, Layout>()
  private readonly slots: (Layout | undefined)[] = new Array(SLOTS)

  constructor(wanted: Wanted) {
    this.wanted = wanted
  }

  /**
   * The plan of the record of `size` bytes at `at`.
   *
   * @returns undefined if its extensions do not fill it
   */
  find(view: DataView, at: number, size: number): Plan | undefined {
    if (size < FLOW_HEADER) return undefined
    const last = this.slots[size & SLOTS - 1]
    if (last !== undefined && isLayout(last, view, at, size)) return last.plan
    const layout = this.learn(view, at, size)
    if (layout) this.slots[size & SLOTS - 1] = layout
    return layout?.plan
  }

  private learn(view: DataView, at: number, size: number): Layout | undefined {
    const count = view.getUint16(at + 4, true)
    const headers: number[] = []
    const ats: number[] = []
    let place = FLOW_HEADER
    for (let i = 0; i < count; i++) {
      if (place + EXTENSION_HEADER > size) return undefined
      const length = view.getUint16(at + place + 2, true)
      if (length < EXTENSION_HEADER) return undefined
      headers.push(view.getUint32(at + place, true))
      ats.push(place)
      place += length
    }
    if (place !== size) return undefined
    const key = headers.join()
    let layout = this.known.get(key)
    if (layout) return layout
    if (this.known.size >= MOST_LAYOUTS) this.known.clear()
    const placed = headers.map((header, i): Placed => {
      const length = (header >>> 16) - EXTENSION_HEADER
      return { extension: extensionOf(header & 0xffff, length), at: ats[i] + EXTENSION_HEADER, length }
    })
    layout = {
      plan: makePlan(placed, this.wanted), size, count,
      headers: Uint32Array.from(headers), ats: Uint32Array.from(ats),
    }
    this.known.set(key, layout)
    return layout
  }
}

function isLayout(layout: Layout, view: DataView, at: number, wanted: number): boolean {
  const { size, count, headers, ats } = layout
  if (size !== wanted || view.getUint16(at + 4, true) !== count) return false
  for (let i = 0; i < count; i++) if (view.getUint32(at + ats[i], true) !== headers[i]) return false
  return true
}

/** What is not known is lost, if there is something in it. */
function extensionOf(id: number, length: number): Extension {
  return findExtension(id, length) ??
    extension(id, '', length, [], [lost(0, length, `nfdump extension ${id} of ${length} bytes`)])
}
