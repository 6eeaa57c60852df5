import { Type } from '@sinclair/typebox'
import { FlowkitError } from '../core/flow/errors.ts'
import { ID } from '../core/flow/fields.ts'
import type { Fault } from '../core/flow/stream.ts'
import { parseKey, SUMS, topFlows, topOfArchive, type TopReport } from '../core/query/top.ts'
import { runSql, runSqlOnFlows } from '../core/query/sql.ts'
import { readInputs, type Input, type InputFault } from '../formats/locations.ts'
import { choice, defineCommand, type Command } from './command.ts'
import { faultReporter, INPUT_OPTIONS, resolveRequest, type Request } from './inputs.ts'
import type { Io } from './io.ts'
import { REPORT_OUTPUTS, renderReport, type ReportTable } from './report.ts'

const REPORTS = ['top', 'sql'] as const

/** `flowkit analyze`: reports over flows. */
export const analyze: Command = defineCommand({
  name: 'analyze',
  summary: 'Report on flows: the largest talkers, or any SQL',
  args: [
    { name: 'REPORT', description: 'What to report, top unless told', choices: REPORTS },
    { name: 'INPUT', description: 'A file, a folder, a glob or - (default: the archive)', repeated: true },
    { name: 'FILTER', description: 'As after -f, if it holds a space or an operator' },
  ],
  options: Type.Object({
    by: Type.Array(Type.String({ title: 'FIELD' }), {
      default: 'src_addr',
      description: 'Group by these fields; addresses also by prefix, src_addr/24 or src_addr/24/64',
    }),
    sum: Type.Array(choice(SUMS, { title: 'SUM', description: '' }), {
      default: 'bytes', description: 'What to add up, the first for the order',
    }),
    n: Type.Integer({ minimum: 1, default: 10, description: 'Groups to print' }),
    sql: Type.Optional(Type.String({
      title: 'QUERY',
      description: 'A SELECT over the view flows, for the report sql (which need not be named)',
    })),
    output: choice(REPORT_OUTPUTS, { short: 'o', title: 'NAME', default: 'table', description: 'Format' }),
    ...INPUT_OPTIONS,
  }),
  details: `Bytes and packets are multiplied by the sampling rate of their flow, where they are not yet.`,
  examples: [
    {
      command: 'flowkit analyze top --by dst_port --sum packets --last 1h',
      does: 'The busiest ports of the last hour',
    },
    {
      command: "flowkit analyze --by src_addr/24,dst_as -n 20 'proto udp'",
      does: 'Networks and the AS they talk to, over UDP',
    },
    {
      command: "flowkit analyze --sql 'SELECT proto, count(*) FROM flows GROUP BY ALL'",
      does: 'A query of your own',
    },
  ],
  async run(args, options, io) {
    const [first] = args
    const named = REPORTS.find((report) => report === first)
    const rest = named === undefined ? args : args.slice(1)
    if (named === 'sql' && options.sql === undefined) {
      throw new FlowkitError('ERR_OPTION', 'Cannot run the report sql: give the query by --sql')
    }
    const request = await resolveRequest(rest, options, io)
    const faults = faultReporter(io)
    const report = { by: options.by.map(parseKey), sums: options.sum, limit: options.n }
    const table = options.sql === undefined
      ? await top(request, report, faults.report, io)
      : await query(request, options.sql, faults.report, io)
    await io.write(renderReport(table, options.output))
    faults.finish()
    return faults.count === 0 ? 0 : table.rows.length === 0 ? 1 : 3
  },
})

type OnFault = (fault: InputFault) => void

async function top(request: Request, report: TopReport, onFault: OnFault, io: Io): Promise<ReportTable> {
  const { inputs, ...window } = request
  const paths = parquetPaths(inputs)
  const settings = { threads: io.threads }
  const result = paths
    ? await topOfArchive(paths, report, { ...window, settings, onFault: faultOfOne(paths, onFault) })
    : await topFlows(readInputs(inputs, { ...window, fields: fieldsOf(report) }, onFault), report, settings)
  const totals = result.totals.map((total, i) => `${total} ${report.sums[i]}`)
  io.talk.debug(`${result.groups} groups, ${totals.join(', ')} in all`)
  if (result.scaled) io.talk.info('bytes and packets are scaled by the sampling rate')
  return { columns: result.columns.map((column) => column.name), rows: result.rows }
}

async function query(request: Request, sql: string, onFault: OnFault, io: Io): Promise<ReportTable> {
  if (request.filter || request.since !== undefined || request.until !== undefined) {
    throw new FlowkitError('ERR_OPTION', 'Cannot filter beside --sql: say it in the WHERE of the query')
  }
  const paths = parquetPaths(request.inputs)
  const options = {
    settings: { threads: io.threads }, signal: io.signal, onFault: faultOfOne(paths ?? ['input'], onFault),
  }
  const result = paths
    ? await runSql(paths, sql, options)
    : await runSqlOnFlows(readInputs(request.inputs, {}, onFault), sql, options)
  try {
    const rows = (await Array.fromAsync(result.rows)).flat()
    return { columns: result.columns.map((column) => column.name), rows }
  } finally {
    await result.close()
  }
}

/** The paths of inputs that DuckDB reads itself, if all are such. */
function parquetPaths(inputs: readonly Input[]): string[] | undefined {
  return inputs.every(({ format }) => format.open) ? inputs.map(({ name }) => name) : undefined
}

/** Takes the faults of inputs that are read as one. */
function faultOfOne(paths: readonly string[], onFault: OnFault): (fault: Fault) => void {
  return (fault) => onFault({ ...fault, input: paths.join(', ') })
}

/** The fields that a report looks at. */
function fieldsOf({ by }: TopReport): number[] {
  const counted = [ID.bytes, ID.packets, ID.flows, ID.samplingRate, ID.samplingApplied]
  return [...new Set([...by.map(({ field }) => field.id), ...counted])]
}
