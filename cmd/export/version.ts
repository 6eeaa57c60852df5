import type { ExportVersion } from '../../core/netflow/encode/encode.ts'
import type { ExportOptions } from '../../core/netflow/encode/export-streams.ts'
import { V8_SCHEMES } from '../../core/netflow/v8.ts'

/** What flows can be sent as. */
export type SendVersion = ExportOptions['version']

/** The versions of NetFlow that there are, with the schemes of v8, and sFlow: as users name them. */
export const VERSIONS: readonly string[] = [
  '1', '5', '6', '7', ...Object.keys(V8_SCHEMES).map((scheme) => `8.${scheme}`), '9', '10', 'sflow',
]

/** The version that one of VERSIONS names. */
export function versionOf(text: string): SendVersion {
  if (text === 'sflow') return text
  const [number, scheme] = text.split('.').map(Number)
  const version = number as ExportVersion['version']
  return scheme === undefined ? { version } : { version, scheme }
}

/** What people call a version: `NetFlow v5`, `IPFIX`. */
export function versionName(version: SendVersion): string {
  if (version === 'sflow') return 'sFlow'
  if (version.version === 10) return 'IPFIX'
  return version.scheme === undefined ? `NetFlow v${version.version}` : `NetFlow v8.${version.scheme}`
}
