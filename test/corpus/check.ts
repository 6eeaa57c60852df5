/**
 * Compare flowkit's reading of a corpus of export datagrams with what other tools have read in it.
 *
 *     node test/corpus/check.ts FOLDER
 *
 * Prints a line for each golden, then the totals; each difference that no reason explains is shown, and makes
 * the exit code 1. Without the folder it does nothing. corpus-notes.md tells of the reasons.
 */
import { checkFilters } from './check-filters.ts'
import { Tally, type Golden } from './compare.ts'
import { has, readList, type Listed } from './corpus.ts'
import type { Explanation } from './explain.ts'
import { CAPTURE_EXPLANATIONS } from './explanations-capture.ts'
import { NFDUMP_FILES_EXPLANATIONS } from './explanations-nfdump-files.ts'
import { PEER_EXPLANATIONS } from './explanations-peers.ts'
import { REAL_EXPLANATIONS } from './explanations-real.ts'
import { SFLOW_EXPLANATIONS } from './explanations-sflow.ts'
import { checkDamaged } from './damaged.ts'
import { checkGoflow2, goflow2Logs } from './files-goflow2.ts'
import { checkSflowFiles } from './files-sflow.ts'
import { flowToolsDatagrams, flowToolsExports } from './exports-flow-tools.ts'
import { checkFlowTools } from './files-flow-tools.ts'
import { checkFlowd } from './files-flowd.ts'
import { nfdumpFiles } from './files-nfdump.ts'
import { checkVpc } from './files-vpc.ts'
import { checkFiles } from './files.ts'
import { beats } from './golden-beats.ts'
import { captureReadings } from './golden-capture.ts'
import { FLOWD_EXPLANATIONS, flowdReadings } from './golden-flowd.ts'
import { goflow2Raw } from './golden-goflow2-raw.ts'
import { logstash } from './golden-logstash.ts'
import { opennms } from './golden-opennms.ts'
import { pmacct } from './golden-pmacct.ts'
import { sflowTools } from './golden-sflow-tools.ts'
import { sflowPeers } from './golden-sflow.ts'
import { telegraf } from './golden-telegraf.ts'
import { VPC_EXPLANATIONS, vpcReadings } from './golden-vpc.ts'
import { checkNfdumpText } from './nfdump-text.ts'
import { peers } from './peers.ts'
import { reencode } from './reencode.ts'

const EXPLANATIONS: readonly Explanation[] = [
  ...REAL_EXPLANATIONS, ...PEER_EXPLANATIONS, ...SFLOW_EXPLANATIONS, ...FLOWD_EXPLANATIONS, ...NFDUMP_FILES_EXPLANATIONS,
  ...VPC_EXPLANATIONS, ...CAPTURE_EXPLANATIONS,
]

const [corpus] = process.argv.slice(2)
if (corpus === undefined || !has(corpus, 'real/MANIFEST.tsv')) {
  console.log(`no corpus ${corpus === undefined ? 'named' : `in ${corpus}`}: nothing compared`)
} else process.exitCode = await check(corpus, readList(corpus))

async function check(corpus: string, list: readonly Listed[]): Promise<number> {
  const total = new Tally(EXPLANATIONS)
  const goldens: Golden[] = []
  const sources = [
    beats(corpus, list), logstash(corpus), telegraf(corpus), pmacct(corpus), opennms(corpus, list),
    peers(corpus), sflowPeers(corpus), sflowTools(corpus), flowdReadings(corpus),
    nfdumpFiles(corpus), goflow2Logs(corpus), goflow2Raw(corpus), flowToolsDatagrams(corpus),
    flowToolsExports(corpus), vpcReadings(corpus, list), captureReadings(corpus),
  ]
  for (const source of sources) {
    for (const golden of source) {
      goldens.push(golden)
      const tally = new Tally(EXPLANATIONS)
      tally.count(golden)
      total.merge(tally)
      console.log(`${golden.path}: ${tally}`)
      for (const line of tally.shown) console.log(`  ${line}`)
    }
  }
  const sflow = checkSflowFiles(corpus, list)
  const { files, rows, values, explained, foreign, problems } =
    checkFiles(corpus, list, goldens, sflow.samples)
  for (const problem of [...problems, ...sflow.problems]) console.log(problem)
  console.log(`\nfiles: ${files} read, ${rows} rows, ${values} values with the elements they were sent as`)
  console.log(`${problems.length} problems${listed(explained)}`)
  const found = `${sflow.rows} rows, ${sflow.counters} counter samples`
  console.log(`sFlow files: ${sflow.files} read, ${found}, ${sflow.values} values as they were sent`)
  console.log(`${sflow.problems.length} problems${listed(sflow.explained)}`)
  console.log(`not read: ${foreign.length} files of nfdump's own datagrams`)
  console.log(`goldens: ${goldens.length}, ${total}`)
  const seen = new Set(goldens.flatMap(({ readings }) => readings.map(({ peer }) => peer)))
  for (const { id, peers: whose } of EXPLANATIONS) {
    const isNeeded = total.explained.has(id) || !whose.some((peer) => seen.has(peer))
    if (!isNeeded) console.log(`no difference needs the reason ${id}`)
  }
  const logs = checkFlowd(corpus)
  for (const problem of logs.problems) console.log(problem)
  console.log(logs.summary)
  const filters = checkFilters(corpus)
  for (const problem of filters.problems) console.log(problem)
  console.log(filters.summary)
  const stored = checkFlowTools(corpus, list)
  for (const problem of stored.problems) console.log(problem)
  console.log(stored.summary)
  const texts = checkNfdumpText(corpus)
  for (const problem of texts.problems) console.log(problem)
  console.log(texts.summary)
  const vpc = await checkVpc(corpus, list)
  for (const problem of vpc.problems) console.log(problem)
  console.log(vpc.summary)
  const goflow2 = checkGoflow2(corpus)
  for (const problem of goflow2.problems) console.log(problem)
  console.log(goflow2.summary)
  const damaged = await checkDamaged(corpus)
  for (const problem of damaged.problems) console.log(problem)
  console.log(damaged.summary)
  const again = reencode(corpus)
  for (const problem of again.problems) console.log(problem)
  console.log(`NetFlow v1 to v8: ${again.same} datagrams of ${again.files} files become the same bytes again`)
  const others = sflow.problems.length + again.problems.length + logs.problems.length
    + filters.problems.length + stored.problems.length + texts.problems.length + vpc.problems.length
    + goflow2.problems.length + damaged.problems.length
  return total.differing + problems.length + others > 0 ? 1 : 0
}

function listed(explained: ReadonlyMap<string, number>): string {
  if (explained.size === 0) return ''
  return `, explained: ${[...explained].map(([id, n]) => `${id} ${n}`).join(', ')}`
}
