/** Reasons for differences from the goldens of public collections. */
import { element, has, isCounter, isMissing, isScaled, isTime, version, type Explanation } from './explain.ts'

/** Reasons; the first that applies counts. */
export const REAL_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'options-record', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'Options records tell of the exporter: flowkit learns from them and makes no flow of them.',
    applies: ({ field, sent, ours }) => field === 'record' && ours === undefined && sent?.options === true,
  },
  {
    id: 'ipfix-length', peers: ['telegraf'],
    reason: 'The length in the header ends inside the last set: flowkit refuses the message.',
    applies: ({ field, golden, ours }) =>
      field === 'record' && ours === undefined && golden.includes('issue_14370'),
  },
  {
    id: 'padding', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'paddingOctets has no meaning and is not kept.',
    applies: ({ field, ours }) => /^padding_?octets$/i.test(field) && ours === undefined,
  },
  {
    id: 'other-family', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'The record has the address in both families, one of them zero: flowkit keeps the other.',
    applies: ({ ours, theirs }) => ours === undefined && (theirs === '::' || theirs === '0.0.0.0'),
  },
  {
    id: 'peer-omits', peers: ['beats', 'logstash'],
    reason: 'The peer leaves out elements that it has no name for, or of other lengths than it knows.',
    applies: ({ theirs, row, field }) => theirs === undefined && row !== undefined && field !== 'record',
  },
  {
    id: 'v9-count-as-sets', peers: ['beats', 'goflow2'],
    reason: 'The peer reads as many FlowSets as the v9 header counts records.',
    applies: (reading) => isMissing(reading) && version(reading) === 9,
  },
  {
    id: 'logstash-second', peers: ['logstash'],
    reason: 'The codec counts uptimes back to times that are 1 s late.',
    applies: (reading) =>
      isTime(reading) && has(reading, 21, 22) && Number(reading.theirs) - Number(reading.ours) === 1e6,
  },
  {
    id: 'logstash-one-message', peers: ['logstash'],
    reason: 'The codec reads the first message of ipfix.dat only.',
    applies: ({ field, golden }) => field === 'records' && golden.endsWith(' IPFIX'),
  },
  {
    id: 'logstash-201', peers: ['logstash'],
    reason: 'The codec takes mplsLabelStackLength (201) for a label.',
    applies: ({ field }) => field === 'mpls_label_stack_octets',
  },
  {
    id: 'pmacct-seconds', peers: ['pmacct'],
    reason: 'pmacct counts v9 uptimes back in whole seconds.',
    applies: (reading) => isTime(reading) && version(reading) === 9
      && Math.abs(Number(reading.theirs) - Number(reading.ours)) < 1e6,
  },
  {
    id: 'pmacct-export-time', peers: ['pmacct'],
    reason: 'pmacct writes the export time where IPFIX has uptimes.',
    applies: (reading) => isTime(reading) && reading.theirs === `${reading.sent?.header.secs}000000`,
  },
  {
    id: 'pmacct-scaled', peers: ['pmacct'],
    reason: 'pmacct multiplies the counters by the sampling rate; flowkit has the rate beside them.',
    applies: isScaled,
  },
  {
    id: 'pmacct-configured-rate', peers: ['pmacct'],
    reason: 'The test configures a sampling rate of 1000 for the exporter.',
    applies: (reading) => isCounter(reading) && reading.golden.endsWith('reload/output-flow-01.json')
      && Number(reading.theirs) === Number(reading.ours) * 1000,
  },
  {
    id: 'no-rate', peers: ['beats', 'logstash', 'telegraf'],
    reason: 'A samplingInterval of 0 is no rate: it is absent in flowkit.',
    applies: (reading) => reading.theirs === '0' && reading.ours === undefined
      && element(reading, 34) === '0' && /^sampling_?interval$/i.test(reading.field),
  },
  {
    id: 'pmacct-bgp-masks', peers: ['pmacct'],
    reason: 'The test takes prefix lengths from BGP or BMP and not from the flows.',
    applies: ({ field, golden }) =>
      /^(src|dst)_mask$/.test(field) && /\/(401|402|500)-[^/]*B[GM]P/.test(golden),
  },
]
