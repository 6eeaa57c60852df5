/** A network of one's own, for tests that need interfaces: nothing of the machine's is touched. */
import { spawnSync } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { REFUSED_CALLS } from '../../core/net/confine-calls.ts'
import { loadLibc } from '../../core/net/ffi.ts'

const CLONE_NEWNS = 0x20000 // linux/sched.h
const CLONE_NEWNET = 0x40000000

/**
 * Give this process's main thread, and what it starts, a network of its own: no interfaces but `lo`, and no
 * IPv6 that sends by itself. It ends with the process, whatever the end is.
 *
 * @returns why it cannot be had, for a test to be skipped with; false where it is there
 */
export async function enterNetwork(): Promise<string | false> {
  if (process.platform !== 'linux') return 'only Linux has this'
  if (process.getuid?.() !== 0) return 'only root can make networks'
  const libc = await loadLibc()
  const [x64, arm64] = REFUSED_CALLS['unshare']
  const number = process.arch === 'x64' ? x64 : arm64
  if (libc.syscall(number, CLONE_NEWNET | CLONE_NEWNS, 0, 0, 0) < 0) return 'this root may make no networks'
  try {
    run('mount --make-rprivate /')
    run('mount -t sysfs sysfs /sys') // which tells of the interfaces of who mounted it
    run('ip link set lo up')
  } catch (error) {
    return String(error)
  }
  const ipv6 = '/proc/sys/net/ipv6/conf/default/disable_ipv6'
  if (existsSync(ipv6)) writeFileSync(ipv6, '1')
  return false
}

/** Run a command of words without blanks. @returns what it printed. @throws Error if it fails */
export function run(command: string): string {
  const [program, ...args] = command.split(' ')
  const { error, status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`Cannot run ${command}: ${stderr.trim()}`)
  return stdout
}

/** Make two interfaces: what is sent to one comes from the other. */
export function makePair(one: string, other: string): void {
  run(`ip link add ${one} type veth peer name ${other}`)
  bringUp(one, other)
}

/** Set interfaces up, and wait until they send: for a moment they throw away what they are given. */
export function bringUp(...names: readonly string[]): void {
  for (const name of names) run(`ip link set ${name} up`)
  while (names.some((name) => / qdisc noop /.test(run(`ip link show ${name}`))));
}
