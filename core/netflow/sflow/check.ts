import { FlowkitError } from '../../flow/errors.ts'

/** Formats of samples that flowkit reads: sFlow version 5 section 5.3, sflow_drops.txt. */
export const SAMPLE = { flow: 1, counters: 2, expandedFlow: 3, expandedCounters: 4, discard: 5 } as const

/** Bytes before the records of a sample, their number included, by format. */
const FIXED_PARTS: Readonly<Record<number, number>> = { 1: 32, 2: 12, 3: 44, 4: 16, 5: 32 }

/**
 * Check that the samples behind their number, which stands before `at`, lie in the datagram, and the records
 * of known samples in their samples.
 *
 * XDR pads samples and records to four bytes; at the end of what encloses them the padding may be missing.
 * Bytes behind the last sample or record are allowed, since newer agents may add to a structure.
 *
 * @returns the number of samples that become rows: flow samples and discarded packets
 * @throws FlowkitError ERR_TRUNCATED or ERR_MALFORMED
 */
export function checkSamples(view: DataView, at: number, end: number): number {
  const samples = view.getUint32(at - 4)
  let rows = 0
  for (let i = 0; i < samples; i++) {
    const length = lengthAt(view, at, end)
    if (length < 0) {
      throw new FlowkitError('ERR_TRUNCATED',
        `Cannot decode sFlow datagram: ${samples} samples wanted, sample ${i + 1} passes the end`)
    }
    const format = view.getUint32(at)
    const body = at + 8
    const fixed = FIXED_PARTS[format] ?? 0
    if (length < fixed) {
      throw new FlowkitError('ERR_MALFORMED',
        `Cannot decode sFlow sample of format ${format}: ${fixed} bytes wanted, its length is ${length}`)
    }
    if (fixed > 0) checkRecords(view, body + fixed, body + length)
    if (format === SAMPLE.flow || format === SAMPLE.expandedFlow || format === SAMPLE.discard) rows++
    at = Math.min(end, body + Math.ceil(length / 4) * 4)
  }
  return rows
}

/** Check the records behind their number, which stands before `at`. */
function checkRecords(view: DataView, at: number, end: number): void {
  const records = view.getUint32(at - 4)
  for (let i = 0; i < records; i++) {
    const length = lengthAt(view, at, end)
    if (length < 0) {
      throw new FlowkitError('ERR_MALFORMED',
        `Cannot decode sFlow sample: ${records} records wanted, record ${i + 1} passes its end`)
    }
    at = Math.min(end, at + 8 + Math.ceil(length / 4) * 4)
  }
}

/** The length of the sample or record at `at`, behind its format; -1 if it passes `end`. */
function lengthAt(view: DataView, at: number, end: number): number {
  if (end - at < 8) return -1
  const length = view.getUint32(at + 4)
  return length > end - at - 8 ? -1 : length
}
