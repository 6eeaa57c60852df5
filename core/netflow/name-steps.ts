import { ID } from '../flow/fields.ts'

/** A column of names that options records give, and the column of numbers that they belong to. */
export interface NameStep {
  readonly table: 'interfaces' | 'vrfs' | 'applications'
  readonly number: number
  readonly name: number
}

/** All of them. */
export const NAME_STEPS: readonly NameStep[] = [
  { table: 'interfaces', number: ID.inIf, name: ID.inIfName },
  { table: 'interfaces', number: ID.outIf, name: ID.outIfName },
  { table: 'vrfs', number: ID.srcVrf, name: ID.srcVrfName },
  { table: 'vrfs', number: ID.dstVrf, name: ID.dstVrfName },
  { table: 'applications', number: ID.applicationId, name: ID.applicationName },
]
