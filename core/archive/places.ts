import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { FlowkitError } from '../flow/errors.ts'

/** Where archives are looked for when none is named, the first that exists. */
export function archivePlaces(env: NodeJS.ProcessEnv): string[] {
  const data = env['XDG_DATA_HOME'] || join(homedir(), '.local/share')
  const places = ['/var/lib/flowkit', join(data, 'flowkit')]
  return env['FLOWKIT_ARCHIVE'] ? [env['FLOWKIT_ARCHIVE'], ...places] : places
}

/**
 * Where a new archive goes when none is named: `$FLOWKIT_ARCHIVE`, else for root /var/lib/flowkit, else the
 * user's data folder.
 */
export function defaultArchive(env: NodeJS.ProcessEnv): string {
  const places = archivePlaces(env)
  if (env['FLOWKIT_ARCHIVE'] || process.getuid?.() === 0) return places[0]
  return places[places.length - 1]
}

/**
 * Find the archive to read when none is named.
 *
 * @throws FlowkitError ERR_INPUT naming the places, when there is none
 */
export async function findArchive(env: NodeJS.ProcessEnv): Promise<string> {
  const places = archivePlaces(env)
  for (const place of places) if (await isArchive(place)) return place
  throw new FlowkitError('ERR_INPUT', `Cannot find an archive: none in ${places.join(', ')}; name an input`)
}

/** Whether a folder is an archive, as `collect` makes them. */
export async function isArchive(path: string): Promise<boolean> {
  try {
    return (await stat(join(path, 'flows'))).isDirectory()
  } catch {
    return false
  }
}
