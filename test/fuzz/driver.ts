/** What the fuzzes of readers have in common: what a reader is to them, and how it is given damage. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { randomNumbers } from './mutate.ts'
import { watch } from './watchdog.ts'

/** Inputs to a turn of the event loop, in which what zlib holds is let go of. */
const INPUTS_PER_TURN = 64
/** What the process may take at its peak, in KiB. */
const MOST_MEMORY = 2 << 20

/** Random numbers of 32 bits. */
export type Random = () => number

/** Something that reads what it is given. */
export interface Target {
  readonly name: string
  start(): Promise<Fuzzed>
}

/** A target that is ready. */
export interface Fuzzed {
  /** How many mutants there are in an input, 1 unless told. */
  readonly mutants?: number
  make(random: Random): Uint8Array
  /** Read an input. What it throws, or rejects with, is a promise broken. */
  check(input: Uint8Array): void | Promise<void>
  close?(): void
}

/** An input that broke a promise. */
export interface Finding {
  readonly input: Uint8Array
  readonly error: unknown
}

/** Give a target `count` mutants, a little more where several are in an input. @returns what it fails on */
export async function fuzz(
  target: Target, count: number, seed: number, onInput: (input: Uint8Array) => void = () => {},
): Promise<Finding | undefined> {
  const random = randomNumbers(seed)
  const fuzzed = await target.start()
  const { mutants = 1 } = fuzzed
  try {
    for (let i = 0; i * mutants < count; i++) {
      const isTurn = i % INPUTS_PER_TURN === INPUTS_PER_TURN - 1
      const input = fuzzed.make(random)
      onInput(input)
      try {
        const checked = fuzzed.check(input)
        if (checked) await checked
        if (isTurn) await takeTurn()
      } catch (error) {
        return { input, error }
      }
    }
  } finally {
    fuzzed.close?.()
  }
  return undefined
}

/** Let the event loop go round. @throws AssertionError if memory is over its bound */
async function takeTurn(): Promise<void> {
  await setImmediate()
  const { maxRSS } = process.resourceUsage()
  assert.ok(maxRSS < MOST_MEMORY, `${maxRSS} KiB of memory`)
}

/**
 * Give a target so many mutants, and say how it went. An input that breaks a promise, or takes more than a
 * minute, is kept in the temporary folder.
 *
 * @throws what the input made the target throw
 */
export async function fuzzAlone(target: Target, count: number, seed: number): Promise<void> {
  const { name } = target
  const path = join(mkdtempSync(join(tmpdir(), 'flowkit-fuzz-')), name)
  const dog = watch(path)
  const start = performance.now()
  const finding = await fuzz(target, count, seed, dog.see)
  if (finding) {
    writeFileSync(path, finding.input)
    process.stderr.write(`${name}: an input fails, kept in ${path}\n`)
    throw finding.error
  }
  await dog.stop()
  rmSync(dirname(path), { recursive: true })
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  process.stdout.write(`${name}: ${count} mutants of seed ${seed} passed, ${seconds} s\n`)
}
