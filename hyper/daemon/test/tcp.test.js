/* Two nodes that know each other's address: what one writes reaches the other, whoever dies meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Node, eventually, introduce, pair } from '../test-support/daemons.js'

test('what is written on one node is read on the other', async t => {
  const [one, other] = await pair(t)
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await one.client.call('rec.put', { dbId, path: ['a', 'b'], value: { n: 1 } })
  await other.client.call('db.open', { dbId })
  const synced = await other.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  assert.deepEqual([synced.writable, synced.version, synced.known, synced.peers], [false, 2, 2, 1])
  assert.deepEqual(await other.client.call('rec.get', { dbId, path: ['a', 'b'] }), { path: ['a', 'b'], seq: 1, value: { n: 1 } })
  assert.equal(await other.client.fails('rec.put', { dbId, path: ['x'], value: 1 }), 'NOT_WRITABLE')
})

test('a database of which nothing has arrived says so, and does not claim to be empty', async t => {
  const node = new Node(t)
  const client = await node.start()
  const dbId = 'ab'.repeat(32)
  const database = await client.call('db.open', { dbId })
  assert.equal(database.synced, false)
  assert.equal(await client.fails('rec.get', { dbId, path: ['a'] }), 'NOT_SYNCED')
  assert.equal(await client.fails('rec.list', { dbId, prefix: [] }), 'NOT_SYNCED')
  assert.equal(await client.fails('db.sync', { dbId, timeoutMs: 1 }), 'TIMEOUT')
})

test('a watch on a follower tells of every write of the other node, in order', async t => {
  const [one, other] = await pair(t)
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await other.client.call('db.open', { dbId })
  await other.client.call('db.sync', { dbId, timeoutMs: 60_000 })
  await other.client.call('db.watch', { dbId, prefix: ['n'], since: { fork: 0, version: 1 } })
  for (let n = 0; n < 20; n++) await one.client.call('rec.put', { dbId, path: ['n', `${n}`], value: n })
  await other.client.note('db.changed', ({ to }) => to === 21)
  const told = other.client.notes.filter(({ method }) => method === 'db.changed').map(({ params }) => params)
  assert.deepEqual(told.flatMap(({ changes }) => changes.map(({ value }) => value)), [...Array(20).keys()])
  told.slice(1).forEach(({ from }, index) => assert.equal(from, told[index].to))
})

for (const [name, victim] of [['the one that listens', 0], ['the one that calls', 1]]) {
  test(`after kill -9 of ${name} both are connected again, and nothing is missing`, async t => {
    const nodes = await pair(t)
    const { dbId } = await nodes[0].client.call('db.create', { name: 'records' })
    await nodes[1].client.call('db.open', { dbId })
    await nodes[0].client.call('rec.put', { dbId, path: ['before'], value: 1 })
    await nodes[1].client.call('db.sync', { dbId, timeoutMs: 60_000 })
    await nodes[victim].kill()
    await nodes[victim].start()
    await nodes[0].client.call('rec.put', { dbId, path: ['after'], value: 2 })
    const record = await eventually(() => nodes[1].client.call('rec.get', { dbId, path: ['after'] }), found => found !== null)
    assert.equal(record.value, 2)
  })
}

test('a stranger is not let in, and one that was let in is dropped when it is no longer allowed', async t => {
  const one = new Node(t, { HYPER_LISTEN: '127.0.0.1:0' })
  const other = new Node(t)
  await one.start()
  await other.start()
  const { noiseKey, address } = await one.client.call('hello')
  const { noiseKey: otherKey } = await other.client.call('hello')
  const [host, port] = address.split(':')
  await other.client.call('net.addPeer', { host, port: Number(port), key: noiseKey })
  await eventually(async () => other.log, text => text.includes('no connection to'))
  assert.deepEqual((await one.client.call('hello')).peers, [])
  await one.client.call('net.allow', { keys: [otherKey] })
  await other.client.call('net.refresh')
  await other.client.note('peer.up', ({ key }) => key === noiseKey)
  await one.client.call('net.allow', { keys: [] })
  await other.client.note('peer.down', ({ key }) => key === noiseKey)
})

test('an address that answers with another key than we were told is not talked to', async t => {
  const [one, other] = [new Node(t, { HYPER_LISTEN: '127.0.0.1:0', HYPER_KNOWN_ONLY: '0' }), new Node(t)]
  await one.start()
  await other.start()
  const { address } = await one.client.call('hello')
  const [host, port] = address.split(':')
  await other.client.call('net.addPeer', { host, port: Number(port), key: 'cd'.repeat(32) })
  await eventually(async () => other.log, text => text.includes('another key'))
  assert.deepEqual((await other.client.call('hello')).peers, [])
})

test('two that call each other at once are connected, and stay so', async t => {
  const [one, other] = [0, 1].map(() => new Node(t, { HYPER_LISTEN: '127.0.0.1:0' }))
  await one.start()
  await other.start()
  await introduce(one, other)
  await introduce(other, one)
  for (const node of [one, other]) await eventually(() => node.client.call('hello'), ({ peers }) => peers.length === 1)
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await other.client.call('db.open', { dbId })
  await other.client.call('db.sync', { dbId, timeoutMs: 60_000 })
})
