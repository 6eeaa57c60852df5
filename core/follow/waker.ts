import { watch, type FSWatcher } from 'node:fs'

/** Wakes who waits for files to change. */
export interface Waker {
  /** Watch these folders, and no others any more. */
  watch(folders: Iterable<string>): void
  /** Let `wait` end, also if nobody waits yet. */
  wake(): void
  /** Wait until something happens, for `most` ms at most, but for `least` in any case. Ends when aborted. */
  wait(least: number, most: number): Promise<void>
  close(): void
}

/** Folders that cannot be watched, and changes that nobody tells of, are left to `most` of `wait`. */
export function openWaker(signal: AbortSignal): Waker {
  const watchers = new Map<string, FSWatcher>()
  let isWoken = false
  let onWake = (): void => {}

  function wake(): void {
    isWoken = true
    onWake()
  }

  function add(folder: string): void {
    try {
      const watcher = watch(folder, wake)
      watcher.on('error', () => drop(folder))
      watchers.set(folder, watcher)
    } catch {
      // it is gone, or there are too many watches
    }
  }

  function drop(folder: string): void {
    watchers.get(folder)?.close()
    watchers.delete(folder)
  }

  function sleep(ms: number, untilWoken: boolean): Promise<void> {
    if (signal.aborted || (untilWoken && isWoken)) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      if (untilWoken) onWake = done
      function done(): void {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        onWake = () => {}
        resolve()
      }
    })
  }

  return {
    watch(folders) {
      const wanted = new Set(folders)
      for (const folder of [...watchers.keys()]) if (!wanted.has(folder)) drop(folder)
      for (const folder of wanted) if (!watchers.has(folder)) add(folder)
    },
    wake,
    async wait(least, most) {
      await sleep(least, false)
      await sleep(Math.max(0, most - least), true)
      isWoken = false
    },
    close() {
      for (const folder of [...watchers.keys()]) drop(folder)
    },
  }
}
