/* A private DHT on loopback: nodes that know no address of each other meet, and meet again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Node, eventually } from '../test-support/daemons.js'
import { freePort, network, two } from '../test-support/network.js'

test('nodes find each other by a database, and again after kill -9', async t => {
  const bootstrap = await network(t)
  const { nodes: [one, other] } = await two(t, { HYPER_BOOTSTRAP: JSON.stringify(bootstrap), HYPER_KNOWN_ONLY: '0' })
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await one.client.call('rec.put', { dbId, path: ['a'], value: 1 })
  await other.client.call('db.open', { dbId })
  const arrived = name => eventually(
    async () => {
      await other.client.call('net.refresh')
      return other.client.call('rec.get', { dbId, path: [name] }).catch(() => null)
    }, found => found !== null
  )
  await arrived('a')
  await one.kill()
  await one.start()
  await one.client.call('rec.put', { dbId, path: ['b'], value: 2 })
  await arrived('b')
})

test('nodes that know each other by key meet without any database; a stranger is not let in', async t => {
  const bootstrap = await network(t)
  const { nodes: [one, other], keys } = await two(t, { HYPER_BOOTSTRAP: JSON.stringify(bootstrap) })
  await one.client.call('net.allow', { keys: [keys[1]] })
  await other.client.call('net.allow', { keys: [keys[0]] })
  const connected = async ({ client }, key) => eventually(async () => {
    await client.call('net.refresh')
    return (await client.call('hello')).peers
  }, peers => peers.includes(key))
  await connected(one, keys[1])
  await one.client.call('net.allow', { keys: [] })
  await one.client.note('peer.down', ({ key }) => key === keys[1])
  await other.client.call('net.refresh')
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await other.client.call('db.open', { dbId })
  assert.equal(await other.client.fails('db.sync', { dbId, timeoutMs: 1000 }), 'TIMEOUT')
  await one.client.call('net.allow', { keys: [keys[1]] })
  await connected(other, keys[0])
  await other.client.call('db.sync', { dbId, timeoutMs: 60_000 })
})

test('nodes that were started before their bootstrap nodes meet once those are there', async t => {
  const port = await freePort()
  const bootstrap = JSON.stringify([`127.0.0.1:${port}`])
  const { nodes: [one, other] } = await two(t, { HYPER_BOOTSTRAP: bootstrap, HYPER_KNOWN_ONLY: '0' })
  const { dbId } = await one.client.call('db.create', { name: 'records' })
  await other.client.call('db.open', { dbId })
  await network(t, port)
  await eventually(async () => {
    for (const { client } of [one, other]) await client.call('net.refresh')
    await new Promise(resolve => setTimeout(resolve, 1000))
    return other.client.call('db.info', { dbId })
  }, ({ synced }) => synced)
})

test('without bootstrap nodes there is no DHT, and no tunnel', async t => {
  const client = await new Node(t).start()
  assert.equal((await client.call('hello')).dht, null)
  assert.equal(await client.fails('tunnel.listen', { socket: '/x', allow: [] }), 'BAD_REQUEST')
})
