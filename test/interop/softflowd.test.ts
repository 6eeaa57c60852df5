import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { listen } from '../core/net/ipfix-streams.ts'
import { collector, pick, type Row } from '../core/netflow/messages.ts'
import { missing } from './peers.ts'

const CAPTURE = fileURLToPath(new URL('../fixtures/pcap/ethernet.pcap', import.meta.url))
/** What is in the capture, as tcpdump has it. */
const FOUR = { src_addr: '192.0.2.1', dst_addr: '198.51.100.2' }
const SIX = { src_addr: '2001:db8::1', dst_addr: '2001:db8::2' }

test('softflowd exports by TCP', { skip: missing('softflowd') }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'flowkit-softflowd-'))
  try {
    const it = await listen()
    const to = ['-n', `127.0.0.1:${it.endpoint.port}`, '-v', '10', '-P', 'tcp']
    const from = ['-r', CAPTURE, '-a', '-6', '-d', '-c', 'none', '-p', join(directory, 'pid')]
    const { stdout } = await promisify(execFile)('softflowd', [...from, ...to], { timeout: 20_000 })
    await it.until(() => it.closed.length === 1)
    assert.deepEqual(it.faults, [])

    const { send, exporter } = collector()
    const flows: Row[] = []
    for (const { bytes, port } of it.messages) {
      flows.push(...send(bytes, '127.0.0.1', { port, session: true }))
    }
    assert.match(stdout, new RegExp(`Flows exported: \\d+ \\(${flows.length} records\\)`))
    const { counters, domains } = exporter('127.0.0.1')
    assert.deepEqual([counters.records, counters.heldSets, counters.faults], [flows.length, 0, {}])
    assert.equal([...domains.values()].reduce((sum, { sequence }) => sum + sequence.missing, 0), 0)
    assert.deepEqual(pick(flows, 'src_addr', 'dst_addr', 'src_port', 'dst_port', 'proto', 'packets'), [
      { ...FOUR, src_port: 40_000, dst_port: 2055, proto: 17, packets: 1 },
      { ...SIX, src_port: 40_000, dst_port: 2055, proto: 17, packets: 1 },
      { ...FOUR, src_port: 49_152, dst_port: 443, proto: 6, packets: 1 },
      { ...SIX, src_port: 49_152, dst_port: 443, proto: 6, packets: 1 },
    ])
    for (const [name, proto] of [['tcp', 6], ['udp', 17]] as const) {
      const bytes = flows.filter((row) => row['proto'] === proto).map((row) => row['bytes'] as number)
      const sum = bytes.reduce((total, value) => total + value, 0)
      assert.match(stdout, new RegExp(`${name} \\(${proto}\\): +${sum} +${bytes.length} `))
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})
