/** Which texts nfdump printed of which files, and what flowkit calls their formats. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WriteRequest } from '../../formats/format.ts'

/** A text to compare. */
export interface Golden {
  readonly path: string
  readonly text: string
  /** What it was printed of. */
  readonly file: string
  readonly format: string
  readonly request: WriteRequest
  /** Whether it was printed in another order, or of another file of the same flows. */
  readonly isUnordered?: boolean
  /** How many flows were asked for. */
  readonly limit?: number
  /** Whether it has the summary alone. */
  readonly isSummary?: boolean
}

/** A format that nfdump did not take; flowkit does not take it either. */
export interface Refused {
  readonly path: string
  readonly format: string
}

/** All texts and what else was asked for. */
export interface Goldens {
  readonly texts: readonly Golden[]
  readonly refused: readonly Refused[]
  /** Files of which it is not known what they are. */
  readonly unknown: readonly string[]
}

const FOLDER = 'peers/nfdump'

const FORMATS = [
  '%ts %te %td %tr %pr %sap %dap %sa %da %sp %dp',
  '%pkt %ipkt %opkt %byt %ibyt %obyt %fl %flg %tos %stos %dtos %bps %pps %bpp %dir',
  '%in %out %smk %dmk %sas %das %nh %nhb %ra %ipl',
  '%ismc %odmc %idmc %osmc %svln %dvln %mpls %mpls1 %mpls2',
]
const BAD_FORMAT = '%tsr %ter %trr %tfs %pr %it %icmpTC'

/** nfdump's names for formats, and flowkit's; by version. */
const NAMES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  171: {
    ...sameNames(['line', 'long', 'extended', 'biline', 'bilong', 'nsel', 'nel'], '-1.7.1'),
    line6: 'line-1.7.1', extended6: 'extended-1.7.1', raw: 'raw', pipe: 'pipe',
    csv: 'nfdump-csv-1.7.1', json: 'nfdump-json-1.7.1',
    ...Object.fromEntries(FORMATS.map((format, i) => [`fmt${i}`, `fmt-1.7.1:${format}`])),
    fmt4: 'fmt-1.7.1:%xsa %xda %xsp %xdp %nevt %evt %xevt %ivrf %evrf %eng %exp %cl %sl %al',
  },
  178: {
    ...sameNames(['line', 'line6', 'long', 'extended', 'extended6', 'biline', 'bilong', 'nsel', 'raw'], ''),
    csv: 'nfdump-csv', 'csv-fast': 'nfdump-csv-fast', json: 'nfdump-json', ndjson: 'nfdump-ndjson',
    null: 'line',
    ...Object.fromEntries(FORMATS.map((format, i) => [`fmt${i}`, `fmt:${format}`])),
    fmt4: 'fmt:%xsa %xda %xsp %xdp %nats %evt %xevt %ivrf %evrf %eng %exp %cl %sl %al',
    fmt5: 'fmt:%sn|%dn|%fwd|%bfd|%end',
    fmt6: 'csv:%ts,%te,%td,%sa,%da,%sp,%dp,%pr,%flg,%pkt,%byt',
  },
}

/** What a version did not take, by its name for it. */
const REFUSED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  171: { nbar: 'nbar', fmt5: 'fmt-1.7.1:%trec|%sn|%dn|%fwd|%bfd|%end', fmt7: `fmt-1.7.1:${BAD_FORMAT}` },
  178: { nbar: 'nbar', fmt7: `fmt:${BAD_FORMAT}` },
}

/** What else is there: messages, reports about whole files, what one version takes and the other does not. */
const OTHERS = /\.(err(\.gz)?|log|nfcapd|I|v|stat|rewritten\.txt|171\.none\.nfcapd\.fmt6|nat(\.q)?)$/

function sameNames(names: readonly string[], behind: string): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [name, `${name}${behind}`]))
}

/** Find all of them, and unpack what is packed into `folder`. */
export function nfdumpGoldens(corpus: string, folder: string): Goldens {
  const unpack = (path: string, to: string): boolean => {
    const archive = join(corpus, 'peers', `${path}.tar.xz`)
    const { length } = path.slice(path.indexOf('/') + 1)
    const rename = `s/^${path.slice(-length)}/${to}/`
    if (!existsSync(archive)) return false
    execFileSync('tar', ['xJf', archive, '-C', folder, '--transform', rename])
    return true
  }
  for (const name of ['golden', 'real', 'cross', 'aggr']) unpack(`nfdump/${name}`, name)
  const unknown: string[] = []
  const refused: Refused[] = []
  const texts = [
    ...ofFiles(corpus, folder, refused, unknown), ...crossed(corpus, folder), ...published(corpus),
    ...limited(corpus, folder), ...ofFormerFiles(corpus, unknown),
    ...unpack('wire/golden', 'wire') ? ofDatagrams(folder) : [],
    ...unpack('capture/flows', 'flows') ? ofCaptures(corpus, folder) : [],
  ]
  return { texts, refused, unknown }
}

function textOf(...path: readonly string[]): string {
  const text = readFileSync(join(...path), 'utf8')
  if (/171.*\.raw(\.q)?$/.test(path.at(-1)!)) return newerRaw(text)
  return text.replaceAll('DNS: <Short packet>\n', '') // of a payload that is not there
}

/**
 * Blocks of 1.7.1 as 1.7.8 prints them: a place more, the name of the file's source, the forwarding status
 * with the ports and not of ICMP, the time of an event in place of those of its flow, and no summary.
 */
function newerRaw(text: string): string {
  return text.replace(/^Summary[^]*/m, '').split(/(?=\nFlow Record: \n)/).map((block) => {
    const named = block.replace(/^  .{12} =/gm, '$& ')
      .replace(/^  Flags  /m, '  Ident        =               none\n$&')
    const [status = ''] = /^  fwd status .*\n/m.exec(named) ?? []
    const moved = status === '' ? named : named.replace(status, '').replace(/^  src tos .*\n/m, `$&${status}`)
    const [time] = /^  Event time .*\n/m.exec(moved) ?? []
    if (time === undefined || !/^  Flags .* EVENT/m.test(moved)) return moved
    const isNat = /^  nat event /m.test(moved)
    const rest = isNat ? moved.replace(time, '') : moved
    return rest.replace(/^  first .*\n  last .*\n/m, time)
  }).join('')
}

/** The goldens named after their file, format and options. Those without a twin that is quiet are quiet. */
function* ofFiles(corpus: string, folder: string, refused: Refused[], unknown: string[]): Generator<Golden> {
  for (const below of ['golden', 'golden/real']) {
    const names = readdirSync(join(folder, below), { withFileTypes: true })
      .filter((entry) => entry.isFile()).map(({ name }) => name).sort()
    for (const name of names) {
      const [, file, version = '', kind = '', option = ''] =
        /^(.*?\.(171|178)(?:\.[a-z0-9-]+)?\.nfcapd)\.([a-z0-9-]+?)(\.[qN])?$/.exec(name) ?? []
      const [format, bad] = [NAMES, REFUSED].map((all) => all[version]?.[kind])
      const path = `${below}/${name}`
      if (bad !== undefined) refused.push({ path, format: bad })
      else if (file === undefined || format === undefined) {
        if (!OTHERS.test(name)) unknown.push(path)
      } else {
        const quiet = option === '.q' || (option === '' && !names.includes(`${name}.q`))
        yield {
          path, text: textOf(folder, path), format, isSummary: kind === 'null',
          file: below === 'golden' ? join(corpus, FOLDER, file) : join(folder, 'real', file),
          request: { quiet, plainNumbers: option === '.N', ipv6Full: /6(-|$)/.test(kind) },
        }
      }
    }
  }
}

/** CSV of one version of files of the other. */
function* crossed(corpus: string, folder: string): Generator<Golden> {
  for (const name of readdirSync(join(folder, 'cross'))) {
    const [, file, newer] = /^(.*\.nfcapd)\.read-by-nfdump(-1\.7\.8)?\.csv$/.exec(name) ?? []
    if (file === undefined || /zstd/.test(file)) continue // which 1.7.1 does not know
    yield {
      path: `cross/${name}`, text: textOf(folder, 'cross', name), request: { quiet: true },
      format: newer === undefined ? 'nfdump-csv-1.7.1' : 'nfdump-csv', file: join(corpus, FOLDER, file),
    }
  }
}

/** CSV of 1.7.1 of files that others have published. */
function* published(corpus: string): Generator<Golden> {
  const folder = join(corpus, 'real/tool-generated/golden-nfdump')
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const file = join(corpus, 'real', name.replace(/\.csv$/, '').replace('_', '/').replace('_', '/'))
    const text = textOf(folder, name)
    yield { path: name, text, format: 'nfdump-csv-1.7.1', file, request: { quiet: !text.startsWith('ts,') } }
  }
}

/** What is printed unless asked for otherwise, of the first 5 flows and of all by their start. */
function* limited(corpus: string, folder: string): Generator<Golden> {
  for (const name of readdirSync(join(folder, 'aggr'))) {
    const [, file, version, option] = /^(.*\.(171|178)\b.*\.nfcapd)\.opt\.(c5|m)$/.exec(name) ?? []
    if (file === undefined) continue
    yield {
      path: `aggr/${name}`, text: textOf(folder, 'aggr', name), file: join(corpus, FOLDER, file),
      format: version === '171' ? 'nsel-1.7.1' : 'line', request: { quiet: option === 'm' },
      ...option === 'c5' ? { limit: 5 } : { isUnordered: true },
    }
  }
}

/** Of files of layout 1, with what nfdump says of their records at the end. */
function* ofFormerFiles(corpus: string, unknown: string[]): Generator<Golden> {
  const folder = join(corpus, FOLDER, 'v1layout')
  const names = readdirSync(folder)
  for (const name of names) {
    const [, file = '', version = '', kind = ''] = /^(.*)\.(171|178)\.([a-z]+)$/.exec(name) ?? []
    const format = NAMES[version]?.[kind]
    if (format === undefined) {
      const isFile = /^[^.]+(\.as\d+|\.head)?$/.test(name)
      if (!isFile && !OTHERS.test(name)) unknown.push(`v1layout/${name}`)
      continue
    }
    yield {
      path: `v1layout/${name}`, text: textOf(folder, name), format, file: join(folder, file), request: {},
      ...file.endsWith('.head') && { limit: 50 },
    }
  }
}

/** Of what nfcapd wrote of the datagrams of peers/wire. */
function* ofDatagrams(folder: string): Generator<Golden> {
  for (const name of readdirSync(join(folder, 'wire'))) {
    const [, source, version = '', kind = ''] = /^(.*)\.nfdump(171|178)\.([a-z]+)$/.exec(name) ?? []
    const format = NAMES[version]?.[kind]
    if (format === undefined) continue
    yield {
      path: `wire/${name}`, text: textOf(folder, 'wire', name), format, request: { quiet: true },
      file: join(folder, 'wire', `${source}.nfcapd${version}`),
    }
  }
}

/** Of what nfpcapd and nfcapd made of the captures of peers/capture, by their start. */
function* ofCaptures(corpus: string, folder: string): Generator<Golden> {
  const below = join(folder, 'flows')
  for (const name of readdirSync(below)) {
    const [, source, kind = ''] = /^(.*)\.(csv|json|line)$/.exec(name) ?? []
    const file = join(below, `${source}.nfcapd`)
    if (source === undefined || !existsSync(file)) continue
    yield {
      path: `flows/${name}`, text: textOf(below, name), format: NAMES[178]![kind]!, file, isUnordered: true,
      request: { quiet: kind !== 'line' },
    }
  }
  yield* ofLines(corpus, below)
}

/** The texts of peers/text, of which not all files are there, but others of the same flows. */
function* ofLines(corpus: string, flows: string): Generator<Golden> {
  const sources = ['http_ipv6', 'v6', 'v6-http', 'mixed', 'sip', 'mixed-vlan-mpls']
  const files = new Map([
    ...sources.map((name, i): [string, string] => (
      [`2026112023${String(i * 5).padStart(2, '0')}`, join(flows, `${name}.nfpcapd.nfcapd`)]
    )),
    ['202611202330', join(corpus, 'peers/wire/src.nfcapd')],
  ])
  const requests: Readonly<Record<string, WriteRequest>> = {
    plain: {}, quiet: { quiet: true }, ipv6full: { ipv6Full: true },
  }
  for (const [kind, request] of Object.entries(requests)) {
    for (const [minute, file] of files) {
      const path = join('peers/text', kind, minute)
      if (!existsSync(join(corpus, path))) continue
      yield { path, text: textOf(corpus, path), file, format: 'line', request, isUnordered: true }
    }
    const path = join('peers/text', `${kind}-171`, '202611202300')
    if (!existsSync(join(corpus, path))) continue
    const file = join(corpus, 'peers/wire/src171.nfcapd')
    yield { path, text: textOf(corpus, path), file, format: 'line-1.7.1', request }
  }
}
