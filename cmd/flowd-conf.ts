import { isIP } from 'node:net'
import { dirname } from 'node:path'
import { readFlowdLines, type FlowdLine } from '../core/filter/dialects/flowd-lexer.ts'
import {
  flowdFilter, flowdTags, parseFlowdRule, takeNetwork, type FlowdRule,
} from '../core/filter/dialects/flowd-rules.ts'

/** What a line of a configuration file says about an option. */
export interface Setting {
  /** The option: `receive-buffer`. */
  readonly name: string
  /** What the line calls it. */
  readonly called: string
  /** Counted from 1. */
  readonly line: number
  readonly value: unknown
}

/** What a flowd.conf says, in the words of `flowkit collect`. */
export interface FlowdConf {
  readonly settings: readonly Setting[]
  /** What flowd would do and flowkit does otherwise. */
  readonly warnings: readonly string[]
}

/** Fields that flowd stores on request: parse.y, logspec. */
const STORE_FIELDS: ReadonlySet<string> = new Set([
  'ALL', 'TAG', 'RECV_TIME', 'PROTO_FLAGS_TOS', 'AGENT_ADDR', 'AGENT_ADDR4', 'AGENT_ADDR6', 'SRCDST_ADDR',
  'SRC_ADDR', 'SRC_ADDR4', 'SRC_ADDR6', 'DST_ADDR', 'DST_ADDR4', 'DST_ADDR6', 'GATEWAY_ADDR', 'GATEWAY_ADDR4',
  'GATEWAY_ADDR6', 'SRCDST_PORT', 'PACKETS', 'OCTETS', 'IF_INDICES', 'AGENT_INFO', 'FLOW_TIMES', 'AS_INFO',
  'FLOW_ENGINE_INFO', 'CRC32',
])

/** In TOML a word is followed by =, a bracket or a dot. */
const STATEMENT = new RegExp('^[ \\t]*(?:'
  + '(?:listen[ \\t]+on|flow[ \\t]+source|join[ \\t]+group|forward[ \\t]+to)[ \\t]|'
  + '(?:logfile|logsock|pidfile|store|accept|discard)[ \\t]+[^ \\t=])', 'm')

/** Whether `text` is a flowd.conf rather than TOML: it has a line that can only be flowd's. */
export function isFlowdConf(text: string): boolean {
  return STATEMENT.test(text)
}

/**
 * Read a flowd.conf: `listen on` with `bufsize`, `flow source`, `join group`, `forward to`, `logfile`,
 * `pidfile`, `store`, macros, and the rules: the whole text is the filter then, in flowd's language.
 *
 * Source: flowd.conf(5), and flowd's parse.y.
 *
 * @param path of the file, for messages
 * @throws FlowkitError ERR_SYNTAX, naming file and line, for what flowd refuses and what flowkit cannot do
 */
export function parseFlowdConf(path: string, text: string): FlowdConf {
  const settings: Setting[] = []
  const warnings: string[] = []
  const rules: FlowdRule[] = []
  const buffers: Setting[] = []
  let firstRule: FlowdLine | undefined
  let anySource = false

  for (const line of readFlowdLines(path, text)) {
    const { number } = line
    function set(name: string, called: string, value: string): void {
      settings.push({ name, called, line: number, value })
    }
    function warn(what: string): void {
      warnings.push(`${path}: line ${number}: ${what}`)
    }

    const rule = parseFlowdRule(line)
    if (rule !== undefined) {
      firstRule ??= line
      rules.push(rule)
    } else if (line.take('listen', 'on')) {
      set('listen', 'listen on', takeEndpoint(line))
      if (line.take('bufsize')) {
        const value = line.number32('a size', 1, 0x7fffffff)
        buffers.push({ name: 'receive-buffer', called: 'bufsize', line: number, value })
      }
    } else if (line.take('flow', 'source')) {
      if (line.take('any')) anySource = true
      else set('allow', 'flow source', takeNetwork(line).text)
    } else if (line.take('join', 'group')) {
      set('join', 'join group', takeGroup(line))
    } else if (line.take('forward', 'to')) {
      set('forward', 'forward to', takeEndpoint(line))
    } else if (line.take('logfile')) {
      const folder = dirname(line.string('a path in quotes'))
      set('to', 'logfile', folder)
      warn(`flows go into the archive in ${folder} instead of one log file`)
    } else if (line.take('pidfile')) {
      set('pid-file', 'pidfile', line.string('a path in quotes'))
    } else if (line.take('store')) {
      const field = line.takeValue()
      if (field === undefined) throw line.expected('a field')
      if (!STORE_FIELDS.has(field.toUpperCase())) throw line.fault(`store: flowd has no field "${field}"`)
      if (field.toUpperCase() !== 'ALL') warn(`store: all fields are kept, not ${field} alone`)
    } else if (line.take('logsock')) {
      throw line.fault('logsock: flowkit has no such socket')
    } else {
      throw line.expected('one of flowd\'s words, as "listen on" or "accept"')
    }
    if (!line.atEnd()) throw line.expected('the end of the line')
  }

  const largest = buffers.sort((a, b) => Number(b.value) - Number(a.value))[0]
  if (largest !== undefined) settings.push(largest) // one size is for all sockets
  const isSelective = flowdFilter(rules) !== 'any' || flowdTags(rules).length > 0
  if (firstRule !== undefined && isSelective) {
    const { number } = firstRule
    settings.push({ name: 'filter', called: 'rules', line: number, value: text })
    settings.push({ name: 'filter-dialect', called: 'rules', line: number, value: 'flowd' })
  }
  return { settings: anySource ? settings.filter(({ name }) => name !== 'allow') : settings, warnings }
}

/** `ADDRESS:PORT`, of which the last colon comes before the port. */
function takeEndpoint(line: FlowdLine): string {
  const text = line.takeValue()
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^[\]]*)):(\w+)$/.exec(text ?? '') ?? []
  const address = bracketed ?? plain ?? ''
  if (text === undefined) throw line.expected('ADDRESS:PORT')
  const valid = isIP(address) !== 0 && /^\d+$/.test(port ?? '') && Number(port) > 0 && Number(port) <= 65_535
  if (!valid) throw line.fault(`expected ADDRESS:PORT, found "${text}"`)
  return `${isIP(address) === 6 ? `[${address}]` : address}:${Number(port)}`
}

/** An address, which for IPv6 may name its interface: `ff02::114%em0`. */
function takeGroup(line: FlowdLine): string {
  const text = line.takeValue()
  if (text === undefined) throw line.expected('the address of a group')
  const address = text.replace(/^\[(.*)\]$/, '$1')
  if (isIP(address) === 0) throw line.fault(`expected the address of a group, found "${text}"`)
  return address
}
