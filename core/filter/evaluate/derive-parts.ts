import { FLOW_TYPE } from '../../flow/names.ts'
import { idsOf, type Derived } from './derive.ts'

const ICMP = 1
const ICMP6 = 58
const MAX_LABEL = 2 ** 20 - 1
const LABELS = ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const).map((place) => `mpls_label_${place}` as const)

/** Bytes of an access list's field: list, entry and extended entry, 32 bits each. */
export const ACL_SIZE = 12

/** Versions of NetFlow by the value of the field `type`; IPFIX is 10 (RFC 7011 §3.1). */
const VERSIONS: ReadonlyMap<number, number> = new Map([
  ...([1, 5, 6, 7, 8, 9] as const).map((version) => [FLOW_TYPE[`NETFLOW_V${version}`], version] as const),
  [FLOW_TYPE.IPFIX, 10],
])

/** The version of NetFlow that carried the record. */
export const netflowVersion: Derived = {
  words: 'nfversion', type: 'u8', max: 255, fields: idsOf(['type']),
  sql: `CASE type ${[...VERSIONS].map(([type, version]) => `WHEN ${type} THEN ${version}`).join(' ')} END`,
  compute([type], length) {
    for (let i = 0; i < length; i++) type[i] = VERSIONS.get(type[i]) ?? NaN
  },
}

/** Where the field is absent, as NetFlow v5 has it: the destination port is type * 256 + code. */
export function icmp(words: string, name: 'icmp_type' | 'icmp_code', unit: number): Derived {
  return {
    words, type: 'u8', max: 255, fields: idsOf([name, 'proto', 'dst_port']),
    sql: `CASE WHEN proto IN (${ICMP}, ${ICMP6}) THEN coalesce(${name}, dst_port // ${unit} % 256) END`,
    compute([value, proto, port], length) {
      for (let i = 0; i < length; i++) {
        if (proto[i] !== ICMP && proto[i] !== ICMP6) value[i] = NaN
        else if (Number.isNaN(value[i])) value[i] = Math.floor(port[i] / unit) % 256
      }
    },
  }
}

/** The traffic class of a label, by its place from 1. */
export function trafficClass(place: number): Derived {
  const label = LABELS[place - 1]
  const unit = 2 ** (place * 4 - 3)
  return {
    words: `mpls exp${place}`, type: 'u8', max: 7, fields: idsOf(['mpls_exp', label]),
    sql: `CASE WHEN ${label} IS NOT NULL THEN ${bitsBelow(place - 1)} >> 1 & 7 END`,
    compute([bits, labels], length) {
      for (let i = 0; i < length; i++) {
        bits[i] = Number.isNaN(labels[i]) ? NaN : Math.floor(bits[i] / unit) % 8
      }
    },
  }
}

/** The label at the bottom of the stack. */
export const bottomLabel: Derived = {
  words: 'mpls eos', type: 'u32', max: MAX_LABEL, fields: idsOf(['mpls_exp', ...LABELS]),
  get sql() {
    const cases = LABELS.map((label, place) => `WHEN ${bitsBelow(place)} & 1 = 1 THEN ${label}`)
    return `CASE ${cases.join(' ')} END`
  },
  compute([bits, ...labels], length) {
    for (let i = 0; i < length; i++) {
      let place = 0
      let rest = bits[i]
      while (place < labels.length && rest % 2 !== 1) {
        rest = Math.floor(rest / 16)
        place++
      }
      bits[i] = place < labels.length ? labels[place][i] : NaN
    }
  },
}

/** The four bits below a label on the wire: traffic class, and 1 for the bottom of the stack. */
function bitsBelow(place: number): string {
  return `(mpls_exp >> ${place * 4})`
}

/** A number of an access list's field, by its place from 0. */
export function aclWord(words: string, name: 'in_acl' | 'out_acl', place: number): Derived {
  const digits = `substr(hex(${name}), ${place * 8 + 1}, 8)`
  return {
    words, type: 'u32', max: 0xffffffff, fields: idsOf([name]),
    sql: `CASE WHEN octet_length(${name}) = ${ACL_SIZE} THEN ('0x' || ${digits})::UINTEGER END`,
    compute([value], length, { heap }) {
      for (let i = 0; i < length; i++) {
        const at = value[i] + place * 4
        if (Number.isNaN(at)) continue
        value[i] = (heap[at] << 24 | heap[at + 1] << 16 | heap[at + 2] << 8 | heap[at + 3]) >>> 0
      }
    },
  }
}
