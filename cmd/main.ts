import { Script } from 'node:vm'
import { getRawAsset } from 'node:sea'
import manifest from '../package.json' with { type: 'json' }

/** The overview, put in by cmd/build.ts; not defined where the sources run. */
declare const FLOWKIT_HELP: string

type App = typeof import('./app.ts')

const words = process.argv.slice(2)

// each archive that a worker writes keeps a thread of libuv's pool, and where a disk hangs each call does:
// there must be others left, with two archives too. Each thread takes a megabyte in time, so no more than that
if (words.includes('collect')) process.env['UV_THREADPOOL_SIZE'] ??= String(30 + 2 * countWorkers())
if (words.includes('capture')) process.env['UV_THREADPOOL_SIZE'] ??= String(14 + 2 * countWorkers())

// what needs no command is answered here, at once: the rest is a thousand times larger than this file
if (words.length === 1 && words[0] === '--version') print(`flowkit ${manifest.version}\n`)
else if (typeof FLOWKIT_HELP !== 'string') void import('./app.ts').then(run)
else if (words.length === 1 && (words[0] === '--help' || words[0] === '-h')) print(FLOWKIT_HELP)
else run(loadApp())

function run(app: App): void {
  void app.main(words, manifest.version)
}

/** What `--workers` says; 64 where a file may say it, which is the most. */
function countWorkers(): number {
  if (words.some((word) => word.startsWith('--config')) || process.env['FLOWKIT_CONFIG']) return 64
  const at = words.findIndex((word) => /^--workers(=|$)/.test(word))
  const said = words[at]?.split('=')[1] ?? words[at + 1]
  return Math.min(Number((at < 0 ? undefined : said) ?? process.env['FLOWKIT_WORKERS']) || 1, 64)
}

function print(text: string): void {
  process.stdout.on('error', () => {}) // nobody reads: no failure
  process.stdout.write(text)
}

/** The rest of flowkit, with V8's code cache for it, from inside the executable. */
function loadApp(): App {
  const source = Buffer.from(getRawAsset('app.cjs')).toString('latin1') // cmd/build.ts writes it in ASCII
  const cachedData = Buffer.from(getRawAsset('app.cache'))
  const script = new Script(source, { filename: 'app.cjs', cachedData })
  const module = { exports: {} }
  script.runInThisContext()(module, module.exports, process.getBuiltinModule)
  return module.exports as App
}
