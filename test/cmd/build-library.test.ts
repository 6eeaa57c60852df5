/** The package as a program outside gets it: built, packed, unpacked into its node_modules. */
import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { flowkit } from '../support/flowkit.ts'

const run = promisify(execFile)
const DEMO = resolve('test/fixtures/netflow/demo.pcap')
const V5 = resolve('test/fixtures/netflow/softflowd-v5.pcap')

/** What a program may write, and what the types must not let it write. */
const PROGRAM = `
import { FlowkitError, ID, openFlows, writeFlows, type FlowRecord, type NamedRecord } from 'flowkit'

declare const process: { readonly argv: readonly string[] }
declare const console: { log(text: string): void }
const [, , pcap = '', v5 = '', output = ''] = process.argv

let flows = 0
let bytes = 0
for await (const batch of openFlows(pcap, { filter: 'proto udp' })) {
  const octets: Float64Array = batch.bytes
  const has = batch.present(ID.bytes)
  for (let row = 0; row < batch.length; row++) if (has[batch.shape[row]!] === 1) bytes += octets[row]!
  flows += batch.length
}
console.log(\`\${flows} \${bytes}\`)

for await (const record of openFlows(pcap).records({ names: 'py3flowtools' })) {
  const { srcaddr, srcaddr_raw, dOctets, first } = record
  const raw: number | bigint | undefined = srcaddr_raw
  console.log([first, srcaddr, raw, dOctets].join(' '))
  // @ts-expect-error: flowkit's own name
  record.src_addr
}

for await (const record of openFlows([v5]).records()) {
  const typed: FlowRecord = record
  const any: NamedRecord = record
  const type: 'NETFLOW_V5' | string | undefined = typed.type
  console.log(\`\${type} \${typed.src_port} \${any['dst_port']}\`)
  // @ts-expect-error: a number
  const text: string | undefined = typed.bytes
  break
}

try {
  for await (const record of openFlows('no-such-file').records()) console.log(String(record.bytes))
} catch (error) {
  console.log(\`\${(error as { code: string }).code} \${error instanceof FlowkitError}\`)
}
// @ts-expect-error: no field
const wrong = openFlows(v5, { fields: ['size'] })

if (output !== '') {
  const { format, flows: written } = await writeFlows(output, openFlows(v5))
  const again: FlowRecord[] = []
  for await (const record of openFlows(output, { filter: 'proto tcp' }).records()) again.push(record)
  console.log(\`\${format} \${written} \${again.length}\`)
}
`

let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'flowkit-package-'))
  const build = resolve('cmd/build-library.ts')
  await run(process.execPath, [build, join(folder, 'npm')])
  await run('npm', ['pack', '--offline', '--ignore-scripts', '--pack-destination', folder, join(folder, 'npm')])
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'))
  const installed = join(folder, 'node_modules/flowkit')
  await mkdir(installed, { recursive: true })
  await run('tar', ['-xzf', join(folder, archive), '-C', installed, '--strip-components=1'])
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'program.ts'), PROGRAM)
})
after(() => rm(folder, { recursive: true, force: true }))

test('the package holds what it needs, and DuckDB is left to those who want it', async () => {
  const { version, dependencies } = JSON.parse(await readFile('package.json', 'utf8')) as {
    version: string, dependencies: Record<string, string>
  }
  const installed = join(folder, 'node_modules/flowkit')
  assert.deepEqual((await readdir(installed)).sort(), ['LICENSE', 'README.md', 'lib', 'package.json', 'types'])
  const found = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as Record<string, unknown>
  assert.equal(found['name'], 'flowkit')
  assert.equal(found['version'], version)
  assert.equal(found['type'], 'module')
  const duck = '@duckdb/node-bindings'
  assert.deepEqual(found['peerDependencies'], { [duck]: dependencies[duck] })
  assert.deepEqual(found['peerDependenciesMeta'], { [duck]: { optional: true } })
  const texts = await Promise.all((await readdir(installed, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile()).map((entry) => readFile(join(entry.parentPath, entry.name), 'utf8')))
  assert.ok(texts.every((text) => !text.includes(process.cwd())), 'no path of this machine is in it')
})

test('a strict program outside is checked against its types, and runs', async () => {
  const options = {
    target: 'es2024', module: 'nodenext', lib: ['esnext'], types: [], strict: true, skipLibCheck: false,
    noUncheckedIndexedAccess: true, exactOptionalPropertyTypes: true, noPropertyAccessFromIndexSignature: true,
    noImplicitOverride: true,
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['program.ts'] }))
  const checked = await run(resolve('node_modules/.bin/tsc'), ['-p', folder]).catch((error: { stdout: string }) => error)
  assert.equal(checked.stdout, '')
  const program = [join(folder, 'program.js'), DEMO, V5]

  const { stdout } = await run(process.execPath, program, { cwd: folder, maxBuffer: 1e8 })
  const [udp, ...lines] = stdout.trimEnd().split('\n')
  const demo = await flowkit(['read', DEMO, '--names', 'py3flowtools'])
  const wanted = demo.stdout.trimEnd().split('\n')
  const values = ['first', 'srcaddr', 'srcaddr_raw', 'dOctets'].map((name) => new RegExp(`"${name}":"?([^",}]+)`))
  assert.deepEqual(lines.slice(0, -2), wanted.map((line) => values.map((value) => value.exec(line)![1]).join(' ')))
  const ofUdp = wanted.map((line) => JSON.parse(line) as { prot: number, dOctets: number }).filter(({ prot }) => prot === 17)
  assert.equal(udp, `${ofUdp.length} ${ofUdp.reduce((sum, { dOctets }) => sum + dOctets, 0)}`)
  assert.deepEqual(lines.slice(-2), ['NETFLOW_V5 44621 80', 'ENOENT false'])

  const parquet = join(folder, 'flows.parquet')
  await assert.rejects(run(process.execPath, [...program, parquet], { cwd: folder, maxBuffer: 1e8 }),
    /Cannot find package '@duckdb\/node-bindings'/)
  await symlink(resolve('node_modules/@duckdb'), join(folder, 'node_modules/@duckdb'))
  for (const [place, format] of [[parquet, 'parquet'], [join(folder, 'archive'), 'archive']]) {
    const again = await run(process.execPath, [...program, place], { cwd: folder, maxBuffer: 1e8 })
    assert.equal(again.stdout.trimEnd().split('\n').at(-1), `${format} 20 12`)
  }
})
