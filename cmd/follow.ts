/** `--follow`: what `flowkit read` and `flowkit convert` do with inputs that go on. */
import { statSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'
import { Type, type TBoolean } from '@sinclair/typebox'
import { filterFlows } from '../core/filter/filter.ts'
import { overlaps } from '../core/filter/window.ts'
import type { FlowReader } from '../core/flow/stream.ts'
import { loadState, saveState, type FollowState } from '../core/follow/state.ts'
import type { FlowStep } from '../core/steps/step.ts'
import { openFollower, type FollowOptions } from '../formats/follow.ts'
import type { ReadRequest } from '../formats/format.ts'
import {
  openLastingOutput, removePending, type LastingOutput, type OutputRequest,
} from '../formats/outputs.ts'
import type { FaultReporter, WordsRequest } from './inputs.ts'
import type { Io } from './io.ts'

/** The option. */
export const FOLLOW_OPTION: { readonly follow: TBoolean } = {
  follow: Type.Boolean({
    default: false,
    description: 'Go on with what is added to files, through rotation and truncation, and with new files of '
      + 'folders, until SIGINT or SIGTERM',
  }),
}

/** What is followed. */
export interface FollowRequest extends WordsRequest {
  readonly fromFormat?: string | undefined
  /** What readers are asked for beside the window and the filter. */
  readonly asked: Omit<ReadRequest, 'onFault'>
  readonly faults: FaultReporter
}

/** ms within which what was read is printed, or appended to a log, for good. */
const PROMPT = 1000

/** The flows of inputs that go on, until the signal or the end of all streams. */
export async function* followedFlows(request: FollowRequest, io: Io): FlowReader {
  const follower = await openFollower(followOptions(request, {}, io))
  try {
    while (!follower.isEnded) yield* filtered(follower.round(PROMPT), request)
  } finally {
    await follower.close()
  }
}

/** How flows that are followed are converted. */
export interface FollowingConversion extends FollowRequest {
  readonly place: string
  readonly writing: OutputRequest
  readonly steps: readonly FlowStep[]
  /** Where the place is kept; unless told, beside the output, and nowhere for standard output. */
  readonly state?: string | undefined
  /** ms after which what was read is made durable; unless told, as the output has it. */
  readonly rotate?: number | undefined
  onRead(rows: number): void
  onKept(rows: number): void
}

/**
 * Convert flows as they come, in rounds. After each the output is made durable, and then the place in the
 * inputs. What a process that was killed between the two has written is removed by the next where output has
 * files of its own, and is there twice in a log and on standard output.
 *
 * @returns the output, closed
 */
export async function followInto(conversion: FollowingConversion, io: Io): Promise<LastingOutput> {
  const { place, writing, steps, faults, onRead, onKept } = conversion
  const path = conversion.state ?? (place === '-' ? undefined : stateBeside(place))
  const state = path === undefined ? { inputs: {}, pending: [] } : await loadState(path)
  await removePending(place, writing, state.pending)
  const output = await openLastingOutput(place, writing, conversion.rotate)
  let { inputs } = state
  const save = async (pending: readonly string[]): Promise<void> => {
    if (path !== undefined) await saveState(path, { inputs, pending })
  }
  try {
    await save([])
    const follower = await openFollower(followOptions(conversion, inputs, io))
    try {
      while (!follower.isEnded) {
        let read = 0
        let flows = filtered(follower.round(output.rotate), conversion, (rows) => { read += rows })
        for (const step of steps) flows = step.run(flows)
        for await (const batch of flows) {
          onKept(batch.length)
          await output.writer.write(batch)
        }
        onRead(read)
        const places = await follower.places()
        if (JSON.stringify(places) === JSON.stringify(inputs)) continue
        if (output.pending().length > 0) await save(output.pending())
        await output.commit()
        inputs = places
        await save([])
        faults.finish()
      }
    } finally {
      await follower.close()
    }
  } catch (error) {
    await output.writer.abort()
    throw error
  }
  await output.writer.close()
  return output
}

/** Where the state is kept: in a folder, beside a log. nfdump -R passes over names with `.stat` in them. */
function stateBeside(place: string): string {
  const isLog = statSync(place, { throwIfNoEntry: false })?.isFile() ?? extname(place) !== ''
  return isLog ? join(dirname(place), `.${basename(place)}.follow.state`) : join(place, '.follow.state')
}

function followOptions(
  { words, fromFormat, asked, faults }: FollowRequest, from: FollowState['inputs'],
  { stdin, signal, talk }: Io,
): FollowOptions {
  return {
    words, stdin, signal, from, format: fromFormat, request: asked,
    onFault: faults.report, onNote: (note) => talk.warn(note),
  }
}

/** The flows of a round that are wanted. @param count told how many those are */
async function* filtered(
  flows: FlowReader, { since, until, filter }: FollowRequest, count?: (rows: number) => void,
): FlowReader {
  if (since !== undefined || until !== undefined) flows = filterFlows(flows, overlaps(since, until))
  if (filter) flows = filterFlows(flows, filter)
  for await (const batch of flows) {
    count?.(batch.length)
    yield batch
  }
}
