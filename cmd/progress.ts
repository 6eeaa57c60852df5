/** How much is said on stderr: each level also says what the ones before it say. */
export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const

/** One of LOG_LEVELS. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** What flowkit says beside its data: whole lines on stderr, and one line of progress on a terminal. */
export interface Talk {
  error(message: string): void
  warn(message: string): void
  info(message: string): void
  debug(message: string): void
  /** Say lines that were asked for, as they are. */
  print(lines: string): void
  /**
   * Show `describe()` on one line that is rewritten, if stderr is a terminal, once a second has passed.
   *
   * @returns what ends it and wipes the line
   */
  progress(describe: () => string): () => void
}

/** Where talk goes: process.stderr, or a test's stand-in. */
export interface TalkStream {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

const FIRST = 1000 // ms until the line shows: shorter work needs none
const EVERY = 200 // ms between repaints
const WIPE = '\r\x1b[K'

/** Talk on `stream`, as much as `level` allows. Progress is shown from `info` on. */
export function createTalk(stream: TalkStream, level: LogLevel): Talk {
  const allowed = LOG_LEVELS.indexOf(level)
  let shown = '' // the progress line on the screen

  function say(at: LogLevel, message: string): void {
    if (LOG_LEVELS.indexOf(at) > allowed) return
    stream.write(shown === '' ? `flowkit: ${message}\n` : `${WIPE}flowkit: ${message}\n${shown}`)
  }

  function progress(describe: () => string): () => void {
    if (stream.isTTY !== true || level === 'error' || level === 'warn') return () => {}
    let timer = setTimeout(paint, FIRST).unref()
    function paint(): void {
      shown = describe().slice(0, (stream.columns ?? 80) - 1)
      stream.write(WIPE + shown)
      timer = setTimeout(paint, EVERY).unref()
    }
    return () => {
      clearTimeout(timer)
      if (shown !== '') stream.write(WIPE)
      shown = ''
    }
  }

  return {
    error: (message) => say('error', message),
    warn: (message) => say('warn', message),
    info: (message) => say('info', message),
    debug: (message) => say('debug', message),
    print: (lines) => void stream.write(`${lines}\n`),
    progress,
  }
}
