import { FlowkitError } from '../../flow/errors.ts'

/** A text that tokens are from. */
export interface SourceText {
  readonly text: string
  /** Path of the file it is from, if it is from one. */
  readonly path?: string
  /** Number of its first line in the file, where `text` is a part of that. */
  readonly line?: number
}

/** A place in a text, for messages. */
export interface Place {
  readonly source: SourceText
  readonly start: number
}

/** A piece of a filter's text. */
export interface Token extends Place {
  /** `word` is bare, `text` was quoted, `file` follows an `@`, `mark` is a bracket, comma or operator. */
  readonly kind: 'word' | 'text' | 'file' | 'mark' | 'end'
  /** Without the quotes or the `@`. */
  readonly text: string
  /** Place behind it. */
  readonly end: number
}

/** A file that a filter names. */
export interface FilterFile {
  /** What messages and explanations call it; it reads the same file again. */
  readonly path: string
  readonly bytes: Uint8Array
}

/**
 * Reads a file that a filter names.
 *
 * @param from path of the file that names it; undefined where that is no file
 */
export type ReadFile = (name: string, from: string | undefined) => FilterFile

const SPACE = /\s+/y
const HASH = 35
const AT = 64
const MARK = /&&|\|\||[!=<>]=|[()[\],!=<>&|]/y
const WORD = /[^\s()[\],!=<>&|'"#]+/y
const QUOTED = /"[^"\\\n]*(?:\\.[^"\\\n]*)*"|'[^'\n]*'/y

/** Columns of the line that a fault shows. */
const SHOWN_COLUMNS = 100
/** Files within each other, as in nfdump. */
const MAX_DEPTH = 10
/** Files in all: each may name another several times. */
const MAX_FILES = 1000

/**
 * The tokens of a text, ending with one of kind `end`; for `@include FILE` those of the file.
 *
 * @param read undefined where files may not be read
 * @throws FlowkitError ERR_SYNTAX at a quote without its end, and at a file that cannot be included
 */
export function tokenize(source: SourceText, read: ReadFile | undefined): Token[] {
  const tokens: Token[] = []
  let files = 0

  function append(text: SourceText, depth: number): Token {
    for (let token = nextToken(text, 0); ; token = nextToken(text, token.end)) {
      if (token.kind === 'end') return token
      if (token.kind === 'file' && /^@include$/i.test(text.text.slice(token.start, token.end))) {
        token = nextToken(text, token.end)
        if (token.kind !== 'word' && token.kind !== 'text') throw fault(token, 'expected the name of a file')
        if (depth === MAX_DEPTH) {
          throw fault(token, `expected no more than ${MAX_DEPTH} files within each other`)
        }
        if (files++ === MAX_FILES) throw fault(token, `expected no more than ${MAX_FILES} files`)
        const { path, bytes } = readFrom(token, token.text, read)
        append({ text: new TextDecoder().decode(bytes), path }, depth + 1)
      } else tokens.push(token)
    }
  }

  tokens.push(append(source, 0))
  return tokens
}

/** Read the file that a token names, `name`. */
export function readFrom(place: Place, name: string, read: ReadFile | undefined): FilterFile {
  if (read) return read(name, place.source.path)
  throw fault(place, `files cannot be read here: "${name}"`)
}

/** The token at or behind `at`. */
function nextToken(source: SourceText, at: number): Token {
  const { text } = source
  const start = skipSpace(text, at)
  if (start === text.length) return { kind: 'end', text: '', source, start: at, end: start }
  const file = text.charCodeAt(start) === AT
  const from = start + Number(file)
  const word = match(WORD, text, from)
  if (word) return { kind: file ? 'file' : 'word', text: word, source, start, end: from + word.length }
  const mark = match(MARK, text, from)
  if (mark && !file) return { kind: 'mark', text: mark, source, start, end: start + mark.length }
  const quoted = match(QUOTED, text, from)
  if (quoted) {
    const inner = quoted.slice(1, -1)
    const value = quoted[0] === '"' ? inner.replace(/\\(.)/g, '$1') : inner
    return { kind: file ? 'file' : 'text', text: value, source, start, end: from + quoted.length }
  }
  const isName = file && !/['"]/.test(text[from])
  const wanted = isName ? 'the name of a file behind "@"' : 'a quote to end in its line'
  throw fault({ source, start }, `expected ${wanted}`)
}

/** The error that says what is the matter at a place, and shows its line with a caret under it. */
export function fault({ source, start }: Place, reason: string): FlowkitError {
  const { text, path } = source
  const from = text.lastIndexOf('\n', start - 1) + 1
  const line = text.slice(from, lineEnd(text, start))
  const column = start - from
  const cut = line.length > SHOWN_COLUMNS && column > SHOWN_COLUMNS / 2 ? column - SHOWN_COLUMNS / 2 : 0
  const before = (cut > 0 ? '…' : '') + line.slice(cut, column)
  const behind = line.slice(column, cut + SHOWN_COLUMNS) + (line.length > cut + SHOWN_COLUMNS ? '…' : '')
  const indent = before.replace(/[^\t]/g, ' ') // tabs stay, so that the caret stands right
  const where = path === undefined ? '' : `${path}, line ${lineNumber(source, from)}: `
  return new FlowkitError(
    'ERR_SYNTAX', `Cannot parse filter: ${where}${reason}\n  ${before}${behind}\n  ${indent}^`,
  )
}

function lineNumber({ text, line = 1 }: SourceText, from: number): number {
  let number = line
  for (let at = text.indexOf('\n'); at >= 0 && at < from; at = text.indexOf('\n', at + 1)) number++
  return number
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
