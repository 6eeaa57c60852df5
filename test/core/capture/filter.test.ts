import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { compileFilter } from '../../../core/capture/filter.ts'
import { loadPcap } from '../../../core/capture/pcap-library.ts'

const noTcpdump = spawnSync('tcpdump', ['--version']).error ? 'tcpdump is not installed' : false
const noLibpcap = process.platform === 'linux' && await loadPcap() ? false : 'libpcap is not installed'
const OPTIONS = { snaplen: 96, interfaces: [] }

/** The code that tcpdump prints for an expression. */
function tcpdumpCode(link: string, expression: string): number[][] {
  const { stdout } = spawnSync('tcpdump', ['-y', link, '-s', '96', '-ddd', expression], { encoding: 'utf8' })
  return stdout.trim().split('\n').slice(1).map((line) => line.split(' ').map(Number))
}

test('an expression becomes the code of libpcap', { skip: noLibpcap }, async () => {
  // ldh [12]; jeq 0x800; ldb [23]; jeq 17; ret 96; ret 0: what pcap-filter(7)'s compiler makes of it
  assert.deepEqual((await compileFilter('ip proto 17', OPTIONS)).ethernet, [
    [0x28, 0, 0, 12], [0x15, 0, 3, 0x800], [0x30, 0, 0, 23], [0x15, 0, 1, 17], [6, 0, 0, 96], [6, 0, 0, 0],
  ])
})

test('expressions become what tcpdump makes of them', { skip: noLibpcap || noTcpdump }, async () => {
  for (const expression of ['udp', 'tcp port 80 and host 10.0.0.1', 'ip6 and net 2001:db8::/32', 'greater 100']) {
    const { ethernet, ip } = await compileFilter(expression, OPTIONS)
    assert.deepEqual(ethernet, tcpdumpCode('EN10MB', expression))
    assert.deepEqual(ip, tcpdumpCode('RAW', expression))
  }
})

test('what IP packets do not have is only for Ethernet', { skip: noLibpcap }, async () => {
  const { ethernet, ip } = await compileFilter('ether host 02:00:00:00:00:01', OPTIONS)
  assert.equal(typeof ethernet, 'object')
  assert.match(String(ip), /only on ethernet/)
})

test("an expression that does not parse is told of in libpcap's words", { skip: noLibpcap }, async () => {
  await assert.rejects(compileFilter('udp and (', OPTIONS), {
    code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: .*syntax error/,
  })
  await assert.rejects(compileFilter('host 999.1.1.1', OPTIONS), {
    code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: /,
  })
})

test('without koffi tcpdump compiles, and without tcpdump it is said what to install', {
  skip: process.platform !== 'linux' ? 'only Linux has this' : noTcpdump,
}, () => {
  const module = new URL('../../../core/capture/filter.ts', import.meta.url).href
  function compiled(expression: string, path: string | undefined): unknown {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `
      import { registerHooks } from 'node:module'
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier === 'koffi') throw new Error('there is none')
          return next(specifier, context)
        },
      })
      const { compileFilter } = await import(${JSON.stringify(module)})
      try {
        console.log(JSON.stringify(await compileFilter(process.argv[1], { snaplen: 96, interfaces: [] })))
      } catch ({ code, message }) {
        console.log(JSON.stringify([code, message]))
      }
    `, expression], { env: { PATH: path } })
    assert.equal(stderr.toString(), '')
    return JSON.parse(stdout.toString())
  }
  const { PATH } = process.env
  const filter = { ethernet: tcpdumpCode('EN10MB', 'udp port 53'), ip: tcpdumpCode('RAW', 'udp port 53') }
  assert.ok(filter.ethernet.length > 5)
  assert.deepEqual(compiled('udp port 53', PATH), filter)
  const [code, message] = compiled('udp prt 53', PATH) as [string, string]
  assert.equal(code, 'ERR_SYNTAX')
  assert.match(message, /^Cannot use BPF expression: .*syntax error/)
  const needs = 'it takes libpcap or tcpdump to compile it, and neither is installed'
  assert.deepEqual(compiled('udp', '/nowhere'), [
    'ERR_UNSUPPORTED', `Cannot use BPF expression: ${needs} (Debian: apt-get install libpcap0.8)`,
  ])
})
