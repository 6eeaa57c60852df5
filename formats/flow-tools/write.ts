import { promisify } from 'node:util'
import { constants, deflateRaw, deflateRawSync, deflateSync, type ZlibOptions } from 'node:zlib'
import { adler32 } from '../../core/compress/adler32.ts'
import type { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { newLoss, type Loss } from '../../core/flow/loss.ts'
import type { FlowEncoder, FlowWriter } from '../../core/flow/stream.ts'
import { createOutputFile } from '../../core/output-file.ts'
import type { WriteRequest } from '../format.ts'
import { RecordEncoder } from './encode.ts'
import { AGGREGATION_VERSION, FLAG, MAX_HEADER, TLV, writeHeader } from './header.ts'
import { InterfaceTable } from './interfaces.ts'
import { LAYOUTS } from './layouts.ts'
import { versionFor } from './version.ts'

const DEFAULT_LEVEL = 6
const deflate = promisify<Uint8Array, ZlibOptions, Buffer>(deflateRaw)
/** Bytes of a header that are kept from the names of interfaces. */
const NUMBERS_ROOM = 128

/** An encoder of a stream, whose header cannot tell how many flows follow. */
export function flowToolsEncoder(request: WriteRequest): FlowEncoder {
  const parts = new FileParts(request)
  const none = new Uint8Array(0)
  const head = (batch?: FlowBatch) => parts.begin(batch) ? parts.header(FLAG.streaming) : none
  return {
    encode: (batch) => batch.length > 0 ? Buffer.concat([head(batch), parts.encode(batch)]) : none,
    finish: () => Buffer.concat([head(), parts.finish()]),
    loss: () => parts.loss,
  }
}

/**
 * Create a file, whose header tells how many flows it has and when they were exported. Other threads compress
 * the flows of a batch while the next ones are read.
 */
export async function createFlowTools(path: string, request: WriteRequest): Promise<FlowWriter> {
  const parts = new FileParts(request)
  const file = await createOutputFile(path)
  let written: Promise<void> = Promise.resolve()

  /** Write pieces in the order in which they come, each when it is there. */
  async function add(piece: Uint8Array | Promise<Uint8Array>): Promise<void> {
    const before = written
    written = Promise.all([piece, before]).then(([bytes]) => file.write(bytes))
    written.catch(() => {}) // it is told when the next piece comes
    await before
  }

  async function finish(): Promise<void> {
    if (parts.begin()) await add(parts.fileHeader(0))
    await add(parts.finish())
    await written
    await file.writeAt(parts.fileHeader(FLAG.done), 0)
  }

  return {
    async write(batch) {
      if (batch.length === 0) return // the first flows are waited for
      if (parts.begin(batch)) await add(parts.fileHeader(0))
      await add(parts.encodeLater(batch))
      if (!parts.isPacked) await written // the bytes are valid until the next batch
    },
    async close() {
      try {
        await finish()
      } catch (error) {
        await file.abort()
        throw error
      }
      await file.close()
    },
    async abort() {
      await written.catch(() => {})
      await file.abort()
    },
    loss: () => parts.loss,
  }
}

/** Makes the parts of a file. */
class FileParts {
  private version: string | undefined
  private readonly packer: Packer | undefined
  private records: RecordEncoder | undefined
  private readonly interfaces = new InterfaceTable()

  /** @throws FlowkitError ERR_OPTION about a version or compression that flow-tools does not have */
  constructor({ version, compression }: WriteRequest) {
    if (version !== undefined && !LAYOUTS[version]) {
      const found = `one of ${Object.keys(LAYOUTS).join(', ')} wanted, ${version} found`
      throw new FlowkitError('ERR_OPTION', `Cannot write version of flow-tools: ${found}`)
    }
    this.version = version
    const level = levelOf(compression)
    if (level > 0) this.packer = new Packer(level)
  }

  get loss(): Loss {
    return this.records?.loss ?? newLoss()
  }

  /** Settle what the header says of all flows by the first of them. @returns whether it was not yet */
  begin(first: FlowBatch | undefined = undefined): boolean {
    if (this.records) return false
    this.version ??= first ? versionFor(first) : '5'
    this.records = new RecordEncoder(this.version)
    if (first) this.interfaces.add(first, MAX_HEADER - NUMBERS_ROOM)
    return true
  }

  get isPacked(): boolean {
    return this.packer !== undefined
  }

  /** The records of a batch, after `begin`. */
  encode(batch: FlowBatch): Uint8Array {
    const records = this.plain(batch)
    return this.packer?.pack(records) ?? records
  }

  /** As `encode`, done by another thread if they are to be packed. */
  encodeLater(batch: FlowBatch): Uint8Array | Promise<Uint8Array> {
    const records = this.plain(batch)
    return this.packer?.packLater(records) ?? records
  }

  private plain(batch: FlowBatch): Uint8Array {
    const records = this.records!.encode(batch)
    this.interfaces.countLost(batch, this.loss)
    return records
  }

  finish(): Uint8Array {
    return this.packer?.finish() ?? new Uint8Array(0)
  }

  /** The header of a file that holds what was encoded so far. */
  fileHeader(flags: number): Uint8Array {
    const { firstExport, lastExport, count } = this.records!
    return this.header(flags, [
      [TLV.start, Math.min(firstExport, lastExport)], [TLV.end, lastExport], [TLV.flows, count],
    ])
  }

  header(flags: number, more: readonly (readonly [number, number])[] = []): Uint8Array {
    const [version, aggregation] = this.version!.split('.').map(Number)
    const scheme = [[TLV.aggregationVersion, AGGREGATION_VERSION], [TLV.aggregation, aggregation]] as const
    return writeHeader(new Map([
      [TLV.version, version], ...aggregation > 0 ? scheme : [],
      [TLV.flags, flags | (this.packer ? FLAG.compressed : 0)], ...more,
    ]), this.interfaces.list())
  }
}

/** @throws FlowkitError ERR_OPTION */
function levelOf(compression: string | undefined): number {
  if (compression === undefined || compression === 'zlib') return DEFAULT_LEVEL
  if (compression === 'none') return 0
  const level = /^zlib:(\d)$/.exec(compression)?.[1]
  if (level !== undefined) return Number(level)
  const found = `none, zlib or zlib:0 to zlib:9 wanted, ${compression} found`
  throw new FlowkitError('ERR_OPTION', `Cannot compress flow-tools files: ${found}`)
}

/** Makes one zlib stream (RFC 1950) of pieces. */
class Packer {
  private readonly level: number
  /** For blocks that end on a byte, so that others can follow. */
  private readonly options: ZlibOptions
  private head: Uint8Array
  private sum = 1

  constructor(level: number) {
    this.level = level
    this.options = { level, finishFlush: constants.Z_SYNC_FLUSH }
    this.head = deflateSync(new Uint8Array(0), { level }).subarray(0, 2)
  }

  pack(bytes: Uint8Array): Uint8Array {
    this.sum = adler32(bytes, 0, bytes.length, this.sum)
    return this.behindHead(deflateRawSync(bytes, this.options))
  }

  /** As `pack`, by another thread; the pieces still belong into the order in which they were asked for. */
  packLater(bytes: Uint8Array): Promise<Uint8Array> {
    this.sum = adler32(bytes, 0, bytes.length, this.sum)
    const { head } = this
    this.head = new Uint8Array(0)
    return deflate(bytes.slice(), this.options).then((packed) => Buffer.concat([head, packed]))
  }

  finish(): Uint8Array {
    const trailer = Buffer.alloc(4)
    trailer.writeUInt32BE(this.sum)
    return this.behindHead(Buffer.concat([deflateRawSync(new Uint8Array(0), { level: this.level }), trailer]))
  }

  private behindHead(bytes: Uint8Array): Uint8Array {
    const { head } = this
    this.head = new Uint8Array(0)
    return Buffer.concat([head, bytes])
  }
}
