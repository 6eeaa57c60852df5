import { Type } from '@sinclair/typebox'
import { fieldTable } from '../core/flow/docs.ts'
import { defineCommand, type Command } from './command.ts'

/** `flowkit fields`: the field table. */
export const fields: Command = defineCommand({
  name: 'fields',
  summary: 'List the fields of a flow, their elements and their names in other tools',
  args: [],
  options: Type.Object({
    markdown: Type.Boolean({ default: false, description: 'As a Markdown table' }),
  }),
  examples: [{ command: 'flowkit fields | grep -i vlan', does: 'The fields about VLANs' }],
  async run(_args, { markdown }, io) {
    await io.write(fieldTable({ markdown }))
  },
})
