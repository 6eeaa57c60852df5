import { Type } from '@sinclair/typebox'
import { GLOBAL_OPTIONS, HELP_OPTION } from './argv.ts'
import { defineCommand, optionSpecs } from './command.ts'
import type { Argument, Command, CommandTable, OptionSpec } from './command.ts'

const WIDTH = 100
const COLUMN = 28 // where descriptions begin

/** What may follow `flowkit` where no command does. */
export const bareCommand: Command = defineCommand({
  name: '',
  summary: 'Network flows in one executable: collect, read, convert, archive and analyze them',
  args: [],
  options: Type.Object({ version: Type.Boolean({ default: false, description: 'Print the version' }) }),
  examples: [],
  async run() {},
})

/** The text of `flowkit --help`. */
export async function renderOverview(commands: CommandTable): Promise<string> {
  const lines: string[] = []
  for (const load of Object.values(commands)) {
    const { name, summary } = await load()
    lines.push(...row(`  ${name}`, summary))
  }
  return [
    `${bareCommand.summary}.`,
    '',
    'Usage: flowkit COMMAND [OPTION…] [ARGUMENT…]',
    '',
    'Commands:',
    ...lines,
    '',
    'Options of all commands (also in the environment, as FLOWKIT_<OPTION>):',
    ...optionRows([...commonSpecs(), ...optionSpecs(bareCommand.options)]),
    '',
    'flowkit COMMAND --help says more.',
    '',
  ].join('\n')
}

/** The text of `flowkit COMMAND --help`. */
export function renderHelp(command: Command): string {
  const { name, summary, args, details, examples } = command
  const options = optionSpecs(command.options)
  const paragraphs = details === undefined ? [] : ['', ...details.split('\n')]
  return [
    `${summary}.`,
    '',
    ['Usage: flowkit', name, ...(options.length > 0 ? ['[OPTION…]'] : []), ...args.map(usageOf)].join(' '),
    ...section('Arguments:', args.flatMap(argumentRow)),
    ...section('Options:', optionRows(options)),
    ...section('Options of all commands:', optionRows(commonSpecs())),
    ...paragraphs.flatMap((paragraph) => wrap(paragraph, WIDTH)),
    ...section('Examples:', examples.flatMap(({ command, does }) => [`  ${command}`, `      ${does}`])),
    '',
  ].join('\n')
}

/** The command `flowkit help [COMMAND]`. `find` gives a command by name, or says that there is none. */
export function helpCommand(commands: CommandTable, find: (name: string) => Promise<Command>): Command {
  return defineCommand({
    name: 'help',
    summary: 'Explain a command',
    args: [{ name: 'COMMAND', description: 'Default: all, in a line each', choices: Object.keys(commands) }],
    options: Type.Object({}),
    examples: [{ command: 'flowkit help completion', does: 'Say all about flowkit completion' }],
    async run([name], _options, io) {
      await io.write(name === undefined ? await renderOverview(commands) : renderHelp(await find(name)))
    },
  })
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? ['', title, ...lines] : []
}

function commonSpecs(): OptionSpec[] {
  return [...optionSpecs(GLOBAL_OPTIONS), ...optionSpecs(HELP_OPTION)]
}

function usageOf({ name, required, repeated }: Argument): string {
  const word = repeated ? `${name}…` : name
  return required ? word : `[${word}]`
}

function argumentRow({ name, description, choices }: Argument): string[] {
  return row(`  ${name}`, withChoices(description, choices))
}

function optionRows(specs: readonly OptionSpec[]): string[] {
  return specs.flatMap((spec) => {
    const { name, short, flag, list, placeholder, schema, choices } = spec
    const letter = short === undefined ? '    ' : `-${short}, `
    const dashes = name.length === 1 ? `-${name}` : letter + optionName(spec)
    const value = flag ? '' : ` ${placeholder}${list ? ',…' : ''}`
    const preset = schema.default === undefined || flag ? '' : ` (default: ${schema.default})`
    return row(`  ${dashes}${value}`, withChoices(schema.description ?? '', choices) + preset)
  })
}

/** How an option is typed to change something: `--no-promiscuous` where the default is yes. */
function optionName({ name, flag, schema }: OptionSpec): string {
  return flag && schema.default === true ? `--no-${name}` : `--${name}`
}

function withChoices(description: string, choices: readonly string[] = []): string {
  return choices.length === 0 ? description : `${description}: ${choices.join(', ')}`
}

/** A term and its description beside it, or below where the term is long. */
function row(term: string, description: string): string[] {
  const lines = wrap(description, WIDTH - COLUMN).map((line) => ' '.repeat(COLUMN) + line)
  if (term.length > COLUMN - 2) return [term, ...lines]
  return [term.padEnd(COLUMN) + lines[0].trimStart(), ...lines.slice(1)]
}

function wrap(text: string, width: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const last = lines[lines.length - 1]
    if (last === '') lines[lines.length - 1] = word
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}
