import { SAMPLING_SOURCE } from '../../core/flow/names.ts'
import { LIMITS } from '../../core/netflow/limits.ts'

/** Types of records (src/libnffile/id.h). */
export const RECORD = {
  flowV0: 1, map: 2, exporter: 7, exporterStats: 8, formerSampler: 9, formerFlow: 10, flow: 11,
  applications: 12, interfaces: 13, vrfs: 14, sampler: 15,
} as const

/** Bytes of the records of fixed size. */
export const EXPORTER_SIZE = 32
export const SAMPLER_SIZE = 24
export const FORMER_SAMPLER_SIZE = 16

/** Ids of samplers that no exporter announces by an id (src/include/exporter.h). */
export const SAMPLER_ID = { generic: -1, byDefault: -2, overwrite: -3 } as const

/** Versions of exporters whose id is an observation domain, and that of sFlow, whose id is a sub-agent. */
const DOMAIN_VERSIONS: ReadonlySet<number> = new Set([9, 10])
export const SFLOW_VERSION = 9999

/** Samplers with an id that one exporter may have. */
const MOST_SAMPLERS = 256
const AF_INET = 2
const TWO_32 = 4_294_967_296

/** One packet in `rate` is observed. */
export interface Sampler {
  /** 0: what was told before holds no longer, and nothing is known. */
  readonly rate: number
  readonly algorithm: number
  /** A value of SAMPLING_SOURCE. */
  readonly source: number
}

/** What is known of an exporter at one place of the file. */
export interface Exporter {
  /** Family of its address; 0: it is not known. */
  readonly family: number
  readonly v4: number
  readonly v6: Uint8Array
  /** Version of its datagrams, and its id there; -1: not known. */
  readonly version: number
  readonly id: number
  /** Its observation domain or sub-agent; -1: none. */
  readonly domain: number
  readonly subAgent: number
  readonly generic: Sampler | undefined
  readonly byDefault: Sampler | undefined
  readonly overwrite: Sampler | undefined
  readonly byId: ReadonlyMap<number, Sampler>
}

const NO_V6 = new Uint8Array(16)

/** An exporter of which nothing is known. */
export const UNKNOWN_EXPORTER: Exporter = {
  family: 0, v4: 0, v6: NO_V6, version: -1, id: -1, domain: -1, subAgent: -1, generic: undefined,
  byDefault: undefined, overwrite: undefined, byId: new Map(),
}

/** The exporters that records of a file tell of, and their samplers. No exporter changes: it is replaced. */
export class Exporters {
  private readonly bySysid = new Map<number, Exporter>()
  private samplers = 0
  /** The one asked for last. */
  private sysid = -1
  private exporter = UNKNOWN_EXPORTER

  /** The exporter that flow records call `sysid`. */
  get(sysid: number): Exporter {
    if (sysid !== this.sysid) {
      this.exporter = this.bySysid.get(sysid) ?? UNKNOWN_EXPORTER
      this.sysid = sysid
    }
    return this.exporter
  }

  /**
   * Learn from a record of an exporter, of its sampler, or of its sampler in the form of 1.6.
   *
   * @param at where it begins: its type and its size
   * @returns whether it is well formed
   */
  learn(view: DataView, at: number, type: number, size: number): boolean {
    this.sysid = -1
    if (type === RECORD.exporter) return size === EXPORTER_SIZE && this.learnExporter(view, at)
    if (type === RECORD.formerSampler) {
      if (size !== FORMER_SAMPLER_SIZE) return false
      const rate = view.getUint32(at + 8, true)
      return this.learnSampler(
        view.getUint16(at + 14, true), view.getInt32(at + 4, true), view.getUint16(at + 12, true),
        rate > 0 ? 1 : 0, rate - 1,
      )
    }
    if (size !== SAMPLER_SIZE) return false
    const low = view.getUint32(at + 8, true)
    return this.learnSampler(
      view.getUint16(at + 4, true), view.getInt32(at + 12, true) * TWO_32 + low, view.getUint16(at + 6, true),
      view.getUint32(at + 16, true), view.getUint32(at + 20, true),
    )
  }

  /** Up to 1.7.7 the address is two numbers of 64 bits with its family behind, later 16 bytes as they are. */
  private learnExporter(view: DataView, at: number): boolean {
    const version = view.getUint32(at + 4, true)
    const formerFamily = view.getUint16(at + 24, true)
    const v6 = new Uint8Array(16)
    for (let i = 0; i < 16; i++) {
      v6[i] = view.getUint8(at + 8 + (formerFamily === 0 ? i : i & 8 | 7 - (i & 7)))
    }
    const isMapped = v6[10] === 255 && v6[11] === 255 && v6.subarray(0, 10).every((byte) => byte === 0)
    const isV4 = formerFamily === 0 ? isMapped : formerFamily === AF_INET
    const v4 = isV4 ? new DataView(v6.buffer).getUint32(12) : 0
    const sysid = view.getUint16(at + 26, true)
    const id = view.getUint32(at + 28, true)
    this.bySysid.set(sysid, {
      ...this.bySysid.get(sysid) ?? UNKNOWN_EXPORTER,
      family: !isV4 ? 6 : v4 > 0 ? 4 : 0, v4, v6: isV4 ? NO_V6 : v6, version, id,
      domain: DOMAIN_VERSIONS.has(version) ? id : -1, subAgent: version === SFLOW_VERSION ? id : -1,
    })
    return true
  }

  private learnSampler(
    sysid: number, id: number, algorithm: number, interval: number, space: number,
  ): boolean {
    const exporter = this.bySysid.get(sysid) ?? UNKNOWN_EXPORTER
    const rate = interval > 0 ? Math.round((interval + Math.max(space, 0)) / interval) : 0
    const sampler = {
      rate: Math.min(rate, TWO_32 - 1), algorithm: Math.min(algorithm, 255),
      source: sourceOf(id, exporter.version),
    }
    switch (id) {
      case SAMPLER_ID.generic: this.bySysid.set(sysid, { ...exporter, generic: sampler }); break
      case SAMPLER_ID.byDefault: this.bySysid.set(sysid, { ...exporter, byDefault: sampler }); break
      case SAMPLER_ID.overwrite: this.bySysid.set(sysid, { ...exporter, overwrite: sampler }); break
      default: {
        const isNew = !exporter.byId.has(id)
        if (isNew && (exporter.byId.size >= MOST_SAMPLERS || this.samplers++ >= LIMITS.samplers)) return true
        this.bySysid.set(sysid, { ...exporter, byId: new Map(exporter.byId).set(id, sampler) })
      }
    }
    return true
  }
}

/**
 * The sampler of a flow: what the collector was told to take in place of all others, the one that the flow
 * names, the exporter's own, what it was told to take where there is none; else the only one there is.
 *
 * @param id of the sampler that the flow names; 0: it names none
 */
export function samplerOf(exporter: Exporter, id: number): Sampler | undefined {
  const { overwrite, byId, generic, byDefault } = exporter
  const told = overwrite ?? (id > 0 ? byId.get(id) : undefined) ?? generic ?? byDefault
  if (told || id > 0 || byId.size !== 1) return told
  const [only] = byId.values()
  return only
}

/** Where a sampler's rate was learned, by its id and its exporter's version: a value of SAMPLING_SOURCE. */
export function sourceOf(id: number, version: number): number {
  if (id < SAMPLER_ID.generic) return SAMPLING_SOURCE.config
  if (version === SFLOW_VERSION) return SAMPLING_SOURCE.record
  return DOMAIN_VERSIONS.has(version) ? SAMPLING_SOURCE.options : version > 0 ? SAMPLING_SOURCE.header : 0
}
