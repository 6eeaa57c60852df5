import { elementName } from './elements.ts'
import { FIELDS, ID, type Field, type FieldName, type FlowToolsName } from './fields.ts'

/** Sets of names that fields can go by in output, flowkit's own first. */
export const NAME_SETS = ['flowkit', 'iana', 'nfdump', 'goflow2', 'py3flowtools'] as const

/** A set of names for fields. */
export type NameSet = (typeof NAME_SETS)[number]

/** Names of py3flowtools that are not flow-tools' own in lower case. */
const PY3FLOWTOOLS = {
  bytes: 'dOctets', packets: 'dPkts', flows: 'dFlows', sys_uptime: 'sysUpTime',
} as const
const py3flowtools: Readonly<Partial<Record<FieldName, string>>> = PY3FLOWTOOLS

/** The name of a field in the set `py3flowtools`. */
export type Py3flowtoolsName<N extends FieldName> =
  N extends keyof typeof PY3FLOWTOOLS ? (typeof PY3FLOWTOOLS)[N] :
  [FlowToolsName<N>] extends [never] ? N : FlowToolsName<N>

const tables = new Map<string, readonly string[]>()

/**
 * The name of a field in a set: `src_addr`, `sourceIPv4Address`, `srcaddr`…
 *
 * It is flowkit's own where the set has none, and where the set's would be another field's too, so that no
 * two fields share a name. IANA calls some fields differently for IPv4 and IPv6: those are named by `family`,
 * and by flowkit's own name where it is not given.
 */
export function fieldLabel(field: Field, names: NameSet, family?: 4 | 6): string {
  const key = `${names}${family}`
  let labels = tables.get(key)
  if (!labels) tables.set(key, labels = makeLabels(names, family))
  return labels[field.id]
}

/** How fields are called in an output: the names of some, and the set that has the others'. */
export interface Labelling {
  readonly names?: NameSet
  readonly map?: ReadonlyMap<string, string>
}

/** The name of a field in an output, as `fieldLabel` unless it is told. */
export function outputLabel(field: Field, { names = 'flowkit', map }: Labelling, family?: 4 | 6): string {
  return map?.get(field.name) ?? fieldLabel(field, names, family)
}

/**
 * The name of the integer that an address is, which py3flowtools has beside its text: `srcaddr_raw`.
 *
 * Undefined in other sets, and for what is no address or has no name in flow-tools.
 */
export function rawLabel(field: Field, names: NameSet): string | undefined {
  const has = names === 'py3flowtools' && field.type === 'addr' && field.peers['flow-tools'] !== undefined
  return has ? `${fieldLabel(field, names)}_raw` : undefined
}

/** The fields that text has for `ids`, each once: without the nanoseconds, which are digits of others. */
export function printedFields(ids: Iterable<number>): Field[] {
  const shown = new Set(ids)
  shown.delete(ID.flowStartNs)
  shown.delete(ID.flowEndNs)
  return Array.from(shown, (id) => FIELDS[id])
}

function makeLabels(names: NameSet, family: 4 | 6 | undefined): string[] {
  const labels: string[] = FIELDS.map((field) => wantedLabel(field, names, family) ?? field.name)
  for (let clash = true; clash;) { // a field that falls back may clash with one that did not
    clash = false
    const owners = new Map<string, number>()
    for (const { id, name } of FIELDS) if (labels[id] === name) owners.set(name, id)
    for (const { id, name } of FIELDS) {
      const owner = owners.get(labels[id])
      if (owner === undefined) owners.set(labels[id], id)
      else if (owner !== id) {
        labels[id] = name
        clash = true
      }
    }
  }
  return labels
}

function wantedLabel(field: Field, names: NameSet, family: 4 | 6 | undefined): string | undefined {
  switch (names) {
    case 'flowkit': return field.name
    case 'iana': return ianaName(field, family)
    case 'py3flowtools': return py3flowtools[field.name] ?? field.peers['flow-tools']
    default: return field.peers[names]
  }
}

/** The name of a field's best element; of its IPv4 or IPv6 element where these are two. */
function ianaName({ elements }: Field, family: 4 | 6 | undefined): string | undefined {
  if (elements.length === 0) return undefined
  const [first, second = first] = elements.map(({ pen, id }) => elementName(pen, id))
  if (first === second || first.replace('IPv4', 'IPv6') !== second) return first
  if (family === undefined) return undefined
  return family === 6 ? second : first
}
