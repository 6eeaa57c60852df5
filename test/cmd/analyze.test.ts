import { test } from 'node:test'
import assert from 'node:assert/strict'
import { flowkit } from '../support/flowkit.ts'

const DEMO = 'test/fixtures/netflow/demo.pcap'

interface Row extends Record<string, unknown> {
  readonly src_addr?: string
  readonly dst_port?: number
  readonly proto?: number
  readonly bytes: number
  readonly packets: number
  readonly sampling_rate?: number
}

async function rows(...args: string[]): Promise<Row[]> {
  const { exitCode, stdout, stderr } = await flowkit(args)
  assert.equal(exitCode, 0, stderr)
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Row)
}

test('top adds up what read prints, scaled by the sampling rate', async () => {
  const sums = new Map<string, [number, number, number]>()
  for (const { src_addr = '', bytes, packets, sampling_rate = 1 } of await rows('read', DEMO)) {
    const sum = sums.get(src_addr) ?? [0, 0, 0]
    sums.set(src_addr, [sum[0] + bytes * sampling_rate, sum[1] + packets * sampling_rate, sum[2] + 1])
  }
  const wanted = [...sums].sort((a, b) => b[1][0] - a[1][0]).slice(0, 7)
    .map(([src_addr, [bytes, packets, flows]]) => ({ src_addr, bytes, packets, flows }))
  const words = [DEMO, '--sum', 'bytes,packets,flows', '-n', '7', '-o', 'json']
  assert.deepEqual(await rows('analyze', 'top', ...words), wanted)
  assert.deepEqual(await rows('analyze', ...words), wanted)
})

test('groups may be several fields and prefixes, and flows may be filtered', async () => {
  const tcp = (await rows('read', DEMO, 'proto tcp')).length
  const words = ['--by', 'proto,src_addr/8', '--sum', 'flows', '-n', '1000', '-o', 'json', 'proto tcp']
  const groups = await rows('analyze', DEMO, ...words)
  assert.equal(groups.reduce((sum, row) => sum + Number(row['flows']), 0), tcp)
  assert.ok(groups.some((row) => row['src_addr/8'] === '10.0.0.0/8' && row.proto === 6))
})

test('table, csv and markdown have a header and a line a group', async () => {
  for (const [output, header] of [
    ['table', /^proto +flows$/], ['csv', /^proto,flows$/], ['markdown', /^\| proto \| flows \|$/],
  ] as const) {
    const { stdout } = await flowkit(['analyze', DEMO, '--by', 'proto', '--sum', 'flows', '-o', output])
    assert.match(stdout.split('\n')[0], header)
  }
})

test('control characters in values do not reach a terminal, and stay in json', async () => {
  const words = ['analyze', DEMO, '--sql', "SELECT 'a' || chr(27) || '[2J' || chr(10) || 'b|c' AS x"]
  assert.equal((await flowkit(words)).stdout, 'x\na?[2J?b|c\n')
  assert.equal((await flowkit([...words, '-o', 'markdown'])).stdout, '| x |\n| --- |\n| a?[2J?b\\|c |\n')
  assert.equal((await flowkit([...words, '-o', 'json'])).stdout, '{"x":"a\\u001b[2J\\nb|c"}\n')
})

test('sql runs one SELECT over the view flows and nothing else', async () => {
  const count = 'SELECT count(*) AS n FROM flows WHERE dst_port = 443'
  const [{ n }] = await rows('analyze', DEMO, '-o', 'json', '--sql', count)
  assert.equal(n, (await rows('read', DEMO, 'dst port 443')).length)
  for (const query of [
    'DROP VIEW flows', 'SELECT 1; SELECT 2', "COPY flows TO '/tmp/x'", 'SELECT', '',
    "SELECT * FROM read_csv('/etc/passwd')", "ATTACH '/tmp/x.db'", 'INSTALL httpfs',
  ]) {
    const { exitCode, stdout, stderr } = await flowkit(['analyze', DEMO, '--sql', query])
    assert.equal(exitCode, 1, query)
    assert.equal(stdout, '')
    assert.match(stderr, /^flowkit: Cannot run the query: /)
  }
})

test('analyze refuses what it cannot group or add up', async () => {
  for (const [args, message] of [
    [['--by', 'colour'], 'Cannot group by "colour": there is no field "colour"'],
    [['--by', 'dst_port/24'], 'Cannot group by "dst_port/24": dst_port is no address'],
    [['--by', 'src_addr/129'], /^Cannot group by "src_addr\/129": expected /],
    [['sql'], 'Cannot run the report sql: give the query by --sql'],
  ] as const) {
    const { exitCode, stderr } = await flowkit(['analyze', ...args, DEMO])
    assert.equal(exitCode, 1, stderr)
    if (typeof message === 'string') assert.equal(stderr, `flowkit: ${message}\n`)
    else assert.match(stderr.slice('flowkit: '.length), message)
  }
})
