import { RECORD } from './exporters.ts'
import type { Extension } from './parts.ts'
import type { WritePlan } from './write-plan.ts'

const MAP_HEADER = 8
/** Most maps that records can tell apart. */
const MOST_MAPS = 65_536

/** Numbers the maps that tell which extensions records have, and writes the records of those maps. */
export class WrittenMaps {
  private readonly emit: (record: Uint8Array) => void
  private readonly mapAt: number
  /** Numbers by the ids of extensions. */
  private readonly numbers = new Map<string, number>()
  private turn = 0

  /**
   * @param emit is given the records, in their place before those of the flows
   * @param mapAt offset in a flow record of the number of its map
   */
  constructor(emit: (record: Uint8Array) => void, mapAt: number) {
    this.emit = emit
    this.mapAt = mapAt
  }

  /** Tell the map of a plan, unless its reader knows it. When all numbers are used they begin anew. */
  tell(plan: WritePlan): void {
    const { map, template } = plan
    if (!map || plan.mapTurn === this.turn) return
    const key = map.map(({ id }) => id).join()
    let number = this.numbers.get(key)
    if (number === undefined) {
      if (this.numbers.size >= MOST_MAPS) {
        this.numbers.clear()
        this.turn++
      }
      number = this.numbers.size
      this.numbers.set(key, number)
      this.emit(mapRecord(number, map))
    }
    plan.mapTurn = this.turn
    new DataView(template.buffer).setUint16(this.mapAt, number, true)
  }
}

/** Ids of extensions with a 0 behind, filled up to a multiple of 4 bytes. */
function mapRecord(number: number, map: readonly Extension[]): Uint8Array {
  const record = new Uint8Array(MAP_HEADER + (map.length + 2 & ~1) * 2)
  const view = new DataView(record.buffer)
  view.setUint16(0, RECORD.map, true)
  view.setUint16(2, record.length, true)
  view.setUint16(4, number, true)
  view.setUint16(6, map.reduce((sum, { size }) => sum + size, 0), true)
  for (const [i, { id }] of map.entries()) view.setUint16(MAP_HEADER + i * 2, id, true)
  return record
}
