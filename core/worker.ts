import { getAsset, isSea } from 'node:sea'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * Start a thread: from its source, or from what the executable carries.
 *
 * @param source its path from the top, without extension; cmd/build.ts lists them all
 */
export function startWorker(source: string, options: WorkerOptions): Worker {
  const name = source.replace(/^\w+\//, '') // for who looks at threads: there is room for 15 letters
  if (isSea()) return new Worker(getAsset(`worker/${source}.cjs`, 'utf8'), { name, ...options, eval: true })
  return new Worker(new URL(`../${source}.ts`, import.meta.url), { name, ...options })
}
