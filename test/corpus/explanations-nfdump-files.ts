/** Why flowkit and nfdump read values of nfdump's own files differently. */
import type { Reading } from './compare.ts'
import { own, type Explanation } from './explain.ts'

/** What wrote the goldens, by their versions. */
export const OLDER = 'nfdump 1.7.1, files'
export const NEWER = 'nfdump 1.7.8, files'

/** A member of nfdump's record. */
function member({ all }: Reading, name: string): unknown {
  return (all as Readonly<Record<string, unknown>> | undefined)?.[name]
}

/** Whether nfdump's record has a member for each of the families. */
function hasBothFamilies(reading: Reading): boolean {
  const name = /^(src|dst)_addr$/.test(reading.field) ? reading.field.replace('_', '#_')
    : reading.field === 'next_hop' ? 'ip#_next_hop' : reading.field.replace('bgp', 'bgp#')
  return ['4', '6'].every((family) => member(reading, name.replace('#', family)) !== undefined)
}

/** The bytes of each of the three numbers turned round. */
function turned(hex: string): string {
  return hex.replace(/(..)(..)(..)(..)/g, '$4$3$2$1')
}

/** The last whole millisecond that is exact in µs. */
const LARGEST = String(Math.floor(Number.MAX_SAFE_INTEGER / 1000) * 1000)

/** The reasons; see corpus-notes.md. */
export const NFDUMP_FILES_EXPLANATIONS: readonly Explanation[] = [
  {
    id: 'files-both-families', peers: [OLDER, NEWER],
    reason: 'nfdump shows IPv4 and IPv6 addresses of a record with both, 1.7.1 mixed; flowkit those in use.',
    applies: (reading) => /_addr$|next_hop$/.test(reading.field) && hasBothFamilies(reading),
  },
  {
    id: 'files-ipv4-of-both', peers: [NEWER],
    reason: 'Of a record with both families nfdump 1.7.8 takes IPv4, flowkit IPv6, here that of segment routing.',
    applies: ({ field, golden, ours, theirs }) => /^(src|dst)_addr$/.test(field) && golden.includes('SRv6')
      && ours?.startsWith('fcba:') === true && theirs?.startsWith('192.0.') === true,
  },
  {
    id: 'files-event-ms', peers: [OLDER, NEWER],
    reason: 'nfdump writes the milliseconds of t_event without leading zeros.',
    applies: (reading) => reading.field === 'event_time'
      && Number(String(member(reading, 't_event')).split('.')[1])
        === Math.floor(Number(reading.ours) / 1000) % 1000,
  },
  {
    id: 'files-event-start', peers: [NEWER],
    reason: 'nfdump 1.7.8 shows the time of the event where no start is stored.',
    applies: (reading) => reading.field === 'flow_start' && reading.ours === undefined
      && reading.theirs === own(reading, 'event_time'),
  },
  {
    id: 'files-acl-bytes', peers: [NEWER],
    reason: 'nfdump 1.7.8 turns the bytes of the numbers of access lists round.',
    applies: ({ field, ours, theirs }) => /_acl$/.test(field) && ours === turned(theirs ?? ''),
  },
  {
    id: 'files-no-ethertype', peers: [NEWER],
    reason: 'nfdump writes 0 for an EtherType that is not stored; flowkit knows it from the addresses.',
    applies: ({ field, theirs }) => field === 'etype' && theirs === '0',
  },
  {
    id: 'files-former-sampled', peers: [NEWER],
    reason: 'nfdump 1.7.8 loses the flag that counters were multiplied when it reads files of layout 1.',
    applies: ({ field, golden, ours, theirs }) =>
      field === 'sampling_applied' && golden.includes('v1layout') && ours === '1' && theirs === '0',
  },
  {
    id: 'files-rewritten-sampled', peers: [OLDER],
    reason: 'Writing a file of layout 1 again nfdump 1.7.1 loses the same flag.',
    applies: ({ field, golden, ours, theirs }) => field === 'sampling_applied' && golden.endsWith('.as171')
      && ours === undefined && theirs === '1',
  },
  {
    id: 'files-before-1970', peers: [OLDER, NEWER],
    reason: 'Times before 1970, which nfdump stores near 2^64 ms: in flowkit the largest that is exact.',
    applies: ({ field, ours, theirs }) => /^flow_(start|end)$/.test(field)
      && ours === LARGEST && /^58455\d{4}-/.test(theirs ?? ''),
  },
]
