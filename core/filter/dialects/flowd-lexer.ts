import { FlowkitError } from '../../flow/errors.ts'
import { fault, type SourceText } from '../language/lexer.ts'

/** A piece of a line: `word` is bare, `text` was quoted, `mark` is any other character. */
interface FlowdToken {
  readonly kind: 'word' | 'text' | 'mark'
  readonly text: string
  /** Place in the file; of what a macro stood for, that of the macro. */
  readonly start: number
}

/**
 * Makes the error about a line of a file.
 *
 * @param line counted from 1
 * @param start place in the file
 */
export type FlowdFault = (reason: string, line: number, start: number) => FlowkitError

/** Words that cannot be values: flowd's parse.y, lookup(). */
const KEYWORDS: ReadonlySet<string> = new Set([
  'accept', 'after', 'agent', 'all', 'any', 'before', 'bufsize', 'date', 'days', 'discard', 'dst', 'equals',
  'flow', 'forward', 'group', 'in_ifndx', 'inet', 'inet6', 'join', 'listen', 'logfile', 'logsock', 'mask',
  'on', 'out_ifndx', 'pidfile', 'port', 'proto', 'quick', 'source', 'src', 'store', 'tag', 'tcp_flags', 'to',
  'tos',
])

// \v stands for a line that goes on in the next: it is nothing, also within a word
const BLANK = /[ \t\v]*(?:#[^\n]*)?/y
const MACRO = /\$\v*([\w\v]*)/y
const QUOTED = /'[^']*'|"[^"]*"/y
const WORD = /[a-z\d[:_*][\v\w"$%&'*+.:;?@[\\\]^`|~]*/iy

/** One line of a flowd.conf, and a place in it. */
export class FlowdLine {
  /** Counted from 1. */
  readonly number: number
  readonly #fault: FlowdFault
  readonly #tokens: readonly FlowdToken[]
  readonly #end: number
  #at = 0

  /** @param end place behind it in the file */
  constructor(fault: FlowdFault, number: number, tokens: readonly FlowdToken[], end: number) {
    this.#fault = fault
    this.number = number
    this.#tokens = tokens
    this.#end = end
  }

  /** Go on if these are the next, unquoted: keywords, or a mark. */
  take(...words: string[]): boolean {
    const found = words.every((word, i) => {
      const token = this.#tokens[this.#at + i]
      return token !== undefined && token.kind !== 'text' && token.text === word
    })
    if (found) this.#at += words.length
    return found
  }

  /** Whether nothing is left. */
  atEnd(): boolean {
    return this.#at >= this.#tokens.length
  }

  /** Take a value: quoted text, or a word that is no keyword; undefined where there is none. */
  takeValue(): string | undefined {
    const token = this.#tokens[this.#at]
    if (token === undefined || token.kind === 'mark') return undefined
    if (token.kind === 'word' && KEYWORDS.has(token.text)) return undefined
    this.#at++
    return token.text
  }

  /**
   * Take one value, or several with a space between where they are not quoted together.
   *
   * @throws FlowkitError ERR_SYNTAX if there is none
   */
  string(wanted: string): string {
    const values: string[] = []
    for (let value = this.takeValue(); value !== undefined; value = this.takeValue()) values.push(value)
    if (values.length === 0) throw this.expected(wanted)
    return values.join(' ')
  }

  /**
   * Take a number as strtoul(3) reads it: decimal, 0x hexadecimal, 0 octal.
   *
   * @throws FlowkitError ERR_SYNTAX if there is none from `min` to `max`
   */
  number32(wanted: string, min: number, max: number): number {
    const before = this.#at
    const value = parseNumber(this.takeValue() ?? '')
    if (value !== undefined && value >= min && value <= max) return value
    this.#at = before
    throw this.expected(`${wanted} from ${min} to ${max}`)
  }

  /** The error that says what was wanted in place of the next token. */
  expected(wanted: string): FlowkitError {
    const token = this.#tokens[this.#at]
    const found = token === undefined ? 'the end of the line' : `"${token.text}"`
    return this.#faultAt(this.#at, `expected ${wanted}, found ${found}`)
  }

  /** An error about the line, at what was taken last. */
  fault(reason: string): FlowkitError {
    return this.#faultAt(this.#at - 1, reason)
  }

  #faultAt(at: number, reason: string): FlowkitError {
    return this.#fault(reason, this.number, this.#tokens[at]?.start ?? this.#end)
  }
}

/** A number as strtoul(3) reads it with base 0, or undefined. */
export function parseNumber(text: string): number | undefined {
  if (/^0[0-7]+$/.test(text)) return parseInt(text, 8)
  return /^(0x[\da-f]+|0|[1-9]\d*)$/i.test(text) ? Number(text) : undefined
}

/**
 * The lines of a flowd.conf that say something, as flowd(8) takes them apart: comments left out, lines that
 * end in `\\` joined, macros set and replaced.
 *
 * Source: flowd's parse.y, yylex() and lgetc().
 *
 * @param source its text, or its text and path, for messages that show the line
 * @param name of the file, for messages of one line
 * @throws FlowkitError ERR_SYNTAX at a macro that is not set, or a quote without its end
 */
export function readFlowdLines(name: string, source: string | SourceText): FlowdLine[] {
  const lines: FlowdLine[] = []
  const macros = new Map<string, string>()
  const whole = (typeof source === 'string' ? source : source.text)
    .replaceAll('\r\n', '\n').replaceAll('\\\n', '\v')
  const makeFault: FlowdFault = typeof source === 'string' ? lineFault(name) : caretFault(source, whole)
  let text = whole
  let at = 0
  let plainFrom = 0 // before it lies what a macro stood for, where no macro is replaced
  let macroAt = 0
  let number = 1

  /** Where in the file that is. */
  function place(from: number): number {
    return from < plainFrom ? macroAt : whole.length - text.length + from
  }

  /** What matches here, which is passed over. */
  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found === undefined) return undefined
    number += found.split(/[\n\v]/).length - 1
    at += found.length
    return found
  }

  function faultHere(reason: string): FlowkitError {
    return makeFault(reason, number, place(at))
  }

  function nextToken(): FlowdToken | undefined {
    for (;;) {
      match(BLANK)
      if (at >= text.length || text[at] === '\n') return undefined
      if (text[at] !== '$' || at < plainFrom) break
      const from = place(at)
      const macro = match(MACRO)!.slice(1).replaceAll('\v', '')
      const value = macros.get(macro)
      if (value === undefined) throw makeFault(`macro "${macro}" is not set`, number, from)
      macroAt = from
      text = value + text.slice(at)
      at = 0
      plainFrom = value.length
    }
    const start = place(at)
    const word = match(WORD)
    if (word !== undefined) return { kind: 'word', text: word.replaceAll('\v', ''), start }
    const quoted = match(QUOTED)
    if (quoted !== undefined) {
      return { kind: 'text', text: quoted.slice(1, -1).replaceAll(/[\n\v]/g, ''), start }
    }
    if (/['"]/.test(text[at])) throw faultHere('expected a quote to end')
    return { kind: 'mark', text: text[at++], start }
  }

  while (at < text.length) {
    const first = number
    const tokens: FlowdToken[] = []
    for (let token = nextToken(); token !== undefined; token = nextToken()) tokens.push(token)
    const end = place(at)
    match(/\n/y)
    if (tokens.length === 0) continue
    const line = new FlowdLine(makeFault, first, tokens, end)
    if (tokens[1]?.kind === 'mark' && tokens[1].text === '=') setMacro(line, macros)
    else lines.push(line)
  }
  return lines
}

function lineFault(name: string): FlowdFault {
  return (reason, line) => new FlowkitError('ERR_SYNTAX', `Cannot use ${name}: line ${line}: ${reason}`)
}

/** @param whole the text with each joined line's end as one character */
function caretFault(source: SourceText, whole: string): FlowdFault {
  const shown = { ...source, text: whole.replaceAll('\v', '\n') }
  return (reason, _, start) => fault({ source: shown, start }, reason)
}

function setMacro(line: FlowdLine, macros: Map<string, string>): void {
  const macro = line.takeValue()
  if (macro === undefined) throw line.expected('the name of a macro')
  line.take('=')
  macros.set(macro, line.string('what the macro stands for'))
  if (!line.atEnd()) throw line.expected('the end of the line')
}
