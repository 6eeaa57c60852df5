import { hash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { getAsset, getRawAsset, isSea } from 'node:sea'
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import { zstdDecompressSync } from 'node:zlib'
import { FlowkitError } from './flow/errors.ts'

/**
 * Native packages. Sources import them as any package, from node_modules. In the executable the same import
 * calls `loadNative`: the files lie in it compressed, and are taken out to a private cache folder at first
 * use, since the system's loader wants files.
 */
export interface NativeSet {
  /** What the sources import. */
  readonly package: string
  /** The package that has the files. */
  readonly from: string
  /** Paths in it, of the addon first, then of the libraries it needs; side by side when they are loaded. */
  readonly files: readonly string[]
}

/** The native packages that the executable carries, by name. */
export const NATIVE_SETS: Readonly<Record<string, NativeSet>> = {
  duckdb: {
    package: '@duckdb/node-bindings', from: '@duckdb/node-bindings-linux-x64',
    files: ['duckdb.node', 'libduckdb.so'],
  },
  koffi: { package: 'koffi', from: '@koromix/koffi-linux-x64', files: ['linux_x64/koffi.node'] },
}

/** One file as the executable carries it: zstd-compressed, in an asset. */
export interface PackedFile {
  readonly name: string
  readonly asset: string
  readonly size: number // bytes, as are all sizes here, uncompressed
  readonly sha256: string
}

/** A native package as the executable carries it. */
export interface PackedSet {
  /** Changes with the contents: part of the folder's name in the cache. */
  readonly id: string
  /** The addon first. */
  readonly files: readonly PackedFile[]
}

/** What the executable carries, by name of the set; the asset `native.json`. */
export type NativeManifest = Readonly<Record<string, PackedSet>>

/**
 * Load the addon of one of NATIVE_SETS from inside the executable.
 *
 * @throws FlowkitError if there is no safe place for its files, or the system cannot load them
 */
export function loadNative(name: string): unknown {
  if (!isSea()) throw new Error(`Cannot load ${name} while building: a command imports it only when it runs`)
  const key = `flowkit-native-${name}`
  const loaded = getEnvironmentData(key)
  // a worker's process may have given up its cache meanwhile; what is loaded, the system finds by its path
  if (typeof loaded === 'string') return open(loaded)
  const set = (JSON.parse(getAsset('native.json', 'utf8')) as NativeManifest)[name]
  for (let attempt = 1; ; attempt++) {
    const path = extractSet(openCache(process.env), name, set, (asset) => new Uint8Array(getRawAsset(asset)))
    try {
      const exports = open(path)
      setEnvironmentData(key, path)
      return exports
    } catch (error) {
      // another process may have replaced a damaged copy between the check and here
      if (attempt < 3 && !fs.existsSync(path)) continue
      const reason = error instanceof Error ? error.message : String(error)
      throw new FlowkitError('ERR_UNSUPPORTED', `Cannot load ${name}: ${reason}`, { cause: error })
    }
  }
}

function open(path: string): unknown {
  const module = { exports: {} }
  process.dlopen(module, path)
  return module.exports
}

/**
 * The folder for extracted files, made if need be: `$FLOWKIT_CACHE_DIR`, else the first that can be used of
 * systemd's `$CACHE_DIRECTORY`, `$XDG_CACHE_HOME/flowkit`, `~/.cache/flowkit`, and `flowkit-UID` in the
 * temporary folder. One that others may write to is not used: they could put their own code there.
 *
 * @throws FlowkitError or a system error, saying what is wrong with the first of them, if none can be used
 */
export function openCache(env: NodeJS.ProcessEnv): string {
  const chosen = env['FLOWKIT_CACHE_DIR']
  const candidates = chosen ? [resolve(chosen)] : [
    ...(env['CACHE_DIRECTORY'] ? [env['CACHE_DIRECTORY'].split(':')[0]] : []),
    ...(env['XDG_CACHE_HOME'] ? [join(env['XDG_CACHE_HOME'], 'flowkit')] : []),
    ...(env['HOME'] ? [join(env['HOME'], '.cache', 'flowkit')] : []),
    join(tmpdir(), `flowkit-${process.getuid?.() ?? 'user'}`),
  ]
  let failure: unknown
  for (const folder of candidates) {
    try {
      makeFolders(folder)
      checkPrivate(folder)
      fs.accessSync(folder, fs.constants.W_OK)
      return folder
    } catch (error) {
      failure ??= error
    }
  }
  throw failure
}

function checkPrivate(folder: string): void {
  const state = fs.lstatSync(folder)
  if (state.isDirectory() && isPrivate(state)) return
  const mode = (state.mode & 0o777).toString(8)
  const found = state.isDirectory() ? `mode ${mode} of user ${state.uid}` : 'no directory'
  const wanted = 'expected a directory that only you can write to'
  throw new FlowkitError('ERR_OPTION', `Cannot use cache folder "${folder}": ${wanted}, found ${found}`)
}

/** mkdir -p, folder by folder: Node's own never returns where a folder that exists takes none (/proc). */
function makeFolders(folder: string): void {
  const missing: string[] = []
  for (let at = folder; !fs.existsSync(at); at = dirname(at)) missing.push(at)
  for (const each of missing.reverse()) {
    try {
      fs.mkdirSync(each, { mode: 0o700 })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // another process was faster
    }
  }
}

/**
 * Make sure that the files of `set` lie in `cache`, whole and untouched, and give the path of the addon.
 *
 * A set is written under a temporary name and renamed, so that any number of processes may do this at once;
 * a copy that is damaged or that others could have changed is replaced. An intact one costs a few stat calls.
 *
 * @param cache as `openCache` gives it
 * @param readAsset gives the compressed bytes of an asset
 */
export function extractSet(
  cache: string, name: string, set: PackedSet, readAsset: (asset: string) => Uint8Array,
): string {
  const folder = join(cache, `${name}-${set.id}`)
  if (!isIntact(folder, set)) install(cache, folder, set, readAsset)
  return join(folder, set.files[0].name)
}

/** Holds what `stamp` said when the files were last compared with their SHA-256. */
const STAMP = 'verified'

/** Whether `folder` holds exactly the files of `set`, and nobody else can change them. */
function isIntact(folder: string, set: PackedSet): boolean {
  try {
    const state = fs.lstatSync(folder)
    if (!state.isDirectory() || !isPrivate(state)) return false
    const stamps = stamp(folder, set)
    if (stamps === undefined) return false
    if (fs.existsSync(join(folder, STAMP)) && readOwn(join(folder, STAMP)).toString() === stamps) return true
    // touched since: hash them again, which is slow
    const whole = set.files.every(({ name, sha256 }) => digest(readOwn(join(folder, name))) === sha256)
    if (whole) writeStamp(folder, stamps)
    return whole
  } catch {
    return false // what cannot be read is replaced; where that fails too, it says why
  }
}

/** Changes when anybody writes to the files or replaces them; undefined where one is not as it must be. */
function stamp(folder: string, set: PackedSet): string | undefined {
  const lines: string[] = []
  for (const { name, size } of set.files) {
    const state = fs.lstatSync(join(folder, name), { bigint: true })
    if (!state.isFile() || !isPrivate(state) || state.size !== BigInt(size)) return undefined
    lines.push(`${name} ${state.ino} ${state.mtimeNs} ${state.ctimeNs}`)
  }
  return lines.join('\n')
}

function writeStamp(folder: string, stamps: string): void {
  const temporary = join(folder, `${STAMP}-${randomBytes(6).toString('hex')}`)
  fs.writeFileSync(temporary, stamps, { mode: 0o600 })
  fs.renameSync(temporary, join(folder, STAMP))
}

/** Owned by this user, and writable by no other. */
function isPrivate({ uid, mode }: { uid: number | bigint; mode: number | bigint }): boolean {
  const user = process.getuid?.()
  return user === undefined || (Number(uid) === user && (Number(mode) & 0o022) === 0)
}

/** The bytes of a file, but not through a link. */
function readOwn(path: string): Buffer {
  const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW)
  try {
    return fs.readFileSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}

function digest(bytes: Uint8Array): string {
  return hash('sha256', bytes, 'hex')
}

function install(
  cache: string, folder: string, set: PackedSet, readAsset: (asset: string) => Uint8Array,
): void {
  removeLeftovers(cache)
  const unique = `${process.pid}-${randomBytes(6).toString('hex')}`
  const fresh = join(cache, `.new-${unique}`)
  fs.mkdirSync(fresh, { mode: 0o700 })
  try {
    for (const { name, asset, size, sha256 } of set.files) {
      const bytes = zstdDecompressSync(readAsset(asset), { maxOutputLength: size })
      if (digest(bytes) !== sha256) {
        throw new FlowkitError('ERR_CHECKSUM', `Cannot unpack ${name}: the executable is damaged`)
      }
      // flushed: a crash must not leave a file of the right size and the wrong bytes
      fs.writeFileSync(join(fresh, name), bytes, { mode: 0o500, flag: 'wx', flush: true })
    }
    writeStamp(fresh, stamp(fresh, set) ?? '')
    for (let attempt = 1; ; attempt++) {
      try {
        return fs.renameSync(fresh, folder)
      } catch (error) {
        if (isIntact(folder, set)) return // another process was faster
        if (attempt === 3) throw error
        setAside(folder, join(cache, `.old-${unique}-${attempt}`))
      }
    }
  } finally {
    fs.rmSync(fresh, { recursive: true, force: true })
  }
}

/** Move a bad copy, or whatever stands in its place, out of the way and remove it. */
function setAside(folder: string, aside: string): void {
  try {
    fs.renameSync(folder, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // another process was faster
  }
  fs.rmSync(aside, { recursive: true, force: true })
}

const HOUR = 3_600_000 // ms

/** Remove what killed processes left half-done. */
function removeLeftovers(cache: string): void {
  for (const name of fs.readdirSync(cache)) {
    if (!/^\.(new|old)-/.test(name)) continue
    const path = join(cache, name)
    const state = fs.lstatSync(path, { throwIfNoEntry: false })
    if (state && Date.now() - state.mtimeMs > HOUR) fs.rmSync(path, { recursive: true, force: true })
  }
}
