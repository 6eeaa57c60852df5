import { getAsset, isSea } from 'node:sea'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/** The files that run as worker threads, by name; cmd/build.ts puts each into the executable. */
export const WORKERS = {
  'archive-writer': './archive/write-worker.ts',
  'collector-lane': '../cmd/collect-lane.ts',
} as const

/** Start one of the worker threads: from its source, or from what the executable carries. */
export function startWorker(name: keyof typeof WORKERS, options: WorkerOptions): Worker {
  if (isSea()) return new Worker(getAsset(`worker/${name}.cjs`, 'utf8'), { name, ...options, eval: true })
  return new Worker(new URL(WORKERS[name], import.meta.url), { name, ...options })
}
