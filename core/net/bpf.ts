/**
 * Programs for the kernel's packet filter, as sockets and system calls take them.
 *
 * Sources: linux/filter.h, linux/bpf_common.h.
 */
import type { Libc } from './ffi.ts'

/** A struct sock_filter: u16 code, u8 jt, u8 jf, u32 k. */
export type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number]

/** sizeof(struct sock_fprog), which comes first: unsigned short len 0, struct sock_filter *filter 8. */
export const PROGRAM_HEADER = 16

const INSTRUCTION = 8 // sizeof(struct sock_filter)

/** Lay out a program: a struct sock_fprog, and behind it what it refers to by its address. */
export function encodeProgram(libc: Libc, program: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(PROGRAM_HEADER + program.length * INSTRUCTION)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, program.length, true)
  view.setBigUint64(8, BigInt(libc.addressOf(bytes.buffer) + PROGRAM_HEADER), true)
  for (const [i, [code, ifTrue, ifFalse, value]] of program.entries()) {
    const at = PROGRAM_HEADER + i * INSTRUCTION
    view.setUint16(at, code, true)
    view.setUint8(at + 2, ifTrue)
    view.setUint8(at + 3, ifFalse)
    view.setUint32(at + 4, value, true)
  }
  return bytes
}
