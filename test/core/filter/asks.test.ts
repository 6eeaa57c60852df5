/** What nfdump's filter lacks, or has in its manual alone, as far as no other test is about it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  compileFilter, explainFilter, filterToSql, parseFilter,
} from '../../../core/filter/filter.ts'
import { batchOf, type Row } from './rows.ts'

const ROWS: Readonly<Record<string, Row>> = {
  WEB: {
    proto: 6, src_addr: '10.20.0.1', dst_addr: '198.51.100.10', src_port: 50_000, dst_port: 443, bytes: 900,
    packets: 9, out_bytes: 15_000, out_packets: 12, observation_domain_id: 5, observation_point_id: 77n,
  },
  DNS: {
    proto: 17, src_addr: '2001:db8::1', dst_addr: '2001:db8:1::53', src_port: 53, dst_port: 53, bytes: 80,
    packets: 1, observation_domain_id: 0,
  },
  GRE: { proto: 47, src_addr: '10.30.0.1', dst_addr: '10.20.9.9', bytes: 4000, packets: 4 },
  V5: { type: 2 },
  V9: { type: 3 },
  IPFIX: { type: 4 },
  SFLOW: { type: 1 },
  CREATED: { proto: 6, src_addr: '192.0.2.1', firewall_event: 1, firewall_ext_event: 0 },
  DENIED: { proto: 6, src_addr: '192.0.2.1', firewall_event: 3, firewall_ext_event: 1001 },
  OUTWARD: { proto: 6, src_addr: '192.0.2.1', firewall_event: 3, firewall_ext_event: 1002 },
  NO_SYN: { proto: 6, src_addr: '192.0.2.1', firewall_event: 3, firewall_ext_event: 1004 },
  CLOSED: { proto: 6, src_addr: '192.0.2.1', firewall_event: 2, firewall_ext_event: 2032 },
  ODD: { firewall_event: 1, firewall_ext_event: 1001 },
}

// the filter, what it selects, and another that says the same
const ASKED: readonly (readonly [text: string, selected: string, same: string])[] = [
  ['ip 10.20.0.0/16', 'WEB GRE', 'net 10.20.0.0/16'],
  ['src ip 10.20.0.0/16', 'WEB', 'src net 10.20.0.0/16'],
  ['host 2001:db8:1::/48', 'DNS', 'net 2001:db8:1::/48'],
  ['obytes > 10k', 'WEB', 'out bytes > 10000'],
  ['ibytes > 899', 'WEB GRE', 'in bytes > 899'],
  ['opackets 12', 'WEB', 'out packets = 12'],
  ['ipackets 1', 'DNS', 'in packets = 1'],
  ['odid 5', 'WEB', 'observation domain id 5'],
  ['odid in [0-4]', 'DNS', 'observation_domain_id < 5'],
  ['opid 77', 'WEB', 'observation point id 77'],
  ['inet and not tcp', 'GRE', 'ipv4 and not proto 6'],
  ['asa event create', 'CREATED ODD', 'asa event 1'],
  ['asa event term', 'CLOSED', 'asa event delete'],
  ['asa event deny', 'DENIED OUTWARD NO_SYN', 'asa event 3'],
  ['asa event denied', 'DENIED OUTWARD NO_SYN', 'asa event 3'],
  ['asa event denied ingress', 'DENIED', 'asa event 3 and asa xevent 1001'],
  ['asa denied ingress', 'DENIED ODD', 'asa xevent 1001'],
  ['nfversion 5', 'V5', 'type netflow_v5'],
  ['nfversion > 5', 'V9 IPFIX', 'nfversion in [9 10]'],
  ['asa event deny egress', 'OUTWARD', 'asa xevent 1002'],
  ['asa event denied nosyn and tcp', 'NO_SYN', 'asa xevent 1004 and tcp'],
  ['asa event denied and not asa event denied ingress', 'OUTWARD NO_SYN',
    'asa event 3 and not asa xevent 1001'],
]

function select(text: string): string {
  const batch = batchOf(Object.values(ROWS))
  const selected = new Uint8Array(batch.length)
  compileFilter(parseFilter(text))(batch, selected)
  return Object.keys(ROWS).filter((_, row) => selected[row] === 1).join(' ')
}

for (const [text, selected, same] of ASKED) {
  test(`"${text}" selects ${selected}, as does "${same}"`, () => {
    assert.equal(select(text), selected)
    assert.equal(select(same), selected)
    const explained = explainFilter(parseFilter(text))
    assert.equal(filterToSql(parseFilter(explained)), filterToSql(parseFilter(text)))
  })
}
