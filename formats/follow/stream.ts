import { ByteSource, readToFailure } from '../../core/compress/byte-source.ts'
import { unwrap } from '../../core/compress/unwrap.ts'
import { FlowBatch } from '../../core/flow/batch.ts'
import { FlowkitError } from '../../core/flow/errors.ts'
import { rowFeed, type InputFault } from '../../core/flow/stream.ts'
import type { FlowFormat, ReadRequest } from '../format.ts'
import { FORMATS } from '../index.ts'
import { HEAD_SIZE } from '../locations.ts'
import { tellFormat } from '../tell.ts'
import type { FollowSource } from './files.ts'

/** How to follow a stream. */
export interface FollowStreamOptions {
  /** Of the input, for messages. */
  readonly name: string
  readonly forced: FlowFormat | undefined
  readonly request: Omit<ReadRequest, 'onFault'>
  onFault(fault: InputFault): void
  /** Told when there is more to look at. */
  onMore(): void
}

/** Follow a stream of bytes to its end: flows are given out as soon as their bytes are there. */
export function followStream(stream: AsyncIterable<Uint8Array>, options: FollowStreamOptions): FollowSource {
  const { name, onFault, onMore } = options
  const flows = flowsOf(new ByteSource(unwrap(stream)), options)
  let next: IteratorResult<FlowBatch> | undefined
  let failure: unknown
  let isAsked = false
  let isEnded = false

  /** Ask for what comes next: only now, since it takes the place of what was given out. */
  function ask(): void {
    if (isAsked || isEnded) return
    isAsked = true
    flows.next().then((found) => { next = found }, (error: unknown) => { failure = error }).finally(onMore)
  }

  return {
    async *look() {
      ask()
      for (;;) {
        if (failure !== undefined) {
          isEnded = true
          if (!(failure instanceof FlowkitError)) throw failure
          onFault({ code: failure.code, reason: failure.message, input: name })
          return
        }
        if (!next || isEnded) return
        const { value, done } = next
        next = undefined
        isAsked = false
        if (done) {
          isEnded = true
          return
        }
        yield value
        ask()
      }
    },
    get isEnded() { return isEnded },
    isBusy: false,
    places: async () => [],
    folders: () => [],
    close: async () => {}, // it may never answer
  }
}

function flowsOf(
  source: ByteSource, { name, forced, request, onFault }: FollowStreamOptions,
): AsyncGenerator<FlowBatch> {
  return readToFailure(source, async function* () {
    const format = forced ?? await tellGrowing(source, name)
    const decoder = format.decoder?.({ ...request, onFault: (fault) => onFault({ ...fault, input: name }) })
    if (!decoder) {
      throw new FlowkitError('ERR_OPTION', `Cannot follow format ${format.name} in a stream: it needs a file`)
    }
    const batch = new FlowBatch()
    const feed = rowFeed(decoder, batch, () => batch.clear())
    for await (const chunk of source.rest()) {
      yield* feed.take(chunk)
      yield* feed.flush()
    }
    yield* feed.end()
  })
}

/** The format of what comes, as soon as there is enough to tell it by. */
async function tellGrowing(source: ByteSource, name: string): Promise<FlowFormat> {
  for (;;) {
    const hasMore = await source.fill(source.left + 1)
    try {
      return tellFormat(source.bytes.subarray(source.at, source.at + HEAD_SIZE), name, FORMATS)
    } catch (error) {
      if (!hasMore || source.left >= HEAD_SIZE) throw error
    }
  }
}
