import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CollectorReport } from '../../../core/collector/report.ts'
import { sumReports } from '../../../core/collector/sum-reports.ts'

function report(n: number, exporter: string): CollectorReport {
  return {
    started: 1000 + n,
    counters: {
      datagrams: n, refused: 2 * n, dropped: 3 * n, unspooled: 4 * n, records: 5 * n, filtered: 6 * n,
      counterSamples: 7 * n,
    },
    sockets: [{ endpoint: 'udp://[::]:2055', receiveBuffer: 8 * n, dropped: 9 * n }],
    streams: [
      { endpoint: 'tcp://[::]:4739', connections: n, accepted: 10 * n, refused: 11 * n, faults: 12 * n },
    ],
    forwards: [{ endpoint: 'udp://192.0.2.1:1', sent: 13 * n, dropped: 14 * n }],
    sinks: [
      {
        name: 'a', rows: 15 * n, counterSamples: 16 * n, files: 17 * n, bytes: 18 * n, lost: 19 * n,
        failures: 20 * n, waiting: 24 * n, hanging: 25 * n,
      },
      {
        name: 'b', rows: n, counterSamples: 0, files: 0, bytes: 0, lost: 0, failures: 0, waiting: 0,
        hanging: 0,
      },
    ],
    exporters: [{ exporter } as never],
    spool: { bytes: 21 * n, limit: 22 * n, reserved: 26 * n, waiting: 23 * n },
  }
}

test('what several collectors say of the same things is added up, and all exporters are there', () => {
  const sum = sumReports([report(1, 'x'), report(2, 'y'), report(4, 'z')])
  assert.deepEqual(sum, {
    ...report(7, ''), started: 1001,
    exporters: [{ exporter: 'x' }, { exporter: 'y' }, { exporter: 'z' }],
  })
})

test('what only some of them have is there as it is', () => {
  const one = report(1, 'x')
  const forward = { endpoint: 'udp://[::1]:2', sent: 5, dropped: 6 }
  const other = { ...report(2, 'y'), streams: [], forwards: [forward] }
  const { streams, forwards } = sumReports([one, other])
  assert.deepEqual(streams, one.streams)
  assert.deepEqual(forwards, [...one.forwards, ...other.forwards])
})
