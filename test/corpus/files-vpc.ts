/** VPC flow logs as a whole: as many records as the list says, and none in log events of other things. */
import { join } from 'node:path'
import { vpcParquet } from '../../formats/parquet.ts'
import type { Listed } from './corpus.ts'
import { readVpcLog } from './golden-vpc.ts'

/** What became of the logs. */
export interface VpcReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

/** Messages of Lambda and of tests, which are no flow logs. */
const OTHERS = /aws-lambda-go|datadog-serverless|elastic-serverless-forwarder/
/** Flows of the files whose records the list does not count. */
const FLOWS: readonly (readonly [path: RegExp, flows: number])[] = [
  [/valid_vpc_flow_cw\.json$/, 2],
  [/flows\.parquet$/, 2], // of its 3 rows one has neither addresses nor counters
]

/** Read all VPC flow logs and log events of the list. */
export async function checkVpc(corpus: string, list: readonly Listed[]): Promise<VpcReport> {
  const problems: string[] = []
  let [files, flows, others] = [0, 0, 0]
  for (const { path, protocol, records } of list) {
    if (!/^AWS VPC|^CloudWatch/.test(protocol)) continue
    files++
    const found = path.endsWith('.parquet') ? await readParquet(corpus, path) : counts(corpus, path)
    flows += found.flows
    others += found.others
    const wanted = FLOWS.find(([pattern]) => pattern.test(path))?.[1] ?? records
    const isRight = OTHERS.test(path)
      ? found.flows === 0
      : found.faults === 0 && (found.flows === wanted || found.flows + found.others === wanted)
    const met = `${found.flows} flows, ${found.others} others, ${found.faults} faults`
    if (!isRight) problems.push(`${path}: ${met}`)
  }
  const summary = `VPC flow logs: ${files} files, ${flows} flows, ${others} records of no flow; `
    + `${problems.length} problems`
  return { summary, problems }
}

interface Counts {
  flows: number
  others: number
  faults: number
}

function counts(corpus: string, path: string): Counts {
  const { rows, others, faults } = readVpcLog(corpus, path)
  return { flows: rows.length, others, faults: faults.length }
}

async function readParquet(corpus: string, path: string): Promise<Counts> {
  const found: Counts = { flows: 0, others: 0, faults: 0 }
  const reader = vpcParquet.open!(join(corpus, path), { onFault: () => { found.faults++ } })
  for await (const batch of reader) found.flows += batch.length
  return found
}
