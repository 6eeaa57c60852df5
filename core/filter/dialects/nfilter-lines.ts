import type { FlowkitError } from '../../flow/errors.ts'
import { fault, type Place, type SourceText } from '../language/lexer.ts'

/** A word of a line, and its place. */
export interface Word extends Place {
  readonly text: string
}

/** A line of a file of flow-nfilter that says something, and a place in it. */
export class NfilterLine {
  readonly #source: SourceText
  readonly #words: readonly Word[]
  #at = 0

  constructor(source: SourceText) {
    this.#source = source
    this.#words = Array.from(source.text.matchAll(/\S+/g), ({ 0: text, index }) => (
      { text, source, start: index }
    ))
  }

  /** Whether nothing is left. */
  atEnd(): boolean {
    return this.#at >= this.#words.length
  }

  /** The next word, taken. */
  word(wanted: string): Word {
    const word = this.#words[this.#at]
    if (!word) throw this.expected(wanted)
    this.#at++
    return word
  }

  /** All that is left, taken. */
  rest(wanted: string): Word {
    const { source, start } = this.word(wanted)
    this.#at = this.#words.length
    return { text: source.text.slice(start), source, start }
  }

  /** The error that says what was wanted in place of the next word. */
  expected(wanted: string): FlowkitError {
    const word = this.#words[this.#at]
    const found = word ? `"${word.text}"` : 'the end of the line'
    const end = { source: this.#source, start: this.#source.text.trimEnd().length }
    return fault(word ?? end, `expected ${wanted}, found ${found}`)
  }
}

/**
 * The lines of a file that are not empty and no comments, with `@NAME`, `@{NAME}` and `@{NAME:-DEFAULT}`
 * replaced. A variable without a value is nothing.
 */
export function readLines({ text, path }: SourceText, variables: ReadonlyMap<string, string>): NfilterLine[] {
  const lines: NfilterLine[] = []
  for (const [i, line] of text.split('\n').entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const source = { text: line, ...path !== undefined && { path }, line: i + 1 }
    const replaced = line.replace(/@(?:([a-z\d]+)|\{([a-z\d]*)(?::-?([^}]*))?(\}?))/gi, (...found) => {
      const [, bare, braced, otherwise, brace, start] = found as string[]
      if (bare === undefined && brace === '') {
        throw fault({ source, start: Number(start) }, 'expected "}" behind "@{"')
      }
      return variables.get(bare ?? braced) ?? otherwise ?? ''
    })
    lines.push(new NfilterLine({ ...source, text: replaced }))
  }
  return lines.filter((line) => !line.atEnd())
}
