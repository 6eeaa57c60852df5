import { test } from 'node:test'
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { FlowkitError } from '../../core/flow/errors.ts'
import { FIELDS, ID } from '../../core/flow/fields.ts'
import { FLOW_TYPE } from '../../core/flow/names.ts'
import type { FlowFormat, WriteRequest } from '../../formats/format.ts'
import { formatOf, nfdumpText } from '../../formats/nfdump-text.ts'
import { batches, batchOf, bytesOf, ids, plainRow, textOf, type Flow } from './flows.ts'

process.env.TZ = 'UTC'

function micros(time: string): number {
  return Date.parse(`${time}Z`) * 1000
}

function formatNamed(name: string): FlowFormat {
  return nfdumpText.find((each) => each.name === name) ?? formatOf(name) ?? assert.fail(`no format ${name}`)
}

/** The lines of one flow. */
function rowOf(name: string, flow: Flow, request: WriteRequest = {}): string {
  return textOf(formatNamed(name), [flow], { quiet: true, ...request })
}

const COMMON: Flow = {
  type: FLOW_TYPE.NETFLOW_V9, received: micros('2026-11-21T02:25:20.937'), exporter_addr: '127.0.0.1', observation_domain_id: 42,
  sampling_rate: 100, proto: 6,
}

/** What fixtures/nfdump/texts.txt has been printed of. */
const FLOWS: readonly Flow[] = [
  {
    ...COMMON, flow_start: micros('2026-11-20T23:00:01.260'), flow_end: micros('2026-11-20T23:00:01.270'),
    bytes: 1135, packets: 5, flows: 1, out_bytes: 0, out_packets: 0, src_addr: '10.20.1.161',
    dst_addr: '198.51.100.46', src_port: 43124, dst_port: 80, tcp_flags: 2, direction: 0, in_if: 12, out_if: 10,
    src_as: 4200000001, dst_as: 3320, src_mask: 0, dst_mask: 32, next_hop: '0.0.0.0', bgp_next_hop: '192.0.2.77',
    forwarding_status: 66, src_mac: '02:11:00:00:00:09', dst_mac: '02:33:00:00:01:06',
    post_src_mac: '02:44:00:00:00:04', post_dst_mac: '02:22:00:00:01:06', vlan_id: 300, post_vlan_id: 0,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:52.578'), flow_end: micros('2026-11-20T22:59:52.588'),
    bytes: 848, packets: 2, src_addr: '2001:db8:a:4::22', dst_addr: '2001:db8:ffff::c', src_port: 46046,
    dst_port: 445, tcp_flags: 27, tos: 184, in_if: 11, out_if: 6, src_as: 64501, dst_as: 0, src_mask: 64,
    dst_mask: 128, next_hop: '2001:db8:1::1', bgp_next_hop: '2001:db8:2::2',
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:40.735'), flow_end: micros('2026-11-20T22:59:45.735'),
    bytes: 300, packets: 2, proto: 17, src_addr: '10.20.0.26', dst_addr: '198.51.100.15', src_port: 52072,
    dst_port: 5060, in_if: 10, out_if: 3, src_mask: 0, dst_mask: 0, mpls_label_1: 16003, mpls_label_2: 24003, mpls_label_3: 299776,
    mpls_exp: 0x928,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:27.173'), flow_end: micros('2026-11-20T22:59:27.173'),
    event_time: micros('2026-11-20T22:59:27.173'), bytes: 56879, packets: 0, flows: 1, out_bytes: 60429,
    out_packets: 0, src_addr: '10.20.2.25', dst_addr: '198.51.100.22', src_port: 34663, dst_port: 22, in_if: 6,
    out_if: 6, src_mask: 0, dst_mask: 0, post_nat_src_addr: '192.0.2.16', post_nat_dst_addr: '198.51.100.22', post_napt_src_port: 20650,
    post_napt_dst_port: 22, firewall_event: 2, firewall_ext_event: 0, flow_id: 1704580019n,
  },
  {
    ...COMMON, flow_start: micros('2026-11-20T22:59:09.833'), flow_end: micros('2026-11-20T22:59:09.833'),
    event_time: micros('2026-11-20T22:59:09.833'), bytes: 0, packets: 0, src_addr: '10.20.1.189',
    dst_addr: '198.51.100.50', src_port: 1580, dst_port: 80, src_vrf: 20, dst_vrf: 0, nat_event: 2,
    post_nat_src_addr: '192.0.2.18', post_nat_dst_addr: '198.51.100.50', post_napt_src_port: 46177,
    post_napt_dst_port: 80,
  },
]

const texts = readFileSync(new URL('../fixtures/nfdump/texts.txt', import.meta.url), 'utf8')

for (const section of texts.split(/^=== /m).slice(1)) {
  const [title] = section.split('\n', 1)
  const [, name, option] = /^(.*?)(?: -([6N]))?$/.exec(title)!
  test(`five flows are printed as by nfdump: ${title}`, () => {
    // nfcapd 1.7.1 leaves the times of flows in events 0
    const flows = name.endsWith('1.7.1') || name === 'pipe' ? FLOWS.map((flow) => (
      flow.event_time === undefined ? flow : { ...flow, flow_start: 0, flow_end: 0 }
    )) : FLOWS
    const request = { ipv6Full: option === '6', plainNumbers: option === 'N', quiet: name.startsWith('fmt:') }
    const [printed] = textOf(formatNamed(name), flows, request).split(/^Summary/m)
    assert.equal(printed, section.slice(title.length + 1))
  })
}
