import type { FlowkitError } from '../flow/errors.ts'
import { fault, nextToken, type Token } from './lexer.ts'
import { nearest } from './words.ts'

const SHOWN_TOKEN = 40

/** A place in a filter's text, and the token there. */
export class Cursor {
  readonly text: string
  token: Token

  constructor(text: string) {
    this.text = text
    this.token = nextToken(text, 0)
  }

  /** Go on to the token behind `from`, or behind the current one. */
  advance(from: Token = this.token): void {
    this.token = nextToken(this.text, from.end)
  }

  /** Whether nothing is left. */
  atEnd(): boolean {
    return this.token.kind === 'end'
  }

  /** Whether the token is one of these words or marks, unquoted. */
  at(...texts: string[]): boolean {
    return this.token.kind !== 'text' && texts.includes(this.token.text.toLowerCase())
  }

  /** Go on if the token is one of these. */
  take(...texts: string[]): boolean {
    const found = this.at(...texts)
    if (found) this.advance()
    return found
  }

  /** The token and those behind it, up to `count`, as long as they are bare words. */
  words(count: number): Token[] {
    const words: Token[] = []
    for (let token = this.token; token.kind === 'word'; token = nextToken(this.text, token.end)) {
      if (words.push(token) === count) break
    }
    return words
  }

  /** The error that says what was wanted in place of the token. */
  expected(wanted: string): FlowkitError {
    const near = this.token.kind === 'word' ? nearest(this.token.text.toLowerCase()) : undefined
    const hint = near === undefined ? '' : ` (did you mean "${near}"?)`
    return this.fault(`expected ${wanted}, found ${this.shown()}${hint}`)
  }

  /** The error that says what is the matter with a token. */
  fault(reason: string, token: Token = this.token): FlowkitError {
    return fault(this.text, token, reason)
  }

  /** The token as a message shows it. */
  shown(): string {
    const { kind, start, end } = this.token
    if (kind === 'end') return 'the end'
    const tooLong = end - start > SHOWN_TOKEN
    const raw = tooLong ? `${this.text.slice(start, start + SHOWN_TOKEN)}…` : this.text.slice(start, end)
    return kind === 'text' ? raw : `"${raw}"`
  }
}
