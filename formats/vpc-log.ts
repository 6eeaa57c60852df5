import { areVpcNames, isVpcRecord, vpcHeader } from '../core/cloud/vpc-fields.ts'
import { vpcLogDecoder } from '../core/cloud/vpc-log.ts'
import type { FlowFormat } from './format.ts'

/** The 14 fields of version 2, as a record without a header has them. */
const VERSION_2 = /^2 (\d{1,12}|unknown|-) \S+ \S+ \S+( (\d+|-)){7} (ACCEPT|REJECT|-) (OK|NODATA|SKIPDATA)$/
/** What stands in front of lines that CloudWatch exports. */
const EXPORT_TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z /
/** A message of CloudWatch Logs to a subscriber, and what Lambda and Firehose make of it. */
const MESSAGE = /"messageType"\s*:\s*"DATA_MESSAGE"|"(logEvents|events)"\s*:\s*\[|^[\s[]*\{\s*"message"/
const PACKED = /"(awslogs|kinesis|records)"\s*:.*"data"\s*:\s*"H4sI/s

/** AWS VPC and transit gateway flow logs as text, or in the JSON of CloudWatch Logs and Firehose. */
export const vpcLog: FlowFormat = {
  name: 'vpc-log',
  summary: 'AWS VPC flow log: text, or JSON of CloudWatch Logs',
  extensions: [],
  probe,
  decoder: ({ vpcFormat, fields, extras = false, loss, onFault }) => {
    return vpcLogDecoder({ format: vpcFormat, fields, extras, loss, onFault })
  },
}

function probe(head: Uint8Array): number {
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('latin1').replace(/^\xef\xbb\xbf/, '')
  if (/^[\s[]*\{/.test(text)) {
    if (PACKED.test(text) || /"CONTROL_MESSAGE"/.test(text)) return 75
    const message = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(text)?.[1]
    return !MESSAGE.test(text) ? 0 : message === undefined ? 75 : scoreOf(message.replace(/\\n$/, ''))
  }
  const isWhole = text.includes('\n') || head.length < 512
  return isWhole ? scoreOf(text.trimStart().split(/\r?\n/, 1)[0]) : 0
}

/** How sure one line makes. */
function scoreOf(line: string): number {
  const names = vpcHeader(line)
  if (names) return areVpcNames(names) ? 95 : 0
  const record = line.replace(EXPORT_TIME, '')
  if (VERSION_2.test(record)) return 90
  return isVpcRecord(record) ? 60 : 0
}
