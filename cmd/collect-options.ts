/** Values of `flowkit collect` that no other command has. */
import { isIP } from 'node:net'
import { FlowkitError } from '../core/flow/errors.ts'
import { parsePrefix, type Prefix } from '../core/flow/prefix.ts'
import { parseCount } from '../core/flow/quantity.ts'
import type { MulticastGroup } from '../core/net/udp-socket.ts'
import type { SamplingRule } from '../core/netflow/sampling-rules.ts'

const MAX_RATE = 0xffffffff

/** A rule of `--sampling-default` and `--sampling-override`: `10.0.0.0/8=1000`. @throws FlowkitError ERR_OPTION */
export function parseSamplingRule(text: string): SamplingRule {
  const [cidr, count, ...rest] = text.split('=')
  const prefix = parsePrefix(cidr)
  const rate = parseCount(count ?? '') ?? 0
  if (!prefix || rest.length > 0 || rate < 1 || rate > MAX_RATE) {
    const wanted = 'a prefix and a rate such as 10.0.0.0/8=1000'
    throw new FlowkitError('ERR_OPTION', `Cannot use sampling rule "${text}": expected ${wanted}`)
  }
  return { ...prefix, rate }
}

/** A prefix of `--allow`. @throws FlowkitError ERR_OPTION */
export function parseAllowed(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix) return prefix
  const wanted = 'an address or a prefix such as 10.0.0.0/8'
  throw new FlowkitError('ERR_OPTION', `Cannot allow "${text}": expected ${wanted}`)
}

/** A group of `--join`: `239.1.2.3` or `ff15::1%eth0`. @throws FlowkitError ERR_OPTION */
export function parseGroup(text: string): MulticastGroup {
  const [address, name] = text.split('%')
  const first = Number(address.split('.')[0])
  const isGroup = isIP(address) === 4 ? first >= 224 && first < 240 : /^ff/i.test(address) && isIP(address) === 6
  if (isGroup && name !== '') return { address, ...name !== undefined && { interface: name } }
  const wanted = 'a multicast address such as 239.1.2.3 or ff15::1%eth0'
  throw new FlowkitError('ERR_OPTION', `Cannot join group "${text}": expected ${wanted}`)
}
