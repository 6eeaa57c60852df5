import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { flowkit } from '../support/flowkit.ts'

const hasBash = spawnSync('bash', ['-c', ':']).status === 0
const hasZsh = spawnSync('zsh', ['-c', ':']).status === 0
const hasFish = spawnSync('fish', ['-c', ':']).status === 0

/** What bash offers for a line whose last word is being typed. */
async function complete(...words: readonly string[]): Promise<string[]> {
  const { stdout: script } = await flowkit(['completion', 'bash'])
  const ask = `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _flowkit; printf '%s\\n' "\${COMPREPLY[@]}"`
  const line = ['-c', `${script}\n${ask}`, 'bash', 'flowkit', ...words]
  const { stdout, stderr, status } = spawnSync('bash', line, { encoding: 'utf8' })
  assert.deepEqual({ stderr, status }, { stderr: '', status: 0 })
  return stdout.split('\n').filter((word) => word !== '')
}

test('bash completes commands, arguments, options, and their words', { skip: !hasBash }, async () => {
  assert.deepEqual(await complete('comp'), ['completion'])
  assert.deepEqual(await complete('completion', ''), ['bash', 'zsh', 'fish'])
  assert.deepEqual(await complete('completion', 'f'), ['fish'])
  assert.deepEqual(await complete('help', 'comple'), ['completion'])
  assert.deepEqual(await complete('--vers'), ['--version'])
  assert.deepEqual(await complete('completion', '--'), ['--quiet', '--log-level', '--threads', '--help'])
  assert.deepEqual(await complete('completion', '--log-level', ''), ['error', 'warn', 'info', 'debug'])
  assert.deepEqual(await complete('completion', '--log-level', 'd'), ['debug'])
  assert.deepEqual(await complete('completion', '--threads', ''), [])
  assert.deepEqual(await complete('--quiet', 'completion', 'z'), ['zsh'])
})

for (const [shell, present] of [['bash', hasBash], ['zsh', hasZsh], ['fish', hasFish]] as const) {
  const skip = !present && `${shell} is not installed`
  test(`the ${shell} script is accepted by ${shell}`, { skip }, async () => {
    const { stdout: script, exitCode } = await flowkit(['completion', shell])
    assert.equal(exitCode, 0)
    const { stderr, status } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' })
    assert.deepEqual({ stderr, status }, { stderr: '', status: 0 })
  })
}

test('an unknown shell is wrong usage', async () => {
  assert.deepEqual(await flowkit(['completion', 'tcsh']), {
    exitCode: 2, stdout: '', stderr: 'flowkit: Cannot complete in "tcsh": expected one of bash, zsh, fish\n',
  })
})
