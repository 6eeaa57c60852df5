/** Rows of nfdump's formats that are not made of tokens but are of one piece. */
import type { AddressColumn } from '../../core/flow/address.ts'
import { putUint, putUint32 } from '../../core/flow/byte-writer.ts'
import { ID } from '../../core/flow/fields.ts'
import { address, ICMP_FIELDS, icmpOf } from './addresses.ts'
import { mplsLabel } from './headers.ts'
import { engine, exporterId } from './origin.ts'
import { PROTOCOL_NAMES } from './names.ts'
import { putThousandths } from './put.ts'
import type { Piece, Put, Value } from './rows.ts'
import { millis, time } from './times.ts'
import { TIMES_ONLY, tunnelLine } from './tunnel.ts'
import { columnOf, computed, isIcmp, latency, mac, named, number, rowNumber, tcpFlags } from './values.ts'

/** Pieces of `values` with `separator` between, and the end of the line. */
function row(separator: string, values: readonly Piece[]): Piece[] {
  return [...values.flatMap((value, i) => i === 0 ? [value] : [separator, value]), '\n']
}

/** The destination port; what is there of ICMP is type * 256 + code. */
const port: Value = computed(ICMP_FIELDS, 0, (context) => {
  const ports = columnOf<Uint16Array>(context, ID.dstPort)
  const icmp = icmpOf(context)
  if (!icmp || context.shape.mask[ID.icmpType] === 0) return ports && ((row) => ports[row])
  return (row) => isIcmp(icmp.protos[row]) ? icmp.type(row) * 256 + icmp.code(row) : ports ? ports[row] : 0
})

/** 2 of IPv4, 10 of IPv6, and `none` where there is no address. */
function addressFamily(none: number): Value {
  return computed([ID.srcAddr], 0, (context) => {
    const column = columnOf<AddressColumn>(context, ID.srcAddr)
    if (!column) return () => none
    return (row) => column.family[row] === 6 ? 10 : column.family[row] === 4 ? 2 : none
  })
}

/** The header of `FAST_ROW`. */
export const FAST_HEADER: string = 'cnt,af,firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,srcAS,'
  + 'dstAS,input,output,flags,srcTos,packets,bytes\n'

/** The row of 1.7.8's `csv-fast` (src/output/output_csv_fast.c). */
export const FAST_ROW: readonly Piece[] = row(',', [
  rowNumber(0), addressFamily(0), millis('start', 0), millis('end', 0), number(ID.proto, 0),
  address(ID.srcAddr), number(ID.srcPort, 0), address(ID.dstAddr), port, number(ID.srcAs, 0),
  number(ID.dstAs, 0), number(ID.inIf, 0), number(ID.outIf, 0), tcpFlags(), number(ID.tos, 0),
  number(ID.packets, 0), number(ID.bytes, 0),
])

/** An IPv6 address as four numbers, of which an IPv4 address is the last. */
function addressWords(id: number): Value {
  return {
    fields: [id],
    bind(context) {
      const { out } = context
      const column = columnOf<AddressColumn>(context, id)
      if (!column) return '0|0|0|0'
      const { family, v4, v6 } = column
      return (row, at) => {
        const { view } = out
        for (let i = 0; i < 3; i++) {
          at = family[row] === 6 ? putUint(wordAt(v6, row * 16 + i * 4), view, at) : putUint(0, view, at)
          view.setUint8(at++, 124) // |
        }
        return family[row] === 6 ? putUint(wordAt(v6, row * 16 + 12), view, at) : putUint32(v4, row, view, at)
      }
    },
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0
}

/** Pieces of a row of 1.7.1, before them those of its tunnel, which is left without its addresses there. */
function formerRow(pieces: readonly Piece[]): Piece[] {
  return [tunnelLine(pieces, { shared: TIMES_ONLY, isBare: true }), ...pieces]
}

/** The row of `pipe`, which 1.7.1 was the last to have (src/output/output_pipe.c). */
export const PIPE_ROW: readonly Piece[] = formerRow(row('|', [
  addressFamily(2), millis('first', 0), millis('end', 0), number(ID.proto, 0), addressWords(ID.srcAddr),
  number(ID.srcPort, 0), addressWords(ID.dstAddr), port, number(ID.srcAs, 0), number(ID.dstAs, 0),
  number(ID.inIf, 0), number(ID.outIf, 0), number(ID.tcpFlags, 0), number(ID.tos, 0), number(ID.packets, 0),
  number(ID.bytes, 0),
]))

/** The header of `OLD_CSV_ROW`. */
export const OLD_CSV_HEADER: string = 'ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt,in,out,sas,'
  + 'das,smk,dmk,dtos,dir,nh,nhb,svln,dvln,ismc,odmc,idmc,osmc,'
  + 'mpls1,mpls2,mpls3,mpls4,mpls5,mpls6,mpls7,mpls8,mpls9,mpls10,cl,sl,al,ra,eng,exid,tr\n'

/** A value as in lines, padded, in the place of a CSV. */
function padded(value: Value): Value {
  return { ...value, bind: (context) => value.bind({ ...context, style: { ...context.style, csv: false } }) }
}

const toTheSecond = { digits: 0, absent: undefined } as const
const toTheMillisecond = { digits: 3, absent: undefined } as const

/** How long the flow took, in seconds; where it ends before it starts, as much less than 2^64 ms. */
const wrappedDuration: Value = {
  fields: [ID.flowStart, ID.flowEnd],
  bind(context) {
    const { out } = context
    const [start, end] = [ID.flowStart, ID.flowEnd].map((id) => columnOf<Float64Array>(context, id))
    return (row, at) => {
      const first = start ? Math.floor(start[row] / 1000) : 0
      const millis = (end ? Math.floor(end[row] / 1000) : 0) - first
      if (millis < 0) return out.text(((2 ** 64 + millis) / 1000).toFixed(3), at)
      return putThousandths(millis, 0, out.view, at)
    }
  },
}

const nextHop = address(ID.nextHop)
const bgpNextHop = address(ID.bgpNextHop)

/** BGP's next hop; where that is of IPv6, the next hop of IPv6. */
const mixedNextHop: Value = {
  fields: [ID.nextHop, ID.bgpNextHop],
  bind(context) {
    const [bgp, hop] = [ID.bgpNextHop, ID.nextHop].map((id) => columnOf<AddressColumn>(context, id))
    const { out } = context
    if (!bgp) return '0.0.0.0'
    const [putBgp, putHop] = [bgpNextHop, nextHop].map((value) => value.bind(context) as Put)
    return (row, at) => {
      if (bgp.family[row] !== 6) return putBgp(row, at)
      return hop?.family[row] === 6 ? putHop(row, at) : out.text('::', at)
    }
  },
}

/** The row of 1.7.1's `csv` (src/output/output_csv.c), its faults included. */
export const OLD_CSV_ROW: readonly Piece[] = formerRow(row(',', [
  time('first', toTheSecond), time('end', toTheSecond), wrappedDuration,
  address(ID.srcAddr), address(ID.dstAddr), number(ID.srcPort, 0), port,
  named(ID.proto, PROTOCOL_NAMES.map((name, i) => i < 138 ? name : name.padEnd(5))),
  tcpFlags({ always: true }),
  ...[
    ID.forwardingStatus, ID.tos, ID.packets, ID.bytes, ID.outPackets, ID.outBytes, ID.inIf, ID.outIf,
    ID.srcAs, ID.dstAs, ID.srcMask, ID.dstMask, ID.postTos, ID.direction,
  ].map((id) => number(id, 0)),
  nextHop, mixedNextHop, number(ID.vlanId, 0), number(ID.postVlanId, 0),
  ...[ID.srcMac, ID.postDstMac, ID.dstMac, ID.postSrcMac].map(mac),
  ...Array.from({ length: 10 }, (_, i) => mplsLabel(i + 1, 0)),
  ...[ID.clientLatency, ID.serverLatency, ID.appLatency].map((id) => padded(latency(id))),
  address(ID.exporterAddr), engine, exporterId(0), time('received', toTheMillisecond),
]))
