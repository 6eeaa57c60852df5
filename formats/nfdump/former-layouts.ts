import {
  FLAG, FORMER_RECORDS, formerBeginning, formerExtensions, OLDEST_RECORD, type FormerRecord,
} from './former-extensions.ts'
import type { Extension } from './parts.ts'
import { makePlan, type Placed, type Plan, type Wanted } from './plan.ts'

const MAP_HEADER = 8

const FLAGS = FLAG.ipv6 | FLAG.packets64 | FLAG.bytes64

/** The layout of records that have the same type, map and flags. */
export interface FormerLayout {
  readonly plan: Plan
  /** Bytes that a record has at least. */
  readonly size: number
  readonly record: FormerRecord
  /** Offset of type and id of the engine; -1: it tells none. */
  readonly engineAt: number
}

/** The layouts of the flow records of nfdump 1.5 and 1.6. */
export class FormerLayouts {
  private readonly wanted: Wanted
  private readonly maps = new Map<number, readonly Extension[]>()
  /** By map, type and flags. */
  private readonly known = new Map<number, FormerLayout>()
  private readonly oldest = new Map<number, FormerLayout>()

  constructor(wanted: Wanted) {
    this.wanted = wanted
  }

  /**
   * Learn the extension map in the record at `at`.
   *
   * @returns whether it is well formed, and all of its extensions are known
   */
  learn(view: DataView, at: number, size: number): boolean {
    if (size < MAP_HEADER) return false
    const id = view.getUint16(at + 4, true)
    const ids: number[] = []
    for (let i = at + MAP_HEADER; i + 2 <= at + size; i += 2) {
      const extensionId = view.getUint16(i, true)
      if (extensionId === 0) break
      ids.push(extensionId)
    }
    const extensions = formerExtensions(ids)
    for (const key of this.known.keys()) if (key >>> 4 === id) this.known.delete(key)
    if (typeof extensions === 'number') this.maps.delete(id)
    else this.maps.set(id, extensions)
    return typeof extensions !== 'number'
  }

  /**
   * The layout of a record.
   *
   * @param type 1 or 10
   * @returns undefined if its map is not known
   */
  find(type: number, map: number, flags: number): FormerLayout | undefined {
    const key = map * 16 + (type === 1 ? 8 : 0) + (flags & FLAGS)
    let layout = this.known.get(key)
    if (layout) return layout
    const extensions = this.maps.get(map)
    if (!extensions) return undefined
    layout = this.make(FORMER_RECORDS[type], flags, extensions)
    this.known.set(key, layout)
    return layout
  }

  /** The layout of a record of nfdump 1.5. */
  findOldest(flags: number): FormerLayout {
    const key = flags & FLAGS
    let layout = this.oldest.get(key)
    if (!layout) this.oldest.set(key, layout = this.make(OLDEST_RECORD, flags, []))
    return layout
  }

  private make(record: FormerRecord, flags: number, extensions: readonly Extension[]): FormerLayout {
    const placed: Placed[] = []
    let at = 0
    for (const each of [...formerBeginning(record, flags), ...extensions]) {
      placed.push({ extension: each, at, length: each.size })
      at += each.size
    }
    const engineAt = offsetOf('engineAt', placed)
    return { plan: makePlan(placed, this.wanted, offsetOf('icmpAt', placed)), size: at, record, engineAt }
  }
}

function offsetOf(name: 'icmpAt' | 'engineAt', placed: readonly Placed[]): number {
  const found = placed.find((each) => each.extension[name] !== undefined)
  return found ? found.at + found.extension[name]! : -1
}
