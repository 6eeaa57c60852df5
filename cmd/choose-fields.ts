import { FIELDS, findField, type Field } from '../core/flow/fields.ts'
import { CORE_FIELDS } from '../core/flow/sql.ts'
import { fieldByAnyName } from '../formats/named-rows.ts'
import { fieldNamed } from './inputs.ts'

/** What `--fields` names. */
export interface ChosenFields {
  /** Their ids, in the order in which they were named. */
  readonly fields: readonly number[]
  /** Whether elements without a field were named too. */
  readonly extras: boolean
}

/**
 * The fields that names stand for, flowkit's own or another's that `--names` knows, and `core` and `all`.
 *
 * @throws FlowkitError ERR_OPTION about an unknown one
 */
export function chooseFields(names: readonly string[]): ChosenFields {
  const fields = names.flatMap((name): readonly Field[] => (
    name === 'all' ? FIELDS : name === 'core' ? CORE_FIELDS
      : [findField(name) ?? fieldByAnyName(name) ?? fieldNamed(name)]
  ))
  return { fields: [...new Set(fields.map(({ id }) => id))], extras: names.includes('all') }
}
