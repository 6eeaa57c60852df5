/**
 * What options of flow-filter select, held against the filters that say the same. Its access lists are those
 * of routers; flowkit has no dialect for them, since a network or a list says as much.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseFilter } from '../../core/filter/filter.ts'
import { flowTools } from '../../formats/flow-tools.ts'
import { countRows, readBatches } from './filter-counts.ts'

const FOLDER = 'peers/flow-tools'

/** Options that take a list, and what it is about. */
const LISTS: Readonly<Record<string, string>> = {
  p: 'src_port', P: 'dst_port', r: 'proto', i: 'in_if', I: 'out_if', a: 'src_as', A: 'dst_as',
  e: 'exporter_addr',
}
/** Options that take a value and a mask. */
const MASKED: Readonly<Record<string, string>> = { t: 'tos', T: 'tcp_flags' }
/** Options that take the name of an access list. */
const ACCESS: Readonly<Record<string, string>> = { S: 'src_addr', D: 'dst_addr' }

const ACCESS_LINE =
  /^ip access-list standard (\S+) (permit|deny) (?:(any)|host (\S+)|(\S+) (\S+))$/gm

/** Each command: what is wrong, or nothing. */
export function* flowFilters(corpus: string): Generator<string> {
  const counts = join(corpus, FOLDER, 'filter/counts.tsv')
  if (!existsSync(counts)) return
  const lists = readFileSync(join(corpus, FOLDER, 'filter/flow.acl'), 'utf8')
  for (const line of readFileSync(counts, 'utf8').trimEnd().split('\n').slice(1)) {
    const [file, command, , passing] = line.split('\t')
    const filter = asFilter(/flow-filter (.*) <.*\|.*\|/.exec(command)![1], lists)
    const batches = readBatches(flowTools, readFileSync(join(corpus, FOLDER, file)))
    const found = countRows(parseFilter(filter), batches)
    yield found === Number(passing) ? '' : `${command}: "${filter}" selects ${found}, flow-filter ${passing}`
  }
}

/** The options as a filter; of access lists what `lists` says. */
function asFilter(options: string, lists: string): string {
  const tests = Array.from(options.matchAll(/-([pPriIaAetTSD])(\S+)/g), ([, option, value]) => {
    const [field, masked, address] = [LISTS[option], MASKED[option], ACCESS[option]]
    if (address) return accessTest(value, address, lists)
    if (masked) {
      const [wanted, mask = '0xff'] = value.split('/')
      const test = `${masked} & ${mask} = ${wanted}`
      return option === 'T' ? `(not proto = 6 or ${test})` : test // others have no flags to test
    }
    const list = `${field} in [${value.replace('!', '').replaceAll(',', ' ')}]`
    return value.startsWith('!') ? `not ${list}` : list
  })
  return tests.join(/-o\b/.test(options) ? ' or ' : ' and ')
}

/** A standard access list: its lines in their order, and what none is for is denied. */
function accessTest(name: string, field: string, lists: string): string {
  let test = 'not any'
  for (const [, list, action, any, host, network, wildcard] of [...lists.matchAll(ACCESS_LINE)].reverse()) {
    if (list !== name) continue
    const found = any ?? `${field} = ${host ?? `${network}/${lengthOf(wildcard)}`}`
    test = action === 'permit' ? `(${found} or ${test})` : `(not ${found} and ${test})`
  }
  return test
}

/** The prefix length for a wildcard mask, as 23 for 0.0.1.255. */
function lengthOf(wildcard: string): number {
  return 32 - wildcard.split('.').reduce((bits, octet) => bits + Math.log2(Number(octet) + 1), 0)
}
