import fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatIpv4, formatIpv6, formatMac } from '../../../../core/flow/address.ts'
import { FIELDS, type Field, type FieldName } from '../../../../core/flow/fields.ts'
import { elementName } from '../../../../core/flow/elements.ts'
import type { TimeDigits } from '../../../../core/flow/shape.ts'
import { datagramEncoder, type ExportVersion } from '../../../../core/netflow/encode/encode.ts'
import { lossByField } from '../../../../core/flow/loss.ts'
import { batchOf, decodeAll, encodeAll, type Extra, type RowSource } from './rows.ts'
import { EXPORTED, type Row } from '../messages.ts'

const SEED = 20_261_121
const VERSIONS: readonly ExportVersion[] = [1, 5, 6, 7, 9, 10].map((version) => ({ version }) as ExportVersion)
const SCHEMES = Array.from({ length: 14 }, (_, i): ExportVersion => ({ version: 8, scheme: i + 1 }))
const OPTIONS = { maxSize: 9000, domain: 0, templateRefresh: Infinity }

/** Fields that an encoder or the collector sets, or that have tests of their own. */
const LEFT_TO_OTHERS: ReadonlySet<FieldName> = new Set<FieldName>([
  'type', 'received', 'sequence_num', 'export_secs', 'export_nsecs', 'sys_uptime', 'observation_domain_id',
  'exporter_addr', 'sampling_source', 'sampling_applied', 'aggregation', 'icmp_type', 'icmp_code', 'mpls_exp',
  'flow_start_ns', 'flow_end_ns',
])

const edges = (max: number) => fc.oneof(fc.constantFrom(0, 1, max - 1, max), fc.maxSafeNat().map((n) => n % (max + 1)))
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const ARBITRARIES: Readonly<Record<Field['type'], fc.Arbitrary<string | number>>> = {
  u8: edges(0xff),
  u16: edges(0xffff),
  u32: edges(0xffffffff),
  u64: edges(2 ** 53 - 1),
  count: fc.oneof(edges(2 ** 53 - 1), edges(0xffffffff), edges(0xffff)),
  time: fc.oneof(
    fc.integer({ min: -86_400_000, max: 0 }).map((ms) => EXPORTED * 1e6 + ms * 1000), // a day
    fc.integer({ min: -2_000_000_000, max: 2_000_000_000 }).map((us) => EXPORTED * 1e6 + us),
    fc.constantFrom(0, 1, (2 ** 32 - 1) * 1e6, (EXPORTED - 86_400 * 60) * 1e6, 2 ** 53 - 1),
  ),
  addr: fc.oneof(
    fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff)).map(formatIpv4),
    bytes(16).map((v6) => formatIpv6(v6, 0)),
  ),
  mac: edges(2 ** 48 - 1).map(formatMac),
  text: fc.string({ unit: 'binary', maxLength: 300 }).filter((text) => !text.endsWith('\0')),
  octets: fc.uint8Array({ maxLength: 40 }).map((octets) => Buffer.from(octets).toString('hex')),
}

/** 0 is no rate. */
const RATE = edges(0xffffffff).filter((rate) => rate > 0)

const FIELD_ARBITRARIES = Object.fromEntries(
  FIELDS.filter(({ name }) => !LEFT_TO_OTHERS.has(name) && !/^mpls_label/.test(name))
    .map(({ name, type }) => [name, name === 'sampling_rate' ? RATE : ARBITRARIES[type]]),
)
/** A stack of labels from the top, with the four bits below each of them. */
const STACK: fc.Arbitrary<Row> = fc.array(fc.tuple(edges(0xfffff), edges(15)), { maxLength: 10 }).map((labels) => ({
  ...Object.fromEntries(labels.map(([label], i) => [`mpls_label_${i + 1}`, label])),
  ...labels.length > 0 && { mpls_exp: labels.reduce((sum, [, exp], i) => sum + exp * 16 ** i, 0) },
}))

const EXTRA: fc.Arbitrary<Extra> = fc.record({
  pen: fc.constantFrom(0, 9, 29_305, 12_345), id: fc.integer({ min: 20_000, max: 32_767 }),
  hex: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((octets) => Buffer.from(octets).toString('hex')),
  variable: fc.boolean(),
})

const ROW: fc.Arbitrary<RowSource> = fc.record({
  fields: fc.tuple(fc.record(FIELD_ARBITRARIES, { requiredKeys: [] }), STACK)
    .map(([fields, stack]) => ({ ...fields, ...stack }) as Row),
  timeDigits: fc.constantFrom<TimeDigits>(-1, 0, 3, 6, 9),
  extras: fc.uniqueArray(EXTRA, { maxLength: 4, selector: ({ pen, id }) => `${pen}/${id}` }),
})

/** Where the encoder says it lost nothing, a collector must get what went in. */
function assertCarried(version: ExportVersion, source: RowSource): void {
  const encoder = datagramEncoder(version, OPTIONS)
  const made = decodeAll(encodeAll(encoder, batchOf(source)))
  const { rows } = encoder.loss
  assert.equal(made.length, 1 - rows.ipv6 - rows.oversized - rows.empty)
  if (made.length === 0) return
  const lost = new Map(lossByField(encoder.loss).map((field) => [field.name, field]))
  for (const [name, value] of Object.entries(source.fields)) {
    const { leftOut = 0, narrowed = 0 } = lost.get(name) ?? {}
    // a field that is left out is 0 in the records of the fixed versions
    if (leftOut > 0) assert.ok(version.version < 9 || !(name in made[0]), `${name} is there`)
    else if (narrowed === 0) assert.deepEqual(made[0][name], value, name)
  }
  const kept = (source.extras ?? []).filter(({ pen, id }) => !lost.has(elementName(pen, id)))
  if (version.version === 10) {
    assert.deepEqual(made[0]['extras'] ?? [], kept.map(({ pen, id, hex }) => `${pen}/${id}=${hex}`))
  } else if (version.version === 9) assert.equal((made[0]['extras'] as string[] | undefined)?.length ?? 0, kept.length)
}

for (const version of VERSIONS) {
  test(`NetFlow v${version.version} carries every field that it does not report as lost`, () => {
    fc.assert(fc.property(ROW, (source) => assertCarried(version, source)), { seed: SEED, numRuns: 300 })
  })
}

test('the schemes of NetFlow v8 carry every field that they do not report as lost', () => {
  const aggregated = fc.tuple(fc.constantFrom(...SCHEMES), ROW).map(([version, source]) => (
    [version, { ...source, fields: { ...source.fields, aggregation: version.scheme! } }] as const
  ))
  fc.assert(fc.property(aggregated, ([version, source]) => assertCarried(version, source)), { seed: SEED, numRuns: 500 })
})

test('rows of many shapes come out in their order, in messages of any size', () => {
  const batches = fc.array(fc.array(ROW, { maxLength: 12 }), { minLength: 1, maxLength: 3 })
  const sizes = fc.integer({ min: 2500, max: 9000 })
  fc.assert(fc.property(fc.constantFrom(9, 10), batches, sizes, (version, sources, maxSize) => {
    const ordered = sources.map((rows, b) => rows.map(({ fields, ...more }, i) => (
      { ...more, fields: { ...fields, fragment_id: b * 100 + i } }
    )))
    const encoder = datagramEncoder({ version: version as 9 | 10 }, { ...OPTIONS, maxSize })
    const made = encodeAll(encoder, ...ordered.map((rows) => batchOf(...rows)))
    assert.ok(made.every(({ length }) => length <= maxSize))
    assert.deepEqual(encoder.loss.rows, { ipv6: 0, oversized: 0, empty: 0, unknown: 0 })
    const sent = ordered.flat().map(({ fields }) => fields.fragment_id)
    assert.deepEqual(decodeAll(made).map((row) => row['fragment_id']), sent)
  }), { seed: SEED, numRuns: 60 })
})
