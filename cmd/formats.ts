import { Type } from '@sinclair/typebox'
import { FORMATS } from '../formats/index.ts'
import type { FlowFormat } from '../formats/format.ts'
import { defineCommand, type Command } from './command.ts'
import { renderReport } from './report.ts'

const COLUMNS = ['NAME', 'READS', 'WRITES', 'TOLD BY', 'EXTENSIONS', 'WHAT IT IS']

/** `flowkit formats`: what can be read and written. */
export const formats: Command = defineCommand({
  name: 'formats',
  summary: 'List the formats that flowkit reads and writes',
  args: [],
  options: Type.Object({}),
  examples: [{ command: 'flowkit formats', does: 'The list' }],
  async run(_args, _options, io) {
    await io.write(renderReport({ columns: COLUMNS, rows: FORMATS.map(rowOf) }, 'table'))
  },
})

function rowOf(format: FlowFormat): string[] {
  const { name, summary, extensions, probe, decoder, encoder, open, create } = format
  return [
    name, decoder || open ? 'yes' : '-', encoder || create ? 'yes' : '-',
    probe ? 'content' : open ? 'folder' : '-', extensions.join(' ') || '-', summary,
  ]
}
