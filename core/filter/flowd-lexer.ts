import { FlowkitError } from '../flow/errors.ts'

/** A piece of a line: `word` is bare, `text` was quoted, `mark` is any other character. */
interface FlowdToken {
  readonly kind: 'word' | 'text' | 'mark'
  readonly text: string
}

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
  readonly #name: string
  readonly #tokens: readonly FlowdToken[]
  #at = 0

  /** @param name of the file, for messages */
  constructor(name: string, number: number, tokens: readonly FlowdToken[]) {
    this.#name = name
    this.number = number
    this.#tokens = tokens
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
    return this.fault(`expected ${wanted}, found ${found}`)
  }

  /** An error about the line. */
  fault(reason: string): FlowkitError {
    return new FlowkitError('ERR_SYNTAX', `Cannot use ${this.#name}: line ${this.number}: ${reason}`)
  }
}

/** A number as strtoul(3) reads it with base 0, or undefined. */
export function parseNumber(text: string): number | undefined {
  if (/^0[0-7]+$/.test(text)) return parseInt(text, 8)
  return /^(0x[\da-f]+|0|[1-9]\d*)$/i.test(text) ? Number(text) : undefined
}

/**
 * The lines of a flowd.conf that say something, as flowd(8) takes them apart: comments left out, lines that
 * end in `\` joined, macros set and replaced.
 *
 * Source: flowd's parse.y, yylex() and lgetc().
 *
 * @param name of the file, for messages
 * @throws FlowkitError ERR_SYNTAX at a macro that is not set, or a quote without its end
 */
export function readFlowdLines(name: string, source: string): FlowdLine[] {
  const lines: FlowdLine[] = []
  const macros = new Map<string, string>()
  let text = source.replaceAll('\r\n', '\n').replaceAll('\\\n', '\v')
  let at = 0
  let plainFrom = 0 // before it lies what a macro stood for, where no macro is replaced
  let number = 1

  /** What matches here, which is passed over. */
  function match(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found === undefined) return undefined
    number += found.split(/[\n\v]/).length - 1
    at += found.length
    return found
  }

  function fault(reason: string): FlowkitError {
    return new FlowdLine(name, number, []).fault(reason)
  }

  function nextToken(): FlowdToken | undefined {
    for (;;) {
      match(BLANK)
      if (at >= text.length || text[at] === '\n') return undefined
      if (text[at] !== '$' || at < plainFrom) break
      const macro = match(MACRO)!.slice(1).replaceAll('\v', '')
      const value = macros.get(macro)
      if (value === undefined) throw fault(`macro "${macro}" is not set`)
      text = value + text.slice(at)
      at = 0
      plainFrom = value.length
    }
    const word = match(WORD)
    if (word !== undefined) return { kind: 'word', text: word.replaceAll('\v', '') }
    const quoted = match(QUOTED)
    if (quoted !== undefined) return { kind: 'text', text: quoted.slice(1, -1).replaceAll(/[\n\v]/g, '') }
    if (/['"]/.test(text[at])) throw fault('expected a quote to end')
    return { kind: 'mark', text: text[at++] }
  }

  while (at < text.length) {
    const first = number
    const tokens: FlowdToken[] = []
    for (let token = nextToken(); token !== undefined; token = nextToken()) tokens.push(token)
    match(/\n/y)
    if (tokens.length === 0) continue
    const line = new FlowdLine(name, first, tokens)
    if (tokens[1]?.kind === 'mark' && tokens[1].text === '=') setMacro(line, macros)
    else lines.push(line)
  }
  return lines
}

function setMacro(line: FlowdLine, macros: Map<string, string>): void {
  const macro = line.takeValue()
  if (macro === undefined) throw line.expected('the name of a macro')
  line.take('=')
  macros.set(macro, line.string('what the macro stands for'))
  if (!line.atEnd()) throw line.expected('the end of the line')
}
