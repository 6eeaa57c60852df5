import { open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { crc32 } from 'node:zlib'
import { FlowkitError } from '../flow/errors.ts'
import { syncFolder } from '../output-file.ts'

/** The decoders' state at the begin of a segment: `bytes`, or why there are none. */
export type SpoolState =
  | { readonly bytes: Uint8Array, readonly fault?: undefined }
  | { readonly bytes?: undefined, readonly fault: FlowkitError }

const MAGIC = 0x666b7374 // fkst
const VERSION = 1
const HEADER_SIZE = 16 // magic, version, length in bytes, CRC-32 of what follows; each u32, big-endian

/**
 * Write a state: it has its name, and is durable, once the promise resolves; before that, the old one stands.
 *
 * @param unfinished its name until then
 * @param prepare gets room for the file: its descriptor, and how large it will be
 * @returns bytes of the file
 * @throws the system error; nothing is left behind
 */
export async function writeState(
  path: string, unfinished: string, state: Uint8Array, prepare: (fd: number, size: number) => void = () => {},
): Promise<number> {
  const header = new DataView(new ArrayBuffer(HEADER_SIZE))
  header.setUint32(0, MAGIC)
  header.setUint32(4, VERSION)
  header.setUint32(8, state.length)
  header.setUint32(12, crc32(state))
  try {
    {
      await using file = await open(unfinished, 'w', 0o600)
      prepare(file.fd, HEADER_SIZE + state.length)
      await file.writeFile(new Uint8Array(header.buffer))
      await file.writeFile(state)
      await file.sync()
    }
    await rename(unfinished, path)
  } catch (error) {
    await rm(unfinished, { force: true }).catch(() => {}) // the failure to write is told
    throw error
  }
  await syncFolder(dirname(path))
  return HEADER_SIZE + state.length
}

/**
 * Read a state; one that is not there or damaged is no error, since a collector can do without.
 *
 * @throws the system error of a file that cannot be read
 */
export async function readState(path: string): Promise<SpoolState> {
  let file: Uint8Array
  try {
    file = await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return { fault: new FlowkitError('ERR_INPUT', `Cannot read state "${path}": there is none`) }
  }
  const fault = faultOf(file)
  if (fault) return { fault: new FlowkitError(fault[0], `Cannot read state "${path}": ${fault[1]}`) }
  return { bytes: new Uint8Array(file.buffer, file.byteOffset + HEADER_SIZE, file.length - HEADER_SIZE) }
}

function faultOf(file: Uint8Array): ConstructorParameters<typeof FlowkitError> | undefined {
  if (file.length < HEADER_SIZE) return ['ERR_TRUNCATED', `${HEADER_SIZE} bytes wanted, ${file.length} found`]
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const magic = view.getUint32(0)
  if (magic !== MAGIC) return ['ERR_MALFORMED', `magic ${hex(MAGIC)} wanted, ${hex(magic)} found`]
  const version = view.getUint32(4)
  if (version !== VERSION) return ['ERR_UNSUPPORTED', `version ${VERSION} wanted, ${version} found`]
  const size = HEADER_SIZE + view.getUint32(8)
  if (file.length < size) return ['ERR_TRUNCATED', `${size} bytes wanted, ${file.length} found`]
  if (file.length > size) return ['ERR_MALFORMED', `${size} bytes wanted, ${file.length} found`]
  const wanted = view.getUint32(12)
  const sum = crc32(file.subarray(HEADER_SIZE))
  if (sum !== wanted) return ['ERR_CHECKSUM', `CRC-32 ${hex(wanted)} wanted, ${hex(sum)} found`]
  return undefined
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`
}
