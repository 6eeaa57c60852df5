import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { startLanes, type Lanes } from '../../../core/collector/lanes.ts'
import { archiveSink } from '../../../core/sinks/sink.ts'
import { openSpool } from '../../../core/spool/spool.ts'
import { parseFilter, type Filter } from '../../../core/filter/filter.ts'
import { parseIpv4 } from '../../../core/flow/address.ts'
import type { ListenAt } from '../../../core/net/endpoint.ts'
import { loadLibc } from '../../../core/net/ffi.ts'
import { laneOf, openLanes } from '../../../core/net/steering.ts'
import { openStreamSender } from '../../../core/net/stream-sender.ts'
import { localEndpoint } from '../../../core/net/udp-socket.ts'
import { NO_RULES } from '../../../core/netflow/sampling-rules.ts'
import { ipfixMessage, sendFrom, v5Datagram } from '../../support/datagrams.ts'
import { set, template, u32, v9 } from '../netflow/messages.ts'
import { blocksOf, datagramOf, temporaryFolder } from '../spool/spooled.ts'

const LANES = 3
const linux = process.platform === 'linux' ? false : 'only Linux has this'
/** Exporters. */
const SOURCES = Array.from({ length: 12 }, (_, i) => `127.0.0.${i + 2}`)

/** What cmd/collect/lane.ts makes lanes of. */
interface Task {
  readonly options: object
  readonly filter: Filter | undefined
  readonly places: readonly object[]
  readonly tls: undefined | { readonly key: string, readonly cert: string }
}

interface Harness {
  readonly lanes: Lanes<Task>
  readonly port: number
  readonly archive: string
  readonly files: string[]
  readonly faults: string[]
  readonly recovered: number[]
  task(filter?: Filter): Task
  /** Resolves once so many datagrams were taken. */
  until(datagrams: number): Promise<void>
}

interface Start {
  readonly listen?: readonly ListenAt[]
  readonly groups?: Parameters<typeof openLanes>[2]['groups']
  readonly tls?: Task['tls']
  readonly archive?: string
}

const UDP: ListenAt = { protocol: 'udp', address: '127.0.0.1', port: 0 }

function newArchive(t: TestContext): string {
  return join(temporaryFolder(t), 'archive')
}

async function start(
  t: TestContext, { listen = [UDP], groups = [], tls, archive = newArchive(t) }: Start = {},
): Promise<Harness> {
  const sockets = await openLanes(listen, LANES, { receiveBuffer: 1 << 20, groups })
  const { port } = localEndpoint(await loadLibc(), sockets[0][0].fd!)
  const [files, faults, recovered]: [string[], string[], number[]] = [[], [], []]
  function task(filter?: Filter): Task {
    const options = { rotate: 60_000, spoolSize: 3 * 2 ** 24, spoolSync: 1000, receiveBuffer: 1 << 20 }
    return { options, filter, places: [{ path: archive, format: 'archive' }], tls }
  }
  const lanes = await startLanes<Task>({
    lane: 'cmd/collect/lane',
    sockets, task: task(), spool: join(archive, 'state', 'spool'), sinks: [archiveSink(archive)],
    settings: { sampling: NO_RULES },
    onError: (error) => faults.push(String(error)),
    onFault: (error, exporter) => faults.push(`${exporter}: ${error.message}`),
    onLaneFault: (exporter, reason) => faults.push(`${exporter}: ${reason}`),
    onFile: (path) => files.push(path),
    onRecovered: (segments) => recovered.push(segments),
  })
  return {
    lanes, port, archive, files, faults, recovered, task,
    async until(datagrams) {
      while ((await lanes.report()).counters.datagrams < datagrams);
    },
  }
}

test('each exporter belongs to one lane, and the report is of all', { skip: linux }, async (t) => {
  const { lanes, port, files, until } = await start(t)
  for (const source of SOURCES) await sendFrom(source, port, v5Datagram(), v5Datagram({ srcPort: 5 }))
  await until(24)
  await lanes.pulse()
  const { sockets, spool } = await lanes.report()
  assert.deepEqual(sockets.map(({ endpoint }) => endpoint), [`udp://127.0.0.1:${port}`])
  assert.deepEqual([spool.limit, spool.reserved], [3 * 2 ** 24, 3 * (2 ** 24 - 4096)]) // a page is used
  assert.equal(await lanes.stop(), 0)
  const { counters, exporters, sinks, spool: { waiting } } = await lanes.report()
  assert.deepEqual([counters.datagrams, counters.records, sinks[0].rows, waiting], [24, 24, 24, 0])
  const heard = exporters.map(({ exporter, datagrams, records }) => `${exporter} ${datagrams} ${records}`)
  assert.deepEqual(heard.sort(), SOURCES.map((source) => `${source} 2 2`).sort())
  // a segment of each lane, and these cannot have the same name
  const names = files.map((path) => basename(path).slice(0, 22)).sort()
  assert.deepEqual(names.map((name) => name.slice(20)), ['00', '01', '02'])
  assert.equal(new Set(names.map((name) => name.slice(0, 20))).size, 1)
})

test('rotations, filters and faults reach the lanes, and come from them', { skip: linux }, async (t) => {
  const { lanes, port, archive, files, faults, task, until } = await start(t)
  for (const source of SOURCES) await sendFrom(source, port, v5Datagram())
  await until(12)
  lanes.rotate()
  while (files.length < LANES) await lanes.report()
  lanes.configure(task(parseFilter('src port 7')))
  lanes.rotate()
  for (const source of SOURCES) {
    await sendFrom(source, port, v5Datagram(), v5Datagram({ srcPort: 7 }), Buffer.from('damaged'))
  }
  const damaged = Buffer.from('damaged')
  await sendFrom(SOURCES[0], port, damaged, damaged, damaged)
  await until(51)
  assert.equal(await lanes.stop(), 3)
  const { counters, sinks } = await lanes.report()
  assert.deepEqual([counters.records, counters.filtered, sinks[0].rows], [36, 12, 24])
  const reason = 'Cannot decode datagram: NetFlow version 25697 is not supported'
  assert.deepEqual(faults.sort(), SOURCES.map((source) => `${source}: ${reason}`).sort())
  assert.deepEqual(globSync(`${archive}/flows/*/*/*.parquet`).sort(), files.sort())
})

test('connections of an exporter belong to its lane too', { skip: linux }, async (t) => {
  const tcp = { ...UDP, protocol: 'tcp' } as const
  const { lanes, port } = await start(t, { listen: [tcp, UDP] })
  const { streams: [{ endpoint }], sockets: [socket] } = await lanes.report()
  assert.equal(endpoint, `tcp://127.0.0.1:${port}`)
  const udp = Number(/\d+$/.exec(socket.endpoint)![0])
  const sender = await openStreamSender({ host: '127.0.0.1', port }) // from 127.0.0.1
  sender.send(ipfixMessage())
  await sendFrom('127.0.0.1', udp, v5Datagram())
  while ((await lanes.report()).counters.datagrams < 2);
  await sender.close()
  await lanes.stop()
  const { exporters, streams } = await lanes.report()
  assert.deepEqual(exporters.map(({ exporter, records }) => [exporter, records]), [['127.0.0.1', 2]])
  assert.equal(streams[0].accepted, 1)
})

const noMulticast = linux || (networkInterfaces()['lo'] ? false : 'there is no interface lo')
test('what comes to all lanes, as by a multicast group, counts once', { skip: noMulticast }, async (t) => {
  const listen = [{ ...UDP, address: '0.0.0.0' }]
  const groups = [{ address: '239.1.2.3', interface: 'lo' }]
  const { lanes, port, until } = await start(t, { listen, groups })
  for (const source of SOURCES) {
    const socket = createSocket('udp4').bind(0, source)
    await once(socket, 'listening')
    socket.setMulticastInterface('127.0.0.1')
    await new Promise<void>((resolve, reject) => {
      socket.send(v5Datagram(), port, '239.1.2.3', (error) => error ? reject(error) : resolve())
    })
    socket.close()
    await sendFrom(source, port, v5Datagram({ srcPort: 9 }))
  }
  await until(24)
  await lanes.stop()
  const { counters, exporters } = await lanes.report()
  assert.deepEqual([counters.datagrams, counters.records, exporters.length], [24, 24, SOURCES.length])
  assert.ok(exporters.every(({ datagrams }) => datagrams === 2))
})

test('a lane that cannot start ends all of them, and its error is told', { skip: linux }, async (t) => {
  const archive = newArchive(t)
  const tls = { key: 'no key', cert: 'no certificate' }
  await assert.rejects(start(t, { listen: [UDP, { ...UDP, protocol: 'tls' }], tls, archive }), {
    name: 'FlowkitError', code: 'ERR_OPTION',
  })
  const { lanes, port, until } = await start(t, { archive }) // the place is free
  await sendFrom('127.0.0.2', port, v5Datagram())
  await until(1)
  await lanes.stop()
})

test('what a collector without lanes has left is brought in, and its templates are known', {
  skip: linux,
}, async (t) => {
  const archive = newArchive(t)
  const now = Date.now() * 1000 // templates are kept a day
  const before = await openSpool(join(archive, 'state', 'spool'))
  for (const source of SOURCES) {
    const datagram = v9({ sequence: 1 }, set(0, template(256, [1, 4])), set(256, u32(100)))
    const blocks = blocksOf(datagramOf(datagram, source, 50_000, now))
    before.append(blocks, 0, blocks.length)
  }
  await before.close()
  const { lanes, port, until, recovered, faults } = await start(t, { archive })
  for (const source of SOURCES) {
    await sendFrom(source, port, Buffer.from(v9({ sequence: 3 }, set(256, u32(100)))))
  }
  await until(12)
  await lanes.stop()
  assert.deepEqual([recovered, faults], [[1], []])
  const { exporters, sinks } = await lanes.report()
  const told = exporters.map((row) => `${row.exporter} ${row.records} ${row.missing_messages}`)
  assert.deepEqual(told.sort(), SOURCES.map((source) => `${source} 2 1`).sort())
  assert.equal(sinks[0].rows, 12) // the others were brought in by none of the lanes
  assert.deepEqual(globSync(`${archive}/state/spool/*`).map((path) => basename(path)).sort(),
    [1, 2, 3].map((lane) => `lane-${lane}-of-3-from-2`))
})

test('the exporters of these tests are of all lanes', () => {
  const all = SOURCES.map((source) => laneOf(4, parseIpv4(source), new Uint8Array(16), LANES))
  assert.deepEqual([...new Set(all)].sort(), [0, 1, 2])
})
