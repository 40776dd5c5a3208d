/* The socket: whoever is rude, slow or gone on it harms nobody else. */
import assert from 'node:assert/strict'
import { statSync, writeFileSync, cpSync } from 'node:fs'
import { get } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'

import { Node, eventually } from '../test-support/daemons.js'

/** Sends bytes and returns all that came back until the daemon ended the connection. */
function say (path, bytes) {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(bytes))
    let answer = ''
    socket.on('data', data => { answer += data }).on('close', () => resolve(answer)).on('error', reject)
  })
}

test('what is no JSON ends the connection at its first line', async t => {
  const node = new Node(t)
  const client = await node.start()
  const hello = '{"jsonrpc":"2.0","id":1,"method":"hello","params":{}}\n'
  assert.equal(await say(node.socket, `POST / HTTP/1.1\r\nhost: x\r\n\r\n${hello}`), '')
  assert.equal(await say(node.socket, `\n${hello}`), '')
  assert.equal(await say(node.socket, '\x80\xff\n'), '')
  assert.ok((await client.call('hello')).noiseKey)
})

test('JSON that is no request is answered with an error, and the connection goes on', async t => {
  const node = new Node(t)
  const client = await node.start()
  const lines = ['1', 'null', '[]', '{}', '{"method":1}', '{"id":5,"method":"hello","params":[1]}', '{"id":6,"method":"constructor"}', '{"id":7,"method":"rec.get","params":{"dbId":{}}}']
  const answers = await new Promise(resolve => {
    const socket = connect(node.socket, () => socket.write(lines.join('\n') + '\n'))
    let text = ''
    socket.on('data', data => {
      text += data
      if (text.split('\n').length > lines.length) socket.destroy(resolve(text.trim().split('\n').map(line => JSON.parse(line))))
    })
  })
  for (const { error } of answers) assert.equal(error.data.code, 'BAD_REQUEST')
  assert.ok((await client.call('hello')).noiseKey)
})

test('a line without an end is not kept for ever', async t => {
  const node = new Node(t)
  const client = await node.start()
  const chunk = Buffer.alloc(1024 * 1024, 'x')
  const socket = connect(node.socket)
  const closed = new Promise(resolve => socket.on('close', resolve))
  socket.on('error', () => {})
  const write = () => { while (!socket.destroyed && socket.write(chunk)); }
  socket.on('drain', write)
  write()
  await closed
  assert.ok((await client.call('hello')).noiseKey)
})

test('a request comes in pieces, several come at once', async t => {
  const node = new Node(t)
  await node.start()
  const lines = [1, 2, 3].map(id => JSON.stringify({ jsonrpc: '2.0', id, method: 'hello', params: { x: 'ä😀' } }) + '\n').join('')
  const bytes = Buffer.from(lines)
  const ids = await new Promise(resolve => {
    let text = ''
    const socket = connect(node.socket, async () => {
      for (const byte of bytes.subarray(0, 90)) {
        socket.write(Buffer.of(byte))
        await new Promise(resolve => setImmediate(resolve))
      }
      socket.write(bytes.subarray(90))
    })
    socket.on('data', data => {
      text += data
      if (text.split('\n').length > 3) socket.destroy(resolve(text.trim().split('\n').map(line => JSON.parse(line).id)))
    })
  })
  assert.deepEqual(ids.sort(), [1, 2, 3])
})

test('a watcher that does not read costs no memory, and learns everything once it does', async t => {
  const node = new Node(t)
  const client = await node.start()
  const { dbId } = await client.call('db.create', { name: 'records' })
  const value = 'x'.repeat(50_000)
  const write = async () => {
    for (let n = 0; n < 1500; n += 25) {
      await client.call('rec.batch', { dbId, ops: [...Array(25).keys()].map(k => ({ path: [`${n + k}`], value })) })
    }
    return client.call('status')
  }
  const { rss: before, databases: [{ version: since }] } = await write()
  const sleeper = await node.connect()
  await sleeper.call('db.watch', { dbId, since: { fork: 0, version: since } })
  sleeper.socket.pause()
  const { rss, databases: [{ version }] } = await write()
  assert.ok(rss - before < 50e6, `75 MB were written, and ${rss - before} bytes kept`)
  sleeper.socket.resume()
  await sleeper.note('db.changed', ({ to }) => to === version)
  const told = sleeper.notes.filter(({ method }) => method === 'db.changed').flatMap(({ params }) => params.changes)
  assert.deepEqual(told.map(({ seq }) => seq), [...Array(1500).keys()].map(n => n + since))
})

test('a watch says to read anew where it cannot go on', async t => {
  const node = new Node(t)
  const client = await node.start()
  const { dbId } = await client.call('db.create', { name: 'records' })
  for (let n = 0; n < 11; n++) {
    await client.call('rec.batch', { dbId, ops: [...Array(1000).keys()].map(k => ({ path: [`${k}`], value: n })) })
  }
  const watch = async since => (await client.call('db.watch', { dbId, since })).reset
  assert.equal(await watch(undefined), true)
  assert.equal(await watch({ fork: 0, version: 11_001 }), false)
  assert.equal(await watch({ fork: 0, version: 1_001 }), false)
  assert.equal(await watch({ fork: 0, version: 1_000 }), true)
  assert.equal(await watch({ fork: 0, version: 11_002 }), true)
  assert.equal(await watch({ fork: 1, version: 11_001 }), true)
})

test('a watch tells of its prefix only, until it is taken back', async t => {
  const node = new Node(t)
  const client = await node.start()
  const { dbId } = await client.call('db.create', { name: 'records' })
  const { watchId } = await client.call('db.watch', { dbId, prefix: ['a'], since: { fork: 0, version: 1 } })
  for (const path of [['a', '1'], ['b', '1'], ['a', '2'], ['ab', '1']]) await client.call('rec.put', { dbId, path, value: 1 })
  await client.call('rec.del', { dbId, path: ['a', '1'] })
  await client.note('db.changed', ({ to }) => to === 6)
  const told = client.notes.filter(({ method }) => method === 'db.changed').map(({ params }) => params)
  assert.deepEqual(told.flatMap(({ changes }) => changes.map(({ path, deleted }) => [...path, deleted === true])), [
    ['a', '1', false], ['a', '2', false], ['a', '1', true]
  ])
  assert.equal(told[0].from, 1)
  told.slice(1).forEach(({ from }, index) => assert.equal(from, told[index].to))
  await client.call('db.unwatch', { watchId })
  await client.call('rec.put', { dbId, path: ['a', '3'], value: 1 })
  await client.call('db.watch', { dbId, since: { fork: 0, version: 6 } })
  const { watchId: last } = await client.note('db.changed', ({ to }) => to === 7)
  assert.notEqual(last, watchId)
})

test('a client that has opened a database hears of its state', async t => {
  const node = new Node(t)
  const client = await node.start()
  const { dbId } = await client.call('db.create', { name: 'records' })
  await client.call('rec.put', { dbId, path: ['a'], value: 1 })
  const state = await client.note('db.state', ({ version }) => version === 2)
  assert.deepEqual(state, { dbId, known: 2, version: 2, peers: 0, synced: true, conflict: false })
})

test('socket and store are for their owner only', async t => {
  const node = new Node(t)
  await node.start()
  const modes = [node.socket, node.store, join(node.store, 'state.json')].map(path => statSync(path).mode & 0o777)
  assert.deepEqual(modes, [0o600, 0o700, 0o600])
})

test('a socket that a killed daemon left over is no obstacle', async t => {
  const node = new Node(t)
  await node.start()
  await node.kill()
  assert.ok(statSync(node.socket).isSocket())
  await node.start()
})

test('a store that another daemon has open, or that is a copy of one, is not opened', async t => {
  const node = new Node(t)
  await node.start()
  const other = new Node(t)
  await assert.rejects(other.start({ HYPER_STORE: node.store }), /STORE_LOCKED/)
  await node.stop()
  cpSync(node.store, join(other.folder, 'copy'), { recursive: true })
  await assert.rejects(other.start({ HYPER_STORE: join(other.folder, 'copy') }), /STORE_COPIED/)
})

test('health is told on the assigned socket, and nothing else is', async t => {
  const node = new Node(t)
  const socketPath = join(node.folder, 'h')
  await node.start({ ATEK_ASSIGNED_SOCKET_FILE: socketPath })
  const ask = path => new Promise((resolve, reject) => {
    get({ socketPath, path }, async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve([response.statusCode, JSON.parse(text)])
    }).on('error', reject)
  })
  assert.deepEqual(await ask('/health'), [200, { ok: true, held: false, full: false }])
  assert.equal((await ask('/'))[0], 404)
})

test('wrong settings end the daemon with a sentence that names them', async t => {
  for (const [name, value] of [['HYPER_BOOTSTRAP', '{'], ['HYPER_BOOTSTRAP', '["nowhere"]'], ['HYPER_LISTEN', 'x'], ['HYPER_HOLD_MS', '1s'], ['HYPER_STORE', '']]) {
    await assert.rejects(new Node(t).start({ [name]: value }), new RegExp(name))
  }
  await assert.rejects(new Node(t).start({ HYPER_PEERS: '[{"host":"x","port":1}]' }), /no key/)
})

test('a state that is broken is not replaced by an empty one', async t => {
  const node = new Node(t)
  await node.start()
  await node.stop()
  writeFileSync(join(node.store, 'state.json'), '{')
  await assert.rejects(node.start(), /state.json is not what was written/)
})

test('the daemon ends when it is told to, and after a while all the same with clients that stay', async t => {
  const node = new Node(t)
  const client = await node.start()
  const { process } = node
  process.kill('SIGTERM')
  await client.closed
  await process.ended
  assert.equal(process.exitCode, 0)
  await eventually(async () => node.log, text => text.startsWith('ready'))
})
