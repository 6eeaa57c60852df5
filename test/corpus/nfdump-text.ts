/** Text that nfdump printed of its files, byte for byte: what flowkit prints of the same files. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FlowBatch } from '../../core/flow/batch.ts'
import { formatOf, nfdumpText } from '../../formats/nfdump-text.ts'
import { nfdump } from '../../formats/nfdump.ts'
import type { WriteRequest } from '../../formats/format.ts'
import { TEXT_REASONS, type TextDifference } from './explanations-nfdump-text.ts'

/** What became of the texts. */
export interface TextReport {
  /** A line that tells of it. */
  readonly summary: string
  readonly problems: readonly string[]
}

const FOLDER = 'peers/nfdump'

/** nfdump's names for formats, where flowkit has others; by version. */
const NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  171: { csv: 'nfdump-csv-1.7.1', json: 'nfdump-json-1.7.1', pipe: 'pipe' },
  178: {
    ...Object.fromEntries([
      'line', 'line6', 'long', 'extended', 'extended6', 'biline', 'bilong', 'nsel', 'raw',
    ].map((name) => [name, name])),
    csv: 'nfdump-csv', 'csv-fast': 'nfdump-csv-fast', json: 'nfdump-json', ndjson: 'nfdump-ndjson',
    fmt0: 'fmt:%ts %te %td %tr %pr %sap %dap %sa %da %sp %dp',
    fmt1: 'fmt:%pkt %ipkt %opkt %byt %ibyt %obyt %fl %flg %tos %stos %dtos %bps %pps %bpp %dir',
    fmt2: 'fmt:%in %out %smk %dmk %sas %das %nh %nhb %ra %ipl',
    fmt3: 'fmt:%ismc %odmc %idmc %osmc %svln %dvln %mpls %mpls1 %mpls2',
    fmt4: 'fmt:%xsa %xda %xsp %xdp %nats %evt %xevt %ivrf %evrf %eng %exp %cl %sl %al',
    fmt5: 'fmt:%sn|%dn|%fwd|%bfd|%end',
    fmt6: 'csv:%ts,%te,%td,%sa,%da,%sp,%dp,%pr,%flg,%pkt,%byt',
  },
}

/** A text to compare. */
interface Golden {
  readonly path: string
  readonly text: string
  /** What it was printed of. */
  readonly file: string
  readonly format: string
  readonly request: WriteRequest
  /** Whether it was printed of another file of the same flows, in another order. */
  readonly isUnordered?: boolean
}

/** Compare all texts. */
export function checkNfdumpText(corpus: string): TextReport {
  const archive = join(corpus, FOLDER, 'golden.tar.xz')
  if (!existsSync(archive)) return { summary: "nfdump's texts: none", problems: [] }
  const folder = mkdtempSync(join(tmpdir(), 'flowkit-corpus-'))
  const { TZ } = process.env
  process.env.TZ = 'UTC'
  try {
    for (const name of ['golden', 'real', 'cross']) {
      execFileSync('tar', ['xJf', join(corpus, FOLDER, `${name}.tar.xz`), '-C', folder])
    }
    return compareAll([
      ...ofFiles(corpus, folder), ...crossed(corpus, folder), ...published(corpus), ...ofCaptures(corpus),
      ...ofFormerFiles(corpus), ...ofDatagrams(corpus, folder),
    ])
  } finally {
    if (TZ === undefined) delete process.env.TZ
    else process.env.TZ = TZ
    rmSync(folder, { recursive: true })
  }
}

/** The goldens named after their file, format and options. Those without a twin that is quiet are quiet. */
function* ofFiles(corpus: string, folder: string): Generator<Golden> {
  for (const below of ['golden', 'golden/real']) {
    const names = readdirSync(join(folder, below)).sort()
    for (const name of names) {
      const [, file, version, kind, option = ''] =
        /^(.*?\.(171|178)(?:\.[a-z0-9-]+)?\.nfcapd)\.([a-z0-9-]+?)(\.[qN])?$/.exec(name) ?? []
      const format = NAMES[version ?? '']?.[kind ?? '']
      if (file === undefined || format === undefined) continue
      const isQuiet = option === '.q' || (option === '' && !names.includes(`${name}.q`))
      yield {
        path: `${below}/${name}`, text: readFileSync(join(folder, below, name), 'utf8'), format,
        file: below === 'golden' ? join(corpus, FOLDER, file) : join(folder, 'real', file),
        request: { quiet: isQuiet, plainNumbers: option === '.N' },
      }
    }
  }
}

/** CSV of 1.7.8 of files of 1.7.1; that of 1.7.1 of newer files lacks what it does not know. */
function* crossed(corpus: string, folder: string): Generator<Golden> {
  for (const name of readdirSync(join(folder, 'cross'))) {
    const [, file] = /^(.*\.nfcapd)\.read-by-nfdump-1\.7\.8\.csv$/.exec(name) ?? []
    if (file === undefined) continue
    const text = readFileSync(join(folder, 'cross', name), 'utf8')
    const request = { quiet: true }
    yield { path: `cross/${name}`, text, format: 'nfdump-csv', file: join(corpus, FOLDER, file), request }
  }
}

/** CSV of 1.7.1 of files that others have published. */
function* published(corpus: string): Generator<Golden> {
  const folder = join(corpus, 'real/tool-generated/golden-nfdump')
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const file = join(corpus, 'real', name.replace(/\.csv$/, '').replace('_', '/').replace('_', '/'))
    const text = readFileSync(join(folder, name), 'utf8')
    yield { path: name, text, format: 'nfdump-csv-1.7.1', file, request: { quiet: !text.startsWith('ts,') } }
  }
}

/** Lines of nfpcapd's files, of which peers/nfdump has those of another run. */
function* ofCaptures(corpus: string): Generator<Golden> {
  const sources = ['http_ipv6/00', 'v6/05', 'mixed/15', 'mixed-vlan-mpls/25']
  const requests: Readonly<Record<string, WriteRequest>> = {
    plain: {}, quiet: { quiet: true }, ipv6full: { ipv6Full: true },
  }
  for (const [source, minute] of sources.map((each) => each.split('/'))) {
    for (const [name, request] of Object.entries(requests)) {
      const path = join('peers/text', name, `2026112023${minute}`)
      if (!existsSync(join(corpus, path))) continue
      const text = readFileSync(join(corpus, path), 'utf8')
      const file = join(corpus, FOLDER, `pcap-${source}.178.nfcapd`)
      yield { path, text, file, format: 'line', request, isUnordered: true }
    }
  }
}

/** Of files of layout 1, with what nfdump says of their records at the end. */
function* ofFormerFiles(corpus: string): Generator<Golden> {
  const folder = join(corpus, FOLDER, 'v1layout')
  for (const name of readdirSync(folder)) {
    const [, file, version, kind] = /^(.*)\.(171|178)\.(csv|extended|raw)$/.exec(name) ?? []
    const format = NAMES[version ?? '']?.[kind ?? '']
    if (file === undefined || format === undefined || file.endsWith('head')) continue
    const text = readFileSync(join(folder, name), 'utf8')
    yield { path: `v1layout/${name}`, text, format, file: join(folder, file), request: {} }
  }
}

/** Of what nfcapd wrote of the datagrams of peers/wire. */
function* ofDatagrams(corpus: string, folder: string): Generator<Golden> {
  const packed = join(corpus, 'peers/wire/golden.tar.xz')
  if (!existsSync(packed)) return
  execFileSync('tar', ['xJf', packed, '-C', folder, '--transform', 's/^golden/wire/'])
  const below = join(folder, 'wire')
  for (const name of readdirSync(below).filter((each) => each.endsWith('.nfdump178.raw'))) {
    const file = join(below, name.replace('.nfdump178.raw', '.nfcapd178'))
    const text = readFileSync(join(below, name), 'utf8')
    yield { path: `wire/${name}`, text, format: 'raw', file, request: { quiet: true } }
  }
}

function compareAll(goldens: Iterable<Golden>): TextReport {
  const explained = new Map<string, number>()
  const problems: string[] = []
  let [texts, same, lines] = [0, 0, 0]
  for (const golden of goldens) {
    const ours = print(golden)
    texts++
    lines += golden.text.split('\n').length - 1
    if (ours === golden.text) {
      same++
      continue
    }
    for (const difference of differences(golden, ours)) {
      const reason = TEXT_REASONS.find((each) => each.applies(difference))
      if (reason) explained.set(reason.id, (explained.get(reason.id) ?? 0) + 1)
      else if (problems.length < 50) {
        const { key, ours, theirs } = difference
        problems.push(`${golden.path} ${key}: ours ${ours}, theirs ${theirs}`)
      }
    }
  }
  const why = Array.from(explained, ([id, count]) => `${id} ${count}`).join(', ')
  const summary = `nfdump's texts: ${texts}, ${lines} lines, ${same} byte for byte; differences: ${why}`
  for (const { id } of TEXT_REASONS) {
    if (!explained.has(id)) problems.push(`no text of nfdump needs the reason ${id}`)
  }
  return { summary, problems }
}

/** flowkit's text of a file. */
function print({ file, format: name, request }: Golden): string {
  const format = nfdumpText.find((each) => each.name === name) ?? formatOf(name)!
  const decoder = nfdump.decoder!({ fields: format.printed ?? [], onFault: () => {} })
  const encoder = format.encoder!(request)
  const bytes = readFileSync(file)
  const batch = new FlowBatch()
  const parts: Uint8Array[] = []
  const take = (): void => {
    if (batch.length > 0) parts.push(encoder.encode(batch).slice())
    batch.clear()
  }
  for (let at = 0, before = -1; at !== before; take()) [before, at] = [at, decoder.decode(bytes, at, batch)]
  decoder.end?.(batch)
  take()
  parts.push(encoder.finish!())
  return Buffer.concat(parts).toString()
}

/** What differs, record by record: by member, line or cell where a record has these. */
function* differences({ format, text, isUnordered }: Golden, mine: string): Generator<TextDifference> {
  const [ours, theirs] = [mine, text].map((each) => recordsOf(each, format))
    .map((records) => isUnordered ? records.sort() : records)
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const record = theirs[i] ?? ''
    if (ours[i] === record) continue
    if (ours[i] === undefined || theirs[i] === undefined) {
      yield { format, key: '', ours: ours[i], theirs: theirs[i], record }
      continue
    }
    const [a, b] = [ours[i], record].map((each) => partsOf(each, format))
    const keys = [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key))
    const [order, theirOrder] = [[a, b], [b, a]]
      .map(([one, other]) => [...one.keys()].filter((key) => other.has(key)).join())
    if (order !== theirOrder || keys.length === 0) {
      yield { format, key: '', ours: ours[i], theirs: record, record }
    } else for (const key of keys) yield { format, key, ours: a.get(key), theirs: b.get(key), record }
  }
}

/** Objects of JSON, blocks of raw, lines. */
function recordsOf(text: string, format: string): string[] {
  if (format === 'raw') return text.split(/\n(?=Flow Record: \n)/)
  return text.split(/^nfdump-json/.test(format) ? /,\n(?= ?\{)/ : '\n')
}

/** The parts of a record by their names. */
function partsOf(record: string, format: string): Map<string, string> {
  if (format === 'raw') {
    const [head, ...payload] = record.trim().split(/\n(?= {2}(?:in|out) payload)/)
    const lines = head.split('\n').map((line): [string, string] => [line.slice(0, 14).trim(), line])
    return new Map([...lines, ...payload.map((text): [string, string] => ['payload', text])])
  }
  if (/json/.test(format)) {
    const members = record.split(/[{}]?(?:,|^|$)\n?(?=\s*[{}]?\n?\s*")/)
    return new Map(members.map((member) => {
      const [, key, value] = /^[^"]*("[^"]+") ?: ?(.*?)[\s}\]]*$/s.exec(member) ?? []
      return key === undefined ? ['frame', member] : [key, value]
    }))
  }
  const names = format.startsWith('fmt:') ? format.match(/%\w+/g)! : headerOf(format)
  const cells = format.startsWith('fmt:') ? record.trim().split(/[\s|]+/) : record.split(/[,|]/)
  if (cells.length !== names.length || cells.length === 1) return new Map([['', record]])
  return new Map(cells.map((cell, i) => [names[i], cell]))
}

/** The names of the columns of a CSV. */
function headerOf(format: string): string[] {
  const { encoder } = nfdumpText.find((each) => each.name === format) ?? formatOf(format)!
  return Buffer.from(encoder!({}).finish!()).toString().split('\n')[0].split(',')
}
