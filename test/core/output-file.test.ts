import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createOutputFile, refuseExisting } from '../../core/output-file.ts'

const folder = await mkdtemp(join(tmpdir(), 'flowkit-output-'))
after(() => rm(folder, { recursive: true }))

test('a file has its name once it is closed, and takes the place of another', async () => {
  const path = join(folder, 'a')
  await writeFile(path, 'old')
  const file = await createOutputFile(path)
  await file.write(Buffer.from('new '))
  await file.write(Buffer.from('text'))
  assert.equal(await readFile(path, 'utf8'), 'old')
  await file.close()
  assert.equal(await readFile(path, 'utf8'), 'new text')
  assert.deepEqual(await readdir(folder), ['a'])
})

test('a file has its head from the beginning, which may be written over', async () => {
  const path = join(folder, 'headed')
  const file = await createOutputFile(path, Buffer.from('head '))
  await file.write(Buffer.from('text'))
  await file.writeAt(Buffer.from('H'), 0)
  await file.close()
  assert.equal(await readFile(path, 'utf8'), 'Head text')
  await rm(path)
})

test('a file that is given up leaves nothing behind', async () => {
  const file = await createOutputFile(join(folder, 'b'))
  await file.write(Buffer.from('text'))
  await file.abort()
  assert.ok(!(await readdir(folder)).some((name) => name.includes('b')))
})

test('a file that cannot be made is named as it was asked for', async () => {
  const path = join(folder, 'none', 'c')
  await assert.rejects(createOutputFile(path), { code: 'ENOENT', path })
})

test('a file that cannot have its name leaves nothing behind', async () => {
  const file = await createOutputFile(folder)
  await assert.rejects(file.close(), (error: NodeJS.ErrnoException) => error.syscall === 'rename')
  const siblings = await readdir(join(folder, '..'))
  assert.ok(!siblings.some((name) => name.startsWith('.flowkit-output-')))
})

test('what exists is refused', async () => {
  const path = join(folder, 'd')
  await refuseExisting(path)
  await writeFile(path, '')
  await assert.rejects(refuseExisting(path), {
    code: 'ERR_OPTION', message: `Cannot write "${path}": it exists already, overwrite it with --force`,
  })
})
