import { FlowkitError } from '../../core/flow/errors.ts'
import { TOKENS_1_6, TOKENS_1_7_1, TUNNEL_TOKENS_1_7_1 } from './former-tokens.ts'
import type { Piece } from './rows.ts'
import { findToken, TOKEN_NAMES, type Token } from './tokens.ts'
import { TIMES_ONLY, tunnelLine } from './tunnel.ts'

/** What a format made of tokens comes to. */
export interface Template {
  /** The line above the columns; in a CSV the names of the columns. */
  readonly header: string
  /** The same with places for full IPv6 addresses. */
  readonly wideHeader: string
  /** Rows: before one the line of its tunnel, behind it the end of the line. */
  readonly pieces: readonly Piece[]
}

/** What a version of nfdump makes of formats. */
export interface Edition {
  /** Formats by name; other formats can hold them as `%line`. */
  readonly lines: Readonly<Record<string, string>>
  /** Tokens that differ from those of 1.7.8. */
  readonly tokens: ReadonlyMap<string, Token>
  /** Tokens that differ in the line of a tunnel, and ids of the fields that this has of its flow. */
  readonly tunnel?: { readonly tokens: ReadonlyMap<string, Token>, readonly shared: readonly number[] }
}

/** Lines of nfdump (src/output/output.c of 1.7.8), by name. */
const LINES: Readonly<Record<string, string>> = {
  line: '%ts %td %pr %sap -> %dap %pkt %byt %fl',
  gline: '%ts %td %pr %gsap -> %gdap %pkt %byt %fl',
  long: '%ts %td %pr %sap -> %dap %flg %tos %pkt %byt %fl',
  glong: '%ts %td %pr %gsap -> %gdap %flg %tos %pkt %byt %fl',
  extended: '%ts %td %pr %sap -> %dap %flg %tos %pkt %byt %pps %bps %bpp %fl',
  biline: '%ts %td %pr %sap <-> %dap %opkt %ipkt %obyt %ibyt %fl',
  bilong: '%ts %td %pr %sap <-> %dap %flg %tos %opkt %ipkt %obyt %ibyt %fl',
  nsel: '%ts %evt %xevt %pr %sap -> %dap %xsap -> %xdap %ibyt %obyt',
  nat: '%ts %nevt %pr %sap -> %dap %nsap -> %ndap',
}

/** The CSV of 1.7.8. */
export const CSV = '%ts,%td,%pr,%sa,%sp,%da,%dp,%pkt,%byt,%fl'

/** 1.7.8. */
export const NEWEST: Edition = { lines: LINES, tokens: new Map() }

const { line, gline, long, glong, extended, biline, bilong } = LINES

/** 1.7.1. */
export const EDITION_1_7_1: Edition = {
  lines: {
    line, gline, long, glong, extended, biline, bilong,
    nsel: '%tevt %evt %xevt %pr %sap -> %dap %xsap -> %xdap %ibyt %obyt',
    nel: '%tevt %nevt %pr %sap -> %dap %nsap -> %ndap',
  },
  tokens: TOKENS_1_7_1,
  tunnel: { tokens: TUNNEL_TOKENS_1_7_1, shared: TIMES_ONLY },
}

/** 1.6. */
export const EDITION_1_6: Edition = { lines: { line }, tokens: TOKENS_1_6 }

const WIDER = ' '.repeat(23)

/** `%line` and the like in a format, replaced by what they stand for. */
function expand(format: string, formats: Readonly<Record<string, string>>): string {
  return format.replace(/%([a-z]+)(?![a-z0-9])/gi, (all, name: string) =>
    Object.hasOwn(formats, name) ? formats[name] : all)
}

/**
 * The template of a line with tokens in it, such as `%ts %pr %sap -> %dap`, or of one that has a name.
 *
 * @throws FlowkitError ERR_OPTION naming a token that there is none of
 */
export function parseLine(format: string, { lines, tokens, tunnel }: Edition = NEWEST): Template {
  const { header, wideHeader, pieces } = parseTokens(expand(format, lines), tokens)
  const others = tunnel && parseTokens(expand(format, lines), new Map([...tokens, ...tunnel.tokens])).pieces
  const inFront = tunnelLine([...others ?? pieces, '\n'], tunnel)
  return { header, wideHeader, pieces: [inFront, ...pieces, '\n'] }
}

function parseTokens(format: string, others: ReadonlyMap<string, Token>): Template {
  let [header, wideHeader] = ['', '']
  const pieces: Piece[] = []
  for (const [, name, literal] of format.matchAll(/%([a-z0-9]*)|([^%]+)/gi)) {
    if (literal !== undefined) {
      const bytes = Buffer.from(literal).toString('latin1')
      header += ' '.repeat(bytes.length)
      wideHeader += ' '.repeat(bytes.length)
      pieces.push(bytes)
      continue
    }
    const token = others.get(name) ?? findToken(name) ?? unknownToken(`fmt:${format}`, name)
    header += token.header
    wideHeader += (token.wide ? WIDER : '') + token.header
    pieces.push(...token.pieces)
  }
  return { header, wideHeader, pieces }
}

/**
 * The template of a CSV whose columns are tokens, with commas between: `%ts,%pr,%sa,%da`.
 *
 * @throws FlowkitError ERR_OPTION naming a token that there is none of, or what should be one
 */
export function parseCsv(format: string): Template {
  const names: string[] = []
  const pieces: Piece[] = []
  for (const part of expand(format, { ...LINES, csv: CSV }).split(',')) {
    const [, name] = /^ *%([a-z0-9]+) *$/i.exec(part) ?? []
    if (name === undefined) {
      const found = part.trim() === '' ? 'nothing' : `"${part.trim()}"`
      fail(`csv:${format}`, `expected a token like %ts, found ${found}`)
    }
    const token = findToken(name) ?? unknownToken(`csv:${format}`, name)
    if (token.csv === '') fail(`csv:${format}`, `%${name} has no column in a CSV`)
    if (names.length > 0) pieces.push(',')
    names.push(token.csv)
    pieces.push(...token.pieces)
  }
  const header = names.join(',')
  return { header, wideHeader: header, pieces: [tunnelLine([...pieces, '\n']), ...pieces, '\n'] }
}

function unknownToken(format: string, name: string): never {
  const known = TOKEN_NAMES.map((each) => `%${each}`).join(' ')
  return fail(format, `there is no token %${name}, but ${known}`)
}

function fail(format: string, why: string): never {
  throw new FlowkitError('ERR_OPTION', `Cannot use format "${format}": ${why}`)
}
