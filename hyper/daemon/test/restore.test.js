/* A database that comes from a backup: each version that its history tells can be read, as it was. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { keyOf } from '../lib/keys.js'
import * as reading from '../lib/reading.js'
import { refill } from '../lib/restore.js'
import { bare } from '../test-support/database.js'
import { Node, introduce } from '../test-support/daemons.js'

/** Numbers below 1 that are the same in every run. */
function chance (seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const PARTS = ['a', 'b', 'ä', 'a b', '😀', '0', '1', '10', '.']

function some (random, values) {
  return values[Math.floor(random() * values.length)]
}

function makePath (random) {
  const path = [some(random, PARTS)]
  while (random() < 0.6) path.push(some(random, PARTS))
  return path
}

/** Records of a backup, in the order of their keys or in any. */
function makeRecords (random, count) {
  const found = new Map()
  for (let n = 0; n < count; n++) {
    const path = makePath(random)
    found.set(keyOf(path), { path, value: some(random, [n, null, 'x'.repeat(n * 50), { n }, 1]) })
  }
  const records = [...found.values()]
  return random() < 0.5 ? records : records.sort((one, other) => keyOf(one.path) < keyOf(other.path) ? -1 : 1)
}

/** What a database has at each version that its history tells, the first of which is the empty one. */
async function readModel (database) {
  const versions = [new Map()]
  for (let since = 0; since !== undefined;) {
    const { changes, next } = await reading.history(database, { since })
    for (const { path, value, deleted } of changes) {
      const then = new Map(versions.at(-1))
      if (deleted) then.delete(keyOf(path))
      else then.set(keyOf(path), value)
      versions.push(then)
    }
    since = next
  }
  return versions
}

async function listAll (database, version) {
  const found = []
  for (let bounds = {}; ;) {
    const { records, next } = await reading.list(database, [], { version, ...bounds })
    found.push(...records)
    if (next === undefined) return found
    bounds = { gt: next }
  }
}

function sorted (model) {
  return [...model].sort(([one], [other]) => Buffer.compare(Buffer.from(one), Buffer.from(other)))
}

const read = records => records.map(({ path, value }) => [keyOf(path), value])

async function checkAt (database, versions, version, random) {
  const model = versions[version - 1]
  assert.deepEqual(read(await listAll(database, version)), sorted(model))
  for (const key of random() < 0.2 ? versions.at(-1).keys() : []) {
    const record = await reading.get(database, key.split('\0'), version)
    assert.deepEqual(record?.value, model.get(key))
    assert.equal(record !== null, model.has(key))
  }
  const left = 1 + Math.floor(random() * version)
  const { changes, next } = await reading.diff(database, { left, right: version })
  if (next !== undefined) return
  const then = versions[left - 1]
  for (const { left: before, right: after } of changes) {
    const key = keyOf((after ?? before).path)
    assert.deepEqual([before?.value, after?.value], [then.get(key), model.get(key)])
  }
  const differing = [...new Set([...then.keys(), ...model.keys()])]
    .filter(key => JSON.stringify(then.get(key)) !== JSON.stringify(model.get(key)) || then.has(key) !== model.has(key))
  const told = new Set(changes.map(({ left, right }) => keyOf((right ?? left).path)))
  assert.deepEqual(differing.filter(key => !told.has(key)), [])
}

for (const [seed, count] of [[1, 0], [2, 1], [3, 8], [4, 19], [5, 60], [6, 130], [7, 600]]) {
  test(`each version of ${count} records that come from a backup can be read, and those written later`, async t => {
    const random = chance(seed)
    const database = await bare(t)
    await database.writer.write([{ key: 'before', value: Buffer.from('1') }])
    const records = makeRecords(random, count)
    await refill(database, { fork: 2, records })
    assert.deepEqual([database.fork, database.version], [3, 1 + records.length])
    assert.deepEqual(read(await listAll(database)), sorted(new Map(records.map(({ path, value }) => [keyOf(path), value]))))
    for (let n = 0; n < 20; n++) {
      const value = random() < 0.7 ? Buffer.from(`${n}`) : null
      await database.writer.write([{ key: keyOf(makePath(random)), value }])
    }
    const versions = await readModel(database)
    assert.equal(versions.length, database.version)
    for (let version = 1; version <= database.version; version++) await checkAt(database, versions, version, random)
  })
}

test('records of a backup that are large together are written bit by bit', async t => {
  const database = await bare(t)
  const lengths = []
  database.core.on('append', () => lengths.push(database.core.length))
  const records = [...Array(20).keys()].map(n => ({ path: [`${n}`.padStart(2, '0')], value: 'x'.repeat(1024 * 1024) }))
  await refill(database, { fork: 0, records })
  assert.ok(lengths.length >= 3, String(lengths))
  for (let version = 1; version <= 21; version++) {
    assert.equal((await reading.get(database, ['19'], version) !== null), version === 21)
    assert.equal((await reading.get(database, ['00'], version) !== null), version > 1)
  }
})

/** A node from a backup that nobody has a newer state of. */
async function restore (t, records) {
  const lost = new Node(t)
  await lost.start()
  const { dbId, name, fork, version } = await lost.client.call('db.create', { name: 'records' })
  const keys = await lost.client.call('key.export')
  await lost.stop()
  const node = new Node(t, { HYPER_HOLD_MS: '300' })
  const file = join(node.folder, 'backup.json')
  await writeFile(file, JSON.stringify({ keys, databases: [{ name, dbId, fork, version, records }] }))
  await node.start({ HYPER_RESTORE: file })
  return { node, dbId }
}

test('a restored database without records is there, and who watched it before is told', async t => {
  const { node, dbId } = await restore(t, [])
  const { client } = node
  const { watchId, version } = await client.call('db.watch', { dbId, prefix: ['under', 'this'] })
  const isThere = ({ watchId: id, to, version }) => id === watchId && (to ?? version) > 0
  if (version === 0) await Promise.race(['db.changed', 'db.reset'].map(method => client.note(method, isThere)))
  assert.deepEqual((await client.call('rec.list', { dbId, prefix: [] })).records, [])
  assert.equal((await client.call('db.info', { dbId })).version, 1)
})

test('who watches a database of others that has nothing under the prefix is told how far it is', async t => {
  const [one, other] = [new Node(t, { HYPER_LISTEN: '127.0.0.1:0' }), new Node(t)]
  const { dbId } = await (await one.start()).call('db.create', { name: 'records' })
  await one.client.call('rec.put', { dbId, path: ['elsewhere'], value: 1 })
  await (await other.start()).call('db.open', { dbId })
  const { watchId, version, reset } = await other.client.call('db.watch', { dbId, prefix: ['services'] })
  assert.deepEqual([version, reset], [0, true])
  await introduce(one, other)
  const { to, changes } = await other.client.note('db.changed', ({ watchId: id }) => id === watchId)
  assert.deepEqual([to > 0, changes], [true, []])
})
