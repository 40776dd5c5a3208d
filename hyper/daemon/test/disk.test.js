/* The store takes of its disk what it needs, says how much that is, and gives back what nobody needs. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmdirSync } from 'node:fs'
import { mkdir, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

import { Node, eventually, pair, temporary } from '../test-support/daemons.js'

const MIB = 1024 * 1024

/** A disk of 60 MB as a card has it; a tmpfs of that size where the machine has no loop devices. */
async function smallDisk (t) {
  const folder = mkdtempSync(join(tmpdir(), 'hyper-disk-'))
  const image = join(temporary(t), 'image')
  await writeFile(image, '')
  await truncate(image, 60 * MIB)
  const run = (...words) => execFileSync(words[0], words.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] })
  try {
    run('mkfs.ext4', '-q', '-m', '0', image)
    run('mount', '-o', 'loop', image, folder)
  } catch (error) {
    t.diagnostic(`no loop device, so a tmpfs: ${error.message}`)
    run('mount', '-t', 'tmpfs', '-o', 'size=60m', 'tmpfs', folder)
  }
  t.after(() => {
    run('umount', '-l', folder)
    rmdirSync(folder)
  })
  return folder
}

async function onSmallDisk (t) {
  const disk = await smallDisk(t)
  const node = new Node(t)
  node.store = join(disk, 'store')
  await node.start()
  return { disk, node }
}

async function free (disk) {
  const { bavail, bsize } = await statfs(disk)
  return bavail * bsize
}

/** Leaves so many bytes of the disk free. */
async function fill (disk, left) {
  await writeFile(join(disk, 'filler'), Buffer.alloc(Math.max(0, await free(disk) - left)))
}

async function makePackage (folder, ...sizes) {
  await mkdir(folder, { recursive: true })
  for (const [n, bytes] of sizes.entries()) await writeFile(join(folder, `f${n}`), randomBytes(bytes))
}

const skip = process.getuid() !== 0 && 'only root can make a small disk'

test('the first write takes little of a small disk; a full one refuses writes, keeps all, and goes on by itself', { skip }, async t => {
  const { disk, node } = await onSmallDisk(t)
  const before = await free(disk)
  const { dbId } = await node.client.call('db.create', { name: 'records' })
  await node.client.call('rec.put', { dbId, path: ['first'], value: 1 })
  assert.ok(before - await free(disk) < 10 * MIB, `${before - await free(disk)} bytes taken`)
  await fill(disk, 6 * MIB)
  const refused = node.client.call('rec.put', { dbId, path: ['second'], value: 2 })
  await assert.rejects(refused, { code: 'NO_SPACE', message: /writing needs 12\.\d MiB free beside the store, and [56]\.\d MiB are/, hint: /free some space/ })
  assert.ok(await free(disk) > 5 * MIB, 'the last free space is not taken')
  assert.equal((await node.client.call('rec.get', { dbId, path: ['first'] })).value, 1)
  await rm(join(disk, 'filler'))
  await node.client.call('rec.put', { dbId, path: ['second'], value: 2 })
  await node.stop()
  await node.start()
  assert.deepEqual((await node.client.call('rec.list', { dbId, prefix: [] })).records.map(({ value }) => value), [1, 2])
})

test('a package that the disk has no room for is refused before it fills it, and fits once there is room', { skip }, async t => {
  const { disk, node } = await onSmallDisk(t)
  const folder = join(temporary(t), 'app')
  await makePackage(folder, 9 * MIB, ...Array(40).fill(MIB / 2))
  await fill(disk, 25 * MIB)
  const put = () => node.client.call('drive.put', { name: 'app', folder, ignore: [] })
  await assert.rejects(put(), { code: 'NO_SPACE', hint: /free some space/ })
  const { dbId } = await node.client.call('db.create', { name: 'records' }).catch(() => ({}))
  assert.equal((await node.client.call('status')).held, false)
  await rm(join(disk, 'filler'))
  await rm(folder, { recursive: true })
  await makePackage(folder, MIB)
  assert.ok((await put()).version > 1)
  await node.client.call('rec.put', { dbId: dbId ?? (await node.client.call('db.create', { name: 'records' })).dbId, path: ['a'], value: 1 })
})

test('of many versions the last and those that are named stay; the disk has the room of the others again', async t => {
  const [one, other] = await pair(t)
  const folder = join(temporary(t), 'app')
  const pushed = []
  const named = []
  for (let n = 0; n < 6; n++) {
    await makePackage(folder, 3 * MIB, 100)
    pushed.push({ ...await one.client.call('drive.put', { name: 'app', folder, ignore: [], named }), content: await readFile(join(folder, 'f0')) })
    if (n === 1) named.push({ key: pushed[1].key, version: pushed[1].version }, { key: 'ab'.repeat(32), version: 2 })
    const target = join(temporary(t), 'got')
    await other.client.call('drive.get', { key: pushed[n].key, version: pushed[n].version, folder: target, timeoutMs: 60_000 })
  }
  const cleared = []
  for (const { key, version, content } of pushed) {
    cleared.push((await one.client.call('drive.isCleared', { key, version })).cleared)
    if (cleared.at(-1)) continue
    const target = join(temporary(t), 'got')
    await one.client.call('drive.get', { key, version, folder: target, timeoutMs: 60_000 })
    assert.deepEqual(await readFile(join(target, 'f0')), content)
  }
  assert.deepEqual(cleared, [true, false, true, false, false, false])
  // Four of six versions are there; of the other node's copies, the one that was got last.
  await eventually(() => one.client.call('status'), ({ storeBytes }) => storeBytes < 16 * MIB)
  await eventually(() => other.client.call('status'), ({ storeBytes }) => storeBytes < 8 * MIB)
  // What was cleared is there again once it is pushed again.
  await writeFile(join(folder, 'f0'), pushed[0].content)
  const again = await one.client.call('drive.put', { name: 'app', folder, ignore: [], named })
  assert.equal((await one.client.call('drive.isCleared', again)).cleared, false)
})

test('without a word about names nothing is cleared', async t => {
  const node = new Node(t)
  const client = await node.start()
  const folder = join(temporary(t), 'app')
  const pushed = []
  for (let n = 0; n < 5; n++) {
    await makePackage(folder, 1000)
    pushed.push(await client.call('drive.put', { name: 'app', folder, ignore: [] }))
  }
  for (const each of pushed) assert.equal((await client.call('drive.isCleared', each)).cleared, false)
})
