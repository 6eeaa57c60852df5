import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { NETWORK_CALLS, REFUSED_CALLS, confineCalls } from '../../../core/net/confine-calls.ts'
import { confineFiles } from '../../../core/net/confine.ts'
import { loadLibc, type Libc } from '../../../core/net/ffi.ts'

const folder = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), 'flowkit-test-')))
after(() => fs.rmSync(folder, { recursive: true, force: true }))

const linux = process.platform === 'linux' ? false : 'only Linux has this'
const libc = linux ? undefined : await loadLibc()
const version = libc?.syscall(444, 0, 0, 1, 0) ?? -1 // landlock_create_ruleset: its version
const landlock = linux || (version >= 2 ? false : 'this kernel has no Landlock, or does not allow it here')
const hasSeccomp = fs.existsSync('/proc/sys/kernel/seccomp/actions_avail')
const seccomp = linux || (hasSeccomp ? false : 'this kernel has no seccomp')

/** Run a script in a process of its own, and give the lines that it says, read as JSON. */
function run(script: string): unknown[] {
  const imports = ['ffi', 'confine', 'confine-calls'].map((name) => {
    return `...await import('${new URL(`../../../core/net/${name}.ts`, import.meta.url).href}'),`
  })
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', `
    import { spawn } from 'node:child_process'
    import * as fs from 'node:fs'
    import { Worker } from 'node:worker_threads'
    const { loadLibc, confineFiles, confineCalls, refuseRings, REFUSED_CALLS, NETWORK_CALLS } = {
      ${imports.join('\n')}
    }
    const libc = await loadLibc()
    const say = (value) => console.log(JSON.stringify(value))
    async function code(action) {
      try { await action() } catch (error) { return error.code }
      return 'done'
    }
    ${script}
  `], { env: { ...process.env, NODE_V8_COVERAGE: '' } }) // which it may not write
  assert.equal(stderr.toString(), '')
  return stdout.toString().trim().split('\n').map((line) => JSON.parse(line) as unknown)
}

test('confineFiles() leaves a thread and what it starts only what it is told', { skip: landlock }, () => {
  for (const name of ['mine', 'read', 'other']) {
    fs.mkdirSync(join(folder, name))
    fs.writeFileSync(join(folder, name, 'file'), 'x')
  }
  const attempts = `
    const attempts = (at) => [
      () => fs.readFileSync(at + '/file'), () => fs.readdirSync(at), () => fs.writeFileSync(at + '/new', 'x'),
      () => fs.appendFileSync(at + '/file', 'x'), () => fs.truncateSync(at + '/file'),
      () => fs.mkdirSync(at + '/deeper'), () => fs.renameSync(at + '/file', at + '/renamed'),
      () => fs.symlinkSync('/etc/passwd', at + '/link'), () => fs.rmSync(at + '/renamed'),
    ]`
  const [note, mine, read, other, linked, program] = run(`
    ${attempts}
    say(confineFiles(libc, { writable: ['${folder}/mine'], readable: ['${folder}/read'] }))
    for (const name of ['mine', 'read', 'other']) {
      say(await Promise.all(attempts('${folder}/' + name).map(code)))
    }
    say(await code(() => fs.readFileSync('${folder}/mine/link')))
    spawn(process.execPath, ['-p', \`
      try { fs.readFileSync('${folder}/other/file') } catch (error) { JSON.stringify(error.code) }
    \`], { stdio: 'inherit' })
  `)
  assert.equal(note, `files are confined by Landlock ${version}: written only below ${folder}/mine`
    + (version >= 6 ? '' : version >= 4 ? '; not confined: signals and abstract sockets'
      : '; not confined: TCP, signals and abstract sockets'))
  const denied = 'EACCES'
  assert.deepEqual(mine, Array(9).fill('done'))
  assert.deepEqual((read as string[]).slice(0, 4), ['done', 'done', denied, denied])
  assert.deepEqual((read as string[]).slice(5, 8), [denied, denied, denied])
  assert.deepEqual((other as string[]).slice(0, 4), [denied, denied, denied, denied])
  assert.equal(linked, denied)
  assert.equal(program, denied)
})

const tcp = landlock || (version < 4 && 'Landlock 4 brings this')
test('confineFiles() allows no TCP, unless told', { skip: tcp }, () => {
  const tries = `
    const bytes = Uint8Array.of(2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0) // 127.0.0.1, port 9
    const fd = libc.socket(2, 1, 0)
    say([libc.connect(fd, bytes, 16), libc.errno()])
  `
  const nowhere = `{ writable: ['${folder}'], readable: [] }`
  assert.deepEqual(run(`confineFiles(libc, ${nowhere}); ${tries}`), [[-1, 13]]) // EACCES
  const network = `{ writable: ['${folder}'], readable: [], network: true }`
  assert.deepEqual(run(`confineFiles(libc, ${network}); ${tries}`), [[-1, 111]]) // ECONNREFUSED
})

test('confineFiles() says what cannot be done, and goes on', { skip: linux }, () => {
  function without(errno: number, version = -1): Libc {
    return { ...libc!, syscall: () => version, errno: () => errno }
  }
  const needs = { writable: [folder], readable: [] }
  assert.equal(confineFiles(without(38), needs), 'files are not confined: this kernel has no Landlock')
  assert.equal(confineFiles(without(95), needs), 'files are not confined: Landlock is switched off')
  assert.equal(
    confineFiles(without(1), needs), 'files are not confined: Landlock is not allowed here (EPERM)')
  assert.equal(
    confineFiles(without(0, 1), needs),
    'files are not confined: the first Landlock lets none change its folder')
})

test('confineFiles() names a folder that is missing', { skip: landlock }, () => {
  const [note] = run(`say(confineFiles(libc, { writable: ['${folder}/missing'], readable: [] }))`)
  assert.match(String(note), /; not confined: .*not to .*\/missing, which cannot be opened$/)
})

test('confineCalls() refuses calls on all threads; threads and own signals stay', { skip: seccomp }, () => {
  const [note, codes, clone3, threads, worker, signal, other] = run(`
    const threads = 'const { parentPort } = process.getBuiltinModule("node:worker_threads");'
    const idle = new Worker(threads + 'parentPort.once("message", () => {})', { eval: true })
    await new Promise((resolve) => idle.once('online', resolve))
    say(confineCalls(libc))
    const index = process.arch === 'x64' ? 0 : 1
    const socket = [[41, 198]]
    const calls = [...Object.values(REFUSED_CALLS), ...Object.values(NETWORK_CALLS), ...socket]
    const results = calls.filter((numbers) => numbers[index] >= 0).map((numbers) => {
      return libc.syscall(numbers[index], 0, 0, 0, 0) + ' ' + libc.errno()
    })
    say([...new Set(results)])
    say([libc.syscall(435, 0, 0, 0, 0), libc.errno()])
    say([...new Set(fs.readdirSync('/proc/self/task').flatMap((id) => {
      try {
        const status = fs.readFileSync('/proc/self/task/' + id + '/status', 'utf8')
        return [status.match(/(NoNewPrivs|Seccomp):.*/g).join()]
      } catch {
        return [] // a thread that has just ended
      }
    }))])
    idle.postMessage('')
    const worker = new Worker(threads + 'parentPort.postMessage("works")', { eval: true })
    say(await new Promise((resolve) => worker.once('message', resolve)))
    const awake = setInterval(() => {}, 60_000)
    await new Promise((resolve) => {
      process.once('SIGUSR2', resolve)
      process.kill(process.pid, 'SIGUSR2')
    })
    clearInterval(awake)
    say('heard')
    say(await code(() => process.kill(${process.pid}, 0)))
  `)
  assert.equal(note, 'system calls are confined by seccomp: no programs, no sockets')
  assert.deepEqual(codes, ['-1 1']) // EPERM
  assert.deepEqual(clone3, [-1, 38]) // ENOSYS
  assert.deepEqual(threads, ['NoNewPrivs:\t1,Seccomp:\t2'])
  assert.equal(worker, 'works')
  assert.equal(signal, 'heard')
  assert.equal(other, 'EPERM')
})

test('confineCalls() leaves sockets of IP to who opens connections', { skip: seccomp }, () => {
  const [note, families] = run(`
    say(confineCalls(libc, { network: true }))
    say([2, 10, 1, 16, 17].map((family) => libc.socket(family, 2, 0) < 0 ? libc.errno() : 'open'))
  `)
  assert.equal(note, 'system calls are confined by seccomp: no programs, no sockets but of IP')
  assert.deepEqual(families, ['open', 'open', 1, 1, 1])
})

test('refuseRings() keeps libuv from rings in programs that are started later', { skip: seccomp }, () => {
  const [reason, rings] = run(`
    say(refuseRings(libc) ?? null)
    spawn(process.execPath, ['-p', \`fs.readdirSync('/proc/self/fd').filter((fd) => {
      try { return fs.readlinkSync('/proc/self/fd/' + fd).includes('io_uring') } catch {}
    }).length\`], { stdio: 'inherit' })
  `)
  assert.equal(reason, null)
  assert.equal(rings, 0)
})

test('confineCalls() says what cannot be done, and goes on', { skip: linux }, () => {
  function without(errno: number, result = -1): Libc {
    return { ...libc!, prctl: () => 0, syscall: () => result, errno: () => errno }
  }
  const not = 'system calls are not confined: '
  assert.equal(confineCalls(without(38)), `${not}this kernel has no seccomp`)
  assert.equal(confineCalls(without(22)), `${not}this kernel has no seccomp`)
  assert.equal(confineCalls(without(13)), `${not}it is not allowed here (EACCES)`)
  assert.equal(confineCalls(without(0, 77)), `${not}thread 77 has a filter of its own`)
})

const HEADERS = ['/usr/include/x86_64-linux-gnu/asm/unistd_64.h', '/usr/include/asm-generic/unistd.h']
for (const [i, header] of HEADERS.entries()) {
  const missing = !fs.existsSync(header) && 'it is not here'
  test(`the numbers of calls are those of ${header}`, { skip: missing }, () => {
    const lines = fs.readFileSync(header, 'utf8').matchAll(/#define __NR(?:3264)?_(\w+)\s+(\d+)/g)
    const numbers = new Map(Array.from(lines, ([, name, number]) => [name, Number(number)]))
    for (const [name, pair] of Object.entries({ ...REFUSED_CALLS, ...NETWORK_CALLS })) {
      assert.equal(pair[i], numbers.get(name) ?? -1, name)
    }
  })
}
