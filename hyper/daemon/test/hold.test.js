/* What may have been lost when the machine went down is not written over. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { Node, eventually, pair } from '../test-support/daemons.js'

/** As if the machine had gone down while the daemon ran. */
async function cutPower (node) {
  await node.kill()
  writeFileSync(join(node.store, 'running'), 'another boot\n')
}

test('writes wait for a follower after the machine went down', async t => {
  const [writer, follower] = await pair(t, { HYPER_HOLD_MS: '60000' })
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  await follower.client.call('db.open', { dbId })
  await follower.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  await follower.stop()
  await cutPower(writer)
  await writer.start()
  assert.equal((await writer.client.call('status')).held, true)
  let isWritten = false
  const written = writer.client.call('rec.put', { dbId, path: ['a'], value: 1 }).then(() => { isWritten = true })
  assert.equal(await writer.client.call('rec.get', { dbId, path: ['a'] }), null)
  assert.equal(isWritten, false)
  await follower.start()
  await written
  assert.equal((await writer.client.call('status')).held, false)
})

test('they wait only so long', async t => {
  const [writer, follower] = await pair(t, { HYPER_HOLD_MS: '300' })
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  await follower.client.call('db.open', { dbId })
  await follower.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  await follower.kill()
  await cutPower(writer)
  await writer.start()
  await writer.client.call('rec.put', { dbId, path: ['a'], value: 1 })
})

test('nothing is held when the daemon alone was killed, when it ended well, or when nobody ever followed', async t => {
  const [writer, follower] = await pair(t, { HYPER_HOLD_MS: '60000' })
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  const { dbId: alone } = await writer.client.call('db.create', { name: 'alone' })
  await follower.client.call('db.open', { dbId })
  await follower.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  await follower.kill()
  await writer.kill()
  await writer.start()
  await writer.client.call('rec.put', { dbId, path: ['a'], value: 1 })
  await writer.stop()
  assert.equal(existsSync(join(writer.store, 'running')), false)
  await writer.start()
  await writer.client.call('rec.put', { dbId, path: ['b'], value: 1 })
  await cutPower(writer)
  await writer.start()
  await writer.client.call('rec.put', { dbId: alone, path: ['c'], value: 1 })
  assert.equal((await writer.client.call('status')).held, true)
})

test('nothing that was acknowledged is lost when the daemon is killed under writes, again and again', async t => {
  const node = new Node(t)
  const acknowledged = new Set()
  let dbId
  for (let round = 0; round < 4; round++) {
    const client = await node.start()
    dbId = (await client.call('db.create', { name: 'records' })).dbId
    const ended = Promise.allSettled(Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; ; n++) {
        const name = `${round}-${writer}-${n}`
        await client.call('rec.put', { dbId, path: [name], value: n })
        acknowledged.add(name)
      }
    }))
    const before = acknowledged.size
    await eventually(async () => acknowledged.size, size => size > before + 40)
    await node.kill()
    await ended
  }
  const client = await node.start()
  const found = new Set()
  for (let gt; ;) {
    const { records, next } = await client.call('rec.list', { dbId, prefix: [], gt })
    for (const { path: [name] } of records) found.add(name)
    if (next === undefined) break
    gt = next
  }
  assert.deepEqual([...acknowledged].filter(name => !found.has(name)), [])
  assert.match(readFileSync(join(node.store, 'running'), 'utf8'), /\S/)
})
