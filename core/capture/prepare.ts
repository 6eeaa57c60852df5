/**
 * Captures by a process without privileges: what needs them is done before, by one that has them.
 *
 * Only to make a packet socket takes a capability. One that was made and not yet used can be bound to any
 * interface, now or later, by whoever has its descriptor; so a process that has some in store captures from
 * interfaces that come later, and keeps no capability for that. Sockets of interfaces that have gone are used
 * again, but for those of a fanout group.
 */
import * as fs from 'node:fs'
import { FlowkitError } from '../flow/errors.ts'
import { loadLibc } from '../net/ffi.ts'
import { compileFilter } from './filter.ts'
import { INTERFACE_LIST } from './interfaces.ts'
import { DEFAULT_SNAPLEN, type LiveCaptureOptions, type PreparedCapture } from './options.ts'
import { SOCK_DGRAM, SOCK_RAW, createPacketSocket } from './packet-socket.ts'
import { explainFailure } from './tap.ts'

/** Sockets of each kind for interfaces that come later. */
const SPARE = 32

/**
 * Open what a process without privileges needs to capture as the options say; for each of several captures of
 * a fanout group once. The process gives `openLiveCapture` the same options, and the numbers that the
 * descriptors have there. It has to be allowed bind(2); the rest is done by other calls on these sockets.
 *
 * @returns descriptors for the caller to close
 * @throws FlowkitError as openLiveCapture does; none is left open then
 */
export async function prepareCapture(
  options: Pick<LiveCaptureOptions, 'interfaces' | 'filter' | 'snaplen' | 'fanout'>,
): Promise<PreparedCapture> {
  const { interfaces, filter, snaplen = DEFAULT_SNAPLEN, fanout } = options
  const libc = await loadLibc()
  const names = interfaces.filter((name) => !name.endsWith('*'))
  const isSteady = fanout === undefined && names.length === interfaces.length
  const count = names.length + (isSteady ? 0 : SPARE)
  const descriptors = [fs.openSync(INTERFACE_LIST, 'r')]
  try {
    const kinds = [SOCK_RAW, ...Array.from({ length: count }, () => [SOCK_RAW, SOCK_DGRAM]).flat()]
    for (const kind of kinds) descriptors.push(createPacketSocket(libc, kind))
    if (filter === undefined) return { descriptors }
    return { descriptors, filter: await compileFilter(filter, { snaplen, interfaces }) }
  } catch (error) {
    for (const fd of descriptors) libc.close(fd)
    throw error instanceof FlowkitError ? error : explainFailure(interfaces.join(', '), error)
  }
}
