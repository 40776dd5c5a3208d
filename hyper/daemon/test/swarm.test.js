/* A private DHT on loopback: nodes that know no address of each other meet, and meet again. */
import assert from 'node:assert/strict'
import { createServer, connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'

import HyperDHT from 'hyperdht'

import { Node, eventually, until } from '../test-support/daemons.js'

// With two, a node could not tell what NAT it is behind, and one call in three was given up.
const DHT_NODES = 6

/** A DHT: the addresses of the nodes it is found by. */
async function network (t, port = 0) {
  const first = HyperDHT.bootstrapper(port || await freePort(), '127.0.0.1')
  await first.ready()
  const bootstrap = [`127.0.0.1:${first.address().port}`]
  const nodes = [first]
  t.after(() => Promise.all(nodes.map(node => node.destroy())))
  while (nodes.length < DHT_NODES) {
    const node = new HyperDHT({ bootstrap, port: await freePort(), host: '127.0.0.1', ephemeral: false, firewalled: false })
    nodes.push(node)
    await node.fullyBootstrapped()
  }
  return bootstrap
}

async function freePort () {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

async function two (t, environment) {
  const nodes = [new Node(t, environment), new Node(t, environment)]
  for (const node of nodes) await node.start()
  const keys = await Promise.all(nodes.map(async ({ client }) => (await client.call('hello')).noiseKey))
  return { nodes, keys }
}

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

test('a tunnel carries bytes both ways, tells who calls, and lets nobody else in', async t => {
  const bootstrap = await network(t)
  const { nodes: [one, other], keys } = await two(t, { HYPER_BOOTSTRAP: JSON.stringify(bootstrap) })
  const behind = join(one.folder, 'behind')
  const server = createServer({ allowHalfOpen: true }, socket => socket.on('error', () => {}).pipe(socket))
  await new Promise(resolve => server.listen(behind, resolve))
  t.after(() => server.close())
  const { id, key } = await one.client.call('tunnel.listen', { socket: behind, allow: [keys[1]] })
  const front = join(other.folder, 'front')
  await other.client.call('tunnel.connect', { noiseKey: key, socket: front })
  const large = 'x'.repeat(2_000_000)
  const answer = await talk(front, large + '\n')
  assert.equal(answer, JSON.stringify({ noiseKey: keys[1] }) + '\n' + large + '\n')
  const { key: itsOwn } = await other.client.call('tunnel.listen', { socket: behind, allow: [] })
  await one.client.call('tunnel.connect', { noiseKey: itsOwn, socket: join(one.folder, 'front') })
  assert.equal(await talk(join(one.folder, 'front'), 'x'), '')
  await one.client.call('tunnel.close', { id })
  assert.equal(await one.client.fails('tunnel.close', { id }), 'NOT_FOUND')
})

test('without bootstrap nodes there is no DHT, and no tunnel', async t => {
  const client = await new Node(t).start()
  assert.equal((await client.call('hello')).dht, null)
  assert.equal(await client.fails('tunnel.listen', { socket: '/x', allow: [] }), 'BAD_REQUEST')
})

/** Writes, ends its side, and returns all that comes back. */
async function talk (path, text) {
  const socket = connect({ path, allowHalfOpen: true })
  let answer = ''
  let isClosed = false
  socket.setEncoding('utf8').on('data', data => { answer += data }).on('error', () => {}).on('close', () => { isClosed = true })
  socket.on('end', () => socket.destroy())
  socket.end(text)
  await until(() => isClosed, socket, 'close')
  return answer
}
