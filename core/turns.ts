/** Runs tasks one after the other, in the order in which they are given; one that fails stops no other. */
export type Turns = <T>(task: () => Promise<T>) => Promise<T>

/** Nothing is to be done yet. */
export function newTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve()
  return (task) => {
    const done = last.then(task)
    last = done.catch(() => {}) // who gave it hears of it
    return done
  }
}
