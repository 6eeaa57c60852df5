import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { hash } from 'node:crypto'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import { finished } from '../support/flowkit.ts'
import { extractSet, loadNative, openCache, type PackedSet } from '../../core/native.ts'

const ADDON = Buffer.from('the addon')
const LIBRARY = Buffer.alloc(300_000, 'the library it needs ')
const CONTENTS: Record<string, Buffer> = { 'addon.zst': ADDON, 'library.zst': LIBRARY }
const SET: PackedSet = {
  id: '0123456789ab',
  files: [
    { name: 'made-up.node', asset: 'addon.zst', size: ADDON.length, sha256: hash('sha256', ADDON) },
    { name: 'libmade-up.so', asset: 'library.zst', size: LIBRARY.length, sha256: hash('sha256', LIBRARY) },
  ],
}

let folder: string // a place of its own for each test
let cache: string
let reads: string[] // assets that were unpacked

beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'flowkit-native-'))
  cache = openCache({ FLOWKIT_CACHE_DIR: join(folder, 'cache') })
  reads = []
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

function extract(): string {
  return extractSet(cache, 'made-up', SET, (asset) => {
    reads.push(asset)
    return zstdCompressSync(CONTENTS[asset])
  })
}

/** Both files are there, whole, private, and nothing else is left in the cache. */
function checkExtracted(addon: string): void {
  assert.equal(addon, join(cache, 'made-up-0123456789ab', 'made-up.node'))
  assert.deepEqual(fs.readFileSync(addon), ADDON)
  assert.deepEqual(fs.readFileSync(libraryPath()), LIBRARY)
  assert.equal(fs.lstatSync(libraryPath()).mode & 0o777, 0o500)
  assert.equal(fs.lstatSync(join(cache, 'made-up-0123456789ab')).mode & 0o777, 0o700)
  assert.deepEqual(fs.readdirSync(cache), ['made-up-0123456789ab'])
}

function libraryPath(): string {
  return join(cache, 'made-up-0123456789ab', 'libmade-up.so')
}

/** Damage what was extracted, then extract again. */
function extractAfter(damage: () => void): void {
  extract()
  damage()
  reads = []
  checkExtracted(extract())
}

test('the first use unpacks the files, later ones find them', () => {
  checkExtracted(extract())
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
  checkExtracted(extract())
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
})

test('a flipped byte, a cut file, a missing file or folder are replaced', () => {
  extractAfter(() => {
    fs.chmodSync(libraryPath(), 0o700)
    const fd = fs.openSync(libraryPath(), 'r+')
    fs.writeSync(fd, Buffer.of(0xff), 0, 1, 1000)
    fs.closeSync(fd)
  })
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
  extractAfter(() => fs.truncateSync(libraryPath(), 1000))
  extractAfter(() => fs.rmSync(libraryPath()))
  extractAfter(() => fs.rmSync(join(libraryPath(), '..'), { recursive: true }))
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
})

test('a file that was only touched is hashed again and kept', () => {
  extractAfter(() => fs.utimesSync(libraryPath(), 1, 1))
  assert.deepEqual(reads, [])
  const verified = fs.statSync(join(libraryPath(), '../verified')).mtimeMs
  checkExtracted(extract())
  assert.equal(fs.statSync(join(libraryPath(), '../verified')).mtimeMs, verified)
})

test('a link in place of a file, the folder or the mark of verified files is replaced, not followed', () => {
  const own = join(folder, 'own')
  fs.writeFileSync(own, LIBRARY, { mode: 0o500 })
  extractAfter(() => {
    fs.rmSync(libraryPath())
    fs.symlinkSync(own, libraryPath())
  })
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
  extractAfter(() => {
    fs.renameSync(join(libraryPath(), '..'), join(folder, 'moved'))
    fs.symlinkSync(join(folder, 'moved'), join(libraryPath(), '..'))
  })
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
  extractAfter(() => {
    fs.rmSync(join(libraryPath(), '../verified'))
    fs.symlinkSync(own, join(libraryPath(), '../verified'))
  })
  assert.deepEqual(fs.readFileSync(own), LIBRARY)
  const moved = fs.readdirSync(join(folder, 'moved')).sort()
  assert.deepEqual(moved, ['libmade-up.so', 'made-up.node', 'verified'])
})

test('files or a folder that others may write to are replaced', () => {
  extractAfter(() => fs.chmodSync(libraryPath(), 0o777))
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
  extractAfter(() => fs.chmodSync(join(libraryPath(), '..'), 0o777))
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
})

const skipUnlessRoot = process.getuid?.() !== 0 && 'only root can give files away'

test('files of another user are replaced', { skip: skipUnlessRoot }, () => {
  extractAfter(() => fs.chownSync(libraryPath(), 65534, 65534))
  assert.deepEqual(reads, ['addon.zst', 'library.zst'])
})

test('a file in place of the folder is replaced', () => {
  fs.writeFileSync(join(cache, 'made-up-0123456789ab'), '')
  checkExtracted(extract())
})

test('what killed processes left behind is removed after an hour', () => {
  for (const name of ['.new-1-a', '.old-1-a-1', '.new-2-b']) fs.mkdirSync(join(cache, name))
  fs.writeFileSync(join(cache, '.new-1-a', 'libmade-up.so'), 'half')
  for (const name of ['.new-1-a', '.old-1-a-1']) fs.utimesSync(join(cache, name), 1, 1)
  extract()
  assert.deepEqual(fs.readdirSync(cache).sort(), ['.new-2-b', 'made-up-0123456789ab'])
})

test('an executable with damaged contents is refused, and leaves nothing behind', () => {
  const damaged = (): Uint8Array => zstdCompressSync(Buffer.alloc(ADDON.length, 'x'))
  assert.throws(() => extractSet(cache, 'made-up', SET, damaged), {
    code: 'ERR_CHECKSUM', message: 'Cannot unpack made-up.node: the executable is damaged',
  })
  assert.deepEqual(fs.readdirSync(cache), [])
})

test('eight processes may use it for the first time at once, also where a damaged copy lies', async () => {
  const contents = Object.entries(CONTENTS).map(([name, bytes]) => [name, bytes.toString('base64')])
  const inputs = join(folder, 'inputs')
  fs.writeFileSync(inputs, JSON.stringify({ cache, set: SET, contents: Object.fromEntries(contents) }))
  const script = `
    import { readFileSync } from 'node:fs'
    import { zstdCompressSync } from 'node:zlib'
    import { extractSet } from ${JSON.stringify(new URL('../../core/native.ts', import.meta.url))}
    const { cache, set, contents } = JSON.parse(readFileSync(process.argv[1], 'utf8'))
    process.stdin.once('data', () => {
      const read = (asset) => zstdCompressSync(Buffer.from(contents[asset], 'base64'))
      process.stdout.write(extractSet(cache, 'made-up', set, read))
      process.stdin.destroy()
    })
    process.stdout.write('ready ')`
  for (const damaged of [false, true]) {
    if (damaged) fs.truncateSync(libraryPath(), 5)
    const children = Array.from({ length: 8 }, () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', script, inputs])
      return { child, ready: once(child.stdout, 'data'), finished: finished(child) }
    })
    await Promise.all(children.map(({ ready }) => ready))
    for (const { child } of children) child.stdin.write('go')
    for (const { finished } of children) {
      const stdout = `ready ${join(cache, 'made-up-0123456789ab/made-up.node')}`
      assert.deepEqual(await finished, { exitCode: 0, stdout, stderr: '' })
    }
    checkExtracted(extract())
    assert.deepEqual(reads, [])
  }
})

test('the cache is the folder that is asked for, and must be private', () => {
  const wanted = join(folder, 'a', 'b')
  assert.equal(openCache({ FLOWKIT_CACHE_DIR: wanted, HOME: folder }), wanted)
  assert.equal(fs.lstatSync(join(folder, 'a')).mode & 0o777, 0o700)
  fs.chmodSync(wanted, 0o777)
  const message = `Cannot use cache folder "${wanted}": expected a directory that only you can write to, `
    + `found mode 777 of user ${process.getuid?.()}`
  assert.throws(() => openCache({ FLOWKIT_CACHE_DIR: wanted }), { name: 'FlowkitError', message })
  fs.chmodSync(wanted, 0o700)
  fs.symlinkSync(wanted, join(folder, 'link'))
  assert.throws(() => openCache({ FLOWKIT_CACHE_DIR: join(folder, 'link') }), { name: 'FlowkitError' })
})

test('without one that is asked for, the first usable of the usual folders is the cache', () => {
  const [system, xdg, home] = ['system', 'xdg', 'home'].map((name) => join(folder, name))
  assert.equal(openCache({ CACHE_DIRECTORY: `${system}:/other`, XDG_CACHE_HOME: xdg, HOME: home }), system)
  assert.equal(openCache({ XDG_CACHE_HOME: xdg, HOME: home }), join(xdg, 'flowkit'))
  assert.equal(openCache({ HOME: home }), join(home, '.cache/flowkit'))
  fs.chmodSync(join(xdg, 'flowkit'), 0o777)
  assert.equal(openCache({ XDG_CACHE_HOME: xdg, HOME: home }), join(home, '.cache/flowkit'))
  assert.equal(openCache({ XDG_CACHE_HOME: '/proc', HOME: home }), join(home, '.cache/flowkit'))
})

test('without a home the cache is in the temporary folder', (t) => {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = folder
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  assert.equal(openCache({}), join(folder, `flowkit-${process.getuid?.()}`))
})

test('where no folder can be made, it says so at once', () => {
  const env = { FLOWKIT_CACHE_DIR: '/proc/flowkit/cache' }
  assert.throws(() => openCache(env), { syscall: 'mkdir', path: '/proc/flowkit' })
})

test('outside the executable there is nothing to load', () => {
  assert.throws(() => loadNative('duckdb'), /^Error: Cannot load duckdb while building/)
})
