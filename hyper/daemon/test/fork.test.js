/* One key that writes in two places: everybody finds out, keeps what it has, and goes on after a repair. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { Node, eventually, introduce, pair } from '../test-support/daemons.js'

/** A second node with the same keys, whose records come from a backup that is older than the log. */
async function restored (t, one, { records = [], environment = {} } = {}) {
  const keys = await one.client.call('key.export')
  const [{ dbId, name, fork }] = (await one.client.call('status')).databases
  const other = new Node(t, { HYPER_LISTEN: '127.0.0.1:0', ...environment })
  const file = join(other.folder, 'restore.json')
  await writeFile(file, JSON.stringify({ keys, databases: [{ name, dbId, fork, version: 1, records }] }))
  await other.start({ HYPER_RESTORE: file })
  return other
}

/** A writer, its follower, and a twin of the writer that wrote something else; the twin met nobody yet. */
async function forked (t) {
  const [writer, follower] = await pair(t)
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  await follower.client.call('db.open', { dbId })
  await writer.client.call('rec.put', { dbId, path: ['a'], value: 1 })
  await follower.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  const keys = await writer.client.call('key.export')
  await writer.client.call('rec.put', { dbId, path: ['a'], value: 'theirs' })
  await eventually(() => follower.client.call('db.info', { dbId }), ({ version }) => version === 3)
  await writer.kill()
  const twin = new Node(t, { HYPER_LISTEN: '127.0.0.1:0', HYPER_HOLD_MS: '0' })
  const file = join(twin.folder, 'keys.json')
  await writeFile(file, JSON.stringify({ keys, databases: [] }))
  await twin.start({ HYPER_RESTORE: file })
  await twin.client.call('db.create', { name: 'records' })
  await twin.client.call('rec.put', { dbId, path: ['a'], value: 1 })
  await twin.client.call('rec.put', { dbId, path: ['a'], value: 'ours' })
  return { dbId, twin, follower }
}

test('a forked log is noticed on both sides, read on as it was, and not written to', async t => {
  const { dbId, twin, follower } = await forked(t)
  await twin.client.call('rec.put', { dbId, path: ['b'], value: 1 })
  await introduce(twin, follower)
  await follower.client.note('db.conflict')
  await twin.client.note('db.conflict')
  for (const node of [twin, follower]) {
    assert.equal((await eventually(() => node.client.call('db.info', { dbId }), ({ conflict }) => conflict)).conflict, true)
  }
  const read = client => eventually(() => client.call('rec.get', { dbId, path: ['a'] }).catch(() => null), found => found)
  assert.equal((await read(follower.client)).value, 'theirs')
  assert.equal((await read(twin.client)).value, 'ours')
  assert.equal(await twin.client.fails('rec.put', { dbId, path: ['c'], value: 1 }), 'CONFLICT')
})

test('a follower that knows more than its writer is found to be in conflict with it', async t => {
  const { dbId, twin, follower } = await forked(t)
  await introduce(twin, follower)
  await twin.client.call('rec.put', { dbId, path: ['b'], value: 1 }).catch(() => {})
  await twin.client.note('db.conflict')
})

test('after a repair the writer writes, the follower has what the writer has, and watches begin anew', async t => {
  const { dbId, twin, follower } = await forked(t)
  await twin.client.call('rec.put', { dbId, path: ['b'], value: 1 })
  const { watchId } = await follower.client.call('db.watch', { dbId, since: { fork: 0, version: 3 } })
  await introduce(twin, follower)
  await twin.client.note('db.conflict')
  await follower.client.note('db.conflict')
  assert.equal(await follower.client.fails('db.repair', { dbId }), 'NOT_WRITABLE')
  const repaired = await twin.client.call('db.repair', { dbId })
  assert.deepEqual([repaired.conflict, repaired.fork], [false, 1])
  await twin.client.call('rec.put', { dbId, path: ['after'], value: 2 })
  const found = await eventually(
    () => follower.client.call('rec.get', { dbId, path: ['after'] }).catch(() => null), record => record !== null
  )
  assert.equal(found.value, 2)
  assert.equal((await follower.client.call('rec.get', { dbId, path: ['a'] })).value, 'ours')
  assert.equal((await follower.client.call('db.info', { dbId })).conflict, false)
  await follower.client.note('db.reset', ({ fork, watchId: id }) => fork === 1 && id === watchId)
})

test('a conflict is remembered by a daemon that is started again', async t => {
  const { dbId, twin, follower } = await forked(t)
  await twin.client.call('rec.put', { dbId, path: ['b'], value: 1 })
  await introduce(twin, follower)
  await twin.client.note('db.conflict')
  await twin.kill()
  await twin.start()
  assert.equal((await twin.client.call('db.info', { dbId })).conflict, true)
  assert.equal(await twin.client.fails('rec.put', { dbId, path: ['c'], value: 1 }), 'CONFLICT')
  assert.equal((await twin.client.call('db.repair', { dbId })).conflict, false)
  await twin.client.call('rec.put', { dbId, path: ['c'], value: 3 })
  await eventually(() => follower.client.call('rec.get', { dbId, path: ['c'] }).catch(() => null), found => found?.value === 3)
})

test('a restored store has its log back from a follower before it writes', async t => {
  const [writer, follower] = await pair(t)
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  await follower.client.call('db.open', { dbId })
  for (let n = 0; n < 20; n++) await writer.client.call('rec.put', { dbId, path: ['n', `${n}`], value: n })
  await eventually(() => follower.client.call('db.info', { dbId }), ({ version }) => version === 21)
  const { noiseKey } = await writer.client.call('hello')
  const { noiseKey: followerKey } = await follower.client.call('hello')
  const keys = await writer.client.call('key.export')
  await writer.kill()
  const again = new Node(t, { HYPER_LISTEN: writer.environment.HYPER_LISTEN, HYPER_KNOWN_ONLY: '0', HYPER_HOLD_MS: '60000' })
  const file = join(again.folder, 'backup.json')
  const databases = [{ name: 'records', dbId, fork: 0, version: 2, records: [{ path: ['old'], value: 1 }] }]
  await writeFile(file, JSON.stringify({ keys, databases }))
  await again.start({ HYPER_RESTORE: file })
  assert.equal((await again.client.call('hello')).noiseKey, noiseKey)
  assert.equal((await again.client.call('db.create', { name: 'records' })).dbId, dbId)
  assert.deepEqual(await again.client.call('rec.put', { dbId, path: ['new'], value: 1 }), { seq: 21, version: 22 })
  const { records } = await again.client.call('rec.list', { dbId, prefix: ['n'] })
  assert.equal(records.length, 20)
  await eventually(() => follower.client.call('rec.get', { dbId, path: ['new'] }), found => found !== null)
  const { fork, conflict } = await follower.client.call('db.info', { dbId })
  assert.deepEqual([fork, conflict, followerKey.length], [0, false, 64])
})

test('without a follower a restored store has what the backup has, and a follower of before takes it over', async t => {
  const [writer, follower] = await pair(t)
  const { dbId } = await writer.client.call('db.create', { name: 'records' })
  await follower.client.call('db.open', { dbId })
  for (const n of [1, 2, 3]) await writer.client.call('rec.put', { dbId, path: ['n'], value: n })
  await eventually(() => follower.client.call('db.info', { dbId }), ({ version }) => version === 4)
  const again = await restored(t, writer, {
    records: [{ path: ['n'], value: 2 }, { path: ['m', 'x'], value: { y: 1 } }], environment: { HYPER_HOLD_MS: '50' }
  })
  await writer.kill()
  await again.client.call('rec.put', { dbId, path: ['new'], value: 1 })
  const list = async ({ client }) => (await client.call('rec.list', { dbId, prefix: [] })).records.map(({ path, value }) => [path.join('/'), value])
  const expected = [['m/x', { y: 1 }], ['n', 2], ['new', 1]]
  assert.deepEqual(await list(again), expected)
  await introduce(again, follower)
  await eventually(() => follower.client.call('db.info', { dbId }), ({ fork, version }) => fork === 1 && version === 4)
  assert.deepEqual(await list(follower), expected)
})

test('a backup is not restored into a store that has something', async t => {
  const node = new Node(t)
  await node.start()
  const keys = await node.client.call('key.export')
  await node.stop()
  const file = join(node.folder, 'backup.json')
  await writeFile(file, JSON.stringify({ keys, databases: [] }))
  await assert.rejects(node.start({ HYPER_RESTORE: file }), /is not empty/)
})
