/** The extensions of nfdump's records that a flow would fill (src/libnffile/nfxV3.h). */
import type { AddressColumn } from '../../core/flow/address.ts'
import { ID } from '../../core/flow/fields.ts'
import type { Shape } from '../../core/flow/shape.ts'
import type { Context } from './rows.ts'

/** What an extension holds. */
interface Group {
  /** Its number, and the number of its form for IPv6. */
  readonly id: number
  readonly id6: number
  /** Bytes of it in a record, its header included, likewise. */
  readonly size: number
  readonly size6: number
  /** The address by whose family it is one or the other, or -1. */
  readonly address: number
  /** Ids of its fields: a flow that has one of them has it. */
  readonly fields: readonly number[]
}

function group(id: number, size: number, ...fields: number[]): Group {
  return { id, id6: id, size, size6: size, address: -1, fields }
}

/** An extension for IPv4, and the one for IPv6 behind it, of `count` addresses. */
function addresses(id: number, count: number, ...fields: number[]): Group {
  return { id, id6: id + 1, size: 4 + 4 * count, size6: 4 + 16 * count, address: fields[0], fields }
}

const LABELS = Array.from({ length: 10 }, (_, i) => ID.mplsLabel1 + i)

/** The name of an extension. */
export type GroupName =
  'generic' | 'flow' | 'misc' | 'counters' | 'vlan' | 'as' | 'bgpNextHop' | 'nextHop' | 'router' | 'mpls' |
  'mac' | 'adjacentAs' | 'latency' | 'sampler' | 'firewall' | 'nat' | 'natPorts' | 'accessLists' | 'user' |
  'natEvent' | 'portBlock' | 'application' | 'tunnel' | 'observation' | 'frame' | 'vrf' | 'packetFilter' |
  'layer2' | 'flowId' | 'ip'

/** Extensions by name, in the order of their numbers. */
const GROUPS: Readonly<Record<GroupName, Group>> = {
  generic: group(1, 52),
  flow: addresses(2, 2, ID.srcAddr, ID.dstAddr),
  misc: group(
    4, 20, ID.inIf, ID.outIf, ID.srcMask, ID.dstMask, ID.direction, ID.postTos, ID.biflowDirection,
    ID.endReason,
  ),
  counters: group(5, 28, ID.flows, ID.outPackets, ID.outBytes),
  vlan: group(6, 12, ID.vlanId, ID.postVlanId),
  as: group(7, 12, ID.srcAs, ID.dstAs),
  bgpNextHop: addresses(8, 1, ID.bgpNextHop),
  nextHop: addresses(10, 1, ID.nextHop),
  router: addresses(12, 1, ID.exporterAddr),
  mpls: group(14, 44, ...LABELS),
  mac: group(15, 36, ID.srcMac, ID.postDstMac, ID.dstMac, ID.postSrcMac),
  adjacentAs: group(16, 12, ID.nextAs, ID.prevAs),
  latency: group(17, 28, ID.clientLatency, ID.serverLatency, ID.appLatency),
  sampler: group(18, 20, ID.samplerId),
  firewall: group(19, 20, ID.firewallEvent, ID.firewallExtEvent),
  nat: addresses(20, 2, ID.postNatSrcAddr, ID.postNatDstAddr),
  natPorts: group(22, 8, ID.postNaptSrcPort, ID.postNaptDstPort),
  accessLists: group(23, 28, ID.inAcl, ID.outAcl),
  user: group(24, 72, ID.userName),
  natEvent: group(25, 20, ID.natEvent, ID.natPoolId),
  portBlock: group(26, 12, ID.portBlockStart, ID.portBlockEnd, ID.portBlockStep, ID.portBlockSize),
  application: group(27, 4, ID.applicationId),
  tunnel: { ...addresses(31, 2, ID.tunSrcAddr, ID.tunDstAddr), size: 16, size6: 40 },
  observation: group(33, 16, ID.observationPointId), // the domain is in headers too
  frame: group(34, 8, ID.frameLength),
  vrf: group(36, 12, ID.srcVrf, ID.dstVrf),
  packetFilter: group(37, 24, ID.pfAction, ID.pfReason, ID.pfDirection, ID.pfRule),
  layer2: group(
    38, 36, ID.customerVlanId, ID.postCustomerVlanId, ID.physInIf, ID.physOutIf, ID.ipVersion,
  ),
  flowId: group(39, 12, ID.flowId),
  ip: group(42, 8, ID.ipFlags, ID.minTtl, ID.maxTtl),
}

/** The extensions that flows of a shape fill. */
export function groupsOf({ mask }: Shape): GroupName[] {
  return (Object.keys(GROUPS) as GroupName[]).filter((name) => {
    if (name === 'generic') return true
    if (name === 'vlan' || name === 'layer2') {
      // the extension of layer 2 can tell of one VLAN only, that of VLANs always tells of both
      const isOne = mask[ID.vlanId] !== mask[ID.postVlanId]
      if (isOne) return name === 'layer2'
    }
    const isFirewall = mask[ID.firewallEvent] === 1 || mask[ID.firewallExtEvent] === 1
    // the connection's number and the event's time lie in the extension of the firewall, if there is that
    if (name === 'flowId' && isFirewall) return false
    if (name === 'natEvent' && !isFirewall && mask[ID.eventTime] === 1) return true
    return GROUPS[name].fields.some((id) => mask[id] === 1)
  })
}

/** Numbers and size of the extensions of a row. */
export interface Extensions {
  readonly ids: readonly number[]
  readonly size: number
}

const RECORD_HEADER = 12 // bytes

/** The extensions that each row of a shape fills, which differ by the families of its addresses. */
export function extensionsOf({ batch, shape }: Context): (row: number) => Extensions {
  const groups = groupsOf(shape).map((name) => GROUPS[name])
  const columns = groups.map(({ address }) => (
    address < 0 ? undefined : batch.column(address) as AddressColumn
  ))
  const known = new Map<number, Extensions>()
  const applications = shape.mask[ID.applicationId] ? batch.applicationId : undefined
  return (row) => {
    let key = 0
    for (const column of columns) if (column) key = key * 8 + column.family[row]
    let found = known.get(key)
    if (!found) {
      const kept = groups.flatMap(({ id, id6, size, size6 }, i) => {
        const family = columns[i] ? columns[i].family[row] : 4
        return family === 0 ? [] : family === 4 ? [{ id, size }] : [{ id: id6, size: size6 }]
      })
      const size = kept.reduce((sum, each) => sum + each.size, RECORD_HEADER)
      known.set(key, found = { ids: kept.map(({ id }) => id), size })
    }
    const more = applications ? applications[row * 2 + 1] : 0
    return more === 0 ? found : { ...found, size: found.size + more }
  }
}
