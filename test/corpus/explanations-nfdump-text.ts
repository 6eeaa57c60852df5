/** Why a text of nfdump and flowkit's of the same file differ, where they may. */

/** One difference: a member, a line of a block, a cell; or a whole line. */
export interface TextDifference {
  /** The format, as flowkit calls it. */
  readonly format: string
  /** What it is called there; empty for a whole line. */
  readonly key: string
  /** Undefined: that one does not have it. */
  readonly ours: string | undefined
  readonly theirs: string | undefined
  /** The record of nfdump, whole. */
  readonly record: string
}

/** A reason; see corpus-notes.md. */
export interface TextReason {
  readonly id: string
  applies(difference: TextDifference): boolean
}

/** Values that stand for nothing: flowkit has such fields absent. */
const NOTHING = new RegExp(
  '^("?(0|::|0\\.0\\.0\\.0|00:00:00:00:00:00|0-0-0|0x0+|<empty>|INVALID|Reserved)?"?| *0: INVALID|)$')
/** Members of extensions that flowkit does not see when all in them is 0. */
const EXTENSIONS = new RegExp([
  'vlan', 'custID', 'ethertype', 'ip_version', 'phys_', 'gress', 'mac', 'next_hop', 'next hop', 'user_?name',
  'mpls_',
].join('|'), 'i')

function same(a: string, b: string, ...parts: RegExp[]): boolean {
  const strip = (text: string): string => parts.reduce((rest, part) => rest.replaceAll(part, ''), text)
  return strip(a) === strip(b)
}

/** The reasons, the first that applies counts. */
export const TEXT_REASONS: readonly TextReason[] = [
  { // of this run: its times, and what its file's blocks were
    id: 'run',
    applies: ({ ours = '', theirs = '' }) =>
      /^(Sys|Total records): /.test(theirs) && ours.slice(0, 5) === theirs.slice(0, 5)
      || /^Total (records|flows) /.test(theirs) && same(ours, theirs, /Bytes read: \d+/g),
  },
  { // nfdump numbers all records of a file, also those of exporters, and exporters as the collector met them
    id: 'numbers-of-the-file',
    applies: ({ key, ours, theirs }) => /sysid|exid|%exp|RecordCount/.test(key) && ours !== undefined
      && theirs !== undefined,
  },
  { // in CSV and JSON nfdump says so, too, that there are no flows
    id: 'message-in-data',
    applies: ({ format, key, ours = '', theirs = '' }) => {
      if (!/csv/.test(format)) return key === 'frame' && same(ours, theirs, /No matching flows|\n/g)
      // behind it nfdump 1.7.1's summary is a line further down
      const isSummary = [ours, theirs].every((text) => /^(Summary|flows,bytes,.*|(0,){5}0)$/.test(text))
      return theirs === 'No matching flows' || (ours === '' && theirs === '') || isSummary
    },
  },
  { // the file's statistics began with a record of an event, whose flow begins at 0
    id: 'window-from-0', applies: ({ theirs = '' }) => /^Time window: Time Window unknown/.test(theirs),
  },
  { // that of the file, also where none or not all of its flows are printed; 1.7.8 says these are passed, too
    id: 'window-of-the-file', applies: ({ ours = '', theirs = '' }) =>
      ours.startsWith('Time window: ') && /^Time window: \d/.test(theirs)
      || same(ours, theirs, /(passed|Bytes read): \d+/g),
  },
  { // nfdump 1.7.8 does not read the flag in files of layout 1
    id: 'sampled-in-layout-1',
    applies: ({ key, ours = '', theirs = '' }) =>
      key === 'Flags' && same(ours, theirs, /0x0\d|(S|Uns)ampled/g)
      || key === '"sampled"' && ours === '1' && theirs === '0',
  },
  { // times before 1970, near 2^64 ms: in flowkit the largest that is exact
    id: 'before-1970',
    applies: ({ key, ours = '', theirs = '' }) => /^(first|last)$/.test(key)
      && ours.includes(' 9007199254740 ') && theirs.includes(' 18446744')
      || ours.includes('2255-06-05') && theirs.includes('584556019-'),
  },
  { // and what lies between them
    id: 'times-before-1970',
    applies: ({ key, record }) => /^(td|duration)$/.test(key) && record.includes('584556019-'),
  },
  { // a record without the first extension, of a packet's bytes only; flowkit prints 0 for what is in that
    id: 'nothing-but-payload',
    applies: ({ format, theirs, record }) => (
      theirs === undefined && /^raw$|json$/.test(format) && !/ {2}"?proto["\s]/.test(record)
    ),
  },
  { // flowkit has no such field
    id: 'payload',
    applies: ({ key, ours }) => ours === undefined && /^payload$|^"(in|out)_(tls|sni|ja)/.test(key),
  },
  { // an extension with nothing in it
    id: 'zero-is-absent',
    applies: ({ key, ours, theirs = '' }) =>
      ours === undefined && EXTENSIONS.test(key) && NOTHING.test(theirs.replace(/^.{14} = */, '')),
  },
  { // which follows from that
    id: 'extensions', applies: ({ format, key }) => format === 'raw' && /^(Elements|size)$/.test(key),
  },
  { // the second of two "ip minTTL"
    id: 'max-ttl', applies: ({ key }) => /^ip m(in|ax)TTL/.test(key),
  },
  { // the upper half of the address, whatever the prefix length
    id: 'network-of-ipv6',
    applies: ({ key, ours = '', theirs = '' }) =>
      /_net"/.test(key) && ours.includes(':') && /^"[\da-f]+(:[\da-f]+){0,3}::"$/.test(theirs),
  },
  { // and with 0 leaves half of it
    id: 'network-of-0-bits',
    applies: ({ format, theirs = '' }) => format.startsWith('fmt:%sn') && theirs.includes('::/0'),
  },
  { // .7 for .007
    id: 'milliseconds-of-events',
    applies: ({ key, ours = '', theirs = '' }) =>
      /t_event/.test(key) && ours.replace(/\.0*(?=\d)/, '.') === theirs.replace(/\.0*(?=\d)/, '.'),
  },
  { // the bytes of each number turned round
    id: 'access-list-bytes', applies: ({ key }) => /gress[ _]acl/i.test(key),
  },
  { // 2^64 ms and less
    id: 'negative-duration',
    applies: ({ key, ours = '', theirs = '' }) => key === 'td' && ours === '0.000' && theirs.length > 12
      || same(ours, theirs, /-\d+d -\d+:-\d+:\d+\.000| {4}00:00:00\.000| {11}0\.000|\b184467\d{11}\.000/g),
  },
  { // 1.7.1 prints the next hop for BGP's
    id: 'bgp-next-hop-of-1.7.1', applies: ({ key, theirs = '' }) => key === 'nhb' && theirs.includes(':'),
  },
  { // a record with addresses of both families: nfdump 1.7.1 mixes them, 1.7.8 takes IPv4
    id: 'both-families',
    applies: ({ key, record, ours = '', theirs = '' }) =>
      /(src|dst)[46]_(addr|geo)"|^(src|dst) (addr|mask)$|^[sd]a$|n(ext )?h(op|b)?$|next_hop/.test(key)
      || / ::[\d.]/.test(theirs)
        && same(ours, theirs, / *(::)?([\d.]+\.\.|\d+\.)[\d.]+[:.]\d+(\.\d)? *| +::\.[\d.]+ */g)
      || /192\.0\.4[12]\.1/.test(record) && /fcba:/.test(ours + theirs),
  },
  { // names that options records gave, or the lack of one
    id: 'names',
    applies: ({ ours = '', theirs = '' }) =>
      theirs.startsWith(`${ours} <no `) || theirs.startsWith(`${ours}/`)
      || (theirs !== '' && ours.startsWith(`${theirs} `))
      || same(ours, theirs.replace(/ <(in|e)gress not found>$/, ''), / +/g) && /not found>$/.test(theirs),
  },
  { // the TOS of the packets that came stands in the place of that of those that left
    id: 'tos-of-1.7.1',
    applies: ({ format, key, record, theirs = '' }) => {
      const [source = theirs] = /^  src tos .*$/m.exec(record) ?? [] // not told of ICMP
      return format === 'raw' && key === 'dst tos' && same(theirs, source, /^  (src|dst) tos/g)
    },
  },
  { // it is not told where the extension of the interfaces is not there
    id: 'status-of-1.7.1', applies: ({ format, key, ours = '', theirs }) => (
      format === 'raw' && key === 'fwd status' && / 0$/.test(ours) && theirs === undefined
    ),
  },
  { // what 1.7.1 calls events in blocks, where it has no pool, and flows that have no times
    id: 'events-of-1.7.1',
    applies: ({ format, key, ours, theirs = '' }) => format === 'raw' && (
      (/^(nat|fw ext) event$/.test(key) && /: (INVALID|ADD|DELETE|UNKNOW|Ignore|Adap|No Syn)$/.test(theirs))
      || (key === 'nat pool ID' && theirs === '')
      || (/^(first|last)$/.test(key) && theirs.endsWith('[<unknown>.000]'))
      || (key === 'Event time' && ours === undefined)
    ),
  },
  { // numbers that are longer than their place
    id: 'places-of-1.7.1',
    applies: ({ format, key, ours = '', theirs = '' }) => format === 'raw'
      && /^(input|output|(src|dst) as|obs domainID)$/.test(key) && same(ours, theirs, / +/g),
  },
  { // in a CSV nfdump gives the tunnel the ports of the flow in it
    id: 'ports-of-a-tunnel', applies: ({ key, ours }) => /^(src|dst)Port$/.test(key) && ours === '0',
  },
  { // sfcapd 1.7.1 calls flows with NAT events
    id: 'events-of-sflow',
    applies: ({ key, ours = '', theirs = '' }) => (key === '"type"' && theirs === '"EVENT"')
      || same(ours, theirs, /0x0[23]|SFLOW v5|EVENT/g),
  },
  { // nfdump's summary is over the file's statistics, which begin at 0
    id: 'averages-from-0',
    applies: ({ format, key, ours = '', theirs = '' }) =>
      (format === 'nfdump-csv-1.7.1' && key === '' && /^(\d+,){5}\d+$/.test(theirs))
      || theirs.startsWith('Summary: ') && same(ours, theirs, /avg bps: [^,]+, avg pps: [^,]+/g),
  },
]
