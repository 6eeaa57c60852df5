/** Rows as text in nfdump's way: a list of literals and values, bound to the columns of a batch by shape. */
import type { FlowBatch } from '../../core/flow/batch.ts'
import { ByteWriter, putWords, SLACK, TimeWriter, toWords } from '../../core/flow/byte-writer.ts'
import type { Shape } from '../../core/flow/shape.ts'
import { ExporterIds } from './exporter-ids.ts'

/** Writes a value of row `row` at `at`. @returns the offset behind it */
export type Put = (row: number, at: number) => number

/** How values look. */
export interface Style {
  /** As in a CSV: neither padded nor scaled nor shortened. */
  readonly csv: boolean
  /** Addresses in 39 places instead of 16, so that IPv6 needs no shortening. */
  readonly ipv6Full: boolean
  /** Numbers neither scaled nor named. */
  readonly plain: boolean
  /** Times in UTC, where not in the zone of this machine. */
  readonly utc: boolean
}

/** What a value is bound to: the rows of one shape of a batch. */
export interface Context {
  readonly out: RowText
  readonly batch: FlowBatch
  readonly shape: Shape
  readonly style: Style
  /** Bytes to make room for behind a text that has no limit. */
  readonly reserve: number
}

/** Something that differs between rows. */
export interface Value {
  /** Ids of the fields it is made of. */
  readonly fields: readonly number[]
  /** Bytes it takes at most, MAX_VALUE unless told; not counted is text, for which it makes room itself. */
  readonly size?: number
  /**
   * How to write it.
   *
   * @returns the text instead where it is the same for all rows of the shape
   */
  bind(context: Context): Put | string
}

/** What rows are made of: ASCII text and values. */
export type Piece = string | Value

/** Most bytes of a value that does not tell. */
export const MAX_VALUE = 64

/** Values and the literals behind them. Most of those are a word: a space, an arrow, the end of the line. */
interface Bound {
  readonly lead: Int32Array
  readonly leadLength: number
  readonly puts: readonly Put[]
  /** The first word of each literal. */
  readonly words: Int32Array
  /** Bytes of each literal. */
  readonly lengths: Int32Array
  /** All words of each literal. */
  readonly literals: readonly Int32Array[]
}

interface Plan extends Bound {
  /** Bytes that a row takes at most, without text of any length. */
  readonly size: number
}

/** Writes rows one behind the other. */
export class RowText extends ByteWriter {
  /** Rows written before this batch. */
  count = 0
  /** Times as in text, as in JSON, and in UTC. */
  readonly times: TimeWriter
  readonly isoTimes: TimeWriter
  readonly utcTimes: TimeWriter = new TimeWriter(' ')
  readonly exporters: ExporterIds = new ExporterIds()
  private readonly layout: (shape: Shape) => readonly Piece[]
  private readonly style: Style

  /** @param layout what rows of a shape are made of, the end of the line included */
  constructor(layout: (shape: Shape) => readonly Piece[], style: Style) {
    super()
    this.layout = layout
    this.style = style
    this.times = new TimeWriter(' ', !style.utc)
    this.isoTimes = new TimeWriter('T', !style.utc)
  }

  /** Write all rows of `batch` from `at` on. @returns the offset behind them */
  rows(batch: FlowBatch, at: number): number {
    const { length, shape, shapes } = batch
    const plans: (Plan | undefined)[] = new Array(shapes.length)
    for (let row = 0; row < length; row++) {
      const plan = plans[shape[row]] ??= this.bind(batch, shapes[shape[row]])
      const { lead, puts, words, lengths } = plan
      if (at + plan.size + SLACK > this.bytes.length) this.room(at, plan.size)
      putWords(lead, 0, lead.length, this.view, at)
      at += plan.leadLength
      for (let i = 0; i < puts.length; i++) {
        at = puts[i](row, at)
        const length = lengths[i]
        this.view.setInt32(at, words[i], true)
        if (length > 4) putWords(plan.literals[i], 1, plan.literals[i].length, this.view, at + 4)
        at += length
      }
    }
    this.count += length
    return at
  }

  private bind(batch: FlowBatch, shape: Shape): Plan {
    const pieces = this.layout(shape)
    const size = sizeOf(pieces)
    const context = { out: this, batch, shape, style: this.style, reserve: size }
    return { ...bindPieces(pieces, context), size }
  }
}

/** Bytes that pieces take at most, without text of any length. */
export function sizeOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) =>
    sum + (typeof piece === 'string' ? piece.length : piece.size ?? MAX_VALUE), 0)
}

/** Bind all of `pieces`, texts that meet becoming one. */
export function bindPieces(pieces: readonly Piece[], context: Context): Bound {
  const literals = ['']
  const puts: Put[] = []
  for (const piece of pieces) {
    const put = typeof piece === 'string' ? piece : piece.bind(context)
    if (typeof put === 'string') literals[puts.length] += put
    else literals[puts.push(put)] = ''
  }
  const [lead, ...behind] = literals
  const packed = behind.map(packLiteral)
  return {
    lead: packLiteral(lead), leadLength: lead.length, puts, literals: packed,
    words: Int32Array.from(packed, ([first = 0]) => first),
    lengths: Int32Array.from(behind, ({ length }) => length),
  }
}

function packLiteral(text: string): Int32Array {
  return text === '' ? new Int32Array(0) : toWords(text)
}

/**
 * Pieces that rows have or have not: `pick` says for a row which of `variants` it has, -1 for none; or it
 * says so at once for all rows of a shape.
 */
export function choice(
  fields: readonly number[], variants: readonly (readonly Piece[])[],
  pick: (context: Context) => ((row: number) => number) | number,
): Value {
  const values = variants.flat().filter((piece) => typeof piece !== 'string')
  return {
    fields: [...fields, ...values.flatMap((value) => value.fields)],
    size: Math.max(...variants.map(sizeOf)),
    bind(context) {
      const picked = pick(context)
      const { out } = context
      const bound = variants.map((pieces) => bindPieces(pieces, context))
      return (row, at) => {
        const plan = bound[typeof picked === 'number' ? picked : picked(row)]
        return plan === undefined ? at : putBound(plan, out, row, at)
      }
    },
  }
}

/** Write the pieces of a row. @returns the offset behind them */
export function putBound(
  { lead, leadLength, puts, literals, lengths }: Bound, out: RowText, row: number, at: number,
): number {
  putWords(lead, 0, lead.length, out.view, at)
  at += leadLength
  for (let i = 0; i < puts.length; i++) {
    at = puts[i](row, at)
    putWords(literals[i], 0, literals[i].length, out.view, at)
    at += lengths[i]
  }
  return at
}
