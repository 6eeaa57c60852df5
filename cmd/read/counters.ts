import { FlowkitError } from '../../core/flow/errors.ts'
import {
  CORE_COUNTERS, COUNTER_COLUMNS, findCounter, type CounterColumn,
} from '../../core/netflow/sflow/counter-row.ts'
import { counterEncoder, COUNTER_OUTPUTS, type CounterWriteRequest } from '../../formats/counters.ts'
import { readCounterInputs } from '../../formats/locations.ts'
import { nearest } from '../argv.ts'
import { kebab, type ExitCode } from '../command.ts'
import { UsageError } from '../errors.ts'
import { faultReporter, resolveRequest, type InputOptions } from '../inputs.ts'
import type { Io } from '../io.ts'

/** The options of `flowkit read`. */
interface ReadOptions extends InputOptions {
  readonly output?: string
  readonly fields?: readonly string[]
  readonly n?: number
  readonly sort?: string
  readonly names: string
  readonly scale: boolean
  readonly utc: boolean
  readonly fullIpv6: boolean
  readonly summary: boolean
  readonly schema: boolean
}

/** `flowkit read --counters`: the counter samples of sFlow instead of flows. */
export async function readCounters(args: readonly string[], options: ReadOptions, io: Io): Promise<ExitCode> {
  refuseOptions(options)
  const name = options.output ?? (io.stdout.isTTY ? 'table' : 'json')
  const output = COUNTER_OUTPUTS.find((each) => each === name)
  if (!output) {
    const known = COUNTER_OUTPUTS.join(', ')
    throw new UsageError(`Cannot print counter samples as "${name}": expected one of ${known}`)
  }
  const encoder = counterEncoder(output, { ...chooseCounters(options.fields), utc: options.utc })
  const { inputs, filter, ...window } = await resolveRequest(args, options, io)
  if (filter) throw new UsageError(`Cannot filter counter samples, found the filter "${filter.text}"`)
  const faults = faultReporter(io)
  const limit = options.n ?? Infinity
  let count = 0
  if (limit > 0) {
    for await (const rows of readCounterInputs(inputs, window, faults.report, io.talk.info)) {
      io.signal.throwIfAborted()
      const wanted = rows.slice(0, limit - count)
      count += wanted.length
      await io.write(encoder.encode(wanted))
      if (count >= limit) break
    }
  }
  if (encoder.finish) await io.write(encoder.finish())
  faults.finish()
  if (faults.count === 0) return 0
  return count === 0 ? 1 : 3
}

/** What is for flows only is refused, so that nobody takes it for done. */
function refuseOptions(options: ReadOptions): void {
  const { filter, filterFile, sort, names, scale, fullIpv6, summary, schema } = options
  const used = {
    filter, filterFile, sort, names: names === 'flowkit' ? undefined : names, scale: scale || undefined,
    fullIpv6: fullIpv6 || undefined, summary: summary || undefined, schema: schema || undefined,
  }
  for (const [key, value] of Object.entries(used)) {
    if (value === undefined) continue
    throw new UsageError(`Cannot use option --${kebab(key)} beside --counters: it is for flows`)
  }
}

/** What `--fields` names: counters, `core`, or `all`. */
function chooseCounters(names: readonly string[] | undefined): Omit<CounterWriteRequest, 'utc'> {
  if (!names) return { extras: false }
  const columns = names.flatMap((name): readonly CounterColumn[] => {
    if (name === 'core' || name === 'all') return CORE_COUNTERS
    const column = findCounter(name)
    if (column) return [column]
    const near = nearest(name, COUNTER_COLUMNS.map((known) => known.name))
    const advice = near === undefined ? 'names are those of the format json' : `the nearest is ${near}`
    throw new FlowkitError('ERR_OPTION', `Cannot find counter "${name}": ${advice}`)
  })
  const unique = new Map(columns.map((column) => [column.name, column]))
  return { columns: [...unique.values()], extras: names.includes('all') }
}
