/** Files that are called by the time they begin at, as the programs that read them expect. */

/** What the files of a format are called in a folder of many. */
export interface FileNames {
  /**
   * The file of flows from `start` (µs) on.
   *
   * @param hasSeconds whether files begin at other times than full minutes
   */
  nameOf(start: number, hasSeconds: boolean): string
  /** When a file of that name begins, µs; undefined where it is no such name. */
  timeOf(name: string): number | undefined
  /** What a file is called that is not whole: who reads all files below the folder passes over it. */
  unfinished(ident: string): string
  /**
   * The `ident` that a file was written with; undefined where there is none.
   *
   * @throws the system error if it cannot be read
   */
  identOf(path: string): Promise<string | undefined>
}

/** The name of another file of the same time: it sorts behind the first, and before that of the next time. */
export function furtherName(name: string, number: number): string {
  return number === 1 ? name : `${name}-${number}`
}

/** A name without what `furtherName` adds, and its number. */
export function splitName(name: string): [first: string, number: number] {
  const [, first, number] = /^(.*)-([1-9]\d*)$/.exec(name) ?? []
  return first === undefined || number === '1' ? [name, 1] : [first, Number(number)]
}
