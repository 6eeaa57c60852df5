import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { findAccount, makeFolder, type AccountFiles, type DropOptions } from '../../../core/net/privileges.ts'

const folder = fs.mkdtempSync(join(tmpdir(), 'flowkit-test-'))
after(() => fs.rmSync(folder, { recursive: true, force: true }))

const linux = process.platform === 'linux' ? false : 'only Linux has this'
const root = linux || (process.getuid?.() === 0 ? false : 'only root can become another user')

/** The files of a machine: passwd(5), group(5). */
const FILES: AccountFiles = { passwd: join(folder, 'passwd'), group: join(folder, 'group') }
fs.writeFileSync(FILES.passwd, `root:x:0:0:root:/root:/bin/bash
toor:x:0:0::/root:/bin/sh
# a comment
flow:x:990:991:Flows,,,:/var/lib/flow:/usr/sbin/nologin

990:x:1234:1234:a number for a name::
broken:x:many:1::
none:x:4294967295:1::
`)
fs.writeFileSync(FILES.group, `root:x:0:
flow:x:991:
ssl-cert:x:110:postgres,flow
log:x:4:flow
flow-too:x:991:flow
other:x:5:flower,overflow
bad:x:x:flow
`)

const FLOW = { name: 'flow', uid: 990, gid: 991, groups: [991, 110, 4] }

test('findAccount() finds a user with the main group and all that name it', () => {
  assert.deepEqual(findAccount('flow', FILES), FLOW)
})

test('findAccount() takes a number where no name is like it', () => {
  assert.deepEqual(findAccount('1234', FILES), { name: '990', uid: 1234, gid: 1234, groups: [1234] })
  assert.equal(findAccount('990', FILES).uid, 1234)
})

test('findAccount() says what is wrong with a user', () => {
  function message(user: string): string {
    try {
      findAccount(user, FILES)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      return `${code} ${message}`
    }
    return ''
  }
  const found = `ERR_OPTION Cannot become user "flo": expected a user of ${FILES.passwd}, found none`
  assert.equal(message('flo'), found)
  const isRoot = 'expected one without privileges, found uid 0'
  assert.equal(message('root'), `ERR_OPTION Cannot become user "root": ${isRoot}`)
  assert.equal(message('toor'), `ERR_OPTION Cannot become user "toor": ${isRoot}`)
  const broken = `its line in ${FILES.passwd} has no valid numbers`
  assert.equal(message('broken'), `ERR_OPTION Cannot become user "broken": ${broken}`)
  assert.equal(message('none'), `ERR_OPTION Cannot become user "none": ${broken}`)
})

/** Drop privileges in a process of its own, after `before`, and give what `report` is there. */
function dropAndReport(options: DropOptions, report: string, before = ''): unknown {
  const module = new URL('../../../core/net/privileges.ts', import.meta.url).href
  const script = `
    import * as fs from 'node:fs'
    const { dropPrivileges } = await import('${module}')
    function fails(action) {
      try { action() } catch (error) { return error.code }
    }
    ${before}
    try {
      await dropPrivileges(${JSON.stringify(options)})
      console.log(JSON.stringify(${report}))
    } catch (error) {
      console.log(JSON.stringify(error.code + ' ' + error.message))
    }
  `
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, NODE_V8_COVERAGE: '' }, // which it may not write
  })
  assert.equal(stderr.toString(), '')
  return JSON.parse(stdout.toString())
}

const IDS = '[process.getuid(), process.geteuid(), process.getgid(), process.getegid(), process.getgroups()]'

test('dropPrivileges() changes user and groups for good', { skip: root }, () => {
  const groups = FLOW.groups.toSorted((a, b) => a - b)
  assert.deepEqual(dropAndReport({ account: FLOW }, IDS), [990, 990, 991, 991, groups])
  const regain = `['setuid', 'seteuid', 'setgid', 'setegid'].map((name) => fails(() => process[name](0)))`
  assert.deepEqual(dropAndReport({ account: FLOW }, regain), ['EPERM', 'EPERM', 'EPERM', 'EPERM'])
})

test('dropPrivileges() leaves no thread a capability', { skip: root }, () => {
  const capabilities = `fs.readdirSync('/proc/self/task').flatMap((id) => {
    const path = '/proc/self/task/' + id + '/status'
    if (fails(() => fs.readFileSync(path))) return [] // a thread that has just ended
    return fs.readFileSync(path, 'utf8').match(/CapEff:\\s*(\\w+)/)[1]
  })`
  const found = dropAndReport({ account: FLOW }, capabilities) as string[]
  assert.ok(found.length > 1)
  assert.deepEqual(new Set(found), new Set(['0000000000000000']))
})

test('dropPrivileges() makes a folder the root of all files', { skip: root }, () => {
  const chroot = join(folder, 'jail')
  fs.mkdirSync(chroot)
  fs.writeFileSync(join(chroot, 'only'), '')
  const report = `[process.cwd(), fs.readdirSync('/'), fs.readdirSync('../..'), fails(() =>
    fs.readFileSync('/etc/passwd')), process.getuid()]`
  assert.deepEqual(dropAndReport({ account: FLOW, chroot }, report), ['/', ['only'], ['only'], 'ENOENT', 990])
})

test('dropPrivileges() says why it cannot', { skip: root }, () => {
  const other = { name: 'other', uid: 5, gid: 5, groups: [5] }
  const become = 'process.setgid(991); process.setuid(990)'
  const reason = 'this process may not do so, root may'
  const message = `ERR_OPTION Cannot become user "other": ${reason}`
  assert.equal(dropAndReport({ account: other }, '0', become), message)
  assert.equal(
    dropAndReport({ account: FLOW, chroot: '/' }, '0', become),
    `ERR_OPTION Cannot enter chroot "/": ${reason}`,
  )
  const missing = join(folder, 'missing')
  const notFound = `ERR_OPTION Cannot enter chroot "${missing}": ENOENT`
  assert.equal(dropAndReport({ account: FLOW, chroot: missing }, '0'), notFound)
})

test('dropPrivileges() is content where the user is that one already', { skip: root }, () => {
  const become = 'process.setgroups([]); process.setgid(991); process.setuid(990)'
  assert.deepEqual(dropAndReport({ account: FLOW }, IDS, become), [990, 990, 991, 991, [991]])
})

test('makeFolder() gives the folders that it makes to the user, and no others', { skip: root }, () => {
  const path = join(folder, 'existing', 'a', 'b')
  fs.mkdirSync(join(folder, 'existing'))
  makeFolder(path, FLOW)
  makeFolder(path, { ...FLOW, uid: 5 })
  const owners = ['existing', 'existing/a', 'existing/a/b'].map((name) => {
    const { uid, gid, mode } = fs.statSync(join(folder, name))
    return [uid, gid, mode & 0o777]
  })
  assert.deepEqual(owners.slice(1), [[990, 991, 0o755], [990, 991, 0o755]])
  assert.equal(owners[0][0], 0)
})
