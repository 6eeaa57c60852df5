import { Type } from '@sinclair/typebox'
import { explainFilter, filterToSql } from '../core/filter/filter.ts'
import { FlowkitError } from '../core/flow/errors.ts'
import { defineCommand, type Command } from './command.ts'
import { FILTER_OPTIONS, readFilter } from './filters.ts'

const { filterFile, filterDialect } = FILTER_OPTIONS

const LANGUAGE = `Tests are joined by and, or, not (also && || !) and parentheses; # begins a comment:

  any  tcp  udp  ipv4  ipv6  flags SA        every flow; of a protocol or family; with flags
  src port 80  dst net 10/8  as > 64511      one side, or one of the two
  src and dst port > 1023  src or dst as 1   both sides, or one
  port in [22 80-90 https]  not in […]       lists, with ranges, networks and names
  src ip in @FILE  [10/8 @FILE]              values from a file, a million networks if need be
  bytes > 1.5M  packets != 1  bps > 1G       = == != < <= > >=, and eq ne lt le gt ge
  tcp_flags & 0x12  & 0x12 = 0x02            all of these bits; bits under a mask
  user_name like "adm*"  contains "min"      parts of a text
  first seen > -1h  tod 22:00-06:00          times, local times of day
  hour in [8-18]  day mon-fri                the same by hour and day; also: last, received
  src_as = dst_as  defined user_name         two fields; whether there is a value
  @include FILE                              what the file holds, in this place

Any field of flowkit fields is known by its name, and elements by IANA's; the name of a host stands for its \
addresses. A test of a value that a flow does not have is false.`

/** `flowkit filter`: how a filter is read. */
export const filter: Command = defineCommand({
  name: 'filter',
  summary: 'Check a filter and show how it is read',
  args: [{ name: 'EXPR', description: 'The filter', repeated: true }],
  options: Type.Object({
    explain: Type.Boolean({
      default: false, description: 'Print it with every word and parenthesis, as without any option',
    }),
    sql: Type.Boolean({ default: false, description: 'Print it as SQL over the archive' }),
    filterFile,
    filterDialect,
  }),
  details: LANGUAGE,
  examples: [
    {
      command: "flowkit filter 'src or dst port in [80 443] and not src net 10.0.0.0/8'",
      does: 'How it is read',
    },
    {
      command: "flowkit filter --filter-dialect bpf 'tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn'",
      does: 'The same filter in the words of flowkit',
    },
  ],
  async run(args, { sql, ...options }, io) {
    const parsed = await readFilter(options, args.length > 0 ? args.join(' ') : undefined)
    if (!parsed) throw new FlowkitError('ERR_OPTION', 'Cannot check a filter: name one, or --filter-file')
    await io.write(`${sql ? filterToSql(parsed) : explainFilter(parsed)}\n`)
  },
})
