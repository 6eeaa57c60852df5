/** The languages that filters are written in, and the lists that they name, as targets of the fuzz. */
import assert from 'node:assert/strict'
import { parseFlowdConf } from '../../cmd/flowd-conf.ts'
import {
  compileFilter, DIALECTS, explainFilter, filterFields, filterToSql, parseFilter, type Dialect, type Filter,
  type FilterContext, type ReadFile,
} from '../../core/filter/filter.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS } from '../../core/flow/fields.ts'
import { generateFlows } from '../../core/netflow/generate/generate.ts'
import { parseTraffic } from '../../core/netflow/generate/options.ts'
import type { Target } from './driver.ts'
import { mutate, mutateText } from './mutate.ts'

const NOW = 1_795_165_200_000_000 // µs

/** Filters of each language. */
export const EXPRESSIONS: Readonly<Record<Dialect, readonly string[]>> = {
  'nfdump': [
    'src or dst port 80 and not (proto tcp or proto in [udp 47 gre]) # a comment\nor inet6',
    'port in [80-90 443 https 1024-2000] and src ip in [10.0.0.0/8, 2001:db8::/32 192.0.2.1-192.0.2.9]',
    'bytes > 1.5Mi and packets <= 10k and duration >= 100 and bps > 1m and pps < 5 and bpp != 3',
    'flags SA and not flags RF or tcp_flags & 0x12 == 0x02 or tos = 0xb8 or icmp-type 8',
    'src net 10.20.0.99 255.255.0.1 or host 10.1.2.3 or net 192.0.2/24 or src net 10.20/16',
    'hour in [22-6 12] and day sat-mon and tod 08:00-17:30 or received day != Wednesday or last hour >= 8',
    'first seen > 2026-11-20T09:00:00Z and last seen < -1h or flow_start > 2026-01-01',
    'user_name not contains "a*b" or asa user like "adm*n*" or in_if_name = "eth\\"0" or icmp-code 3',
    'application_id = 0x0a0b and not out_if_name contains "x"',
    'mac 02:00:00:00:00:01 or mpls label1 = 7 or src vlan 10 or next ip 10.0.0.1 or src as in [64500 AS7]',
    'pf action block or exporter_addr = 192.0.2.1 or sampling_rate > 1 or defined src_mac',
    '@include more.filter and src ip in @list.txt or port in @ports.txt or dst ip not in [@list.txt ::1]',
    'fwdstat drop or proto > tcp or bytes > packets or exact bps in [1.5 2] or src tun ip 10.0.0.1',
  ],
  'flowd': [
    'accept all\ndiscard agent !192.0.2.0/24 in_ifndx 1 out_ifndx !0x10\n',
    'accept tag 7 quick src 10.0.0.0/8 port 010 dst any port !80 proto UDP\ndiscard inet6 # v6\n',
    'discard proto tcp tos !0 \\\n tcp_flags mask 0x06 equals 0x02\naccept days mon-Friday after 08:30\n',
    'logfile "/var/log/flowd"\nlisten on 0.0.0.0:8818\nflow source 192.0.2.1\nstore ALL\nnet="10.0.0.0/8"\n'
      + 'discard src $net dst 192.0.2.0/24\naccept tag 0x10 all\n',
  ],
  'flow-nfilter': [
    'filter-primitive P\n  type ip-address-prefix\n  deny 10.1/16\n  permit 10.0.0.0/8\n  default deny\n'
      + 'filter-definition D\n  match ip-source-address P\n  invert\n',
    'filter-primitive C\n  type counter\n  deny lt 5\n  permit le 0x10\n'
      + 'filter-primitive T\n  type time-date\n  permit gt January 1, 2026 00:00:00\n'
      + 'filter-primitive F\n  type ip-tcp-flags\n  mask 0x12\n  permit 0x02\n'
      + 'filter-definition D\n  match packets C\n  match start-time T\n  or\n  match ip-tcp-flags F\n',
    'filter-primitive M\n  type ip-address-mask\n  permit 10.20.0.0 255.255.0.1\n'
      + 'filter-primitive A\n  type as\n  permit !64500,1-5\n'
      + 'filter-primitive V\n  type ip-port\n  permit @{PORT:-80}\nfilter-definition D\n'
      + '  match ip-exporter-address M\n  match source-as A\n  match ip-destination-port V\n',
  ],
  'bpf': [
    'tcp dst port ftp or ftp-data or 80 and not host 10.0.0.1 and 10.0.0.2',
    'ip6 dst host 2001:db8::1 or src and dst net 10 or dst net 10.1.0.0 mask 255.0.255.0 or portrange 1-6',
    'tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn or tcp[13] & 7 > 0 or icmp[icmptype] != icmp-echo',
    'ether host 02:11:00:00:00:01 and (vlan 100 && mpls 16001) || ! ip proto \\tcp or proto 47',
    'ip[9] = 6 and ip[8] > 1 or ip[12:4] = 0x0a000001 or ip6[6] == 58 or udp[0:2] = 53 or inbound',
    'outbound or ip multicast or ether broadcast',
  ],
}
const WORDS = [
  'and', 'or', 'not', '!', '&&', '||', '(', ')', '[', ']', 'in', 'src', 'dst', '@include', '@list.txt', '<=',
  '!=', '=', '\\', '"', "'", '$net', '@{PORT}', 'any', 'defined', 'like',
  ...FIELDS.map(({ name }): string => name),
]
const LISTS = [
  '# hosts\n10.0.0.0/24, 10.0.2.200\t192.0.2.0/26 ; a comment\n2001:db8::1 2001:DB8:1::/48\n192.0.2/24\r\n',
  '203.0.113.0-203.0.113.255\n::ffff:10.0.0.1 2001:db8:9::ffff:0:0/96\n::/0\n0.0.0.0/0 255.255.255.255',
  '80 443,1024-2000 https # ports\n0x50\n53',
]
const FILES: Readonly<Record<string, string>> = {
  'more.filter': 'tcp or @include list.filter', 'list.filter': 'src ip in @list.txt', 'list.txt': LISTS[0],
  'ports.txt': LISTS[2],
}

/** Files by name, of which one is another. */
function reader(changed?: string, bytes?: Uint8Array): ReadFile {
  return (name) => {
    if (name === changed) return { path: name, bytes: bytes! }
    if (Object.hasOwn(FILES, name)) return { path: name, bytes: new TextEncoder().encode(FILES[name]) }
    throw new FlowkitError('ERR_INPUT', `Cannot read ${name}: no such file`)
  }
}

const flows = new FlowBatch(64)
for (const batch of generateFlows(parseTraffic('flows=48,v6=30%,nat=30%'))) {
  for (let row = 0; row < batch.length; row++) flows.append(batch, row)
}
const selected = new Uint8Array(64)
const again = new Uint8Array(64)

/** The filter that a text is, undefined if it has a fault. @throws whatever is no FlowkitError */
function parse(text: string, context: FilterContext): Filter | undefined {
  try {
    return parseFilter(text, { now: NOW, ...context })
  } catch (error) {
    if (!(error instanceof FlowkitError)) throw error
    return undefined
  }
}

/** What is explained of a filter reads as the same filter, and selects the same flows. */
function checkFilter(text: string, context: FilterContext & { readonly read: ReadFile }): void {
  const filter = parse(text, context)
  if (!filter) return
  filterFields(filter)
  filterToSql(filter)
  const count = compileFilter(filter)(flows, selected)
  assert.ok(count >= 0 && count <= flows.length, `${count} of ${flows.length} flows`)
  const explained = explainFilter(filter)
  const same = parse(explained, { read: context.read })
  assert.ok(same, `"${explained}" has a fault`)
  assert.equal(compileFilter(same)(flows, again), count, explained)
  assert.deepEqual(again, selected, explained)
}

function language(dialect: Dialect): Target {
  const seeds = EXPRESSIONS[dialect]
  const all = Object.values(EXPRESSIONS).flat()
  const context = { dialect, read: reader(), ...dialect === 'flow-nfilter' && { definition: 'D' } }
  return {
    name: `filter-${dialect}`,
    start: async () => ({
      make(random) {
        const other = random() % 8 === 0 ? all : seeds
        const text = mutateText(seeds[random() % seeds.length], other[random() % other.length], random, WORDS)
        return new TextEncoder().encode(text)
      },
      check: (bytes) => checkFilter(new TextDecoder().decode(bytes), context),
    }),
  }
}

/** Lists of addresses and of ports in files. */
const lists: Target = {
  name: 'filter-lists',
  start: async () => {
    const seeds = LISTS.map((text) => new TextEncoder().encode(text))
    return {
      make(random) {
        const [one, other] = [seeds[random() % seeds.length], seeds[random() % seeds.length]]
        if (random() % 2 === 0) return mutate(one, other, random)
        const text = mutateText(Buffer.from(one).toString(), Buffer.from(other).toString(), random)
        return new TextEncoder().encode(text)
      },
      check(bytes) {
        checkFilter('src ip in @list.txt', { read: reader('list.txt', bytes) })
        checkFilter('port in @list.txt', { read: reader('list.txt', bytes) })
      },
    }
  },
}

/** The configuration of flowd, of which its rules are a part. */
const flowdConf: Target = {
  name: 'flowd-conf',
  start: async () => {
    const conf = 'logfile "/var/log/flowd"\nlogsock "/run/flowd.sock" bufsize 65536\n'
      + 'pidfile "/run/flowd.pid"\nlisten on 0.0.0.0:8818\nlisten on [::]:8819\njoin group 239.0.0.1\nflow source 192.0.2.0/24\n'
      + 'forward to 192.0.2.9:2055\nstore SRC_ADDR\nstore ALL # all\n'
    const seeds = [conf, ...EXPRESSIONS.flowd]
    return {
      make(random) {
        const other = seeds[random() % seeds.length]
        return new TextEncoder().encode(mutateText(seeds[random() % seeds.length], other, random, WORDS))
      },
      check(bytes) {
        try {
          parseFlowdConf('flowd.conf', new TextDecoder().decode(bytes))
        } catch (error) {
          if (!(error instanceof FlowkitError)) throw error
        }
      },
    }
  },
}

/** Each language, lists, and flowd's configuration. */
export const FILTER_TARGETS: readonly Target[] = [...DIALECTS.map(language), lists, flowdConf]
