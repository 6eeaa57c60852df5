import { FIELDS, ID, type Field, type FieldType } from '../core/flow/fields.ts'
import { fieldLabel, printedFields, rawLabel, type NameSet } from '../core/flow/labels.ts'
import { FLOW_TYPES } from '../core/flow/names.ts'

const SCHEMAS: Readonly<Record<FieldType, object>> = {
  u8: { type: 'integer', minimum: 0, maximum: 0xff },
  u16: { type: 'integer', minimum: 0, maximum: 0xffff },
  u32: { type: 'integer', minimum: 0, maximum: 0xffffffff },
  u64: { type: 'integer', minimum: 0, maximum: 2 ** 64 }, // 2^64 - 1 is no double
  count: { type: 'integer', minimum: 0, maximum: 2 ** 53 },
  time: { type: 'string', format: 'date-time' },
  addr: { type: 'string', anyOf: [{ format: 'ipv4' }, { format: 'ipv6' }] },
  mac: { type: 'string', pattern: '^[0-9a-f]{2}(:[0-9a-f]{2}){5}$' },
  text: { type: 'string' },
  octets: { type: 'string', pattern: '^([0-9a-f]{2})*$' },
}

/**
 * The JSON Schema (2020-12) of one object that the format `json` writes under these names.
 *
 * No member is required, since an absent field is left out; members beside those listed are elements that
 * flowkit has no field for.
 */
export function jsonSchema(names: NameSet): Record<string, unknown> {
  const properties: Record<string, object> = {}
  for (const field of printedFields(FIELDS.keys())) {
    for (const family of [4, 6] as const) properties[fieldLabel(field, names, family)] = schemaOf(field)
    const raw = rawLabel(field, names)
    if (raw !== undefined) {
      const description = `${field.doc}, as a number`
      properties[raw] = { type: 'integer', minimum: 0, maximum: 2 ** 128, description }
    }
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Flow record',
    type: 'object',
    properties,
    additionalProperties: true,
  }
}

function schemaOf({ id, type, unit, doc }: Field): object {
  const description = unit === '' || type === 'time' ? doc : `${doc}, in ${unit}`
  if (id === ID.type) return { type: 'string', enum: FLOW_TYPES, description }
  return { ...SCHEMAS[type], description }
}
