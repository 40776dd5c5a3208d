/* Tunnels between two real daemons on a private DHT of loopback: who gets in, what gets through, what cuts it. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'

import SecretStream from '@hyperswarm/secret-stream'
import HyperDHT from 'hyperdht'

import { eventually, until } from '../test-support/daemons.js'
import { network, two } from '../test-support/network.js'

/** A home that answers as `serve` does, and a device with a door to it: {home, device, id, front, keys, bootstrap}. */
async function tunnel (t, serve = echo, options = {}) {
  const bootstrap = await network(t)
  const { nodes: [home, device], keys } = await two(t, { HYPER_BOOTSTRAP: JSON.stringify(bootstrap) })
  const behind = join(home.folder, 'behind')
  await serving(t, behind, serve)
  const { id, key } = await home.client.call('tunnel.listen', { socket: behind, secret: 's', allow: [keys[1]] })
  const front = join(device.folder, 'front')
  const { id: out } = await device.client.call('tunnel.connect', { noiseKey: key, socket: front, ...options })
  return { home, device, id, out, key, front, behind, keys, bootstrap }
}

async function serving (t, path, serve) {
  const server = createServer({ allowHalfOpen: true }, socket => serve(socket.on('error', () => {})))
  await new Promise(resolve => server.listen(path, resolve))
  t.after(() => server.close())
}

function echo (socket) {
  socket.pipe(socket)
}

/** Writes, ends its side, and returns all that comes back. */
async function talk (path, data) {
  const socket = connect({ path, allowHalfOpen: true }).on('error', () => {})
  const chunks = []
  let isClosed = false
  socket.on('data', chunk => chunks.push(chunk)).on('close', () => { isClosed = true })
  socket.on('end', () => socket.destroy())
  socket.end(data)
  await until(() => isClosed, socket, 'close')
  return Buffer.concat(chunks)
}

/** A connection that goes on: `closed` once it ended, however that was. */
function opened (path) {
  const socket = connect({ path }).on('error', () => {})
  socket.isGone = new Promise(resolve => socket.once('close', resolve))
  socket.first = new Promise(resolve => socket.once('data', resolve))
  return socket
}

async function within (ms, promise, what) {
  let timer
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms) })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

test('bytes go both ways, after a line that says who calls and proves that the daemon says it', async t => {
  const { front, keys } = await tunnel(t)
  const large = randomBytes(3_000_000)
  const line = JSON.stringify({ noiseKey: keys[1], secret: 's' }) + '\n'
  assert.ok((await talk(front, large)).equals(Buffer.concat([Buffer.from(line), large])))
})

test('a side that ends first still receives', async t => {
  const { front } = await tunnel(t, socket => {
    // Ends at once, and says afterwards what it was sent.
    const hash = createHash('sha256')
    socket.on('data', chunk => hash.update(chunk)).on('end', () => setTimeout(() => socket.end(hash.digest()), 200))
  })
  assert.equal((await talk(front, randomBytes(100_000))).length, 32)
  const other = await tunnel(t, socket => {
    socket.end('first')
    socket.on('data', chunk => { other.got = (other.got ?? 0) + chunk.length })
  })
  const socket = connect({ path: other.front, allowHalfOpen: true })
  await new Promise(resolve => socket.resume().once('end', resolve))
  socket.end(randomBytes(500_000))
  await eventually(async () => other.got, got => got > 500_000)
})

test('nobody else gets in, nor does one that says something else than it should', async t => {
  const { home, device, id, key, keys, bootstrap, front } = await tunnel(t)
  const dht = new HyperDHT({ bootstrap, host: '127.0.0.1' })
  t.after(() => dht.destroy())
  const ends = keyPair => new Promise(resolve => {
    const stream = dht.connect(Buffer.from(key, 'hex'), { keyPair })
    stream.on('error', () => {}).once('connect', () => stream.write('GET / HTTP/1.1\r\n\r\n')).once('close', resolve).resume()
  })
  await ends(SecretStream.keyPair())
  const known = SecretStream.keyPair()
  await home.client.call('tunnel.allow', { id, allow: [keys[1], known.publicKey.toString('hex')] })
  await ends(known)
  const { callers } = await home.client.call('tunnel.info', { id })
  assert.deepEqual(new Set(callers.map(({ noiseKey }) => noiseKey)), new Set([keys[1], known.publicKey.toString('hex')]))
  assert.equal((await talk(front, 'x')).subarray(-1).toString(), 'x')
  assert.ok(device)
})

test('who is taken off the list is cut within a second, in the middle of an upload', async t => {
  let isCut = false
  const { home, id, front } = await tunnel(t, socket => {
    socket.write('go')
    socket.resume().once('end', () => { isCut = true })
  })
  const socket = opened(front)
  await socket.first
  const writing = setInterval(() => socket.write(Buffer.alloc(65536)), 5)
  t.after(() => clearInterval(writing))
  await home.client.call('tunnel.allow', { id, allow: [] })
  await within(1000, socket.isGone, 'cutting off')
  await eventually(async () => isCut, cut => cut)
  const again = opened(front)
  await again.isGone
})

test('a home that is killed is noticed and found again', async t => {
  const { home, device, front, behind, keys, out } = await tunnel(t)
  const socket = opened(front)
  await socket.first
  await home.kill()
  await within(8_000, socket.isGone, 'noticing')
  assert.deepEqual(await device.client.call('tunnel.info', { id: out }), { isUp: false })
  await home.start()
  await home.client.call('tunnel.listen', { socket: behind, allow: [keys[1]] })
  assert.equal((await talk(front, 'again')).subarray(-5).toString(), 'again')
})

test('a home that answers nothing for a while is there again in three seconds', async t => {
  const { home, device, front, out } = await tunnel(t)
  const socket = opened(front)
  await socket.first
  home.process.kill('SIGSTOP')
  t.after(() => home.process.kill('SIGCONT'))
  await socket.isGone
  await new Promise(resolve => setTimeout(resolve, 3000))
  const begin = performance.now()
  home.process.kill('SIGCONT')
  await eventually(() => device.client.call('tunnel.info', { id: out }), ({ isUp }) => isUp)
  t.diagnostic(`back after ${Math.round(performance.now() - begin)} ms`)
  assert.ok(performance.now() - begin < 6000)
  assert.equal((await talk(front, 'again')).subarray(-5).toString(), 'again')
})

test('one key listens once; a client that has gone is in nobody\'s way', async t => {
  const { home, front, behind, keys } = await tunnel(t)
  const other = await home.connect()
  assert.equal(await other.fails('tunnel.listen', { socket: behind, allow: [keys[1]] }), 'IN_USE')
  assert.equal((await talk(front, 'x')).subarray(-1).toString(), 'x')
  home.client.close()
  await eventually(() => other.call('tunnel.listen', { socket: behind, allow: [keys[1]] }).catch(() => null), found => found)
  assert.equal((await talk(front, 'x')).subarray(-1).toString(), 'x')
  other.close()
})

test('both ends of a seed meet, whoever knows it', async t => {
  const { home, device, front, behind } = await tunnel(t)
  const seed = randomBytes(32).toString('hex')
  await home.client.call('tunnel.listen', { socket: behind, seed, allow: null })
  await device.client.call('tunnel.connect', { seed, socket: `${front}2` })
  assert.equal((await talk(`${front}2`, 'x')).subarray(-1).toString(), 'x')
})

test('a port of loopback is a door too, and says in HTTP that nobody answers', async t => {
  const { home, device } = await tunnel(t)
  const { key, id } = await home.client.call('tunnel.listen', { socket: '/nowhere', seed: 'ab'.repeat(32), allow: null })
  await home.client.call('tunnel.close', { id })
  const { port } = await device.client.call('tunnel.connect', { noiseKey: key, port: 0 })
  const response = await fetch(`http://127.0.0.1:${port}/`)
  assert.equal(response.status, 503)
  assert.match(await response.text(), /cannot be reached/)
  assert.equal(await device.client.fails('tunnel.connect', { noiseKey: key, port }), 'IN_USE')
})
