import { crc32 } from 'node:zlib'
import type { FlowkitError } from '../flow/errors.ts'
import { LIMITS } from './limits.ts'
import { copyBytes, type Datagram } from './message.ts'
import type { Names } from './option-names.ts'
import { copySampling, countSamplers, type Sampling } from './sampling.ts'
import { NO_RULES, ratesOf, type ExporterRates, type SamplingRules } from './sampling-rules.ts'
import { newSequence, type Sequence } from './sequence.ts'
import { newPlans, type Plans, type Template } from './templates.ts'
import type { Unsampled } from './unsampled.ts'
import type { Waiting } from './waiting.ts'

const NO_ADDRESS = new Uint8Array(16)

/** State of one observation domain of one exporter and version. */
export interface Domain {
  readonly templates: Map<number, Template>
  readonly sequence: Sequence
  // made when they are needed, since there may be many domains
  sampling: Sampling | undefined
  names: Names | undefined
  waiting: Waiting | undefined
  /** systemInitTimeMilliseconds (IE 160) as an options record told it; 0 if none did. */
  systemInit: number
  /** Rows still in the batch whose sampling rate is not known; made at the first. */
  unsampled: Unsampled | undefined
  /** Set once several senders share the domain's number. */
  split: Split | undefined
}

/**
 * Senders that announce different templates under one address, domain and id: their source ports tell them
 * apart (RFC 7011 §8: a template belongs to a transport session).
 */
export interface Split {
  /** What each sender has announced; the first is the domain before it was split. */
  readonly parts: Domain[]
  readonly byPort: Map<number, Domain>
  /** Of ports that have not announced anything in conflict: the latest, for it may be a restarted sender. */
  latest: Domain
}

/** Senders that are told apart within one domain, and ports that are remembered. */
const MOST_PARTS = 8
const MOST_PORTS = 64

/** What has come from one exporter; counts since it was first seen. */
export interface ExporterCounters {
  datagrams: number
  bytes: number
  /** Flow records decoded, and how many of them a filter has left out. */
  records: number
  filtered: number
  optionsRecords: number
  /** Counter samples of sFlow. */
  counterSamples: number
  templates: number
  /** Templates that another sender behind the same address had announced otherwise. */
  templateConflicts: number
  /** Templates forgotten since they were not heard of for a day. */
  expiredTemplates: number
  /** Data sets that waited, and how many of them were decoded late or given up. */
  heldSets: number
  lateSets: number
  abandonedSets: number
  /** Receive time less export time of the latest message that tells its time, µs. */
  clockSkew: number
  /** Datagrams that were damaged, or of a protocol flowkit does not know, by error code. */
  readonly faults: Partial<Record<FlowkitError['code'], number>>
}

/** What sequence numbers have told in several domains. */
export interface SequenceSums {
  /** Missing, in the units of the protocols: v5 to v8; v9 and sFlow; IPFIX. */
  flows: number
  messages: number
  records: number
  reordered: number
  restarts: number
}

/** What exporters that were forgotten because there were too many had counted. */
export interface Forgotten {
  /** Tells it from that of other collectors; empty until one was forgotten. */
  id: string
  exporters: number
  readonly counters: ExporterCounters
  readonly ended: SequenceSums
}

/** One exporter: the source address of datagrams. */
export interface Exporter {
  readonly key: number | string
  readonly family: number
  readonly v4: number
  readonly v6: Uint8Array
  /** By `keyOf`; further parts of split domains, and domains of sessions, by numbers above. */
  readonly domains: Map<number, Domain>
  /** How many of them are of sessions. */
  sessionDomains: number
  /** What sequence numbers have told in domains that were forgotten. */
  readonly ended: SequenceSums
  /** Sampling rates as configured. */
  rates: ExporterRates
  templates: number
  templateBytes: number
  readonly counters: ExporterCounters
}

/** All exporters, the least recently heard first. */
export interface Exporters {
  readonly byKey: Map<number | string, Exporter>
  rules: SamplingRules
  readonly plans: Plans
  latest: Exporter | undefined
  domains: number
  templates: number
  templateBytes: number
  samplers: number
  names: number
  waitingBytes: number
  readonly forgotten: Forgotten
  /** When the latest datagram was received, µs. */
  received: number
  /** Grows whenever a ledger is closed: see core/collector/ledger.ts. */
  asOf: number
}

/** No exporter yet. */
export function newExporters(rules: SamplingRules = NO_RULES): Exporters {
  return {
    byKey: new Map(), rules, plans: newPlans(), latest: undefined, domains: 0,
    templates: 0, templateBytes: 0, samplers: 0,
    names: 0, waitingBytes: 0, received: 0, asOf: 0,
    forgotten: { id: '', exporters: 0, counters: newCounters(), ended: newSums() },
  }
}

/** From now on, other rates are configured. */
export function setRules(all: Exporters, rules: SamplingRules): void {
  all.rules = rules
  for (const exporter of all.byKey.values()) {
    exporter.rates = ratesOf(rules, exporter.family, exporter.v4, exporter.v6)
  }
}

/** The exporter a datagram came from, made at its first; now the most recent. */
export function exporterOf(all: Exporters, { family, v4, v6, received }: Datagram): Exporter {
  const { latest } = all
  all.received = received
  if (latest && family === 4 && latest.family === 4 && latest.v4 === v4) return latest
  const key = addressKey(family, v4, v6)
  let exporter = all.byKey.get(key)
  if (exporter) all.byKey.delete(key)
  else {
    exporter = {
      key, family, v4, v6: family === 4 ? NO_ADDRESS : copyBytes(v6, 0, 16), domains: new Map(),
      sessionDomains: 0, ended: newSums(),
      rates: ratesOf(all.rules, family, v4, v6), templates: 0, templateBytes: 0, counters: newCounters(),
    }
    if (all.byKey.size >= LIMITS.exporters) forgetOldest(all)
  }
  all.byKey.set(key, exporter)
  all.latest = exporter
  return exporter
}

/** The key in `Exporters.byKey` of an address: IPv4 in host order, or the 16 bytes at `v6[at]`. */
export function addressKey(family: number, v4: number, v6: Uint8Array, at: number = 0): number | string {
  return family === 4 ? v4 : String.fromCharCode(...v6.subarray(at, at + 16))
}

/** Keys of further parts of a split domain lie this far apart. */
const PART = 2 ** 36
/** The part of a session at port 0: parts of split domains are fewer, keys of all ports are exact. */
const SESSION_PART = 2 ** 16
const SESSION_KEYS = PART * SESSION_PART

/** The key of a version (below 16) and observation domain. */
export function keyOf(version: number, id: number): number {
  return version * 2 ** 32 + id
}

/** The version under which an sFlow agent's state is kept: its 32-bit version begins with 16 bits of 0. */
export const SFLOW_VERSION = 0

/** The version that a key of `Exporter.domains` is of. */
export function versionOf(key: number): number {
  return Math.floor(key % PART / 2 ** 32)
}

/**
 * The state of a version and domain of an exporter, made at the first message.
 *
 * @param session whether it came by a connection: each has state of its own (RFC 7011 §8 and §10)
 */
export function domainOf(
  all: Exporters, exporter: Exporter, version: number, id: number, port: number, session: boolean = false,
): Domain {
  const key = session ? keyOf(version, id) + (SESSION_PART + port) * PART : keyOf(version, id)
  const domain = exporter.domains.get(key)
  if (!domain) return addDomain(all, exporter, key)
  return domain.split ? domain.split.byPort.get(port) ?? domain.split.latest : domain
}

/** Forget the state of a connection that has ended: its templates end with it (RFC 7011 §8.2). */
export function forgetSession(
  all: Exporters, family: number, v4: number, v6: Uint8Array, port: number,
): void {
  const exporter = all.byKey.get(addressKey(family, v4, v6))
  if (exporter) dropDomains(all, exporter, (SESSION_PART + port) * PART, (SESSION_PART + port + 1) * PART)
}

/** Forget the state of all connections: none has outlived the process that saved it. */
export function forgetSessions(all: Exporters): void {
  for (const exporter of all.byKey.values()) dropDomains(all, exporter, SESSION_KEYS, Infinity)
}

/** Forget the domains whose keys lie from `from` to below `to`. */
function dropDomains(all: Exporters, exporter: Exporter, from: number, to: number): void {
  if (exporter.sessionDomains === 0) return
  for (const [key, domain] of exporter.domains) if (key >= from && key < to) drop(all, exporter, key, domain)
}

function addDomain(all: Exporters, exporter: Exporter, key: number): Domain {
  const { domains } = exporter
  if (domains.size >= LIMITS.domainsPerExporter) {
    // datagrams will announce their templates again, sessions will not
    const oldest = domains.keys().find((each) => each < SESSION_KEYS) ?? domains.keys().next().value!
    forgetDomain(all, exporter, oldest)
  }
  while (all.domains >= LIMITS.domains) forgetOldest(all)
  const domain = {
    templates: new Map(), sequence: newSequence(), sampling: undefined, names: undefined, waiting: undefined,
    systemInit: 0, unsampled: undefined, split: undefined,
  }
  domains.set(key, domain)
  if (key >= SESSION_KEYS) exporter.sessionDomains++
  all.domains++
  return domain
}

/**
 * Give the sender at `port` a state of its own: its template differs from that of the sender at `other`.
 *
 * It begins with what options have told so far: should it be the same sender, restarted, that still holds.
 *
 * @param key of the domain, by `keyOf`
 */
export function splitDomain(
  all: Exporters, exporter: Exporter, key: number, domain: Domain, other: number, port: number,
): Domain {
  const split = domain.split ??= { parts: [domain], byPort: new Map(), latest: domain }
  if (split.parts.length === MOST_PARTS) forgetPart(all, exporter, split, split.parts[1])
  let partKey = key + PART
  while (exporter.domains.has(partKey)) partKey += PART
  const part = addDomain(all, exporter, partKey)
  part.split = split
  part.systemInit = domain.systemInit
  part.sampling = copySampling(domain.sampling, LIMITS.samplers - all.samplers)
  all.samplers += countSamplers(part.sampling)
  split.parts.push(part)
  split.latest = part
  for (const [each, owner] of [[other, domain], [port, part]] as const) {
    split.byPort.delete(each)
    if (split.byPort.size >= MOST_PORTS) {
      const [oldest] = split.byPort.keys()
      split.byPort.delete(oldest)
    }
    split.byPort.set(each, owner)
  }
  for (const template of [...domain.templates.values()]) {
    if (template.port !== port) continue
    domain.templates.delete(template.id)
    part.templates.set(template.id, template)
  }
  return part
}

/** Add an exporter that comes from elsewhere with all that is known of it, as the most recent one. */
export function addExporter(all: Exporters, exporter: Exporter): void {
  all.byKey.set(exporter.key, exporter)
  all.templates += exporter.templates
  all.templateBytes += exporter.templateBytes
  all.domains += exporter.domains.size
  for (const { sampling, names, waiting } of exporter.domains.values()) {
    all.samplers += sampling ? countSamplers(sampling) : 0
    all.names += names?.count ?? 0
    all.waitingBytes += waiting?.bytes ?? 0
  }
}

/** Put a template into its domain, in the place of one of the same id, and keep within the limits. */
export function addTemplate(all: Exporters, exporter: Exporter, domain: Domain, template: Template): void {
  removeTemplate(all, exporter, domain, template.id)
  domain.templates.set(template.id, template)
  count(all, exporter, 1, template.fields.length)
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
  count(all, exporter, -1, -template.fields.length)
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

/** Forget the exporter not heard for longest. */
export function forgetOldest(all: Exporters): void {
  const { forgotten } = all
  const oldest = oldestOf(all)
  forgetExporter(all, oldest)
  // the same whenever the same datagrams are decoded again
  forgotten.id ||= crc32(`${oldest.key} ${all.received}`).toString(16).padStart(8, '0')
  forgotten.exporters++
  addCounters(forgotten.counters, oldest.counters)
  for (const name of SUMS) forgotten.ended[name] += oldest.ended[name]
}

const SUMS = ['flows', 'messages', 'records', 'reordered', 'restarts'] as const

function addCounters(sum: ExporterCounters, { faults, clockSkew: _, ...more }: ExporterCounters): void {
  for (const [name, count] of Object.entries(more)) sum[name as keyof typeof more] += count
  for (const [code, count] of Object.entries(faults)) {
    sum.faults[code as FlowkitError['code']] = (sum.faults[code as FlowkitError['code']] ?? 0) + count
  }
}

/** What sequence numbers have told of an exporter in all its domains, forgotten ones too. */
export function sumSequences({ ended, domains }: Exporter): SequenceSums {
  const sums = { ...ended }
  for (const [key, { sequence }] of domains) addSequence(sums, key, sequence)
  return sums
}

function addSequence(sums: SequenceSums, key: number, { missing, reordered, restarts }: Sequence): void {
  const version = versionOf(key)
  const isNumbered = version === 9 || version === SFLOW_VERSION // by messages
  sums[isNumbered ? 'messages' : version === 10 ? 'records' : 'flows'] += missing
  sums.reordered += reordered
  sums.restarts += restarts
}

/** Forget an exporter, as if it had never been there. */
export function forgetExporter(all: Exporters, exporter: Exporter): void {
  for (const key of [...exporter.domains.keys()]) forgetDomain(all, exporter, key)
  all.byKey.delete(exporter.key)
  if (all.latest === exporter) all.latest = undefined
}

/** The exporter not heard for longest, but rather one without sessions: those announce nothing again. */
function oldestOf({ byKey, latest }: Exporters): Exporter {
  for (const exporter of byKey.values()) {
    if (exporter.sessionDomains === 0 && exporter !== latest) return exporter // the latest may be in use
  }
  const [oldest] = byKey.values()
  return oldest
}

/** Forget a domain with all its parts, or one of its parts. */
function forgetDomain(all: Exporters, exporter: Exporter, key: number): void {
  const domain = exporter.domains.get(key)
  if (!domain) return // gone with the first part
  const { split } = domain
  if (!split) return drop(all, exporter, key, domain)
  if (split.parts[0] !== domain) return forgetPart(all, exporter, split, domain)
  for (const [each, part] of exporter.domains) if (part.split === split) drop(all, exporter, each, part)
}

function forgetPart(all: Exporters, exporter: Exporter, split: Split, part: Domain): void {
  split.parts.splice(split.parts.indexOf(part), 1)
  for (const [port, owner] of split.byPort) if (owner === part) split.byPort.delete(port)
  if (split.latest === part) split.latest = split.parts[split.parts.length - 1]
  for (const [key, domain] of exporter.domains) if (domain === part) drop(all, exporter, key, domain)
}

function drop(all: Exporters, exporter: Exporter, key: number, domain: Domain): void {
  for (const { fields } of domain.templates.values()) count(all, exporter, -1, -fields.length)
  const { waiting, sampling, names, sequence } = domain
  for (const sets of waiting?.byTemplate.values() ?? []) exporter.counters.abandonedSets += sets.length
  all.waitingBytes -= waiting?.bytes ?? 0
  all.samplers -= sampling ? countSamplers(sampling) : 0
  all.names -= names?.count ?? 0
  all.domains--
  exporter.domains.delete(key)
  addSequence(exporter.ended, key, sequence)
  if (key >= SESSION_KEYS) exporter.sessionDomains--
}

function newSums(): SequenceSums {
  return { flows: 0, messages: 0, records: 0, reordered: 0, restarts: 0 }
}

function newCounters(): ExporterCounters {
  return {
    datagrams: 0, bytes: 0, records: 0, filtered: 0, optionsRecords: 0, counterSamples: 0, templates: 0,
    templateConflicts: 0, expiredTemplates: 0, heldSets: 0, lateSets: 0, abandonedSets: 0, clockSkew: NaN,
    faults: {},
  }
}
