/**
 * A machine that runs programs of the classic packet filter, as libpcap does: bpf(4).
 *
 * Two registers of 32 bits, A and X, and 16 words of memory. A load from beyond the packet, and a division by
 * 0, refuse the packet. Jumps go forward, so that a program ends; but libpcap makes some that go back, to
 * follow the headers of IPv6 (`protochain`): so many of them are taken as a packet can have headers.
 * Source: linux/bpf_common.h.
 */
import { FlowkitError } from '../flow/errors.ts'
import type { Instruction } from '../net/bpf.ts'

/**
 * What a program says of the packet in `bytes` from `start` to `end`: bytes to keep of it, 0 to refuse it.
 *
 * @param wireLength bytes of the packet, of which fewer may have been captured
 */
export type FilterMachine = (
  bytes: Uint8Array, start: number, end: number, wireLength: number,
) => number

/** Operations, without gaps: so the switch becomes a table. */
const LOAD_WORD = 0, LOAD_HALF = 1, LOAD_BYTE = 2, LOAD_VALUE = 3, LOAD_LENGTH = 4, LOAD_MEMORY = 5
const X_VALUE = 6, X_LENGTH = 7, X_MEMORY = 8, X_IP_HEADER = 9, STORE = 10, STORE_X = 11
const ADD = 12, SUBTRACT = 13, MULTIPLY = 14, DIVIDE = 15, REMAINDER = 16, NEGATE = 17
const OR = 18, AND = 19, XOR = 20, SHIFT_LEFT = 21, SHIFT_RIGHT = 22
const JUMP = 23, IF_EQUAL = 24, IF_GREATER = 25, IF_NOT_LESS = 26, IF_BITS = 27
const RETURN_VALUE = 28, RETURN_A = 29, A_TO_X = 30, X_TO_A = 31

/** Operations by their codes; below, those that take X, in place of a value or as an index. */
const OPERATIONS: Readonly<Record<number, number>> = {
  0x20: LOAD_WORD, 0x28: LOAD_HALF, 0x30: LOAD_BYTE, 0x00: LOAD_VALUE, 0x80: LOAD_LENGTH, 0x60: LOAD_MEMORY,
  0x01: X_VALUE, 0x81: X_LENGTH, 0x61: X_MEMORY, 0xb1: X_IP_HEADER, 0x02: STORE, 0x03: STORE_X,
  0x04: ADD, 0x14: SUBTRACT, 0x24: MULTIPLY, 0x34: DIVIDE, 0x94: REMAINDER, 0x84: NEGATE,
  0x44: OR, 0x54: AND, 0xa4: XOR, 0x64: SHIFT_LEFT, 0x74: SHIFT_RIGHT,
  0x05: JUMP, 0x15: IF_EQUAL, 0x25: IF_GREATER, 0x35: IF_NOT_LESS, 0x45: IF_BITS,
  0x06: RETURN_VALUE, 0x16: RETURN_A, 0x07: A_TO_X, 0x87: X_TO_A,
}
const WITH_X: Readonly<Record<number, number>> = {
  0x40: LOAD_WORD, 0x48: LOAD_HALF, 0x50: LOAD_BYTE,
  0x0c: ADD, 0x1c: SUBTRACT, 0x2c: MULTIPLY, 0x3c: DIVIDE, 0x9c: REMAINDER,
  0x4c: OR, 0x5c: AND, 0xac: XOR, 0x6c: SHIFT_LEFT, 0x7c: SHIFT_RIGHT,
  0x1d: IF_EQUAL, 0x2d: IF_GREATER, 0x3d: IF_NOT_LESS, 0x4d: IF_BITS,
}

const MEMORY = 16 // words: BPF_MEMWORDS
/** Jumps back: a packet of 256 KiB holds so many headers of 4 bytes. */
const MOST_TURNS = 2 ** 16
/** Words of an instruction: operation, mask for X, where to go if it is true and if not, value. */
const WORDS = 5

/**
 * Make a machine for a program.
 *
 * @throws FlowkitError ERR_MALFORMED for a program that could not be run to its end
 */
export function filterMachine(program: readonly Instruction[]): FilterMachine {
  const code = new Int32Array(program.length * WORDS)
  for (const [i, instruction] of program.entries()) {
    code.set(encode(instruction, i, program.length), i * WORDS)
  }
  const last = code[code.length - WORDS]
  if (last !== RETURN_VALUE && last !== RETURN_A) {
    throw malformed(`expected a return at its end, found none in ${program.length} instructions`)
  }
  const isRead = program.some(([code]) => OPERATIONS[code] === LOAD_MEMORY || OPERATIONS[code] === X_MEMORY)
  const memory = new Int32Array(isRead ? MEMORY : 0)
  return (bytes, start, end, wireLength) => run(code, memory, bytes, start, end, wireLength)
}

function encode([code, ifTrue, ifFalse, value]: Instruction, at: number, length: number): number[] {
  const isX = code in WITH_X
  const operation = isX ? WITH_X[code] : OPERATIONS[code]
  if (operation === undefined) throw malformed(`expected an instruction, found code ${code} at ${at}`)
  const mask = isX ? -1 : 0
  switch (operation) {
    case LOAD_WORD: case LOAD_HALF: case LOAD_BYTE:
      return [operation, mask, 0, 0, value]
    case JUMP: case IF_EQUAL: case IF_GREATER: case IF_NOT_LESS: case IF_BITS: {
      const targets = operation === JUMP ? [at + 1 + (value | 0), 0] : [at + 1 + ifTrue, at + 1 + ifFalse]
      const wrong = targets.find((target) => target < 0 || target >= length)
      if (wrong !== undefined) throw malformed(`expected jumps inside, found one to ${wrong} of ${length}`)
      return [operation, mask, targets[0] * WORDS, targets[1] * WORDS, isX ? 0 : value]
    }
    case LOAD_MEMORY: case X_MEMORY: case STORE: case STORE_X:
      if (value >= MEMORY) throw malformed(`expected ${MEMORY} words of memory, found word ${value}`)
      break
    case DIVIDE: case REMAINDER:
      if (!isX && value === 0) throw malformed('expected a divisor, found 0')
  }
  return [operation, mask, 0, 0, isX ? 0 : value]
}

function malformed(reason: string): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot run filter program: ${reason}`)
}

function run(
  code: Int32Array, memory: Int32Array, bytes: Uint8Array, start: number, end: number, wireLength: number,
): number {
  let a = 0
  let x = 0
  let turns = 0
  if (memory.length > 0) memory.fill(0)
  for (let at = 0; ;) {
    const value = code[at + 4]
    const index = x & code[at + 1]
    const operand = value | index // of all but the loads, one of the two is 0
    switch (code[at]) {
      case LOAD_WORD: {
        const from = start + (value >>> 0) + (index >>> 0)
        if (from + 4 > end) return 0
        a = bytes[from] << 24 | bytes[from + 1] << 16 | bytes[from + 2] << 8 | bytes[from + 3]
        break
      }
      case LOAD_HALF: {
        const from = start + (value >>> 0) + (index >>> 0)
        if (from + 2 > end) return 0
        a = bytes[from] << 8 | bytes[from + 1]
        break
      }
      case LOAD_BYTE: {
        const from = start + (value >>> 0) + (index >>> 0)
        if (from >= end) return 0
        a = bytes[from]
        break
      }
      case LOAD_VALUE: a = value; break
      case LOAD_LENGTH: a = wireLength | 0; break
      case LOAD_MEMORY: a = memory[value]; break
      case X_VALUE: x = value; break
      case X_LENGTH: x = wireLength | 0; break
      case X_MEMORY: x = memory[value]; break
      case X_IP_HEADER: {
        const from = start + (value >>> 0)
        if (from >= end) return 0
        x = (bytes[from] & 15) << 2
        break
      }
      case STORE: memory[value] = a; break
      case STORE_X: memory[value] = x; break
      case ADD: a = a + operand | 0; break
      case SUBTRACT: a = a - operand | 0; break
      case MULTIPLY: a = Math.imul(a, operand); break
      case DIVIDE:
        if (operand === 0) return 0
        a = (a >>> 0) / (operand >>> 0) | 0
        break
      case REMAINDER:
        if (operand === 0) return 0
        a = (a >>> 0) % (operand >>> 0) | 0
        break
      case NEGATE: a = -a | 0; break
      case OR: a |= operand; break
      case AND: a &= operand; break
      case XOR: a ^= operand; break
      case SHIFT_LEFT: a = operand >>> 0 < 32 ? a << operand : 0; break
      case SHIFT_RIGHT: a = operand >>> 0 < 32 ? a >>> operand | 0 : 0; break
      case JUMP:
        if (code[at + 2] <= at && ++turns > MOST_TURNS) return 0
        at = code[at + 2]
        continue
      case IF_EQUAL: at = code[a === operand ? at + 2 : at + 3]; continue
      case IF_GREATER: at = code[a >>> 0 > operand >>> 0 ? at + 2 : at + 3]; continue
      case IF_NOT_LESS: at = code[a >>> 0 >= operand >>> 0 ? at + 2 : at + 3]; continue
      case IF_BITS: at = code[(a & operand) !== 0 ? at + 2 : at + 3]; continue
      case RETURN_VALUE: return value >>> 0
      case RETURN_A: return a >>> 0
      case A_TO_X: x = a; break
      case X_TO_A: a = x; break
    }
    at += WORDS
  }
}
