/**
 * Seeded fuzz of all that flowkit reads from files, and of filters: each format, compression and language.
 *
 *     node test/fuzz/formats.ts --count 200000 [--seed 1] [--reader NAME]
 *
 * A reader may give rows, tell of faults and throw FlowkitError; nothing else. What it reads does not depend
 * on the pieces in which it comes, it comes to an end, and its memory is bounded. Each reader has a process
 * of its own, two at a time. An input that breaks a promise is written to the temporary folder.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { fuzzAlone, type Target } from './driver.ts'
import { FILE_TARGETS } from './file-targets.ts'
import { FILTER_TARGETS } from './filter-targets.ts'
import { FORMAT_TARGETS } from './format-targets.ts'
import { UNPACK_TARGETS } from './unpack-targets.ts'
import { WRAPPED_TARGETS } from './wrapped-targets.ts'

const AT_A_TIME = 2
/** Else V8 collects garbage for every few buffers that a reader lets go of, which takes half of the time. */
const V8_OPTIONS = ['--external-memory-accounted-in-global-limit', '--max-old-space-size=1024']

/** Every reader, those that take long first. */
export const TARGETS: readonly Target[] = [
  ...FILE_TARGETS, ...WRAPPED_TARGETS, ...FORMAT_TARGETS, ...UNPACK_TARGETS, ...FILTER_TARGETS,
]

/** Fuzz readers, each in a process of its own. @returns whether all have passed */
async function fuzzApart(names: readonly string[], count: string, seed: string): Promise<boolean> {
  const rest = names.values()
  let isGood = true
  async function work(): Promise<void> {
    for (const name of rest) {
      if (!isGood) return
      const args = [fileURLToPath(import.meta.url), '--reader', name, '--count', count, '--seed', seed]
      const child = spawn(process.execPath, [...V8_OPTIONS, ...args], { stdio: 'inherit' })
      const [code, signal] = await once(child, 'close')
      if (code === 0) continue
      isGood = false
      process.stderr.write(`${name}: ended with ${signal ?? `code ${code}`}\n`)
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, work))
  return isGood
}

if (import.meta.main) {
  const { values: { count = '20000', seed = '1', reader } } = parseArgs({ options: {
    count: { type: 'string' }, seed: { type: 'string' }, reader: { type: 'string' },
  } })
  const names = TARGETS.map(({ name }) => name)
  const target = TARGETS.find(({ name }) => name === reader)
  if (target) await fuzzAlone(target, Number(count), Number(seed))
  else if (reader !== undefined) throw new RangeError(`no reader ${reader}, but ${names.join()}`)
  else if (!await fuzzApart(names, count, seed)) process.exitCode = 1
}
