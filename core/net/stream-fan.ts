import { lookup } from 'node:dns/promises'
import { addressKey, loopbackAddress, type Destination, type UdpSender } from './send.ts'
import { connectionFault } from './stream-faults.ts'
import type { StreamSender } from './stream-sender.ts'

/** Sends messages of many exporters to one destination, each apart from the others. */
export type TrafficSender = Omit<UdpSender, 'address' | 'family' | 'send'>

/** The connection of one exporter's port. */
interface Line {
  /** Nothing once it is lost. */
  sender: StreamSender | undefined
  /** Loopback address it comes from. */
  readonly from: string | undefined
}

const MESSAGE_HEADER = 16
/** Set ids of templates (RFC 7011 §3.3.2). */
const TEMPLATES = [2, 3]

/**
 * A sender of IPFIX by a connection of its own for each exporter and port: to IPv4 loopback from 127.0.0.1,
 * 127.0.0.2, … for one exporter after the other.
 *
 * An exporter whose connection is lost opens another when it announces its templates again.
 *
 * @param open opens a connection, from an address if that is told
 * @param signal ends all waiting for room
 * @throws the system error when the host is not found; that of the first connection comes from its `sendFrom`
 */
export async function openStreamFan(
  destination: Destination, open: (from?: string) => Promise<StreamSender>, signal: AbortSignal,
): Promise<TrafficSender> {
  const { address, family } = await lookup(destination.host)
  const isLoopback = family === 4 && address.startsWith('127.') && process.platform === 'linux'
  const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  const lines = new Map<string, Line>() // by address and port
  const numbers = new Map<string, number>() // of exporters, by address
  const used = new Set<Line>() // since there was room for more
  const counts = { sent: 0, failed: 0 }
  let reason = ''

  function lose(line: Line, error: unknown): void {
    reason ||= connectionFault(error)
    counts.failed += line.sender ? line.sender.sent - line.sender.taken : 0
    line.sender = undefined
  }

  function newLine(exporter: string): Line {
    const number = numbers.get(exporter) ?? numbers.size + 1
    numbers.set(exporter, number)
    return { sender: undefined, from: isLoopback ? loopbackAddress(number) : undefined }
  }

  /** Open a connection; the message is valid until it is there. */
  async function openFor(line: Line, message: Uint8Array): Promise<void> {
    try {
      line.sender = await open(line.from)
    } catch (error) {
      if (counts.sent === 0) throw error
      lose(line, error)
    }
    send(line, message)
  }

  function send(line: Line, message: Uint8Array): void {
    counts.sent++
    used.add(line)
    try {
      if (line.sender) line.sender.send(message)
      else counts.failed++
    } catch (error) {
      counts.failed++
      lose(line, error)
    }
  }

  return {
    destination, counts,
    get reason() { return reason },
    sendFrom(source, message) {
      const exporter = addressKey(source)
      const key = `${exporter} ${source.port}`
      let line = lines.get(key)
      const isNew = line === undefined
      if (!line) lines.set(key, line = newLine(exporter))
      if (isNew || (!line.sender && hasTemplates(message))) return openFor(line, message)
      send(line, message)
      return undefined
    },
    async ready() {
      for (const line of used) {
        const room = line.sender?.ready().catch((error) => lose(line, error))
        if (room) await Promise.race([room, stopped])
      }
      used.clear()
    },
    async close() {
      await Promise.all(Array.from(lines.values(), async (line) => {
        await line.sender?.close().catch((error) => lose(line, error))
      }))
    },
  }
}

/** Whether a message begins with templates. */
function hasTemplates(message: Uint8Array): boolean {
  return TEMPLATES.includes(message[MESSAGE_HEADER] << 8 | message[MESSAGE_HEADER + 1])
}
