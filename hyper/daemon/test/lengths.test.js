/* Nobody waits for ever for what a peer has, whatever the library forgot to say. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'

import Corestore from 'corestore'

import { Network } from '../lib/network/network.js'
import { eventually, temporary } from '../test-support/daemons.js'

async function connected (t) {
  const [author, follower] = ['one', 'other'].map(name => new Corestore(join(temporary(t), name)))
  const log = author.get({ name: 'log' })
  await log.append('first')
  const copy = follower.get({ key: log.key })
  await copy.ready()
  const [here, there] = [author.replicate(true), follower.replicate(false)]
  here.pipe(there).pipe(here)
  t.after(async () => {
    here.destroy()
    there.destroy()
    await Promise.all([author.close(), follower.close()])
  })
  return { log, copy, follower }
}

const hasLength = length => core => core.length === length

/** Of a node that has no ways to others but the one that is there already. */
function network (t, store) {
  const made = new Network({
    settings: { listen: null, peers: [], bootstrap: [], knownOnly: true },
    store,
    keyPair: { publicKey: Buffer.alloc(32) },
    databases: Object.assign(new EventEmitter(), { all: () => [] })
  })
  t.after(() => made.close())
  return made
}

test('a peer that was not told of our end is told again, and gives what it has beyond it', async t => {
  const { log, copy, follower } = await connected(t)
  await eventually(async () => copy, hasLength(1))
  const [peer] = copy.core.replicator.peers
  peer.sendSync = () => {}
  await log.append('second')
  await eventually(async () => copy, hasLength(2))
  await log.append('third')
  await eventually(async () => peer, ({ remoteLength }) => remoteLength === 3)
  delete peer.sendSync
  await new Promise(resolve => setTimeout(resolve, 100))
  assert.equal(copy.length, 2, 'the library goes on by itself: nothing needs to be told again')
  await network(t, follower).start()
  await eventually(async () => copy, hasLength(3))
})
