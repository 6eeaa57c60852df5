/** What goes wrong around a collector: disks that are small or full, folders that nobody may write to. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, closeSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { FLOWKIT, freePort, introduce, startCollector, type CollectorProcess } from './collector-process.ts'
import { openMarkedTraffic, type MarkedTraffic } from './marked-flows.ts'

/** The user that has no rights. */
export const NOBODY = 65_534
/** Datagrams of `introduce` that are no flows. */
export const ANNOUNCED = 2

const isRoot = process.getuid?.() === 0

/** Why nothing can be mounted below a folder; false if it can be. */
export function noMounts(folder: string): string | false {
  if (!isRoot) return 'only root may mount a small disk'
  const path = join(folder, 'mount')
  mkdirSync(path)
  if (spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', path]).status !== 0) return 'nothing can be mounted here'
  execFileSync('umount', [path])
  return false
}

/** A disk of some MiB in a folder that is not there, gone with the test. @returns the folder */
export function mountDisk(t: TestContext, path: string, mebibytes: number): string {
  mkdirSync(path)
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path])
  t.after(() => execFileSync('umount', ['--lazy', path]))
  return path
}

/** Write a file that takes all room of a disk. @returns its path */
export function fill(disk: string): string {
  const path = join(disk, 'filler')
  const fd = openSync(path, 'w')
  const page = new Uint8Array(4096)
  assert.throws(() => { for (;;) writeSync(fd, page) }, { code: 'ENOSPC' })
  closeSync(fd)
  return path
}

/** Why flowkit cannot be run as NOBODY; false if it can be, or if that is no matter without root. */
export function noNobody(): string | false {
  if (!isRoot) return false
  const { status } = spawnSync(FLOWKIT[0], [...FLOWKIT.slice(1), '--version'], { uid: NOBODY, gid: NOBODY })
  return status !== 0 && 'another user cannot run flowkit from here'
}

/** Take away, or give back, the right to write in a folder, but for its subfolder `state`. */
export function setWritable(path: string, isWritable: boolean): void {
  for (const entry of ['.', ...readdirSync(path, { recursive: true, encoding: 'utf8' })]) {
    if (/^state/.test(entry) || /\.[a-z]+$/.test(entry)) continue
    chmodSync(join(path, entry), isWritable ? 0o755 : 0o555)
  }
}

/** A collector, and exporters that are known to it. */
export interface Fed {
  readonly traffic: MarkedTraffic
  readonly collector: CollectorProcess
}

/** Start a collector with metrics, as another user if one is given, and three exporters. */
export async function startFed(t: TestContext, args: readonly string[], uid?: number): Promise<Fed> {
  const port = await freePort()
  const traffic = await openMarkedTraffic(port, 1)
  const collector = startCollector(port, ['--log-level', 'debug', '--metrics', '127.0.0.1:0', ...args], uid)
  t.after(() => {
    traffic.close()
    collector.child.kill('SIGKILL')
  })
  await collector.said(/collecting on/)
  await introduce(traffic, collector)
  return { traffic, collector }
}
