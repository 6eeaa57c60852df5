import { readdir, realpath, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

/**
 * The files below a folder, in name order. What begins with a dot is unfinished; links to files count unless
 * the file is there as well, and what a link to a folder holds does not.
 *
 * @throws the system error when a folder cannot be listed
 */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .map((entry) => ({ entry, path: join(entry.parentPath, entry.name) }))
    .filter(({ path }) => !/(^|[/\\])\./.test(relative(folder, path)))
  const files = entries.filter(({ entry }) => entry.isFile()).map(({ path }) => path)
  const links = entries.filter(({ entry }) => entry.isSymbolicLink())
  if (links.length === 0) return files.sort()
  const seen = new Set(await Promise.all(files.map((path) => realpath(path).catch(() => path))))
  for (const { path } of links) {
    const info = await stat(path).catch(() => undefined)
    if (!info?.isFile()) continue
    const target = await realpath(path)
    if (!seen.has(target)) files.push(path)
    seen.add(target)
  }
  return files.sort()
}
