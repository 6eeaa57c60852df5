import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterMachine, type FilterMachine } from '../../../core/capture/filter-machine.ts'
import type { Instruction } from '../../../core/net/bpf.ts'
import { randomNumbers } from '../../fuzz/mutate.ts'

/** Bytes 0x10 0x21 … 0xff, and some before and behind that are not of the packet. */
const PACKET = Uint8Array.from({ length: 16 }, (_, i) => 0x10 + i * 0x0f + i * 2)
const BYTES = new Uint8Array([0xaa, 0xaa, 0xaa, ...PACKET, 0xbb, 0xbb, 0xbb])

/** What a program returns for PACKET, 1,500 bytes on the wire. */
function result(...program: readonly (readonly [code: number, value?: number])[]): number {
  const instructions = program.map(([code, value = 0]): Instruction => [code, 0, 0, value])
  return filterMachine(instructions)(BYTES, 3, 19, 1500)
}

/** A after one instruction with A and X as they are given. */
function resultOf(code: number, a: number, x: number, value = 0): number {
  return result([0x01, x], [0x00, a], [code, value], [0x16])
}

// codes: linux/bpf_common.h; BPF_RET | BPF_A 0x16, BPF_LD | BPF_IMM 0x00, BPF_LDX | BPF_IMM 0x01
const RETURN_A = [0x16] as const

test('loads take words, halves and bytes in network order', () => {
  assert.deepEqual([...PACKET.subarray(0, 5)], [0x10, 0x21, 0x32, 0x43, 0x54])
  assert.equal(result([0x20, 0], RETURN_A), 0x10213243) // ld [0]
  assert.equal(result([0x20, 12], RETURN_A), 0xdcedfe0f)
  assert.equal(result([0x28, 1], RETURN_A), 0x2132) // ldh [1]
  assert.equal(result([0x30, 4], RETURN_A), 0x54) // ldb [4]
})

test('loads by an index add X', () => {
  assert.equal(result([0x01, 2], [0x40, 1], RETURN_A), 0x43546576) // ld [x + 1]
  assert.equal(result([0x01, 2], [0x48, 1], RETURN_A), 0x4354)
  assert.equal(result([0x01, 2], [0x50, 1], RETURN_A), 0x43)
})

test('loads from beyond the packet refuse it, whatever lies there', () => {
  const keep = [0x06, 7] as const
  assert.deepEqual([12, 13].map((at) => result([0x20, at], keep)), [7, 0])
  assert.deepEqual([14, 15].map((at) => result([0x28, at], keep)), [7, 0])
  assert.deepEqual([15, 16].map((at) => result([0x30, at], keep)), [7, 0])
  assert.deepEqual([15, 16].map((at) => result([0xb1, at], keep)), [7, 0])
  for (const at of [0x7fffffff, 0x80000000, 0xfffff004, 0xffffffff]) {
    for (const code of [0x20, 0x28, 0x30, 0xb1]) assert.equal(result([code, at], keep), 0)
  }
  // a sum beyond 32 bits does not come round
  for (const code of [0x40, 0x48, 0x50]) {
    assert.equal(result([0x01, 0xffffffff], [code, 1], keep), 0)
    assert.equal(result([0x01, 1], [code, 0xffffffff], keep), 0)
  }
})

test('an empty packet has nothing to load', () => {
  assert.equal(filterMachine([[0x30, 0, 0, 0], [6, 0, 0, 1]])(BYTES, 3, 3, 0), 0)
  assert.equal(filterMachine([[6, 0, 0, 1]])(BYTES, 3, 3, 0), 1)
})

test('A and X take constants and the length on the wire', () => {
  assert.equal(result([0x00, 0xfedcba98], RETURN_A), 0xfedcba98) // ld #k
  assert.equal(result([0x80], RETURN_A), 1500) // ld #len
  assert.equal(result([0x81], [0x87], RETURN_A), 1500) // ldx #len; txa
  assert.equal(result([0x01, 9], [0x87], RETURN_A), 9) // ldx #k; txa
  assert.equal(result([0x00, 8], [0x07], [0x00, 0], [0x87], RETURN_A), 8) // tax; txa
})

test("the length of IP's header is four times the low half of a byte", () => {
  assert.equal(result([0xb1, 3], [0x87], RETURN_A), 12) // ldx 4 * ([3] & 0xf), of 0x43
  assert.equal(result([0xb1, 15], [0x87], RETURN_A), 60) // of 0x0f
})

test('memory keeps A and X, and begins empty for each packet', () => {
  assert.equal(result([0x00, 5], [0x02, 15], [0x00, 0], [0x60, 15], RETURN_A), 5) // st M[15]; ld M[15]
  assert.equal(result([0x01, 6], [0x03, 0], [0x61, 0], [0x87], RETURN_A), 6) // stx M[0]; ldx M[0]
  const twice = filterMachine([ // ld M[1]; tax; ld #3; st M[1]; txa
    [0x60, 0, 0, 1], [0x07, 0, 0, 0], [0x00, 0, 0, 3], [0x02, 0, 0, 1], [0x87, 0, 0, 0], [0x16, 0, 0, 0],
  ])
  assert.deepEqual([0, 1].map(() => twice(BYTES, 3, 19, 0)), [0, 0])
})

test('arithmetic is of 32 bits without sign', () => {
  // with a value, and with X
  const cases: readonly (readonly [code: number, a: number, operand: number, result: number])[] = [
    [0x04, 0xffffffff, 3, 2], [0x14, 2, 3, 0xffffffff], [0x24, 0x10001, 0x10001, 0x20001],
    [0x24, 0xffffffff, 0xffffffff, 1], [0x34, 0xfffffffe, 2, 0x7fffffff], [0x34, 7, 0xffffffff, 0],
    [0x34, 0xffffffff, 1, 0xffffffff], [0x94, 0xffffffff, 10, 5], [0x94, 5, 0xfffffffe, 5],
    [0x44, 0xf0000000, 0x0f, 0xf000000f], [0x54, 0xff00ff00, 0x8ff00000, 0x8f000000],
    [0xa4, 0xff00ff00, 0xffffffff, 0x00ff00ff], [0x64, 1, 31, 0x80000000], [0x74, 0x80000000, 31, 1],
    [0x64, 3, 0, 3], [0x64, 1, 32, 0], [0x74, 0xffffffff, 32, 0], [0x64, 1, 0xffffffff, 0],
  ]
  for (const [code, a, operand, expected] of cases) {
    const name = `code ${code.toString(16)} of ${a} and ${operand}`
    assert.equal(resultOf(code, a, 77, operand), expected, name)
    assert.equal(resultOf(code | 8, a, operand), expected, `${name} in X`)
  }
  assert.deepEqual([0, 1, 0x80000000].map((a) => resultOf(0x84, a, 0)), [0, 0xffffffff, 0x80000000]) // neg
})

test('a division by an X of 0 refuses the packet', () => {
  for (const code of [0x3c, 0x9c]) assert.equal(result([0x00, 5], [code], [0x06, 1]), 0)
})

test('jumps compare without sign, with a value and with X', () => {
  const cases: readonly (readonly [code: number, a: number, operand: number, isTrue: boolean])[] = [
    [0x15, 5, 5, true], [0x15, 5, 4, false], [0x15, 0xffffffff, 0xffffffff, true],
    [0x25, 0x80000000, 1, true], [0x25, 5, 5, false], [0x25, 4, 5, false],
    [0x35, 5, 5, true], [0x35, 0xffffffff, 5, true], [0x35, 5, 0xffffffff, false],
    [0x45, 0x80000001, 0x80000000, true], [0x45, 6, 9, false],
  ]
  for (const [code, a, operand, isTrue] of cases) {
    const after: readonly Instruction[] = [[6, 0, 0, 10], [6, 0, 0, 20], [6, 0, 0, 30]]
    const begin: readonly Instruction[] = [[0x01, 0, 0, operand], [0x00, 0, 0, a]]
    for (const [jump, value] of [[code, operand], [code | 8, 0]]) {
      const machine = filterMachine([...begin, [jump, 2, 1, value], ...after])
      const name = `code ${jump.toString(16)} of ${a} and ${operand}`
      assert.equal(machine(BYTES, 3, 19, 0), isTrue ? 30 : 20, name)
    }
  }
  assert.equal(filterMachine([[0x05, 0, 0, 1], [6, 0, 0, 1], [6, 0, 0, 2]])(BYTES, 3, 19, 0), 2) // ja 1
})

test('jumps go back as often as headers in a packet can follow each other, but not for ever', () => {
  // ld #k; sub #1; jeq #0 to the end; ja back to sub
  const countDown = (from: number): FilterMachine => filterMachine([
    [0x00, 0, 0, from], [0x14, 0, 0, 1], [0x15, 1, 0, 0], [0x05, 0, 0, 0xfffffffd], [6, 0, 0, 9],
  ])
  assert.equal(countDown(65_000)(BYTES, 3, 19, 0), 9)
  assert.equal(countDown(0)(BYTES, 3, 19, 0), 0)
  assert.equal(filterMachine([[0x05, 0, 0, 0xffffffff], [6, 0, 0, 1]])(BYTES, 3, 19, 0), 0)
})

test('what is returned has 32 bits without sign', () => {
  assert.equal(result([0x06, 0xffffffff]), 0xffffffff)
  assert.equal(result([0x00, 0x80000000], RETURN_A), 0x80000000)
})

test('programs that could not be run to their end are refused', () => {
  const end: Instruction = [6, 0, 0, 1]
  const refused: readonly (readonly [program: readonly Instruction[], reason: string])[] = [
    [[], 'expected a return at its end, found none in 0 instructions'],
    [[[0, 0, 0, 1]], 'expected a return at its end, found none in 1 instructions'],
    [[[0x15, 1, 0, 0], end], 'expected jumps inside, found one to 2 of 2'],
    [[[0x1d, 0, 255, 0], end], 'expected jumps inside, found one to 256 of 2'],
    [[[0x05, 0, 0, 1], end], 'expected jumps inside, found one to 2 of 2'],
    [[[0x05, 0, 0, 0xfffffffe], end], 'expected jumps inside, found one to -1 of 2'],
    [[[0x60, 0, 0, 16], end], 'expected 16 words of memory, found word 16'],
    [[[0x61, 0, 0, 16], end], 'expected 16 words of memory, found word 16'],
    [[[0x02, 0, 0, 16], end], 'expected 16 words of memory, found word 16'],
    [[[0x03, 0, 0, 0xffffffff], end], 'expected 16 words of memory, found word 4294967295'],
    [[[0x34, 0, 0, 0], end], 'expected a divisor, found 0'],
    [[[0x94, 0, 0, 0], end], 'expected a divisor, found 0'],
    [[[0x0e, 0, 0, 0], end], 'expected an instruction, found code 14 at 0'],
    [[end, [0xffff, 0, 0, 0], end], 'expected an instruction, found code 65535 at 1'],
  ]
  for (const [program, reason] of refused) {
    assert.throws(() => filterMachine(program), {
      code: 'ERR_MALFORMED', message: `Cannot run filter program: ${reason}`,
    })
  }
})

test('random instructions are refused or end with a number of 32 bits', () => {
  const random = randomNumbers(1)
  let made = 0
  for (let round = 0; round < 20_000; round++) {
    const program = Array.from({ length: random() % 12 }, (): Instruction => {
      return [random() % 0xb8, random() % 4, random() % 4, random() % 2 ? random() % 20 : random()]
    })
    try {
      const end = 3 + random() % 17
      const kept = filterMachine([...program, [0x16, 0, 0, 0]])(BYTES, 3, end, random())
      assert.ok(Number.isInteger(kept) && kept >= 0 && kept < 2 ** 32)
      made++
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'ERR_MALFORMED')
    }
  }
  assert.ok(made > 1000, `${made} programs`)
})
