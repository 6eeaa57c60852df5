import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { checkInput, FINDINGS, formatInput, fuzzNetflow, parseInput } from '../../fuzz/netflow.ts'

test('50,000 inputs of mutated datagrams keep the decoder’s promises', () => {
  const finding = fuzzNetflow(50_000, 20_261_120)
  if (finding) assert.fail(`${String(finding.error)} with\n${formatInput(finding.input)}`)
})

const files = existsSync(FINDINGS) ? readdirSync(FINDINGS) : []
const kept = files.filter((name) => /^netflow-.*\.hex$/.test(name))
for (const name of kept) {
  test(`an input that failed once: ${name}`, () => {
    checkInput(parseInput(readFileSync(new URL(name, FINDINGS), 'utf8')))
  })
}

test('inputs are kept as text that gives the same bytes', () => {
  const input = [Uint8Array.of(0, 9, 255), new Uint8Array(0), Uint8Array.of(1)]
  assert.equal(formatInput(input), '0009ff\n\n01\n')
  assert.deepEqual(parseInput(formatInput(input)), input)
})
