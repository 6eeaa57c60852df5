/** The file in which a follower keeps its place. */
import { readFile } from 'node:fs/promises'
import { FlowkitError } from '../flow/errors.ts'
import { createOutputFile } from '../output-file.ts'
import { isRunning, processStart } from '../process.ts'
import type { Place } from './place.ts'

/** What is kept. */
export interface FollowState {
  /** By input, how far its files have been read. */
  readonly inputs: Readonly<Record<string, readonly Place[]>>
  /** Names of output that may be visible, but is not counted in `inputs` yet. */
  readonly pending: readonly string[]
}

/** As it is written. */
interface StateFile extends FollowState {
  readonly flowkit_follow: 1
  /** Who writes it, as long as that process runs. */
  readonly pid: number
  readonly start: string
}

const EMPTY: FollowState = { inputs: {}, pending: [] }

/**
 * Read the state that the last follower has left; an empty one where there is no file.
 *
 * @throws FlowkitError ERR_INPUT if it is none, or that of a process that still runs; the system error
 */
export async function loadState(path: string): Promise<FollowState> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY
    throw error
  }
  const { inputs, pending, pid, start } = parseState(text, path)
  if (pid !== process.pid && isRunning(pid, start)) {
    throw new FlowkitError('ERR_INPUT', `Cannot use the state "${path}": process ${pid} is still at it`)
  }
  return { inputs, pending }
}

/** Write the state, durable once it resolves. @throws the system error */
export async function saveState(path: string, { inputs, pending }: FollowState): Promise<void> {
  const { pid } = process
  const state: StateFile = { flowkit_follow: 1, pid, start: processStart(pid), pending, inputs }
  const file = await createOutputFile(path)
  try {
    await file.write(Buffer.from(`${JSON.stringify(state)}\n`))
  } catch (error) {
    await file.abort()
    throw error
  }
  await file.close()
}

function parseState(text: string, path: string): StateFile {
  try {
    const state = JSON.parse(text) as Partial<StateFile> | null
    const { flowkit_follow: version, inputs, pending } = state ?? {}
    const isState = version === 1 && Array.isArray(pending) && pending.every(isName)
      && typeof inputs === 'object' && Object.values(inputs).every((list) => list.every(isPlace))
    if (isState) return state as StateFile
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof TypeError)) throw error
  }
  const wanted = 'what --follow writes wanted, something else found'
  throw new FlowkitError('ERR_INPUT', `Cannot use the state "${path}": ${wanted}`)
}

/** Of a file that may be removed: it leads nowhere else. */
function isName(name: unknown): boolean {
  return typeof name === 'string' && /^\w[\w.+:-]*$/.test(name)
}

function isPlace({ path, id, offset, rows, tail, changed }: Place): boolean {
  return [path, id, tail].every((text) => typeof text === 'string')
    && [offset, rows, changed].every((number) => Number.isFinite(number) && number >= 0)
}
