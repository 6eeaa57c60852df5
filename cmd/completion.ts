import { Type } from '@sinclair/typebox'
import { GLOBAL_OPTIONS, HELP_OPTION } from './argv.ts'
import { defineCommand, optionSpecs, type Command, type CommandTable, type OptionSpec } from './command.ts'
import { UsageError } from './errors.ts'

const FISH_FILE = '~/.config/fish/completions/flowkit.fish'

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript }

/** The command `flowkit completion SHELL`: a script that completes commands, options and their words. */
export function completionCommand(commands: CommandTable): Command {
  return defineCommand({
    name: 'completion',
    summary: 'Print a script that completes flowkit command lines in a shell',
    args: [{ name: 'SHELL', description: 'The shell', required: true, choices: Object.keys(SHELLS) }],
    options: Type.Object({}),
    examples: [
      { command: 'source <(flowkit completion bash)', does: 'Complete in this shell; in ~/.bashrc: in all' },
      { command: 'flowkit completion zsh > "${fpath[1]}/_flowkit"', does: 'Complete in every new zsh' },
      { command: `flowkit completion fish > ${FISH_FILE}`, does: 'Complete in every new fish' },
    ],
    async run([shell], _options, io) {
      if (!Object.hasOwn(SHELLS, shell)) {
        const known = Object.keys(SHELLS).join(', ')
        throw new UsageError(`Cannot complete in "${shell}": expected one of ${known}`)
      }
      const loaded = await Promise.all(Object.values(commands).map((load) => load()))
      await io.write(SHELLS[shell as keyof typeof SHELLS](loaded))
    },
  })
}

function specsOf(command: Command): OptionSpec[] {
  return [command.options, GLOBAL_OPTIONS, HELP_OPTION].flatMap(optionSpecs)
}

/** All spellings of an option: `-f`, `--filter`. */
function spellings({ name, short, flag, schema }: OptionSpec): string[] {
  const long = name.length === 1 ? [] : flag && schema.default === true ? [`--no-${name}`] : [`--${name}`]
  return short === undefined ? long : [`-${short}`, ...long]
}

/** What may stand in place of a command's arguments, where that is known. */
function argumentWords({ args }: Command): string[] {
  return args.flatMap(({ choices }) => choices ?? [])
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

/** `-o default` completes file names wherever this offers nothing. */
function bashScript(commands: readonly Command[]): string {
  const cases = commands.map((command) => {
    const specs = specsOf(command)
    const values = specs.filter(({ flag }) => !flag).map((spec) =>
      `        ${spellings(spec).join('|')}) words=${quote(spec.choices.join(' '))} ;;`)
    const options = specs.flatMap(spellings).join(' ')
    return [
      `    ${command.name})`,
      '      case $previous in',
      ...values,
      `        *) words=${quote(argumentWords(command).join(' '))} options=${quote(options)} ;;`,
      '      esac ;;',
    ].join('\n')
  })
  return `# bash completion for flowkit
_flowkit() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command= word words= options=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in
      ${commands.map(({ name }) => name).join('|')}) command=$word; break ;;
    esac
  done
  case $command in
    '') words=${quote(commands.map(({ name }) => name).join(' '))} options='--help --version' ;;
${cases.join('\n')}
  esac
  if [[ $current == -* ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _flowkit flowkit
`
}

function zshScript(commands: readonly Command[]): string {
  const describe = (text: string): string => text.replaceAll(/[[\]:\\]/g, '\\$&')
  const cases = commands.map((command) => {
    const options = specsOf(command).map((spec) => {
      const names = spellings(spec)
      const value = spec.flag ? '' : `:${describe(spec.placeholder)}:${zshWords(spec.choices)}`
      const shown = `[${describe(spec.schema.description ?? '')}]${value}`
      const repeated = spec.list ? '*' : `(${names.join(' ')})`
      return names.map((name) => `        ${quote(`${repeated}${name}${shown}`)} \\`).join('\n')
    })
    const words = quote(`*:argument:${zshWords(argumentWords(command))}`)
    return `    ${command.name})\n      _arguments -s \\\n${options.join('\n')}\n        ${words} ;;`
  })
  const names = commands.map(({ name, summary }) => `      ${quote(`${name}:${describe(summary)}`)}`)
  return `#compdef flowkit
# zsh completion for flowkit
_flowkit() {
  if (( CURRENT == 2 )); then
    local -a commands=(
${names.join('\n')}
    )
    _describe command commands
    return
  fi
  (( CURRENT-- ))
  shift words
  case $words[1] in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _flowkit ]]; then _flowkit "$@"; else compdef _flowkit flowkit; fi
`
}

function zshWords(words: readonly string[]): string {
  if (words.length === 0) return '_files'
  return `(${words.map((word) => word.replaceAll(/[\s():]/g, '\\$&')).join(' ')})`
}

function fishScript(commands: readonly Command[]): string {
  const escape = (text: string): string => `'${text.replaceAll(/[\\']/g, '\\$&')}'`
  const lines = commands.flatMap((command) => {
    const within = `complete -c flowkit -n '__fish_seen_subcommand_from ${command.name}'`
    const words = argumentWords(command)
    return [
      `complete -c flowkit -n __fish_use_subcommand -f -a ${command.name} -d ${escape(command.summary)}`,
      ...(words.length === 0 ? [] : [`${within} -f -a ${escape(words.join(' '))}`]),
      ...specsOf(command).map((spec) => {
        const names = spellings(spec).map((name) => name.replace(/^--/, '-l ').replace(/^-(?!l )/, '-s '))
        const words = spec.choices.length === 0 ? ' -r' : ` -x -a ${escape(spec.choices.join(' '))}`
        const value = spec.flag ? '' : words
        return `${within} ${names.join(' ')}${value} -d ${escape(spec.schema.description ?? '')}`
      }),
    ]
  })
  return `# fish completion for flowkit\n${lines.join('\n')}\n`
}
