import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { flowkit } from '../support/flowkit.ts'

const V5 = 'test/fixtures/netflow/softflowd-v5.pcap'
const folder = await mkdtemp(join(tmpdir(), 'flowkit-filter-'))
after(() => rm(folder, { recursive: true }))

async function write(name: string, content: string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

async function shown(args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(['filter', ...args])
  assert.equal(stderr, '')
  assert.equal(exitCode, 0)
  return stdout
}

/** What is said of a request that is refused. */
async function refused(args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await flowkit(args)
  assert.equal(stdout, '')
  assert.equal(exitCode, 1)
  return stderr
}

async function count(args: readonly string[]): Promise<number> {
  const { exitCode, stdout, stderr } = await flowkit(['read', V5, '-o', 'json', ...args])
  assert.equal(exitCode, 0, stderr)
  return stdout.split('\n').length - 1
}

const NFILTER = `filter-primitive P
  type ip-port
  permit @{PORT:-53}
filter-definition dns
  match ip-destination-port P
filter-definition other
  invert
  match ip-destination-port P
`

test('filter shows how a filter is read, or as SQL', async () => {
  assert.equal(await shown(['src', 'port', '80', 'and', 'tcp']), 'src_port = 80 and proto = TCP\n')
  assert.equal(await shown(['--explain', 'src port 80 and tcp']), 'src_port = 80 and proto = TCP\n')
  assert.equal(await shown(['--sql', 'tcp']), '(proto IS NOT NULL AND proto = 6)\n')
})

test('filter takes the languages of others', async () => {
  const bpf = await shown(['--filter-dialect', 'bpf', 'tcp dst port http'])
  assert.equal(bpf, 'proto = TCP and dst_port = 80\n')
  const flowd = await shown(['--filter-dialect', 'flowd', 'discard all\naccept src 10.0.0.0/8'])
  assert.equal(flowd, 'src_addr = 10.0.0.0/8\n')
  const file = ['--filter-dialect', 'flow-nfilter', '--filter-file', await write('filter.cfg', NFILTER)]
  assert.equal(await shown([...file, 'dns']), 'dst_port = 53\n')
  assert.equal(await shown([...file, 'other', 'PORT=80']), 'not (dst_port = 80)\n')
  assert.equal(await refused(['filter', '--filter-dialect', 'flow-nfilter', 'dns']),
    'flowkit: Cannot use a filter of flow-nfilter without --filter-file\n')
})

test('hosts that a filter names are looked up', async () => {
  const local = await shown(['src host localhost and dst ip in [localhost 10.0.0.0/8]'])
  assert.match(local, /^src_addr .*(127\.0\.0\.1|::1)\]? and dst_addr in \[.*10\.0\.0\.0\/8.*\]\n$/)
  assert.match(await shown(['--filter-dialect', 'bpf', 'src host localhost']), /^src_addr .*(127\.0\.0\.1|::1)/)
})

test('a fault shows its line, with a caret under the place', async () => {
  assert.equal(await refused(['filter', 'tcp and port foo']), [
    'flowkit: Cannot parse filter: expected a port number, found "foo"', '  tcp and port foo',
    '               ^', '',
  ].join('\n'))
  assert.equal(await refused(['filter']), 'flowkit: Cannot check a filter: name one, or --filter-file\n')
})

test('files that a filter names lie beside the file that names them', async () => {
  await mkdir(join(folder, 'lists'))
  const list = await write('lists/bad.txt', '10.0.0.0/8\n')
  const sub = await write('lists/sub.filter', 'src ip in @bad.txt')
  const main = await write('main.filter', `tcp and @include lists/sub.filter # ${sub}`)
  assert.equal(await shown(['--filter-file', main]), `proto = TCP and src_addr in [@${list}]\n`)
  assert.equal(await shown([`src ip in @${list}`]), `src_addr in [@${list}]\n`)
  const missing = join(folder, 'none.txt')
  const said = await refused(['filter', `src ip in @${missing}`])
  assert.equal(said, `flowkit: Cannot open "${missing}": no such file\n`)
  const directory = await refused(['filter', `src ip in @${folder}`])
  assert.equal(directory, `flowkit: Cannot read "${folder}": it is a directory\n`)
})

test('read selects by a filter in any of the languages', async () => {
  const all = await count([])
  const tcp = await count(['proto tcp'])
  assert.ok(tcp > 0 && tcp < all)
  assert.equal(await count(['-f', 'tcp', '--filter-dialect', 'bpf']), tcp)
  assert.equal(await count(['ip and tcp', '--filter-dialect', 'bpf']), tcp)
  assert.equal(await count(['--filter-dialect', 'flowd', '-f', 'discard proto tcp']), all - tcp)
  const file = await write('nfilter.cfg', NFILTER)
  const dns = await count(['dst port 53 or dst port 54'])
  const other = ['--filter-dialect', 'flow-nfilter', '--filter-file', file, '-f', 'other']
  assert.equal(await count(other), all - dns)
  const networks = await write('all.txt', '0.0.0.0/0\n::/0\n')
  assert.equal(await count([`src ip in @${networks}`]), all)
  assert.equal(await refused(['read', V5, '--filter-file', file, '-f', 'tcp']),
    'flowkit: Cannot use --filter-file beside another filter\n')
})
