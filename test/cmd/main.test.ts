import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'
import { EXECUTABLE, flowkit } from '../support/flowkit.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string }

test('--version is the version of package.json', async () => {
  const answer = { exitCode: 0, stdout: `flowkit ${version}\n`, stderr: '' }
  assert.deepEqual(await flowkit(['--version']), answer)
  assert.deepEqual(await flowkit(['--quiet', '--version']), answer)
})

test('--help, -h and help list the commands, and nothing at all is wrong usage', async () => {
  const { exitCode, stdout, stderr } = await flowkit(['--help'])
  assert.deepEqual({ exitCode, stderr }, { exitCode: 0, stderr: '' })
  assert.match(stdout, /^Usage: flowkit COMMAND/m)
  assert.match(stdout, /^ {2}completion +Print a script/m)
  assert.match(stdout, /^ {2}help +Explain a command$/m)
  for (const line of stdout.split('\n')) assert.ok(line.length <= 100, line)
  assert.deepEqual(await flowkit(['-h']), { exitCode, stdout, stderr })
  assert.deepEqual(await flowkit(['help']), { exitCode, stdout, stderr })
  assert.deepEqual(await flowkit(['--quiet', '--help']), { exitCode, stdout, stderr })
  assert.deepEqual(await flowkit([]), { exitCode: 2, stdout: '', stderr: stdout })
})

test('the help of a command has its usage, arguments, options and an example', async () => {
  const help = await flowkit(['completion', '--help'])
  assert.deepEqual({ ...help, stdout: '' }, { exitCode: 0, stdout: '', stderr: '' })
  const parts = [
    'Usage: flowkit completion SHELL\n',
    '\nArguments:\n  SHELL                     The shell: bash, zsh, fish\n',
    '\n  -h, --help                Print this help\n',
    '(default: info)\n',
    '\nExamples:\n  source <(flowkit completion bash)\n',
  ]
  for (const part of parts) assert.ok(help.stdout.includes(part), part)
  assert.deepEqual(await flowkit(['help', 'completion']), help)
  assert.deepEqual(await flowkit(['completion', '-h']), help)
})

test('an unknown command or option is wrong usage, with the nearest name', async () => {
  const answers = {
    'hepl': 'Cannot find command "hepl": the nearest is help',
    'xyzzy': 'Cannot find command "xyzzy": see flowkit --help',
    'help hepl': 'Cannot find command "hepl": the nearest is help',
    '--verison': 'Cannot use option --verison: flowkit has no such option, the nearest is --version',
    '-x': 'Cannot use option -x: flowkit has no such option, see flowkit --help',
    'help --thread 2':
      'Cannot use option --thread: flowkit help has no such option, the nearest is --threads',
    'help --threads 0': 'Cannot use option --threads: expected a whole number from 1 to 1024, found "0"',
    'completion': 'Cannot run completion: SHELL is missing, see flowkit completion --help',
  }
  for (const [words, message] of Object.entries(answers)) {
    const stderr = `flowkit: ${message}\n`
    assert.deepEqual(await flowkit(words.split(' ')), { exitCode: 2, stdout: '', stderr })
  }
})

test('commands of later versions say so, and are not listed', async () => {
  const { stdout } = await flowkit(['--help'])
  for (const name of ['serve']) {
    const stderr = `flowkit: Cannot ${name}: this version has no such command yet\n`
    assert.deepEqual(await flowkit([name, '--to', 'x']), { exitCode: 2, stdout: '', stderr })
    assert.doesNotMatch(stdout, new RegExp(`^ {2}${name} `, 'm'))
  }
})

test('options from the environment count for every command', async () => {
  assert.equal((await flowkit(['help'], { FLOWKIT_THREADS: 'x' })).stderr,
    'flowkit: Cannot use FLOWKIT_THREADS: expected a whole number from 1 to 1024, found "x"\n')
  assert.equal((await flowkit(['--version'], { FLOWKIT_VERSION: '1', FLOWKIT_THREADS: 'x' })).exitCode, 0)
})

test('the executable does not listen to NODE_OPTIONS', { skip: EXECUTABLE === undefined }, async () => {
  const env = { NODE_OPTIONS: '--no-such-option --require=/no/such/file' }
  assert.equal((await flowkit(['--version'], env)).stdout, `flowkit ${version}\n`)
})

test('the executable holds no path of where it was built', { skip: EXECUTABLE === undefined }, () => {
  assert.equal(readFileSync(EXECUTABLE ?? '').indexOf(root), -1)
})
