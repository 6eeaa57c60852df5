import { parseIpv4, parseIpv6, type AddressColumn } from '../../flow/address.ts'
import type { FlowBatch } from '../../flow/batch.ts'
import { elementName } from '../../flow/elements.ts'
import { ID } from '../../flow/fields.ts'
import type { Shape } from '../../flow/shape.ts'
import { loseElement, newLoss, type Loss } from '../../flow/loss.ts'
import { lostFields, type DatagramEncoder, type Emit, type EncoderOptions } from '../encode/encoder.ts'
import { exportClocks } from '../encode/clock.ts'
import { EXTENDED_FIELDS } from './extended.ts'
import { IP_FIELDS } from './frame.ts'
import { isTold, SAMPLE_FIELDS, SampleWriter, TOLD_BY, type Sources } from './sample.ts'

/** How sFlow datagrams are to be made; `domain` is the sub-agent where rows tell none. */
export interface SflowEncoderOptions extends EncoderOptions {
  /** IPv4 or IPv6 address of the agent, for rows that tell neither their agent nor their exporter. */
  readonly agent: string
}

/** Version, address, sub-agent, sequence, uptime, number of samples; with an IPv6 address. */
const HEADER_SIZE = 40
const MIN_SIZE = 800 // a sample with every record, its lists and names short
/** Agents and sources remembered; more make all of them count anew, which a receiver takes for a restart. */
const MOST_AGENTS = 65_536
const MOST_SOURCES = 1_048_576

/** One agent and sub-agent: its number of datagrams, and what its sources count. */
interface Agent {
  readonly address: Uint8Array
  readonly subAgentId: number
  sequence: number
  readonly sources: Sources
}

/**
 * An encoder of sFlow version 5: a sample a row.
 *
 * sFlow tells of single packets, so a flow becomes a sample of one packet of its mean length, taken one in as
 * many as the flow has, times its sampling rate: its packets come out exactly, its bytes up to the rounding
 * of the mean. A receiver dates samples by their receipt: a flow's own times are lost. Of a row with MAC
 * addresses the frame's header is made again, of others the IP packet's, beside a record of its addresses and
 * ports. Rows with dropped packets only become discarded packets. Rows without addresses cannot be told of
 * and are left out, unless they came from samples that told of no packet.
 *
 * Rows of different agents go into different datagrams, and each agent counts its datagrams and samples, from
 * 1. The expanded formats are used throughout, since an agent must not mix them with the compact ones.
 *
 * Source: sFlow version 5 (sflow_version_5.txt), sflow_drops.txt, sflow_pnat.txt.
 *
 * @throws RangeError if `agent` is no address, or `maxSize` too small for a sample
 */
export function sflowEncoder(options: SflowEncoderOptions): DatagramEncoder {
  const { maxSize, domain } = options
  if (maxSize < MIN_SIZE) throw new RangeError(`an sFlow datagram needs ${MIN_SIZE} bytes, not ${maxSize}`)
  const ownAddress = addressOf(options.agent)
  const loss = newLoss()
  const clocks = exportClocks(false)
  const agents = new Map<string, Agent>()
  const writer = new SampleWriter(maxSize - HEADER_SIZE, loss)
  const bytes = new Uint8Array(maxSize)
  const view = new DataView(bytes.buffer)
  let at = 0 // behind the last sample of the datagram, 0 if there is none
  let samples = 0
  let agent: Agent | undefined // of the datagram

  function finish(emit: Emit): void {
    if (samples === 0) return
    view.setUint32(4 + agent!.address.length + 12, samples)
    emit(bytes.subarray(0, at))
    at = samples = 0
  }

  function begin(next: Agent, uptime: number): void {
    const { address, subAgentId } = agent = next
    agent.sequence = agent.sequence % 0xffffffff + 1
    view.setUint32(0, 5)
    bytes.set(address, 4)
    at = 4 + address.length
    view.setUint32(at, subAgentId)
    view.setUint32(at + 4, agent.sequence)
    view.setUint32(at + 8, uptime)
    at += 16 // the number of samples comes last, when it is known
  }

  /** The agent of a row: the one it was sampled by, the exporter it came from, or the one of the options. */
  function agentOf(batch: FlowBatch, row: number, mask: Uint8Array): Agent {
    const id = mask[ID.agentAddr] ? ID.agentAddr : mask[ID.exporterAddr] ? ID.exporterAddr : -1
    const subAgentId = mask[ID.subAgentId] ? batch.subAgentId[row] : domain
    if (agent?.subAgentId === subAgentId && isAddress(agent.address, batch, id, row, ownAddress)) return agent
    const address = id < 0 ? ownAddress : addressAt(batch.column(id) as AddressColumn, row)
    const key = `${address.join('.')}/${subAgentId}`
    const known = agents.get(key)
    if (known) return known
    if (agents.size >= MOST_AGENTS || writer.made >= MOST_SOURCES) {
      agents.clear()
      writer.made = 0
    }
    const made: Agent = { address, subAgentId, sequence: 0, sources: new Map() }
    agents.set(key, made)
    return made
  }

  return {
    loss,
    encode(batch, emit) {
      const { length, shape, shapes } = batch
      // rows by the way they are told of and by shape
      const told = CARRIED.map(() => new Uint32Array(shapes.length))
      clocks.begin(batch)
      for (let row = 0; row < length; row++) {
        const { mask } = shapes[shape[row]]
        if (!isTold(batch, row, mask)) {
          loss.rows.empty++
          continue
        }
        clocks.span(batch, row, row + 1)
        const next = agentOf(batch, row, mask)
        if (next !== agent) finish(emit)
        told[writer.write(batch, row, mask, next.sources)][shape[row]]++
        const { bytes: sample, at: size } = writer.out
        if (samples > 0 && at + size > maxSize) finish(emit)
        if (samples === 0) begin(next, mask[ID.sysUptime] ? batch.sysUptime[row] : clocks.now.sysUptime)
        bytes.set(sample.subarray(0, size), at)
        at += size
        samples++
      }
      for (const [index, shape] of shapes.entries()) {
        for (const [way, rows] of told.entries()) countLost(loss, shape, CARRIED[way], rows[index])
      }
    },
    flush: finish,
  }
}

const TOLD = [ID.agentAddr, ID.exporterAddr, ID.subAgentId, ...SAMPLE_FIELDS, ...EXTENDED_FIELDS]
/** What samples carry, by TOLD_BY. */
const CARRIED: readonly ReadonlySet<number>[] = Object.values(TOLD_BY).map((way) => new Set([
  ...TOLD, ...way === TOLD_BY.records ? [] : IP_FIELDS, ...way === TOLD_BY.frame ? [ID.customerVlanId] : [],
]))

function countLost(
  loss: Loss, shape: Shape, carried: ReadonlySet<number>, rows: number,
): void {
  if (rows === 0) return
  for (const id of lostFields(shape, carried)) loss.leftOut[id] += rows
  for (const { pen, id } of shape.extras) {
    const name = elementName(pen, id)
    loseElement(loss, name, rows)
  }
}

/** An address as in XDR, type and bytes, from its text. */
function addressOf(text: string): Uint8Array {
  const v4 = parseIpv4(text)
  if (v4 >= 0) return Uint8Array.of(0, 0, 0, 1, v4 >>> 24, v4 >>> 16, v4 >>> 8, v4)
  const address = Uint8Array.of(0, 0, 0, 2, ...new Uint8Array(16))
  if (!parseIpv6(text, address, 4)) throw new RangeError(`no address: ${text}`)
  return address
}

function addressAt({ family, v4, v6 }: AddressColumn, row: number): Uint8Array {
  const value = v4[row]
  if (family[row] === 6) return Uint8Array.of(0, 0, 0, 2, ...v6.subarray(row * 16, row * 16 + 16))
  return Uint8Array.of(0, 0, 0, 1, value >>> 24, value >>> 16, value >>> 8, value)
}

/** Whether `address` is that of the row in field `id`, or `own` where that is -1. */
function isAddress(address: Uint8Array, batch: FlowBatch, id: number, row: number, own: Uint8Array): boolean {
  if (id < 0) return address === own
  const { family, v4, v6 } = batch.column(id) as AddressColumn
  if (address[3] !== (family[row] === 6 ? 2 : 1)) return false
  if (family[row] !== 6) {
    return (address[4] << 24 | address[5] << 16 | address[6] << 8 | address[7]) >>> 0 === v4[row]
  }
  for (let i = 0; i < 16; i++) if (address[4 + i] !== v6[row * 16 + i]) return false
  return true
}
