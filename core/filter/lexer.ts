import { FlowkitError } from '../flow/errors.ts'

/** A piece of a filter's text. */
export interface Token {
  /** `word` is bare, `text` was quoted, `mark` is a bracket, a comma or an operator. */
  readonly kind: 'word' | 'text' | 'mark' | 'end'
  /** Without the quotes. */
  readonly text: string
  /** Place in the filter's text; of `end`, behind the last token. */
  readonly start: number
  readonly end: number
}

const SPACE = /\s+/y
const HASH = 35
const MARK = /&&|\|\||[!=<>]=|[()[\],!=<>&]/y
const WORD = /[^\s()[\],!=<>&|'"#]+/y
const QUOTED = /"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\n]*'/y

/** Columns of the line that a fault shows. */
const SHOWN_COLUMNS = 100

/**
 * The token at or behind `at`.
 *
 * @throws FlowkitError ERR_SYNTAX at a quote without its end, and at a character that begins nothing
 */
export function nextToken(text: string, at: number): Token {
  const start = skipSpace(text, at)
  if (start === text.length) return { kind: 'end', text: '', start: at, end: start }
  const word = match(WORD, text, start)
  if (word) return { kind: 'word', text: word, start, end: start + word.length }
  const mark = match(MARK, text, start)
  if (mark) return { kind: 'mark', text: mark, start, end: start + mark.length }
  const quoted = match(QUOTED, text, start)
  if (quoted) {
    const inner = quoted.slice(1, -1)
    const value = quoted[0] === '"' ? inner.replace(/\\(.)/g, '$1') : inner
    return { kind: 'text', text: value, start, end: start + quoted.length }
  }
  const wanted = text[start] === '|' ? '"||"' : 'a quote to end in its line'
  throw fault(text, { kind: 'mark', text: '', start, end: start }, `expected ${wanted}`)
}

/** The error that says what is the matter with `token`, and shows its line with a caret under it. */
export function fault(text: string, token: Token, reason: string): FlowkitError {
  const from = text.lastIndexOf('\n', token.start - 1) + 1
  const line = text.slice(from, lineEnd(text, token.start))
  const column = token.start - from
  const cut = line.length > SHOWN_COLUMNS && column > SHOWN_COLUMNS / 2 ? column - SHOWN_COLUMNS / 2 : 0
  const before = (cut > 0 ? '…' : '') + line.slice(cut, column)
  const behind = line.slice(column, cut + SHOWN_COLUMNS) + (line.length > cut + SHOWN_COLUMNS ? '…' : '')
  const indent = before.replace(/[^\t]/g, ' ') // tabs stay, so that the caret stands right
  return new FlowkitError('ERR_SYNTAX', `Cannot parse filter: ${reason}\n  ${before}${behind}\n  ${indent}^`)
}

/** Past white space and comments. */
function skipSpace(text: string, at: number): number {
  for (;;) {
    at += match(SPACE, text, at).length
    if (text.charCodeAt(at) !== HASH) return at
    at = lineEnd(text, at)
  }
}

function match(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

function lineEnd(text: string, at: number): number {
  const end = text.indexOf('\n', at)
  return end < 0 ? text.length : end
}
