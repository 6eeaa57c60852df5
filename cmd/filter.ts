import { Type } from '@sinclair/typebox'
import { explainFilter, filterToSql, parseFilter } from '../core/filter/filter.ts'
import { defineCommand, type Command } from './command.ts'

/** `flowkit filter`: how a filter is read. */
export const filter: Command = defineCommand({
  name: 'filter',
  summary: 'Check a filter and show how it is read',
  args: [{ name: 'EXPR', description: 'The filter', required: true, repeated: true }],
  options: Type.Object({
    explain: Type.Boolean({
      default: false, description: 'Print it with every word and parenthesis, as without any option',
    }),
    sql: Type.Boolean({ default: false, description: 'Print it as SQL over the archive' }),
  }),
  examples: [{
    command: "flowkit filter 'src or dst port in [80 443] and not src net 10.0.0.0/8'",
    does: 'How it is read',
  }],
  async run(args, options, io) {
    const parsed = parseFilter(args.join(' '))
    await io.write(`${options.sql ? filterToSql(parsed) : explainFilter(parsed)}\n`)
  },
})
