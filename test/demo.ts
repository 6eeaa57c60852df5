/** `make demo`: collect on loopback from a capture, then show what is in the archive. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { replayCapture } from './support/replay.ts'
import { EXECUTABLE, flowkit, startCollect } from './support/flowkit.ts'

const CAPTURE = 'test/fixtures/netflow/demo.pcap'
const name = relative('.', EXECUTABLE ?? 'dist/flowkit')
const archive = await mkdtemp(join(tmpdir(), 'flowkit-demo-'))

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

async function show(args: readonly string[]): Promise<void> {
  say(`\n$ ${name} ${args.map((arg) => /[^\w.,/:=-]/.test(arg) ? `'${arg}'` : arg).join(' ')}`)
  const { exitCode, stdout, stderr } = await flowkit(args, { TZ: 'UTC' })
  process.stdout.write(stdout + stderr)
  if (exitCode !== 0) throw new Error(`${name} ${args[0]} ended with ${exitCode}`)
}

const collector = await startCollect(archive)
say(`$ ${name} collect --listen 127.0.0.1:${collector.port} --to ${archive} &`)
const sent = await replayCapture(CAPTURE, collector.port)
say(`${sent} datagrams of ${CAPTURE} sent to it`)
const { exitCode, stderr } = await collector.stop()
process.stdout.write(stderr)
if (exitCode !== 0) throw new Error(`${name} collect ended with ${exitCode}`)

await show(['analyze', 'top', '--by', 'src_addr', '--sum', 'bytes,packets,flows', '-n', '5', archive])
await show(['read', archive, '-n', '3', '-o', 'json'])
await show(['read', archive, '--summary'])

say(`
The archive is plain Parquet below ${archive}. Next, try:
  ${name} read ${archive} 'proto tcp and dst port 443' --sort bytes -n 10
  ${name} read ${archive} -o csv --fields flow_start,src_addr,dst_addr,bytes
  ${name} analyze top --by dst_port --sum packets ${archive}
  ${name} collect --help
  rm -r ${archive}`)
if (process.env['CI']) await rm(archive, { recursive: true })
