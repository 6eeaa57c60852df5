/** What flow-print prints, by the number of its format (flow-tools' flow-print.c); see RowPrinter. */
export interface PrintFormat {
  /** Before the rows. */
  readonly head: string
  readonly row: string
  /** Rows that are left out: those without packets, and in format 2 all but TCP flows of two bare SYN. */
  readonly only?: 'packets' | 'syn'
}

const SUMMARY = '{input:x4} {srcaddr:15}  {output:x4} {dstaddr:15}   {prot:x2} {srcport:h4} {dstport:h4}  '
  + '{dpkts:10} {doctets:10}\n'
const TIMES = ' {start}  {end}  {active} {octets_per_packet:3} {tos:x2} {tcp_flags:x2}\n\n'
const SIZES = '{doctets:10}  {dpkts:10}\n'
const SIZES_HEAD = 'octets      packets\n'
const TOTALS = '{dflows:12}{doctets:12}{dpkts:12}{duration:12}\n'
const TOTALS_HEAD = 'flows       octets      packets     duration\n'

/** The formats from 0 to 24. */
export const PRINT_FORMATS: readonly PrintFormat[] = [
  {
    head: 'Sif  SrcIPaddress     Dif  DstIPaddress      Pr SrcP DstP  Pkts       Octets\n',
    row: SUMMARY,
  },
  {
    head: 'Sif  SrcIPaddress     DIf  DstIPaddress      Pr SrcP DstP  Pkts  Octets\n'
      + ' StartTime          EndTime             Active   B/Pk Ts Fl\n\n',
    row: SUMMARY + TIMES,
    only: 'packets',
  },
  {
    head: 'Sif SrcIPaddress     DIf DstIPaddress    Pr SrcP DstP Pkts       Octets\n'
      + ' StartTime          EndTime             Active   B/Pk Ts Fl\n\n',
    row: '{input:x2}  {srcaddr:15}  {output:x2}  {dstaddr:15} {prot:x2} {srcport:h4} {dstport:h4} '
      + `{dpkts:10} {doctets:10}\n${TIMES}`,
    only: 'syn',
  },
  {
    head: `srcIP            dstIP            prot  srcPort  dstPort  ${SIZES_HEAD}`,
    row: `{srcaddr:15}  {dstaddr:15}  {prot:4}  {srcport:7}  {dstport:7}  ${SIZES}`,
  },
  {
    head: `srcIP              dstIP              prot  srcAS  dstAS  ${SIZES_HEAD}`,
    row: `{src_prefix:18} {dst_prefix:18} {prot:4}  {src_as:5}  {dst_as:5}  ${SIZES}`,
  },
  {
    head: 'Start             End               Sif   SrcIPaddress    SrcP  DIf   DstIPaddress    DstP    P '
      + 'Fl Pkts       Octets\n\n',
    row: '{start} {end} {input:5} {srcaddr:15} {srcport:5} {output:5} {dstaddr:15} {dstport:5} {prot:3} '
      + '{end_flags:2} {dpkts:10} {doctets:10}\n',
  },
  {
    head: '   Source           Destination              Packets               Bytes\n',
    row: ' {srcaddr:15}  {dstaddr:15}  {dpkts:>17}  {doctets:>18}\n',
  },
  {
    head: 'srcIP               dstIP               router_sc        prot   srcPort         dstPort         '
      + SIZES_HEAD,
    row: '{src_prefix:18}  {dst_prefix:18}  {router_sc:15}  {prot:5}  {srcport:14}  {dstport:14}  '
      + SIZES,
  },
  {
    head: 'srcIP               dstIP               peer_nexthop     encap i/o  prot   srcPort         '
      + `dstPort         ${SIZES_HEAD}`,
    row: '{src_prefix:18}  {dst_prefix:18}  {peer_nexthop:15}  {in_encaps:4} {out_encaps:4}  {prot:5}  '
      + `{srcport:14}  {dstport:14}  ${SIZES}`,
  },
  {
    head: `srcTag      dstTag      srcIP            dstIP            ${SIZES_HEAD}`,
    row: `0x{src_tag:x8}  0x{dst_tag:x8}  {srcaddr:15}  {dstaddr:15}  ${SIZES}`,
  },
  {
    head: `srcAS  dstAS  in     out    ${TOTALS_HEAD}`,
    row: `{src_as:5}  {dst_as:5}  {input:7}{output:7}${TOTALS}`,
  },
  {
    head: `srcPort  dstPort  prot   ${TOTALS_HEAD}`,
    row: `{srcport:7}  {dstport:7}  {prot:5}  ${TOTALS}`,
  },
  {
    head: `src/mask            srcAS  input  ${TOTALS_HEAD}`,
    row: `{src_prefix:18}  {src_as:5}  {input:7}${TOTALS}`,
  },
  {
    head: `dst/mask            dstAS  input  ${TOTALS_HEAD}`,
    row: `{dst_prefix:18}  {dst_as:5}  {output:7}${TOTALS}`,
  },
  {
    head: `srcPrefix           srcAS  dstPrefix           dstAS  input  output ${TOTALS_HEAD}`,
    row: `{src_prefix:18}  {src_as:5}  {dst_prefix:18}  {dst_as:5}  {input:7}{output:7}${TOTALS}`,
  },
  {
    head: `dstIP            router_sc        Dif    ToS  mToS xpackets    ${SIZES_HEAD}`,
    row: `{dstaddr:15}  {router_sc:15}  {output:5}  {tos:3}  {marked_tos:3}  {extra_pkts:10}  ${SIZES}`,
  },
  {
    head: 'srcIP            dstIP            router_sc        Sif    Dif    ToS  mToS xpackets    '
      + SIZES_HEAD,
    row: '{srcaddr:15}  {dstaddr:15}  {router_sc:15}  {input:5}  {output:5}  {tos:3}  {marked_tos:3}  '
      + `{extra_pkts:10}  ${SIZES}`,
  },
  {
    head: 'srcIP            dstIP            router_sc        Sif    Dif    SrcP   DstP   prot ToS  mToS '
      + `xpackets    ${SIZES_HEAD}`,
    row: '{srcaddr:15}  {dstaddr:15}  {router_sc:15}  {input:5}  {output:5}  {srcport:5}  {dstport:5}  '
      + `{prot:3}  {tos:3}  {marked_tos:3}  {extra_pkts:10}  ${SIZES}`,
  },
  {
    head: `ToS  srcAS  dstAS  in     out    ${TOTALS_HEAD}`,
    row: `{tos:3}  {src_as:5}  {dst_as:5}  {input:7}{output:7}${TOTALS}`,
  },
  {
    head: `ToS  srcPort  dstPort  prot   ${TOTALS_HEAD}`,
    // flow-print has the protocol under ToS, too
    row: `{prot:3}  {srcport:7}  {dstport:7}  {prot:5}  ${TOTALS}`,
  },
  {
    head: `ToS  srcPrefix           srcAS  input  ${TOTALS_HEAD}`,
    row: `{tos:3}  {src_prefix:18}  {src_as:5}  {input:7}${TOTALS}`,
  },
  {
    head: `ToS  dst/mask            dstAS  input  ${TOTALS_HEAD}`,
    row: `{tos:3}  {dst_prefix:18}  {dst_as:5}  {output:7}${TOTALS}`,
  },
  {
    head: `ToS  srcPrefix           srcAS  dstPrefix           dstAS  input  output ${TOTALS_HEAD}`,
    // flow-print has the values of the two columns in the middle the other way round
    row: `{tos:3}  {src_prefix:18}  {dst_prefix:=5}  {src_as:18}  {dst_as:5}  {input:7}{output:7}${TOTALS}`,
  },
  {
    head: `ToS  srcPrefix           dstPrefix           Pr   SrcP   DstP    input  output ${TOTALS_HEAD}`,
    row: '{tos:3}  {src_prefix:18}  {dst_prefix:18}  {prot:3}  {srcport:5}  {dstport:5}  {input:7}{output:7}'
      + TOTALS,
  },
  {
    head: '#Sif SrcIPaddress     DIf  DstIPaddress     Pr SrcP  DstP  Pkts       Octets       StartDate  '
      + 'StartTime     EndDate    EndTime       ExporterAddr    RouterSrc          Active B/Pk  Ts Fl  SrcAS '
      + 'DstAS\n\n',
    row: '{input:x4} {srcaddr:15}  {output:x4} {dstaddr:15}  {prot:x2} {srcport:5} {dstport:5} {dpkts:10} '
      + '{doctets:10}   {start_date}  {end_date}  {exaddr:15} {router_sc:15} {active} {octets_per_packet:4}  '
      + '{tos:x2} {tcp_flags:x2}  {src_as:5} {dst_as:5}\n',
    only: 'packets',
  },
]

/** The format that flow-print takes unless told, by the export version of the flows, as LAYOUTS calls it. */
export function printFormatFor(version: string): number {
  const known: Readonly<Record<string, number>> = { 6: 8, 7: 7, 1005: 9 }
  const [, scheme] = version.split('.')
  return scheme ? 9 + Number(scheme) : known[version] ?? 3
}
