import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTalk, LOG_LEVELS, type LogLevel } from '../../cmd/progress.ts'

class Screen {
  text = ''
  readonly isTTY: boolean
  readonly columns = 20

  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }

  write(text: string): void {
    this.text += text
  }
}

const WIPE = '\r\x1b[K'

test('each level says what the ones before it say, a line each', () => {
  const said: Record<LogLevel, string> = {
    error: 'flowkit: e\n',
    warn: 'flowkit: e\nflowkit: w\n',
    info: 'flowkit: e\nflowkit: w\nflowkit: i\n',
    debug: 'flowkit: e\nflowkit: w\nflowkit: i\nflowkit: d\n',
  }
  for (const level of LOG_LEVELS) {
    const screen = new Screen(false)
    const talk = createTalk(screen, level)
    talk.error('e')
    talk.warn('w')
    talk.info('i')
    talk.debug('d')
    assert.equal(screen.text, said[level])
  }
})

test('progress shows after a second, is repainted, cut at the edge, kept below messages, and wiped', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const screen = new Screen(true)
  const talk = createTalk(screen, 'info')
  let count = 0
  const stop = talk.progress(() => `${++count} flows of a great many`)
  t.mock.timers.tick(999)
  assert.equal(screen.text, '')
  t.mock.timers.tick(1)
  assert.equal(screen.text, `${WIPE}1 flows of a great `)
  t.mock.timers.tick(200)
  talk.warn('careful')
  stop()
  t.mock.timers.tick(10_000)
  assert.equal(screen.text, `${WIPE}1 flows of a great ${WIPE}2 flows of a great `
    + `${WIPE}flowkit: careful\n2 flows of a great ${WIPE}`)
})

test('progress that ends within the second shows nothing', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const screen = new Screen(true)
  const stop = createTalk(screen, 'info').progress(() => 'x')
  t.mock.timers.tick(500)
  stop()
  t.mock.timers.tick(10_000)
  assert.equal(screen.text, '')
})

test('progress shows neither in a file nor where less is said', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const [file, screen] = [new Screen(false), new Screen(true)]
  createTalk(file, 'debug').progress(() => 'x')
  createTalk(screen, 'warn').progress(() => 'x')
  t.mock.timers.tick(10_000)
  assert.equal(file.text + screen.text, '')
})
