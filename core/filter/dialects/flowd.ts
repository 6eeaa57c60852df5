import type { SourceText } from '../language/lexer.ts'
import { readFlowdLines } from './flowd-lexer.ts'
import { parseFlowdRule, type FlowdRule } from './flowd-rules.ts'

/** Words that begin lines which are no rules: flowd's parse.y, conf_main and logspec. */
const OTHERS = ['listen', 'flow', 'join', 'forward', 'logfile', 'logsock', 'pidfile', 'store'] as const

/**
 * The rules of a flowd.conf; its other lines are passed over.
 *
 * @throws FlowkitError ERR_SYNTAX, whose message shows the line and a caret under the fault
 */
export function readFlowdRules(source: SourceText): FlowdRule[] {
  const rules: FlowdRule[] = []
  for (const line of readFlowdLines('', source)) {
    const rule = parseFlowdRule(line)
    if (rule) rules.push(rule)
    else if (!OTHERS.some((word) => line.take(word))) throw line.expected('"accept" or "discard"')
  }
  return rules
}
