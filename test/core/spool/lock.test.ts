import assert from 'node:assert/strict'
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { lockFolder } from '../../../core/spool/lock.ts'
import { temporaryFolder } from './spooled.ts'

const MODULE = new URL('../../../core/spool/lock.ts', import.meta.url).href

/** Another process that tries to lock the folder: it says `locked` or why not, and ends with its stdin. */
function lockElsewhere(t: TestContext, folder: string): ChildProcessByStdio<Writable, Readable, null> {
  const code = `
    const { lockFolder } = await import(${JSON.stringify(MODULE)})
    await lockFolder(process.argv[1]).then(() => console.log('locked'), (error) => console.log(error.message))
    process.stdin.resume()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, folder], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function answerOf({ stdout }: { readonly stdout: Readable }): Promise<string> {
  const [data] = await once(stdout, 'data') as [Buffer]
  return data.toString().trimEnd()
}

test('a folder is locked once, and again when it was released', async (t) => {
  const folder = temporaryFolder(t)
  const lock = await lockFolder(folder)
  assert.equal(readdirSync(folder).length, 1)
  await assert.rejects(lockFolder(folder), {
    code: 'ERR_OPTION', message: `Cannot open spool "${folder}": process ${process.pid} has it open`,
  })
  lock.release()
  assert.deepEqual(readdirSync(folder), [])
  const again = await lockFolder(folder)
  again.release()
})

test('another process is refused, and told who has it', async (t) => {
  const folder = temporaryFolder(t)
  const lock = await lockFolder(folder)
  const child = lockElsewhere(t, folder)
  assert.equal(await answerOf(child), `Cannot open spool "${folder}": process ${process.pid} has it open`)
  lock.release()
})

test('the lock of a process that was killed is taken over', async (t) => {
  const folder = temporaryFolder(t)
  const child = lockElsewhere(t, folder)
  assert.equal(await answerOf(child), 'locked')
  await assert.rejects(lockFolder(folder), {
    code: 'ERR_OPTION', message: `Cannot open spool "${folder}": process ${child.pid} has it open`,
  })
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = await lockFolder(folder)
  assert.deepEqual(readdirSync(folder).map((name) => name.split('-')[1]), [String(process.pid)])
  lock.release()
})

test('of many processes that begin at once, one gets it', async (t) => {
  const folder = temporaryFolder(t)
  const children = Array.from({ length: 5 }, () => lockElsewhere(t, folder))
  const answers = await Promise.all(children.map(answerOf))
  assert.equal(answers.filter((answer) => answer === 'locked').length, 1, answers.join('\n'))
  for (const answer of answers) assert.match(answer, /^locked$|: process \d+ has it open$/)
})

const isLinux = process.platform === 'linux'

test('locks of a former process of the same number, or of a former boot, are left over', {
  skip: !isLinux && 'needs /proc',
}, async (t) => {
  const folder = temporaryFolder(t)
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').slice(0, 8)
  const start = readFileSync('/proc/self/stat', 'latin1').replace(/^.*\) /s, '').split(' ')[19]
  const former = [
    `lock-${process.pid}-1-${boot}-${hostname()}`, // began earlier
    `lock-${process.ppid}-${start}-${boot}-${hostname()}`,
    `lock-${process.pid}-${start}-${boot === '00000000' ? '00000001' : '00000000'}-${hostname()}`,
  ]
  for (const name of former) writeFileSync(join(folder, name), '')
  const lock = await lockFolder(folder)
  assert.deepEqual(readdirSync(folder), [`lock-${process.pid}-${start}-${boot}-${hostname()}`])
  lock.release()
})

test('the lock of another host holds for a minute since it was touched', async (t) => {
  const folder = temporaryFolder(t)
  const name = `lock-1-4711-01234567-not-${hostname()}`
  writeFileSync(join(folder, name), '')
  await assert.rejects(lockFolder(folder), {
    code: 'ERR_OPTION', message: `Cannot open spool "${folder}": process 1 on not-${hostname()} has it open`,
  })
  const past = new Date(Date.now() - 61_000)
  utimesSync(join(folder, name), past, past)
  const lock = await lockFolder(folder)
  assert.ok(!readdirSync(folder).includes(name))
  lock.release()
})

test('other files are no locks', async (t) => {
  const folder = temporaryFolder(t)
  for (const name of ['lock', 'lock-0-1-00000000-host', 'lock-x', 'block-1-1-00000000-h']) {
    writeFileSync(join(folder, name), '')
  }
  const lock = await lockFolder(folder)
  assert.equal(readdirSync(folder).length, 5)
  lock.release()
})

test('a folder that is not there is a system error', async (t) => {
  await assert.rejects(lockFolder(join(temporaryFolder(t), 'no')), { code: 'ENOENT' })
})

test('a lock that somebody has removed is made again', async (t) => {
  const folder = temporaryFolder(t)
  t.mock.timers.enable({ apis: ['setInterval'] })
  const lock = await lockFolder(folder)
  const [name] = readdirSync(folder)
  rmSync(join(folder, name))
  t.mock.timers.tick(10_000)
  assert.deepEqual(readdirSync(folder), [name])
  lock.release()
  t.mock.timers.tick(10_000)
  assert.deepEqual(readdirSync(folder), [])
})
