/** The wire format of protobuf: https://protobuf.dev/programming-guides/encoding/. */
import { FlowkitError } from '../../core/flow/errors.ts'

/** Bytes of a varint, at most. */
export const VARINT = 10

/** A member of a message: its number, and an integer or bytes. */
export interface Member {
  readonly number: number
  readonly value: bigint | number | Uint8Array
}

/** A varint below 2^53, and the offset behind it; undefined if it is not all there, or larger. */
function readVarint(
  bytes: Uint8Array, at: number, end: number,
): { readonly value: number, readonly next: number } | undefined {
  let value = 0
  let scale = 1
  for (let i = 0; i < VARINT && at < end; i++, at++) {
    value += (bytes[at] & 0x7f) * scale
    if (bytes[at] < 0x80) return value <= Number.MAX_SAFE_INTEGER ? { value, next: at + 1 } : undefined
    scale *= 128
  }
  return undefined
}

/** A varint of up to 64 bits: a number where that is exact. */
function readInteger(bytes: Uint8Array, at: number, end: number): { value: bigint | number, next: number } {
  const small = readVarint(bytes, at, end)
  if (small) return small
  let value = 0n
  for (let shift = 0n; shift < 70n && at < end; shift += 7n, at++) {
    value |= BigInt(bytes[at] & 0x7f) << shift
    if (bytes[at] < 0x80) return { value: BigInt.asUintN(64, value), next: at + 1 }
  }
  throw damaged('a number has no end')
}

/** The members of the message `bytes[start..end)`. @throws FlowkitError ERR_MALFORMED */
export function readMessage(bytes: Uint8Array, start: number, end: number): Member[] {
  const members: Member[] = []
  for (let at = start; at < end;) {
    const tag = readVarint(bytes, at, end)
    if (!tag || tag.value < 8) throw damaged('a member has no number')
    const number = Math.floor(tag.value / 8)
    switch (tag.value % 8) {
      case 0: {
        const { value, next } = readInteger(bytes, tag.next, end)
        members.push({ number, value })
        at = next
        break
      }
      case 1: case 5: {
        at = tag.next + (tag.value % 8 === 1 ? 8 : 4)
        if (at > end) throw damaged('it ends in a member')
        members.push({ number, value: bytes.subarray(tag.next, at) })
        break
      }
      case 2: {
        const length = readVarint(bytes, tag.next, end)
        if (!length || length.value > end - length.next) throw damaged('it ends in a member')
        at = length.next + length.value
        members.push({ number, value: bytes.subarray(length.next, at) })
        break
      }
      default: throw damaged(`a member is of wire type ${tag.value % 8}`)
    }
  }
  return members
}

/** The numbers of a packed repeated member. */
export function readPacked(bytes: Uint8Array): number[] {
  const values: number[] = []
  for (let at = 0; at < bytes.length;) {
    const { value, next } = readInteger(bytes, at, bytes.length)
    values.push(Number(value))
    at = next
  }
  return values
}

function damaged(reason: string): FlowkitError {
  return new FlowkitError('ERR_MALFORMED', `Cannot read goflow2 message: ${reason}`)
}
