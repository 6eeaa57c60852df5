import { FlowkitError } from '../../flow/errors.ts'
import type { Datagram } from '../message.ts'

/** What the header of an sFlow datagram says, and the numbers of its flow samples. */
export interface SflowMessage {
  /** Family of the agent's address: 4, 6, or 0 if it is unknown. */
  agentFamily: number
  /** IPv4 address of the agent, host order. */
  agentV4: number
  /** IPv6 address of the agent, 16 bytes. */
  readonly agentV6: Uint8Array
  subAgentId: number
  /** Number of the datagram, counted per agent and sub-agent. */
  sequence: number
  /** ms since the agent started. */
  uptime: number
  /** Flow samples and discarded packets: rows. */
  flowSamples: number
  counterSamples: number
  /** For each row SOURCE_NUMBERS numbers: source type, source index, sequence, pool, drops, sampling rate. */
  sources: Uint32Array
}

/** Numbers a flow sample in `SflowMessage.sources`. */
export const SOURCE_NUMBERS = 6

/** A message to be filled in. */
export function newMessage(): SflowMessage {
  return {
    agentFamily: 0, agentV4: 0, agentV6: new Uint8Array(16), subAgentId: 0, sequence: 0, uptime: 0,
    flowSamples: 0, counterSamples: 0, sources: new Uint32Array(SOURCE_NUMBERS * 64),
  }
}

/**
 * Read the datagram's header into `message`.
 *
 * @returns where the samples begin, behind their number
 * @throws FlowkitError ERR_TRUNCATED, ERR_MALFORMED, or ERR_UNSUPPORTED for other versions
 */
export function readSflowHeader(message: SflowMessage, { bytes, view, start, end }: Datagram): number {
  if (end - start < 8) throw tooShort('sFlow header', 8, end - start)
  const version = view.getUint32(start)
  if (version !== 5) {
    throw new FlowkitError('ERR_UNSUPPORTED',
      `Cannot decode sFlow datagram: version 5 wanted, ${version} found`)
  }
  const type = view.getUint32(start + 4)
  if (type > 2) {
    throw new FlowkitError('ERR_MALFORMED',
      `Cannot decode sFlow header: an address of type 0 to 2 wanted, ${type} found`)
  }
  const size = type === 0 ? 0 : type === 1 ? 4 : 16
  const at = start + 8 + size
  if (end - at < 16) throw tooShort('sFlow header', 24 + size, end - start)
  message.agentFamily = type === 0 ? 0 : type === 1 ? 4 : 6
  message.agentV4 = type === 1 ? view.getUint32(start + 8) : 0
  for (let i = 0; i < 16; i++) message.agentV6[i] = type === 2 ? bytes[start + 8 + i] : 0
  message.subAgentId = view.getUint32(at)
  message.sequence = view.getUint32(at + 4)
  message.uptime = view.getUint32(at + 8)
  return at + 16
}

/** Note the numbers of the next row. */
export function noteSource(
  message: SflowMessage, source: number, index: number, sequence: number, pool: number, drops: number,
  rate: number,
): void {
  const { sources } = message
  const at = message.flowSamples++ * SOURCE_NUMBERS
  sources[at] = source
  sources[at + 1] = index
  sources[at + 2] = sequence
  sources[at + 3] = pool
  sources[at + 4] = drops
  sources[at + 5] = rate
}

function tooShort(what: string, needed: number, found: number): FlowkitError {
  return new FlowkitError('ERR_TRUNCATED', `Cannot decode ${what}: ${needed} bytes needed, ${found} found`)
}
