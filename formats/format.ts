import type { FileNames } from '../core/archive/file-names.ts'
import type { Sort } from '../core/duck/read.ts'
import type { Filter } from '../core/filter/filter.ts'
import type { NameSet } from '../core/flow/labels.ts'
import type { Loss } from '../core/flow/loss.ts'
import type {
  Fault, FlowDecoder, FlowEncoder, FlowReader, FlowWriter, RowDecoder,
} from '../core/flow/stream.ts'
import type { CounterReader, CounterRow } from '../core/netflow/sflow/counter-row.ts'

/** What a reader is asked for, so that it can leave out the rest. */
export interface ReadRequest {
  /** Ids of the fields wanted; absent: all but the exporter's clock. */
  readonly fields?: readonly number[]
  /** Whether elements without a column are wanted too. */
  readonly extras?: boolean
  /** Flows that overlap [since, until), µs since the epoch. */
  readonly since?: number
  readonly until?: number
  readonly filter?: Filter
  /** The order wanted, and how many of the first flows; only for what `FlowFormat.open` opens. */
  readonly sort?: Sort
  readonly limit?: number
  /** What columns or keys of the input are called: their name to the field's. */
  readonly map?: ReadonlyMap<string, string>
  /** Names of the columns of VPC flow logs that come without a header. */
  readonly vpcFormat?: readonly string[]
  /** Told of each thing that could not be read. */
  onFault(fault: Fault): void
  /** Where a reader enters what it read and a batch has no place for. */
  readonly loss?: Loss
}

/** What a reader of sFlow's counter samples is asked for. */
export interface CounterRequest {
  /** Samples received in [since, until), µs since the epoch. */
  readonly since?: number
  readonly until?: number
  /** Told of each thing that could not be read. */
  onFault(fault: Fault): void
  /** Told in a sentence of what was left out without being at fault. */
  onNote(note: string): void
}

/** How a writer is to write. */
export interface WriteRequest {
  /** Ids of the fields to write, in order, where the format lets one choose. */
  readonly fields?: readonly number[]
  /** Whether elements without a column are written too. */
  readonly extras?: boolean
  /** What fields are called, in formats that name them. */
  readonly names?: NameSet
  /** Times in UTC where the format would use the local zone. */
  readonly utc?: boolean
  /** IPv6 addresses in full where the format would shorten them. */
  readonly ipv6Full?: boolean
  /** What fields are called in this output: the field's name to theirs. */
  readonly map?: ReadonlyMap<string, string>
  /** Addresses as text where the format has numbers for them. */
  readonly textAddresses?: boolean
  /** How the format compresses what it writes, such as `lz4` or `zstd:9`; see `FlowFormat.compressions`. */
  readonly compression?: string
  /** Which version of the format to write, where it has several: `5`, `8.1`. */
  readonly version?: string
  /** What the file is said to hold, in formats with `fileNames`, which read it again. */
  readonly ident?: string
  /** Neither header nor summary around the lines of a text format. */
  readonly quiet?: boolean
  /** Numbers neither scaled to thousands nor named where the format would do so. */
  readonly plainNumbers?: boolean
}

/**
 * Everything flowkit knows about one flow format. One module per format exports one of these.
 *
 * Stream formats give a decoder or an encoder, pure functions over bytes; file formats open and create files.
 */
export interface FlowFormat {
  readonly name: string
  readonly summary: string
  readonly extensions: readonly string[]
  /** Fields have names in it, which may be others: those of `map` in requests. */
  readonly isNamed?: boolean
  /** How sure, 0 to 100, that a file beginning with `head` is in this format. */
  probe?(head: Uint8Array): number
  decoder?(request: ReadRequest): FlowDecoder
  encoder?(request: WriteRequest): FlowEncoder
  /** Ids of the fields that the encoder looks at, so that no more need be read; absent: all. */
  readonly printed?: readonly number[]
  /** Open a file or folder; the reader applies the whole of `request` itself. */
  open?(path: string, request: ReadRequest): FlowReader
  create?(path: string, request: WriteRequest): Promise<FlowWriter>
  /** `create` adds to what is at the path already. */
  readonly appends?: boolean
  /** The compressions of its own, the one it uses unless told first: `lzo`, `none`, `zstd`. */
  readonly compressions?: readonly string[]
  /** What files are called in a folder of many, as the format's own programs have it. */
  readonly fileNames?: FileNames
  /** What stands before the flows of an input of that name, of several before those of each. */
  heading?(name: string): string
  /** What it writes tells the exporter's clock, which readers are to be asked for then. */
  readonly clock?: boolean
  /** As `decoder` and `open`, for counter samples that lie beside the flows. */
  counterDecoder?(request: CounterRequest): RowDecoder<CounterRow[]>
  openCounters?(path: string, request: CounterRequest): CounterReader
}
