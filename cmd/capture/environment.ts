/** The environment of the flowexport container, which asks for the same in its own words. */
import { FlowkitError } from '../../core/flow/errors.ts'
import type { FileNames } from '../../core/archive/file-names.ts'
import type { Place } from '../sinks.ts'

/** Where flowexport has its files. */
export const FLOWEXPORT_FOLDER = '/opt/flowexport/nfdump'

const SECOND = 1000 // ms
const DAY = 86_400_000 // ms

/** What the environment asks for. */
export interface Asked {
  /** With `*` at the end: all that begin so. */
  readonly interface: string
  /** ms: of both timeouts, and of the files. */
  readonly interval: number
  /** Files of text, and how long they stay. */
  readonly files?: { readonly place: Place, readonly maxAge: number }
  /** A collector of NetFlow v9, `udp://HOST:PORT?version=9`. */
  readonly target?: string
}

/**
 * What `INTERFACE`, `INTERVAL`, `MODE`, `MAXAGE` and `TARGET` ask for; undefined where there is no INTERFACE.
 *
 * @param folder for files of text
 * @throws FlowkitError ERR_OPTION about a variable that is missing or cannot be used
 */
export function askedByEnvironment(
  { INTERFACE, INTERVAL, MODE = 'text', MAXAGE, TARGET }: NodeJS.ProcessEnv, folder: string,
): Asked | undefined {
  if (INTERFACE === undefined || INTERFACE === '') return undefined
  const asked = { interface: INTERFACE, interval: countOf('INTERVAL', INTERVAL, 'seconds') * SECOND }
  switch (MODE) {
    case 'text': {
      const place = { path: folder, format: 'line-1.6', names: TEXT_NAMES }
      return { ...asked, files: { place, maxAge: countOf('MAXAGE', MAXAGE, 'days') * DAY } }
    }
    case 'netflow':
      if (TARGET === undefined || TARGET === '') throw wrong('TARGET', 'HOST:PORT', TARGET)
      return { ...asked, target: `udp://${TARGET}?version=9` }
    default:
      throw wrong('MODE', 'text or netflow', MODE)
  }
}

function countOf(name: string, text: string | undefined, unit: string): number {
  if (text !== undefined && /^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw wrong(name, `a number of ${unit}`, text)
}

function wrong(name: string, wanted: string, text: string | undefined): FlowkitError {
  const found = text === undefined || text === '' ? 'it is not set' : `found "${text}"`
  const expected = `expected ${wanted} in $${name}, ${found}`
  return new FlowkitError('ERR_OPTION', `Cannot capture as $INTERFACE asks: ${expected}`)
}

/** `YYYYMMDDhhmm` in UTC, with seconds where intervals are no whole minutes. */
const TEXT_NAMES: FileNames = {
  nameOf: textName,
  timeOf(name) {
    const [, date, time, seconds = ''] = /^(\d{8})(\d{4})(\d{2})?$/.exec(name) ?? []
    if (date === undefined) return undefined
    const [day, minute] = [date.replace(/(....)(..)(..)/, '$1-$2-$3'), time.replace(/(..)(..)/, '$1:$2')]
    const start = Date.parse(`${day}T${minute}:${seconds || '00'}Z`) * 1000
    return textName(start, seconds !== '') === name ? start : undefined
  },
  unfinished: (ident) => `${ident}.unfinished`,
  identOf: async () => undefined,
}

function textName(start: number, hasSeconds: boolean): string {
  if (Number.isNaN(start)) return ''
  return new Date(start / 1000).toISOString().replaceAll(/[-:T]/g, '').slice(0, hasSeconds ? 14 : 12)
}
