import { Tally } from './compare.ts'
import { readList } from './corpus.ts'
import { EXPLANATIONS } from './explanations.ts'
import { beats } from './golden-beats.ts'
import { peers } from './peers.ts'
import { telegraf } from './golden-telegraf.ts'
import { logstash } from './golden-logstash.ts'
const corpus = process.argv[2]
const list = readList(corpus)
const total = new Tally(EXPLANATIONS)
for (const g of [...beats(corpus, list), ...telegraf(corpus), ...logstash(corpus), ...peers(corpus)]) {
  const t = new Tally(EXPLANATIONS)
  t.records = g.records
  for (const r of g.readings) t.add(r)
  console.log(`${g.path.slice(-70)}: ${t}`)
  for (const l of t.shown) console.log(l)
  total.merge(t)
}
console.log(String(total))
