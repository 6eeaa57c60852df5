import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

process.chdir(fileURLToPath(new URL('..', import.meta.url)))

/** What each part may import beside itself. The first that matches a file counts. */
const LAYERS: readonly (readonly [part: string, allowed: readonly string[]])[] = [
  ['core/flow/', []],
  // sampled packets come in sFlow and in IPFIX: there is one packet parser
  ['core/netflow/', ['core/flow/', 'core/pcap/']],
  ['core/pcap/', ['core/flow/']],
  ['core/filter/', ['core/flow/']],
  ['core/', []],
  ['formats/', ['core/']],
  ['cmd/', ['core/', 'formats/']],
]

/** Where each package may be imported: nowhere else is it known. */
const EDGES: Readonly<Record<string, readonly string[]>> = {
  '@duckdb/node-bindings': ['core/duck/'],
  '@sinclair/typebox': ['cmd/'],
  '@yao-pkg/pkg': ['cmd/build.ts'],
  'cac': ['cmd/argv.ts'],
  'cbor-x': ['formats/cbor.ts'],
  'esbuild': ['cmd/build.ts', 'cmd/build-library.ts'],
  'koffi': ['core/net/ffi.ts'],
  'prom-client': ['core/metrics/'],
  'smol-toml': ['cmd/config.ts'],
}

const TOP_LEVEL = [
  '.ci', '.gitignore', 'CHANGELOG.md', 'Dockerfile', 'LICENSE', 'Makefile', 'README.md', 'cmd', 'core',
  'dist', 'formats', 'package-lock.json', 'package.json', 'test', 'tsconfig.json',
]

const MAX_LINES = 500

const sources = globSync('{cmd,core,formats}/**/*.ts').sort()
const imports = new Map(sources.map((file) => [file, importsOf(file)]))

/** What a file imports, also by `import()` and for types only: paths from the top, or packages as written. */
function importsOf(file: string): string[] {
  const code = readFileSync(file, 'utf8').replaceAll(/\/\*.*?\*\/|^\s*\/\/.*?$/gms, '')
  const found = code.matchAll(/(?<![\w'.-])(?:from\s+|import\s*\(?\s*)'([^'\s]+)'/g)
  return Array.from(found, ([, name]) => (name.startsWith('.') ? join(dirname(file), name) : name))
}

function isPath(name: string): boolean {
  return /^(cmd|core|formats|test)\//.test(name)
}

/** All imports, as `FILE imports NAME`, that `wrong` says should not be. */
function listWrong(wrong: (file: string, name: string) => boolean): string[] {
  return sources.flatMap((file) => {
    const names = (imports.get(file) ?? []).filter((name) => wrong(file, name))
    return names.map((name) => `${file} imports ${name}`)
  })
}

test('imports are found in every form', () => {
  assert.ok(imports.get('cmd/main.ts')?.includes('cmd/app.ts')) // import()
  assert.ok(imports.get('cmd/main.ts')?.includes('package.json'))
  assert.ok(imports.get('cmd/run.ts')?.includes('cmd/io.ts'))
  assert.ok(imports.get('cmd/argv.ts')?.includes('cac'))
})

test('imports go down only: cmd to formats to core, and inside core as the layers say', () => {
  assert.deepEqual(listWrong((file, name) => {
    const [part, allowed] = LAYERS.find(([part]) => file.startsWith(part)) ?? assert.fail(file)
    return isPath(name) && ![part, ...allowed].some((prefix) => name.startsWith(prefix))
  }), [])
})

test('no file imports itself by way of others', () => {
  const done = new Set<string>()
  const circles: string[] = []
  function visit(file: string, path: readonly string[]): void {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(' → '))
    if (done.has(file)) return
    done.add(file)
    for (const name of imports.get(file) ?? []) if (imports.has(name)) visit(name, [...path, file])
  }
  for (const file of sources) visit(file, [])
  assert.deepEqual(circles, [])
})

test('one format never imports another', () => {
  const isFormat = /^export const \w+: FlowFormat\b/m
  const formats = sources.filter((file) => isFormat.test(readFileSync(file, 'utf8')))
  assert.ok(formats.includes('formats/csv.ts'))
  assert.deepEqual(listWrong((file, name) => formats.includes(file) && formats.includes(name)), [])
})

test('packages stay at their edge', () => {
  assert.deepEqual(listWrong((file, name) => {
    if (isPath(name) || name.startsWith('node:') || name === 'package.json') return false
    const known = Object.keys(EDGES).find((each) => name === each || name.startsWith(`${each}/`))
    return known === undefined || !EDGES[known].some((edge) => file.startsWith(edge))
  }), [])
})

test('files are short', () => {
  const long = [...sources, ...globSync('test/**/*.ts')].filter((file) => {
    return readFileSync(file, 'utf8').split('\n').length - 1 > MAX_LINES
  })
  assert.deepEqual(long, [])
})

test('the top level holds nothing but what the design names', () => {
  const ask = ['ls-files', '--cached', '--others', '--exclude-standard']
  const listed = spawnSync('git', ask, { encoding: 'utf8' })
  const names = listed.status === 0
    ? listed.stdout.trim().split('\n').map((path) => path.replace(/\/.*/, ''))
    : readdirSync('.').filter((name) => name !== 'node_modules' && name !== '.git') // git is not there
  assert.deepEqual([...new Set(names)].filter((name) => !TOP_LEVEL.includes(name)), [])
})
