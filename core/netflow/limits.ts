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
  /** Bytes of the field specifiers of all layouts with a plan, which takes a hundred times as many. */
  planBytes: 262_144,
  /** How long a template is kept that is neither announced nor used, µs: a day. */
  templateLifetime: 86_400e6,
  /** Samplers and names told of by options, over all exporters. */
  samplers: 65_536,
  names: 65_536,
  /** Bytes of data that wait for their template, over all exporters and of one domain. */
  waitingBytes: 16_777_216,
  waitingBytesPerDomain: 1_048_576,
} as const

/** Bytes that a waiting set takes beside its contents, about; they count too. */
export const SET_OVERHEAD = 512
