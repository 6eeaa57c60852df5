import { getAsset, isSea } from 'node:sea'
import { Worker, type WorkerOptions } from 'node:worker_threads'

/**
 * Start a thread: from its source, or from what the executable carries.
 *
 * @param name the path of its source from the top, without its extension; cmd/build.ts lists them all
 */
export function startWorker(name: string, options: WorkerOptions): Worker {
  if (isSea()) return new Worker(getAsset(`worker/${name}.cjs`, 'utf8'), { name, ...options, eval: true })
  return new Worker(new URL(`../${name}.ts`, import.meta.url), { name, ...options })
}
