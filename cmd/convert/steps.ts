/** What `flowkit convert` does to flows: `--dedup`, `--biflow`, `--anonymise`. */
import { readFile } from 'node:fs/promises'
import { Type, type TBoolean, type TOptional, type TArray, type TString } from '@sinclair/typebox'
import { FlowkitError } from '../../core/flow/errors.ts'
import { parsePrefix, type Prefix } from '../../core/flow/prefix.ts'
import { hmacPseudonyms, truncation, type AddressMap } from '../../core/steps/address-map.ts'
import { newAddressSet, type AddressSet } from '../../core/steps/address-set.ts'
import { anonymiser } from '../../core/steps/anonymise.ts'
import { stitcher } from '../../core/steps/biflow.ts'
import { cryptopan, CRYPTOPAN_KEY_SIZE } from '../../core/steps/cryptopan.ts'
import { deduplicator } from '../../core/steps/dedup.ts'
import type { FlowStep } from '../../core/steps/step.ts'

/** The options. */
export const STEP_OPTIONS: {
  readonly dedup: TBoolean
  readonly biflow: TBoolean
  readonly anonymise: TOptional<TString>
  readonly keyFile: TOptional<TString>
  readonly keep: TOptional<TArray<TString>>
  readonly verify: TBoolean
} = {
  dedup: Type.Boolean({
    default: false, description: 'Remove flows that several exporters, or one twice, have reported',
  }),
  biflow: Type.Boolean({
    default: false, description: 'Make one flow of the two directions of a conversation',
  }),
  anonymise: Type.Optional(Type.String({
    title: 'METHOD', examples: ['cryptopan', 'truncate', 'truncate:16', 'hmac'],
    description: 'Replace all addresses: cryptopan keeps which ones share a prefix, truncate:N keeps N bits '
      + 'of IPv4 and twice as many of IPv6 (default: 24), hmac keeps nothing',
  })),
  keyFile: Type.Optional(Type.String({
    title: 'FILE',
    description: `The secret of cryptopan, ${CRYPTOPAN_KEY_SIZE} bytes or as many in hex, or of hmac`,
  })),
  keep: Type.Optional(Type.Array(Type.String({ title: 'CIDR' }), {
    description: 'Addresses that stay as they are',
  })),
  verify: Type.Boolean({
    default: false,
    description: 'Read the output again, and say how many addresses are left in it',
  }),
}

/** Their values. */
export interface StepOptions {
  readonly dedup: boolean
  readonly biflow: boolean
  readonly anonymise?: string
  readonly keyFile?: string
  readonly keep?: readonly string[]
  readonly verify: boolean
}

/** What is to be done. */
export interface Steps {
  /** In this order. */
  readonly steps: readonly FlowStep[]
  /** Addresses that are replaced, if they are to be looked for afterwards. */
  readonly originals: AddressSet | undefined
}

/** Least bytes of a secret of HMAC: half of what it gives (RFC 2104 §3 advises against less). */
const MIN_SECRET = 16
const DEFAULT_BITS = 24

/** @throws FlowkitError ERR_OPTION about what does not go together; the system error of the key's file */
export async function stepsOf(options: StepOptions): Promise<Steps> {
  const { dedup, biflow, anonymise, keyFile, keep, verify } = options
  const steps: FlowStep[] = []
  if (dedup) steps.push(deduplicator())
  if (biflow) steps.push(stitcher())
  if (anonymise === undefined) {
    const unused = keyFile !== undefined ? '--key-file' : keep ? '--keep' : verify ? '--verify' : undefined
    if (unused) throw new FlowkitError('ERR_OPTION', `Cannot use ${unused} without --anonymise`)
    return { steps, originals: undefined }
  }
  const originals = verify ? newAddressSet() : undefined
  const map = await mapOf(anonymise, keyFile)
  steps.push(anonymiser({ map, keep: (keep ?? []).map(prefixOf), ...originals && { replaced: originals } }))
  return { steps, originals }
}

async function mapOf(text: string, keyFile: string | undefined): Promise<AddressMap> {
  const [method, parameter] = text.split(':')
  if (method === 'truncate') {
    if (keyFile !== undefined) throw new FlowkitError('ERR_OPTION', 'Cannot use --key-file with truncate')
    const bits = parameter === undefined ? DEFAULT_BITS : /^\d+$/.test(parameter) ? Number(parameter) : NaN
    if (bits >= 0 && bits <= 32) return truncation(bits, bits * 2)
    throw new FlowkitError('ERR_OPTION', `Cannot truncate addresses to "${parameter}": expected 0 to 32 bits`)
  }
  if ((method !== 'cryptopan' && method !== 'hmac') || parameter !== undefined) {
    const known = 'expected cryptopan, truncate, truncate:N or hmac'
    throw new FlowkitError('ERR_OPTION', `Cannot anonymise by "${text}": ${known}`)
  }
  if (keyFile === undefined) {
    throw new FlowkitError('ERR_OPTION', `Cannot anonymise by ${method}: name its secret with --key-file`)
  }
  const secret = await readFile(keyFile)
  if (method === 'cryptopan') return cryptopan(cryptopanKey(secret, keyFile))
  if (secret.length >= MIN_SECRET) return hmacPseudonyms(secret)
  const found = `at least ${MIN_SECRET} bytes wanted, ${secret.length} found`
  throw new FlowkitError('ERR_OPTION', `Cannot use the secret in "${keyFile}": ${found}`)
}

/** The bytes of a key, which may be written in hex, with 0x in front and a line's end behind. */
function cryptopanKey(secret: Buffer, path: string): Uint8Array {
  const text = secret.toString('latin1').trim().replace(/^0x/i, '')
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex')
  if (secret.length === CRYPTOPAN_KEY_SIZE) return secret
  if (text.length === CRYPTOPAN_KEY_SIZE) return Buffer.from(text, 'latin1')
  const found = `${CRYPTOPAN_KEY_SIZE} bytes wanted, or 64 digits in hex, ${secret.length} bytes found`
  throw new FlowkitError('ERR_OPTION', `Cannot use the secret in "${path}": ${found}`)
}

function prefixOf(text: string): Prefix {
  const prefix = parsePrefix(text)
  if (prefix) return prefix
  throw new FlowkitError('ERR_OPTION', `Cannot keep "${text}": expected an address, or ADDRESS/BITS`)
}
