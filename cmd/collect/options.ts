/** Values of `flowkit collect` that no other command has. */
import { isIP } from 'node:net'
import { FlowkitError } from '../../core/flow/errors.ts'
import { parsePrefix, type Prefix } from '../../core/flow/prefix.ts'
import { parseCount } from '../../core/flow/quantity.ts'
import { parseDestination, type Destination } from '../../core/net/send.ts'
import type { MulticastGroup } from '../../core/net/udp-socket.ts'
import type { SamplingRule } from '../../core/netflow/sampling-rules.ts'

const MAX_RATE = 0xffffffff

/** What `parseSamplingRule` expects, in words; so are the others. */
export const SAMPLING_RULE = 'a network and a rate such as 10.0.0.0/8=1000'
export const NETWORK = 'an address or a network such as 10.0.0.0/8'
export const GROUP = 'a multicast address such as 239.1.2.3 or ff15::1%eth0'
export const FORWARD = 'HOST:PORT such as 192.0.2.1:2055 or [2001:db8::1]:2055'

/** A rule of `--sampling-default` and `--sampling-override`. @throws FlowkitError ERR_OPTION */
export function parseSamplingRule(text: string): SamplingRule {
  const [network, count, ...rest] = text.split('=')
  const prefix = parsePrefix(network)
  const rate = parseCount(count ?? '') ?? 0
  if (prefix && rest.length === 0 && rate >= 1 && rate <= MAX_RATE) return { ...prefix, rate }
  throw new FlowkitError('ERR_OPTION', `Cannot use sampling rule "${text}": expected ${SAMPLING_RULE}`)
}

/** A network of `--allow`. @throws FlowkitError ERR_OPTION */
export function parseNetwork(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix) return prefix
  throw new FlowkitError('ERR_OPTION', `Cannot use network "${text}": expected ${NETWORK}`)
}

/** A group of `--join`. @throws FlowkitError ERR_OPTION */
export function parseGroup(text: string): MulticastGroup {
  const [address, name] = text.split('%')
  const first = Number(address.split('.')[0])
  const isGroup = isIP(address) === 4
    ? first >= 224 && first < 240
    : /^ff/i.test(address) && isIP(address) === 6
  if (isGroup && name !== '') return { address, ...name !== undefined && { interface: name } }
  throw new FlowkitError('ERR_OPTION', `Cannot join group "${text}": expected ${GROUP}`)
}

/** A collector of `--forward`. @throws FlowkitError ERR_OPTION */
export function parseForward(text: string): Destination {
  return parseDestination(text.startsWith('udp://') ? text : `udp://${text}`)
}
