import type { CommandTable } from './command.ts'
import { findCommand, runWords } from './run.ts'

/** The commands, in the order of the overview. Each is loaded when it is called for. */
const COMMANDS: CommandTable = {
  capture: async () => (await import('./capture.ts')).capture,
  collect: async () => (await import('./collect.ts')).collect,
  read: async () => (await import('./read.ts')).read,
  convert: async () => (await import('./convert.ts')).convert,
  export: async () => (await import('./export.ts')).exportCommand,
  analyze: async () => (await import('./analyze.ts')).analyze,
  formats: async () => (await import('./formats.ts')).formats,
  fields: async () => (await import('./fields.ts')).fields,
  filter: async () => (await import('./filter.ts')).filter,
  completion: async () => (await import('./completion.ts')).completionCommand(COMMANDS),
  help: async () => (await import('./help.ts')).helpCommand(COMMANDS, (name) => findCommand(COMMANDS, name)),
}

/** Run one command line, from its words to the end of the process. */
export function main(words: readonly string[], version: string): Promise<void> {
  return runWords(words, COMMANDS, version)
}

/** The text of `flowkit --help`, for cmd/build.ts: the executable has it ready. */
export async function overview(): Promise<string> {
  return (await import('./help.ts')).renderOverview(COMMANDS)
}
