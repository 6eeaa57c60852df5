import assert from 'node:assert/strict'
import { test } from 'node:test'
import { destinationOf } from '../../cmd/export/targets.ts'

test('a target is a destination, with the version behind it', () => {
  const place = { protocol: 'udp', host: '192.0.2.1', port: 2055 }
  const of = (version: string) => destinationOf(`udp://192.0.2.1:2055?version=${version}`)
  assert.deepEqual(destinationOf('udp://192.0.2.1:2055'), {
    destination: { name: 'udp://192.0.2.1:2055', ...place },
  })
  assert.deepEqual(of('9'), {
    destination: { name: 'udp://192.0.2.1:2055?version=9', ...place }, version: { version: 9 },
  })
  assert.deepEqual([of('8.14').version, of('sflow').version], [{ version: 8, scheme: 14 }, 'sflow'])
  assert.deepEqual(destinationOf('tls://[2001:db8::1]:4740?version=10', ['tls']).version, { version: 10 })
})

test('a target that is none is refused', () => {
  const versions = '?version= with one of 1, 5, 6, 7, 8.1 to 8.14, 9, 10, sflow'
  for (const [name, wanted] of [
    ['udp://192.0.2.1', 'udp://, tcp:// or tls://HOST:PORT such as udp://192.0.2.1:2055'],
    ['udp://192.0.2.1:9?', versions],
    ['udp://192.0.2.1:9?version=8', versions],
    ['udp://192.0.2.1:9?version=9&version=5', versions],
  ]) {
    const message = `Cannot export to "${name}": expected ${wanted}`
    assert.throws(() => destinationOf(name), { code: 'ERR_OPTION', message })
  }
})
