/**
 * What the image of the Dockerfile runs, in a root of its own, which holds the executable and the libraries
 * of this machine in place of those that the image installs. No container engine is needed.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { EXECUTABLE, listenTo } from '../support/flowkit.ts'
import { openFrameSender, udpFrame } from '../support/frames.ts'
import { enterNetwork, makePair, run } from '../support/network.ts'

const skip = EXECUTABLE === undefined ? 'only the executable can be put there' : await enterNetwork()
const DOCKERFILE = new URL('../../Dockerfile', import.meta.url)

/** The words of an instruction in its JSON form, the last of its name. */
function wordsOf(instruction: string): string[] {
  const lines = readFileSync(DOCKERFILE, 'utf8').split('\n')
  return JSON.parse(lines.findLast((line) => line.startsWith(`${instruction} `))!.slice(instruction.length))
}

/** A root with the executable where the image has it, and the libraries that it is linked with. */
function makeRoot(executable: string): string {
  const root = mkdtempSync(join(tmpdir(), 'flowkit-image-'))
  function put(from: string, to: string): void {
    mkdirSync(join(root, dirname(to)), { recursive: true })
    copyFileSync(from, join(root, to))
  }
  put(executable, '/usr/local/bin/flowkit')
  const { stdout } = spawnSync('ldd', [executable], { encoding: 'utf8' })
  for (const [, library] of stdout.matchAll(/(\/\S+) \(0x/g)) put(library, library)
  for (const folder of ['proc', 'tmp']) mkdirSync(join(root, folder))
  run(`mount -t proc proc ${root}/proc`) // seen by this process only
  return root
}

test('the image captures as flowexport does', { skip, timeout: 120_000 }, async () => {
  const root = makeRoot(EXECUTABLE!)
  after(() => {
    run(`umount ${root}/proc`)
    rmSync(root, { recursive: true, force: true })
  })
  makePair('out0', 'in0')
  const child = spawn('chroot', [root, ...wordsOf('ENTRYPOINT'), ...wordsOf('CMD')], {
    env: { PATH: '/usr/local/bin:/usr/sbin:/usr/bin', INTERFACE: 'in*', INTERVAL: '2', MAXAGE: '1' },
  })
  const capture = listenTo(child)
  await capture.next(/capturing from in\* into \/opt\/flowexport\/nfdump \(line-1\.6\)\n/)
  const sender = await openFrameSender('out0', [udpFrame({ srcPort: 5, size: 100 })])
  sender.send(4)
  sender.close()
  const files = join(root, 'opt/flowexport/nfdump')
  const names = () => readdirSync(files).filter((name) => /^\d{14}$/.test(name))
  while (names().length === 0) await new Promise((resolve) => setTimeout(resolve, 50))
  const { exitCode, stderr } = await capture.stop()
  assert.equal(exitCode, 0, stderr)
  const [, line] = readFileSync(join(files, names()[0]), 'utf8').split('\n')
  assert.match(line, /^2\S+ \S+ +0\.\d{3} UDP +10\.0\.0\.1:5 +-> +10\.0\.0\.2:53 +4 +344 +1$/)
})
