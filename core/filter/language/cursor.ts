import type { FlowkitError } from '../../flow/errors.ts'
import { fault, type Place, type Token } from './lexer.ts'

const SHOWN_TOKEN = 40

/** A place among the tokens of a filter. */
export class Cursor {
  readonly #tokens: readonly Token[]
  readonly #near: (word: string) => string | undefined
  #at = 0

  /**
   * @param tokens the last is of kind `end`
   * @param near the known word that an unknown one may be meant for
   */
  constructor(tokens: readonly Token[], near: (word: string) => string | undefined) {
    this.#tokens = tokens
    this.#near = near
  }

  /** The token here. */
  get token(): Token {
    return this.#tokens[this.#at]
  }

  /** The token so many places on, or the last. */
  peek(count: number): Token {
    return this.#tokens[Math.min(this.#at + count, this.#tokens.length - 1)]
  }

  /** Go on by so many tokens, but not behind the last. */
  advance(count: number = 1): void {
    this.#at = Math.min(this.#at + count, this.#tokens.length - 1)
  }

  /** Whether nothing is left. */
  atEnd(): boolean {
    return this.token.kind === 'end'
  }

  /** Whether the token is one of these words or marks, unquoted. */
  at(...texts: string[]): boolean {
    const { kind, text } = this.token
    return (kind === 'word' || kind === 'mark') && texts.includes(text.toLowerCase())
  }

  /** Go on if the token is one of these. */
  take(...texts: string[]): boolean {
    const found = this.at(...texts)
    if (found) this.advance()
    return found
  }

  /** The text of the token and those behind it, up to `count`, as long as they are bare words. */
  words(count: number): string[] {
    const words: string[] = []
    for (let i = 0; i < count && this.peek(i).kind === 'word'; i++) words.push(this.peek(i).text)
    return words
  }

  /** The error that says what was wanted in place of the token. */
  expected(wanted: string): FlowkitError {
    const near = this.token.kind === 'word' ? this.#near(this.token.text.toLowerCase()) : undefined
    const hint = near === undefined ? '' : ` (did you mean "${near}"?)`
    return this.fault(`expected ${wanted}, found ${this.shown()}${hint}`)
  }

  /** The error that says what is the matter at a place. */
  fault(reason: string, place: Place = this.token): FlowkitError {
    return fault(place, reason)
  }

  /** The token as a message shows it. */
  shown(): string {
    const { kind, source, start, end } = this.token
    if (kind === 'end') return 'the end'
    const tooLong = end - start > SHOWN_TOKEN
    const raw = tooLong ? `${source.text.slice(start, start + SHOWN_TOKEN)}…` : source.text.slice(start, end)
    return kind === 'text' ? raw : `"${raw}"`
  }
}
