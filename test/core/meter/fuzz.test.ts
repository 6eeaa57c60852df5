import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FINDINGS } from '../../fuzz/netflow.ts'
import { checkPackets, formatPackets, fuzzPackets, parsePackets } from '../../fuzz/packets.ts'

test('50,000 mutated packets keep the meter’s promises', () => {
  const finding = fuzzPackets(50_000, 20_261_121)
  if (finding) assert.fail(`${String(finding.error)} with\n${formatPackets(finding.input)}`)
})

const files = existsSync(FINDINGS) ? readdirSync(FINDINGS) : []
for (const name of files.filter((file) => /^packets-.*\.txt$/.test(file))) {
  test(`packets that failed once: ${name}`, () => {
    checkPackets(parsePackets(readFileSync(new URL(name, FINDINGS), 'utf8')))
  })
}

test('packets are kept as text that gives the same', () => {
  const packet = { time: 5, linkType: 1, wireLength: 60, interfaceIndex: -3, bytes: Uint8Array.of(0, 255) }
  const packets = [packet, { ...packet, bytes: new Uint8Array(0) }]
  const input = { options: { biflow: true, maxFlows: 4 }, packets }
  assert.equal(formatPackets(input), '{"biflow":true,"maxFlows":4}\n5 1 60 -3 00ff\n5 1 60 -3 \n')
  assert.deepEqual(parsePackets(formatPackets(input)), input)
})
