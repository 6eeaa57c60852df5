import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { compileFileFilter, compileFilter } from '../../../core/capture/filter.ts'
import { loadPcap } from '../../../core/capture/pcap-library.ts'
import { udpFrame } from '../../support/frames.ts'

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
  const expressions = ['udp', 'tcp port 80 and host 10.0.0.1', 'ip6 and net 2001:db8::/32', 'greater 100']
  for (const expression of expressions) {
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

test('a filter for files takes packets of each link type as they are', { skip: noLibpcap }, async () => {
  const filter = await compileFileFilter('udp dst port 53 and greater 70')
  const frame = udpFrame({ dstPort: 53 })
  const other = udpFrame({ dstPort: 54 })
  function passes(packet: Uint8Array, wireLength: number, linkType: number): boolean {
    const bytes = Buffer.concat([Buffer.alloc(5), packet, Buffer.alloc(5)])
    return filter(bytes, 5, 5 + packet.length, wireLength, linkType)
  }
  assert.deepEqual([passes(frame, 70, 1), passes(frame, 69, 1), passes(other, 70, 1)], [true, false, false])
  // raw IP, also by OpenBSD's number; IPv4; Linux's cooked packets
  const cooked = Buffer.concat([Buffer.from('00000001000602000000000100000800', 'hex'), frame.subarray(14)])
  for (const linkType of [101, 12, 14, 228]) {
    assert.deepEqual([frame, other].map((each) => passes(each.subarray(14), 80, linkType)), [true, false])
  }
  assert.equal(passes(cooked, 80, 113), true)
  assert.equal(passes(frame, 80, 101), false)
  assert.equal(passes(frame, 80, -1), false)
  assert.equal(passes(frame, 80, 1), true)
  // cut before the port
  assert.deepEqual([38, 37].map((length) => passes(frame.subarray(0, length), 80, 1)), [true, false])
})

test('VLAN tags are looked for in the packets of files', { skip: noLibpcap }, async () => {
  const filter = await compileFileFilter('vlan 5 and udp')
  const frames = [udpFrame(), udpFrame({ tag: [0x8100, 5] }), udpFrame({ tag: [0x8100, 6] })]
  assert.deepEqual(frames.map((frame) => filter(frame, 0, 64, 64, 1)), [false, true, false])
})

test('a filter for files is refused where no link type can have it', { skip: noLibpcap }, async () => {
  await assert.rejects(compileFileFilter('udp and ('), {
    code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: .*syntax error/,
  })
  const inbound = await compileFileFilter('inbound') // which the files of `tcpdump -i any` have
  assert.throws(() => inbound(udpFrame(), 0, 64, 64, 1), {
    code: 'ERR_SYNTAX', message: 'Cannot use BPF expression: it asks for what capture files do not tell',
  })
  const cooked = Buffer.from('08000000000000020001000602000000000000010000', 'hex')
  assert.equal(inbound(cooked, 0, 22, 22, 276), true)
  const udp = await compileFileFilter('udp')
  assert.throws(() => udp(udpFrame(), 0, 64, 64, 200_000), {
    code: 'ERR_SYNTAX', message: /^Cannot use BPF expression: unknown data link type 200000/,
  })
})

test('without koffi tcpdump compiles, and without tcpdump it is said what to install', {
  skip: process.platform !== 'linux' ? 'only Linux has this' : noTcpdump,
}, () => {
  const module = new URL('../../../core/capture/filter.ts', import.meta.url).href
  const frame = udpFrame({ dstPort: 53 })
  function compiled(expression: string, path: string | undefined): unknown {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `
      import { registerHooks } from 'node:module'
      registerHooks({
        resolve(specifier, context, next) {
          if (specifier === 'koffi') throw new Error('there is none')
          return next(specifier, context)
        },
      })
      const { compileFileFilter, compileFilter } = await import(${JSON.stringify(module)})
      const [expression, hex] = process.argv.slice(1)
      const frame = Buffer.from(hex, 'hex')
      try {
        const filter = await compileFileFilter(expression)
        console.log(JSON.stringify([
          await compileFilter(expression, { snaplen: 96, interfaces: [] }),
          [[0, 1], [14, 101], [14, 14], [14, 1]].map(([at, link]) => filter(frame, at, 64, 64 - at, link)),
        ]))
      } catch ({ code, message }) {
        console.log(JSON.stringify([code, message]))
      }
    `, expression, Buffer.from(frame).toString('hex')], { env: { PATH: path } })
    assert.equal(stderr.toString(), '')
    return JSON.parse(stdout.toString())
  }
  const { PATH } = process.env
  const filter = { ethernet: tcpdumpCode('EN10MB', 'udp port 53'), ip: tcpdumpCode('RAW', 'udp port 53') }
  assert.ok(filter.ethernet.length > 5)
  assert.deepEqual(compiled('udp port 53', PATH), [filter, [true, true, true, false]])
  const [code, message] = compiled('udp prt 53', PATH) as [string, string]
  assert.equal(code, 'ERR_SYNTAX')
  assert.match(message, /^Cannot use BPF expression: .*syntax error/)
  const needs = 'it takes libpcap or tcpdump to compile it, and neither is installed'
  assert.deepEqual(compiled('udp', '/nowhere'), [
    'ERR_UNSUPPORTED', `Cannot use BPF expression: ${needs} (Debian: apt-get install libpcap0.8)`,
  ])
})
