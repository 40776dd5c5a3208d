/* A folder on one node is the same folder on another, and nothing gets out of it. */
import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, readdir, readlink, stat, symlink, writeFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'

import { Drives } from '../lib/drives.js'
import { Node, pair, temporary } from '../test-support/daemons.js'

async function makeFolder (t) {
  const folder = join(temporary(t), 'app')
  await mkdir(join(folder, 'lib', 'deep'), { recursive: true })
  await mkdir(join(folder, 'node_modules', 'x'), { recursive: true })
  await writeFile(join(folder, 'index.js'), 'console.log(1)\n')
  await writeFile(join(folder, 'run'), '#!/bin/sh\n')
  await chmod(join(folder, 'run'), 0o700)
  await writeFile(join(folder, 'lib', 'deep', 'large'), Buffer.alloc(300_000, 'ab'))
  await writeFile(join(folder, 'empty'), '')
  await writeFile(join(folder, 'node_modules', 'x', 'y'), 'no')
  await symlink('deep/large', join(folder, 'lib', 'link'))
  await symlink('/etc/passwd', join(folder, 'out'))
  await symlink('../../x', join(folder, 'lib', 'up'))
  return folder
}

test('a folder gets to another node, with its modes and links, without what is ignored or leads out', async t => {
  const [one, other] = await pair(t)
  const folder = await makeFolder(t)
  const { key, version } = await one.client.call('drive.put', { name: 'app', folder, ignore: ['node_modules'] })
  const target = join(temporary(t), 'got')
  await other.client.call('drive.get', { key, version, folder: target, timeoutMs: 60_000 })
  assert.deepEqual((await readdir(target, { recursive: true })).sort(), [
    'empty', 'index.js', 'lib', 'lib/deep', 'lib/deep/large', 'lib/link', 'run'
  ])
  assert.deepEqual(await readFile(join(target, 'lib/deep/large')), await readFile(join(folder, 'lib/deep/large')))
  assert.equal(await readlink(join(target, 'lib/link')), 'deep/large')
  const modes = await Promise.all(['run', 'index.js'].map(async name => (await stat(join(target, name))).mode & 0o777))
  assert.deepEqual(modes, [0o755, 0o644])
})

test('the same content is the same version; every version can be had later', async t => {
  const node = new Node(t)
  const client = await node.start()
  const folder = await makeFolder(t)
  const first = await client.call('drive.put', { name: 'app', folder, ignore: [] })
  assert.deepEqual(await client.call('drive.put', { name: 'app', folder, ignore: [] }), first)
  await writeFile(join(folder, 'index.js'), 'console.log(2)\n')
  await rm(join(folder, 'run'))
  const second = await client.call('drive.put', { name: 'app', folder, ignore: [] })
  assert.equal(second.key, first.key)
  assert.ok(second.version > first.version)
  const get = async ({ key, version }) => {
    const target = join(temporary(t), 'got')
    await client.call('drive.get', { key, version, folder: target, timeoutMs: 60_000 })
    return [await readFile(join(target, 'index.js'), 'utf8'), (await readdir(target)).includes('run')]
  }
  assert.deepEqual(await get(first), ['console.log(1)\n', true])
  assert.deepEqual(await get(second), ['console.log(2)\n', false])
})

test('an empty folder is a version, too', async t => {
  const client = await new Node(t).start()
  const { key, version } = await client.call('drive.put', { name: 'none', folder: temporary(t), ignore: [] })
  const target = join(temporary(t), 'got')
  await client.call('drive.get', { key, version, folder: target, timeoutMs: 60_000 })
  assert.deepEqual(await readdir(target), [])
})

test('what nobody has is TIMEOUT, and leaves no folder', async t => {
  const client = await new Node(t).start()
  const target = join(temporary(t), 'got')
  const params = { key: 'ab'.repeat(32), version: 7, folder: target, timeoutMs: 50 }
  await assert.rejects(client.call('drive.get', params), ({ code, message }) => {
    assert.equal(code, 'TIMEOUT')
    assert.match(message, /of version 7, 0 of 0 blocks of its list are here; 0 peers have it open/)
    return true
  })
  await assert.rejects(stat(target), { code: 'ENOENT' })
})

test('a folder that has something in it is not written to', async t => {
  const client = await new Node(t).start()
  const folder = await makeFolder(t)
  const params = { key: 'ab'.repeat(32), version: 1, folder, timeoutMs: 50 }
  assert.equal(await client.fails('drive.get', params), 'BAD_REQUEST')
  assert.ok((await readdir(folder)).includes('index.js'))
})

/** A drive as nobody makes it by accident, read by us: the code with which that fails. */
async function readHostile (t, make) {
  const store = new Corestore(temporary(t))
  t.after(() => store.close())
  const drive = new Hyperdrive(store.namespace('hostile'))
  await drive.ready()
  await make(drive)
  const { key, version } = drive
  await drive.close()
  const folder = join(temporary(t), 'got')
  await assert.rejects(stat(join(folder, '..', 'evil')), { code: 'ENOENT' })
  try {
    await new Drives({ store, folder }).get(key.toString('hex'), version, folder, 30_000)
  } catch (error) {
    await assert.rejects(stat(join(folder, '..', 'evil')), { code: 'ENOENT' })
    return error.code
  }
  throw new Error('it was taken')
}

/** Puts an entry under any key: the library itself would clean it. */
async function putRaw (drive, key, value) {
  const blob = value.linkname ? null : await (await drive.getBlobs()).put(Buffer.from('evil'))
  const name = Buffer.concat([Buffer.from('files\0'), Buffer.from(key)])
  await drive.db.put(name, { executable: false, linkname: null, blob, metadata: null, ...value }, { keyEncoding: 'binary' })
}

for (const key of ['/../evil', '/a/../../evil', '/a//b', '/./a']) {
  test(`a file called ${key} is refused`, async t => {
    assert.equal(await readHostile(t, drive => putRaw(drive, key, {})), 'BAD_REQUEST')
  })
}

for (const [path, link] of [['/l', '/etc'], ['/l', '..'], ['/l', '../evil'], ['/a/l', '../../evil'], ['/l', 'a/../../evil'], ['/l', 'a/b/p/../..']]) {
  test(`a link ${path} to ${link} is refused`, async t => {
    assert.equal(await readHostile(t, drive => putRaw(drive, path, { linkname: link })), 'BAD_REQUEST')
  })
}

test('a file behind a link of the same drive is refused', async t => {
  const code = await readHostile(t, async drive => {
    await putRaw(drive, '/a', { linkname: 'b' })
    await putRaw(drive, '/a/evil', {})
  })
  assert.notEqual(code, undefined)
})

test('folders without anything in them arrive, and become files or others when they do', async t => {
  const client = await new Node(t).start()
  const folder = join(temporary(t), 'app')
  await mkdir(join(folder, 'data', 'in', 'it'), { recursive: true })
  await mkdir(join(folder, 'built', '__pycache__'), { recursive: true })
  const put = () => client.call('drive.put', { name: 'app', folder, ignore: ['__pycache__'] })
  const get = async ({ key, version }) => {
    const target = join(temporary(t), 'got')
    await client.call('drive.get', { key, version, folder: target, timeoutMs: 60_000 })
    const found = await readdir(target, { recursive: true, withFileTypes: true })
    return found.map(each => each.name + (each.isDirectory() ? '/' : '')).sort()
  }
  const first = await put()
  assert.deepEqual(await put(), first)
  assert.deepEqual(await get(first), ['built/', 'data/', 'in/', 'it/'])
  await writeFile(join(folder, 'data', 'in', 'it', 'file'), '')
  await rm(join(folder, 'built'), { recursive: true })
  await writeFile(join(folder, 'built'), '')
  assert.deepEqual(await get(await put()), ['built', 'data/', 'file', 'in/', 'it/'])
  assert.deepEqual(await get(first), ['built/', 'data/', 'in/', 'it/'])
})

test('a name that a drive cannot keep is named, unless it is ignored', async t => {
  const client = await new Node(t).start()
  for (const name of [Buffer.from('a\\b'), Buffer.from([0x61, 0xff])]) {
    const folder = join(temporary(t), 'app')
    await mkdir(folder)
    await writeFile(Buffer.concat([Buffer.from(folder + '/'), name]), 'x')
    const put = ignore => client.call('drive.put', { name: 'app', folder, ignore })
    await assert.rejects(put([]), { code: 'BAD_REQUEST', message: /cannot keep the name "a/ })
    assert.ok((await put(['a*'])).version)
  }
  const folder = join(temporary(t), 'app')
  await mkdir(folder)
  await symlink(Buffer.from([0x78, 0xfe]), join(folder, 'link'))
  assert.equal(await client.fails('drive.put', { name: 'app', folder, ignore: [] }), 'BAD_REQUEST')
})
