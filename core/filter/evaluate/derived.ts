import type { FlowBatch } from '../../flow/batch.ts'
import { FIELDS } from '../../flow/fields.ts'
import { idsOf, type Derived } from './derive.ts'
import { ACL_SIZE, aclWord, bottomLabel, icmp, netflowVersion, trafficClass } from './derive-parts.ts'
import { dayOfWeek, duration, exactRate, firstOf, hourOfDay, rate, timeOfDay } from './derive-times.ts'

/** Names of the numbers that filters know beside the fields. */
export type DerivedName =
  | 'flowCount' | 'duration' | 'pps' | 'bps' | 'bpp' | 'exactPps' | 'exactBps' | 'icmpType' | 'icmpCode'
  | 'starts' | 'ends' | 'timeOfDay' | 'hour' | 'day' | 'lastTimeOfDay' | 'lastHour' | 'lastDay'
  | 'receivedTimeOfDay' | 'receivedHour' | 'receivedDay'
  | 'netflowVersion' | 'mplsBottom' | `mplsExp${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}`
  | 'inAcl' | 'inAce' | 'inXace' | 'outAcl' | 'outAce' | 'outXace'

/** Every derived number, by name. */
export const DERIVED: Readonly<Record<DerivedName, Derived>> = {
  flowCount: {
    words: 'flows', type: 'count', max: Number.MAX_SAFE_INTEGER, fields: idsOf(['flows']),
    sql: 'coalesce(flows, 1)',
    compute([flows], length) {
      for (let i = 0; i < length; i++) if (Number.isNaN(flows[i])) flows[i] = 1
    },
  },
  duration,
  pps: rate('pps', 1000, 'packets'),
  bps: rate('bps', 8000, 'bytes'), // bits, and ms
  bpp: {
    words: 'bpp', type: 'count', max: Number.MAX_SAFE_INTEGER, fields: idsOf(['bytes', 'packets']),
    sql: 'CASE WHEN packets = 0 THEN bytes * 0 ELSE floor(bytes::DOUBLE / packets) END',
    compute([bytes, packets], length) {
      for (let i = 0; i < length; i++) {
        bytes[i] = packets[i] === 0 ? bytes[i] * 0 : Math.floor(bytes[i] / packets[i])
      }
    },
  },
  exactPps: exactRate('exact pps', 1000, 'packets'),
  exactBps: exactRate('exact bps', 8000, 'bytes'),
  icmpType: icmp('icmp type', 'icmp_type', 256),
  icmpCode: icmp('icmp code', 'icmp_code', 1),
  starts: firstOf('starts', 'flow_start', 'flow_end', 'event_time', 'received'),
  ends: firstOf('ends', 'flow_end', 'flow_start', 'event_time', 'received'),
  timeOfDay: timeOfDay('tod', 'flow_start'),
  hour: hourOfDay('hour', 'flow_start'),
  day: dayOfWeek('day', 'flow_start'),
  lastTimeOfDay: timeOfDay('last tod', 'flow_end'),
  lastHour: hourOfDay('last hour', 'flow_end'),
  lastDay: dayOfWeek('last day', 'flow_end'),
  receivedTimeOfDay: timeOfDay('received tod', 'received'),
  receivedHour: hourOfDay('received hour', 'received'),
  receivedDay: dayOfWeek('received day', 'received'),
  netflowVersion,
  mplsBottom: bottomLabel,
  mplsExp1: trafficClass(1), mplsExp2: trafficClass(2), mplsExp3: trafficClass(3), mplsExp4: trafficClass(4),
  mplsExp5: trafficClass(5), mplsExp6: trafficClass(6), mplsExp7: trafficClass(7), mplsExp8: trafficClass(8),
  mplsExp9: trafficClass(9), mplsExp10: trafficClass(10),
  inAcl: aclWord('ingress acl id', 'in_acl', 0),
  inAce: aclWord('ingress ace', 'in_acl', 1),
  inXace: aclWord('ingress xace', 'in_acl', 2),
  outAcl: aclWord('egress acl id', 'out_acl', 0),
  outAce: aclWord('egress ace', 'out_acl', 1),
  outXace: aclWord('egress xace', 'out_acl', 2),
}

/**
 * Load the values of a field: NaN where it is absent.
 *
 * For `octets` it is where the value begins in the heap, and NaN unless it is an access list's 12 bytes.
 */
export function loadField(batch: FlowBatch, id: number, out: Float64Array): void {
  const { length, shape } = batch
  if (!batch.has(id)) {
    out.fill(NaN, 0, length)
    return
  }
  const present = batch.present(id)
  const column = batch.column(id) as Float64Array
  if (FIELDS[id].type === 'octets') {
    for (let i = 0; i < length; i++) {
      out[i] = present[shape[i]] === 1 && column[i * 2 + 1] === ACL_SIZE ? column[i * 2] : NaN
    }
  } else for (let i = 0; i < length; i++) out[i] = present[shape[i]] === 1 ? column[i] : NaN
}
