import { FlowkitError } from '../flow/errors.ts'
import type { Datagram } from '../netflow/message.ts'
import { MAX_BLOCK, putDatagram } from '../spool/datagram-block.ts'
import type { CollectorCounters } from './report.ts'
import { PAGE } from '../spool/segment-file.ts'
import type { Spool } from '../spool/spool.ts'

/** Memory that blocks lie in. */
interface Chunk {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Items of the queue that refer to it, and 1 while it is written to. */
  users: number
}

/** Blocks that wait to be decoded: `chunk.bytes[start..end)`. */
export interface Blocks {
  readonly kind: 'blocks'
  readonly segment: string
  /** Undefined while they are on disk only. */
  chunk: Chunk | undefined
  start: number
  end: number
  /** Where they begin in the segment; -1: the spool could not take them. */
  readonly offset: number
}

/** All datagrams of a segment lie before. */
export interface Cut {
  readonly kind: 'cut'
  readonly ended: string
  readonly next: string
  /** Whether all that the spool has of it was given out; if not, it must be decoded again. */
  isWhole: boolean
}

/** Datagrams between the sockets and the decoder: in the spool and, as long as there is room, in memory. */
export interface Backlog {
  /** Whether nothing waits. */
  readonly isEmpty: boolean
  /** Segments that have ended, but not all of which was given out. */
  readonly ended: number
  /** Take a datagram. Without room in memory or in the spool it is dropped and counted. */
  put(datagram: Readonly<Datagram>, port: number): void
  /** Write to the spool what was put since the last call. */
  commit(): void
  /** End the segment: what comes now belongs to the next, which begins at `now`, ms since the epoch. */
  cut(now?: number): void
  /** What is to be decoded next; undefined: nothing, or it is read from disk, and `onReady` will tell. */
  next(): Blocks | Cut | undefined
  /** What `next` gave has been decoded. */
  done(): void
}

/** What a backlog is told at the beginning. */
export interface BacklogOptions {
  readonly spool: Spool
  readonly counters: CollectorCounters
  /** Bytes of memory for what waits. */
  readonly memory: number
  /** Gives memory that begins at a page, for what goes into the spool. */
  readonly allocate: (size: number) => Uint8Array
  /** Makes room in a spool that is full. @returns whether there is more than before */
  makeRoom(): boolean
  /** Told that `next` has something now that it did not have. */
  onReady(): void
  /** Told when the spool could not be written to, or read. */
  onError(error: unknown): void
}

const CHUNK = 1 << 20
/** Bytes of a chunk: it is full once CHUNK is passed, and begins somewhere in its first page. */
const CHUNK_SIZE = PAGE + CHUNK + MAX_BLOCK
/** Items of the queue that are read from disk before it is their turn. */
const AHEAD = 4

/** An empty backlog over a spool. */
export function newBacklog(options: BacklogOptions): Backlog {
  const { spool, counters, memory, allocate, makeRoom, onReady, onError } = options
  const queue: (Blocks | Cut)[] = []
  const pool: Chunk[] = []
  const most = Math.max(2, Math.floor(memory / CHUNK))
  let chunks = 0 // in memory, those of the pool included
  let chunk = newChunk()
  let at = placeAfter(0) // where the next block goes
  let from = at // what lies before is committed
  let count = 0 // datagrams since then
  let loading = false
  let unread = '' // a segment of which something could not be read

  function newChunk(): Chunk {
    const bytes = allocate(CHUNK_SIZE)
    chunks++
    return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), users: 1 }
  }

  function release(unused: Chunk): void {
    if (--unused.users > 0) return
    if (pool.length < 4) pool.push(unused)
    else chunks--
  }

  /** Begin another chunk. @returns whether there is room for one */
  function turn(): boolean {
    commit()
    const fresh = reuse() ?? (chunks < most ? newChunk() : forget() ? reuse() ?? newChunk() : undefined)
    if (!fresh) return false
    release(chunk)
    chunk = fresh
    at = from = placeAfter(0)
    return true
  }

  /** The next place in a chunk that lies in its page where the block will lie in the spool's. */
  function placeAfter(place: number): number {
    return place + (spool.position - place & PAGE - 1)
  }

  function reuse(): Chunk | undefined {
    const fresh = pool.pop()
    if (fresh) fresh.users = 1
    return fresh
  }

  /** Forget what is in the spool too, the latest first. @returns whether there was something */
  function forget(): boolean {
    for (let i = queue.length - 1; i > 0; i--) {
      const item = queue[i]
      if (item.kind !== 'blocks' || !item.chunk || item.chunk === chunk || item.offset < 0) continue
      const unused = item.chunk
      item.chunk = undefined
      release(unused)
      if (unused.users === 0) return true
    }
    return false
  }

  function commit(): void {
    if (at === from) return
    let offset = -1
    try {
      offset = append()
    } catch (error) {
      counters.unspooled += count
      onError(error)
    }
    const last = queue.at(-1)
    // the first may be under way already
    const goesOn = queue.length > 1 && last?.kind === 'blocks' && last.chunk === chunk && last.end === from
      && last.segment === spool.segment && last.offset < 0 === offset < 0
    if (goesOn) last.end = at
    else {
      chunk.users++
      queue.push({ kind: 'blocks', segment: spool.segment, chunk, start: from, end: at, offset })
    }
    from = at = placeAfter(at)
    count = 0
  }

  function append(): number {
    for (;;) {
      try {
        return spool.append(chunk.bytes, from, at)
      } catch (error) {
        const isFull = error instanceof FlowkitError && error.code === 'ERR_LIMIT'
        if (!isFull || !makeRoom()) throw error
      }
    }
  }

  async function load(item: Blocks): Promise<void> {
    loading = true
    const { segment, offset } = item
    const length = item.end - item.start
    const fresh = reuse() ?? newChunk()
    try {
      await spool.read(segment, offset, fresh.bytes.subarray(0, length))
      item.chunk = fresh
      item.start = 0
      item.end = length
    } catch (error) {
      release(fresh)
      onError(error)
      unread = segment
      queue.splice(queue.indexOf(item), 1)
    } finally {
      loading = false
      onReady()
    }
  }

  /** Read what is next and on disk only, and what comes soon, but one after the other. */
  function readAhead(): void {
    if (loading) return
    for (let i = 0; i < AHEAD && i < queue.length; i++) {
      const item = queue[i]
      if (item.kind === 'cut') return
      if (!item.chunk) return void load(item)
    }
  }

  return {
    get isEmpty() { return queue.length === 0 && at === from },
    get ended() { return queue.reduce((count, { kind }) => kind === 'cut' ? count + 1 : count, 0) },
    put(datagram, port) {
      if (at > CHUNK && !turn()) {
        counters.dropped++
        return
      }
      at = putDatagram(chunk.bytes, chunk.view, at, datagram, port)
      count++
    },
    commit,
    cut(now) {
      commit()
      const ended = spool.cut(now)
      from = at = placeAfter(at)
      queue.push({ kind: 'cut', ended, next: spool.segment, isWhole: true })
    },
    next() {
      const item = queue[0]
      if (item?.kind === 'cut' && item.ended === unread) item.isWhole = false
      readAhead()
      return item?.kind === 'cut' || item?.chunk ? item : undefined
    },
    done() {
      const item = queue.shift()
      if (item?.kind === 'blocks' && item.chunk) release(item.chunk)
    },
  }
}
