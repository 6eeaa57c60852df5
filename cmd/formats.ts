import { Type } from '@sinclair/typebox'
import { FORMATS } from '../formats/index.ts'
import type { FlowFormat } from '../formats/format.ts'
import { defineCommand, type Command } from './command.ts'

/** `flowkit formats`: what can be read and written. */
export const formats: Command = defineCommand({
  name: 'formats',
  summary: 'List the formats that flowkit reads and writes',
  args: [],
  options: Type.Object({}),
  examples: [{ command: 'flowkit formats', does: 'the list' }],
  async run(_args, _options, io) {
    const rows = [['NAME', 'READS', 'WRITES', 'TOLD BY', 'EXTENSIONS', 'WHAT IT IS'], ...FORMATS.map(rowOf)]
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
    await io.write(rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i])).join('  ').trimEnd()}\n`).join(''))
  },
})

function rowOf(format: FlowFormat): string[] {
  const { name, summary, extensions, probe, decoder, encoder, open, create } = format
  return [
    name, decoder || open ? 'yes' : '-', encoder || create ? 'yes' : '-', probe ? 'content' : open ? 'folder' : '-',
    extensions.join(' ') || '-', summary,
  ]
}
