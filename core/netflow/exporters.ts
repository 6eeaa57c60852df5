import type { FlowkitError } from '../flow/errors.ts'
import { copyBytes, type Datagram, type MessageHeader } from './message.ts'
import { newSampling, type Sampling } from './sampling.ts'
import { newSequence, type Sequence } from './sequence.ts'
import type { Template } from './templates.ts'

/** State is bounded, since anybody can send a datagram with any source address. */
export const LIMITS = {
  exporters: 65_536,
  domainsPerExporter: 256,
  templatesPerDomain: 4096,
  /** Over all exporters. */
  templates: 32_768,
  /** Bytes of all templates. */
  templateBytes: 16_777_216,
  /** Bytes of data that wait for their template, over all exporters and per domain. */
  waitingBytes: 16_777_216,
  waitingBytesPerDomain: 1_048_576,
} as const

/** A data set whose template has not come yet. */
export interface WaitingSet {
  readonly templateId: number
  /** The set's contents, without its header. */
  readonly bytes: Uint8Array
  readonly header: MessageHeader
}

/** State of one observation domain of one exporter and version. */
export interface Domain {
  readonly templates: Map<number, Template>
  readonly sampling: Sampling
  readonly sequence: Sequence
  /** systemInitTimeMilliseconds (IE 160) as an options record told it; 0 if none did. */
  systemInit: number
  waiting: WaitingSet[]
  waitingBytes: number
}

/** What has come from one exporter; counts since it was first seen. */
export interface ExporterCounters {
  datagrams: number
  bytes: number
  /** Flow records decoded. */
  records: number
  optionsRecords: number
  templates: number
  /** Data sets that waited, and how many of them were decoded late or given up. */
  heldSets: number
  lateSets: number
  abandonedSets: number
  /** Datagrams that were damaged, or of a protocol flowkit does not know, by error code. */
  readonly faults: Partial<Record<FlowkitError['code'], number>>
}

/** One exporter: the source address of datagrams. */
export interface Exporter {
  readonly key: number | string
  readonly family: number
  readonly v4: number
  readonly v6: Uint8Array
  /** By version * 2^32 + domain. */
  readonly domains: Map<number, Domain>
  readonly counters: ExporterCounters
}

/** All exporters, the least recently heard first. */
export interface Exporters {
  readonly byKey: Map<number | string, Exporter>
  latest: Exporter | undefined
  templates: number
  templateBytes: number
  waitingBytes: number
  /** Exporters forgotten because there were too many. */
  forgotten: number
}

/** No exporter yet. */
export function newExporters(): Exporters {
  return { byKey: new Map(), latest: undefined, templates: 0, templateBytes: 0, waitingBytes: 0, forgotten: 0 }
}

/** The exporter a datagram came from, made at its first; now the most recent. */
export function exporterOf(all: Exporters, { family, v4, v6 }: Datagram): Exporter {
  const { latest } = all
  if (latest && family === 4 && latest.family === 4 && latest.v4 === v4) return latest
  const key = family === 4 ? v4 : String.fromCharCode(...v6.subarray(0, 16))
  let exporter = all.byKey.get(key)
  if (exporter) all.byKey.delete(key)
  else {
    exporter = { key, family, v4, v6: copyBytes(v6, 0, 16), domains: new Map(), counters: newCounters() }
    if (all.byKey.size >= LIMITS.exporters) forgetOldest(all)
  }
  all.byKey.set(key, exporter)
  all.latest = exporter
  return exporter
}

/** The state of a version and domain of an exporter, made at the first message. */
export function domainOf(all: Exporters, exporter: Exporter, version: number, id: number): Domain {
  const key = version * 2 ** 32 + id
  let domain = exporter.domains.get(key)
  if (!domain) {
    if (exporter.domains.size >= LIMITS.domainsPerExporter) {
      const [oldest] = exporter.domains.keys()
      forgetDomain(all, exporter.domains.get(oldest)!, exporter)
      exporter.domains.delete(oldest)
    }
    domain = {
      templates: new Map(), sampling: newSampling(), sequence: newSequence(), systemInit: 0, waiting: [], waitingBytes: 0,
    }
    exporter.domains.set(key, domain)
  }
  return domain
}

/** Put a template into its domain, in the place of one of the same id, and keep within the limits. */
export function addTemplate(all: Exporters, domain: Domain, template: Template): void {
  removeTemplate(all, domain, template.id)
  if (domain.templates.size >= LIMITS.templatesPerDomain) {
    const [oldest] = domain.templates.keys()
    removeTemplate(all, domain, oldest)
  }
  domain.templates.set(template.id, template)
  all.templates++
  all.templateBytes += template.raw.length
  while ((all.templates > LIMITS.templates || all.templateBytes > LIMITS.templateBytes) && all.byKey.size > 1) {
    forgetOldest(all)
  }
}

/** Forget a template. */
export function removeTemplate(all: Exporters, domain: Domain, id: number): void {
  const template = domain.templates.get(id)
  if (!template) return
  domain.templates.delete(id)
  all.templates--
  all.templateBytes -= template.raw.length
}

/** Keep a data set until its template comes; the oldest sets give way when there are too many. */
export function holdSet(all: Exporters, exporter: Exporter, domain: Domain, set: WaitingSet): void {
  exporter.counters.heldSets++
  if (set.bytes.length > LIMITS.waitingBytesPerDomain || all.waitingBytes + set.bytes.length > LIMITS.waitingBytes) {
    exporter.counters.abandonedSets++
    return
  }
  while (domain.waitingBytes + set.bytes.length > LIMITS.waitingBytesPerDomain) {
    const oldest = domain.waiting.shift()!
    domain.waitingBytes -= oldest.bytes.length
    all.waitingBytes -= oldest.bytes.length
    exporter.counters.abandonedSets++
  }
  domain.waiting.push(set)
  domain.waitingBytes += set.bytes.length
  all.waitingBytes += set.bytes.length
}

/** Take out the sets that wait for template `id`, oldest first. */
export function releaseSets(all: Exporters, domain: Domain, id: number): WaitingSet[] {
  const released = domain.waiting.filter((set) => set.templateId === id)
  if (released.length === 0) return released
  domain.waiting = domain.waiting.filter((set) => set.templateId !== id)
  for (const { bytes } of released) {
    domain.waitingBytes -= bytes.length
    all.waitingBytes -= bytes.length
  }
  return released
}

function forgetOldest(all: Exporters): void {
  const [oldest] = all.byKey.values()
  for (const domain of oldest.domains.values()) forgetDomain(all, domain, oldest)
  all.byKey.delete(oldest.key)
  if (all.latest === oldest) all.latest = undefined
  all.forgotten++
}

function forgetDomain(all: Exporters, domain: Domain, { counters }: Exporter): void {
  all.templates -= domain.templates.size
  for (const { raw } of domain.templates.values()) all.templateBytes -= raw.length
  all.waitingBytes -= domain.waitingBytes
  counters.abandonedSets += domain.waiting.length
}

function newCounters(): ExporterCounters {
  return {
    datagrams: 0, bytes: 0, records: 0, optionsRecords: 0, templates: 0, heldSets: 0, lateSets: 0, abandonedSets: 0,
    faults: {},
  }
}
