import type { FlowkitError } from '../flow/errors.ts'
import { copyBytes, type Datagram, type MessageHeader } from './message.ts'
import { newSampling, type Sampling } from './sampling.ts'
import { newSequence, type Sequence } from './sequence.ts'
import type { Template } from './templates.ts'

/** State is bounded, since anybody can send a datagram with any source address. */
export const LIMITS = {
  exporters: 16_384,
  /** Observation domains, over all exporters and of one. */
  domains: 32_768,
  domainsPerExporter: 256,
  /** Templates, over all exporters and of one, and the bytes of their records. */
  templates: 32_768,
  templateBytes: 16_777_216,
  templatesPerExporter: 8192,
  templateBytesPerExporter: 4_194_304,
  /** Samplers told of by options, over all exporters. */
  samplers: 65_536,
  /** Bytes of data that wait for their template, over all exporters and of one domain. */
  waitingBytes: 16_777_216,
  waitingBytesPerDomain: 1_048_576,
} as const

/** Bytes that a waiting set takes beside its contents, about; they count too. */
export const SET_OVERHEAD = 512

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
  /** By template id. */
  readonly waiting: Map<number, WaitingSet[]>
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
  templates: number
  templateBytes: number
  readonly counters: ExporterCounters
}

/** All exporters, the least recently heard first. */
export interface Exporters {
  readonly byKey: Map<number | string, Exporter>
  latest: Exporter | undefined
  domains: number
  templates: number
  templateBytes: number
  samplers: number
  waitingBytes: number
  /** Exporters forgotten because there were too many. */
  forgotten: number
}

/** No exporter yet. */
export function newExporters(): Exporters {
  return {
    byKey: new Map(), latest: undefined, domains: 0, templates: 0, templateBytes: 0, samplers: 0,
    waitingBytes: 0, forgotten: 0,
  }
}

/** The exporter a datagram came from, made at its first; now the most recent. */
export function exporterOf(all: Exporters, { family, v4, v6 }: Datagram): Exporter {
  const { latest } = all
  if (latest && family === 4 && latest.family === 4 && latest.v4 === v4) return latest
  const key = family === 4 ? v4 : String.fromCharCode(...v6.subarray(0, 16))
  let exporter = all.byKey.get(key)
  if (exporter) all.byKey.delete(key)
  else {
    exporter = {
      key, family, v4, v6: copyBytes(v6, 0, 16), domains: new Map(), templates: 0, templateBytes: 0,
      counters: newCounters(),
    }
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
      const [[oldestKey, oldest]] = exporter.domains
      forgetDomain(all, exporter, oldestKey, oldest)
    }
    while (all.domains >= LIMITS.domains) forgetOldest(all)
    domain = {
      templates: new Map(), sampling: newSampling(), sequence: newSequence(), systemInit: 0,
      waiting: new Map(), waitingBytes: 0,
    }
    exporter.domains.set(key, domain)
    all.domains++
  }
  return domain
}

/** Put a template into its domain, in the place of one of the same id, and keep within the limits. */
export function addTemplate(all: Exporters, exporter: Exporter, domain: Domain, template: Template): void {
  removeTemplate(all, exporter, domain, template.id)
  domain.templates.set(template.id, template)
  count(all, exporter, 1, template.raw.length)
  const { templatesPerExporter, templateBytesPerExporter } = LIMITS
  while (exporter.templates > templatesPerExporter || exporter.templateBytes > templateBytesPerExporter) {
    if (!removeOldestTemplate(all, exporter, template)) break
  }
  while (all.templates > LIMITS.templates || all.templateBytes > LIMITS.templateBytes) forgetOldest(all)
}

/** Forget a template. */
export function removeTemplate(all: Exporters, exporter: Exporter, domain: Domain, id: number): void {
  const template = domain.templates.get(id)
  if (!template) return
  domain.templates.delete(id)
  count(all, exporter, -1, -template.raw.length)
}

/** Forget the first template of an exporter that is not `newest`. @returns whether there was one */
function removeOldestTemplate(all: Exporters, exporter: Exporter, newest: Template): boolean {
  for (const domain of exporter.domains.values()) {
    for (const template of domain.templates.values()) {
      if (template === newest) continue
      removeTemplate(all, exporter, domain, template.id)
      return true
    }
  }
  return false
}

function count(all: Exporters, exporter: Exporter, templates: number, bytes: number): void {
  all.templates += templates
  all.templateBytes += bytes
  exporter.templates += templates
  exporter.templateBytes += bytes
}

/** Keep a data set until its template comes; the oldest sets give way when there are too many. */
export function holdSet(all: Exporters, exporter: Exporter, domain: Domain, set: WaitingSet): void {
  exporter.counters.heldSets++
  const size = set.bytes.length + SET_OVERHEAD
  if (size > LIMITS.waitingBytesPerDomain || all.waitingBytes + size > LIMITS.waitingBytes) {
    exporter.counters.abandonedSets++
    return
  }
  while (domain.waitingBytes + size > LIMITS.waitingBytesPerDomain) {
    const [[id, sets]] = domain.waiting
    unwait(all, domain, sets[0])
    sets.shift()
    if (sets.length === 0) domain.waiting.delete(id)
    exporter.counters.abandonedSets++
  }
  const sets = domain.waiting.get(set.templateId)
  if (sets) sets.push(set)
  else domain.waiting.set(set.templateId, [set])
  domain.waitingBytes += size
  all.waitingBytes += size
}

/** Take out the sets that wait for template `id`, oldest first. */
export function releaseSets(all: Exporters, domain: Domain, id: number): readonly WaitingSet[] {
  const sets = domain.waiting.get(id) ?? []
  domain.waiting.delete(id)
  for (const set of sets) unwait(all, domain, set)
  return sets
}

function unwait(all: Exporters, domain: Domain, { bytes }: WaitingSet): void {
  domain.waitingBytes -= bytes.length + SET_OVERHEAD
  all.waitingBytes -= bytes.length + SET_OVERHEAD
}

function forgetOldest(all: Exporters): void {
  const [oldest] = all.byKey.values()
  for (const [key, domain] of oldest.domains) forgetDomain(all, oldest, key, domain)
  all.byKey.delete(oldest.key)
  if (all.latest === oldest) all.latest = undefined
  all.forgotten++
}

function forgetDomain(all: Exporters, exporter: Exporter, key: number, domain: Domain): void {
  for (const { raw } of domain.templates.values()) count(all, exporter, -1, -raw.length)
  for (const sets of domain.waiting.values()) exporter.counters.abandonedSets += sets.length
  all.waitingBytes -= domain.waitingBytes
  all.samplers -= domain.sampling.byId.size
  all.domains--
  exporter.domains.delete(key)
}

function newCounters(): ExporterCounters {
  return {
    datagrams: 0, bytes: 0, records: 0, optionsRecords: 0, templates: 0, heldSets: 0, lateSets: 0,
    abandonedSets: 0, faults: {},
  }
}
