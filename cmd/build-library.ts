/**
 * Builds the library: `node cmd/build-library.ts [FOLDER]`, dist/npm unless told.
 *
 * What lies there is an npm package: formats/library.ts and all it imports as JavaScript, the declarations
 * that a program sees of it, and package.json, whose dependencies are the packages that the JavaScript
 * imports.
 */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { build, type Metafile, type PluginBuild } from 'esbuild'

/** What a program imports. */
const ENTRY = 'formats/library.ts'
/** The worker threads that it needs, by name. */
const WORKERS = { 'core/archive/write-worker': 'core/archive/write-worker.ts' }
/** The oldest Node that has all of it: zstd came with 22.15. */
const OLDEST_NODE = '22.15'

interface Manifest {
  readonly version: string
  readonly description: string
  readonly license: string
  readonly dependencies: Readonly<Record<string, string>>
}

const root = resolve(import.meta.dirname, '..')
const target = resolve(process.argv[2] ?? join(root, 'dist/npm'))
process.chdir(root)
await main()

async function main(): Promise<void> {
  fs.rmSync(target, { recursive: true, force: true })
  fs.mkdirSync(target, { recursive: true })
  const { outputs } = await bundle()
  declare()
  const manifest = JSON.parse(fs.readFileSync('package.json', 'utf8')) as Manifest
  fs.writeFileSync(join(target, 'package.json'), `${JSON.stringify(packageOf(manifest, outputs), null, 2)}\n`)
  for (const name of ['LICENSE', 'README.md']) fs.copyFileSync(name, join(target, name))
  console.log(target.startsWith(root) ? target.slice(root.length + 1) : target)
}

/** One JavaScript file for the entry, one for each thread, and those with what they share. */
async function bundle(): Promise<Metafile> {
  const { metafile } = await build({
    entryPoints: { index: ENTRY, ...WORKERS },
    outdir: join(target, 'lib'),
    bundle: true,
    splitting: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: `node${OLDEST_NODE}`,
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
    plugins: [{ name: 'threads', setup: replaceWorkers }],
  })
  return metafile
}

/** Threads begin with the files beside the one that starts them. */
function replaceWorkers({ onLoad }: PluginBuild): void {
  onLoad({ filter: /[/\\]core[/\\]worker\.ts$/ }, () => ({
    contents: `import { Worker } from 'node:worker_threads'
      export function startWorker(name, options) {
        return new Worker(new URL('./' + name + '.js', import.meta.url), { name, ...options })
      }`,
  }))
}

/** Write the declarations of the entry, and of the files that they refer to. */
function declare(): void {
  const folder = fs.mkdtempSync(join(target, '.types-'))
  const options = {
    extends: join(root, 'tsconfig.json'),
    files: [join(root, ENTRY)],
    include: [],
    compilerOptions: {
      noEmit: false, emitDeclarationOnly: true, noCheck: true, rootDir: root, outDir: folder,
      typeRoots: [join(root, 'node_modules/@types')],
    },
  }
  fs.writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options))
  try {
    execFileSync('node_modules/.bin/tsc', ['-p', folder], { stdio: ['ignore', 2, 2] })
    const files = [ENTRY]
    for (const file of files) { // which grows
      const text = fs.readFileSync(join(folder, file.replace(/\.ts$/, '.d.ts')), 'utf8')
      for (const [, path] of text.matchAll(/(?:from|import\() ?["'](\.[^"']+)["']/g)) {
        const found = join(dirname(file), path)
        if (!files.includes(found)) files.push(found)
      }
      const place = join(target, 'types', file.replace(/\.ts$/, '.d.ts'))
      fs.mkdirSync(dirname(place), { recursive: true })
      fs.writeFileSync(place, text.replaceAll(/(["']\.[^"']+)\.ts(["'])/g, '$1.js$2'))
    }
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

/** The package's own package.json. What is imported only when it is needed may be missing. */
function packageOf({ version, description, license, dependencies }: Manifest, outputs: Metafile['outputs']) {
  const imports = Object.values(outputs).flatMap((output) => output.imports)
    .filter(({ path, external }) => external && !path.startsWith('node:'))
  const always = namesOf(imports.filter(({ kind }) => kind === 'import-statement'))
  const lazily = namesOf(imports).filter((name) => !always.includes(name))
  const versionsOf = (names: readonly string[]) => Object.fromEntries(names.map((name) => {
    if (dependencies[name] === undefined) throw new Error(`Cannot build: ${name} is not in package.json`)
    return [name, dependencies[name]]
  }))
  return {
    name: 'flowkit', version, description, license,
    type: 'module',
    engines: { node: `>=${OLDEST_NODE}` },
    exports: { '.': { types: `./types/${ENTRY.replace(/\.ts$/, '.d.ts')}`, default: './lib/index.js' } },
    types: `./types/${ENTRY.replace(/\.ts$/, '.d.ts')}`,
    files: ['lib', 'types'],
    dependencies: versionsOf(always),
    peerDependencies: versionsOf(lazily),
    peerDependenciesMeta: Object.fromEntries(lazily.map((name) => [name, { optional: true }])),
  }
}

/** Names of the packages that are imported, each once. */
function namesOf(imports: readonly { readonly path: string }[]): string[] {
  const names = imports.map(({ path }) => path.split('/', path.startsWith('@') ? 2 : 1).join('/'))
  return [...new Set(names)].sort()
}
