/*
 * Byte streams between nodes, end to end encrypted, over the DHT. A node that listens forwards what comes in
 * to a Unix socket of its own; a node that connects offers a Unix socket, each connection to which is carried
 * to the other node.
 *
 * A node's tunnel has a key of its own, beside its noise key: one key can listen once on a DHT. Who connects
 * proves its noise key; the socket behind gets it as a first line, {"noiseKey": "<64 hex>"}, before all else.
 */
import { createHash, randomUUID } from 'node:crypto'
import { connect, createServer } from 'node:net'

import SecretStream from '@hyperswarm/secret-stream'
import { pipeline } from 'streamx'

import { HyperError } from './errors.js'
import { listenAt } from './rpc/server.js'

export class Tunnels {
  #network
  #keyPair
  #ownKeyPair
  #open = new Map()

  constructor ({ network, keyPair, noiseSeed }) {
    this.#network = network
    this.#keyPair = keyPair
    this.#ownKeyPair = SecretStream.keyPair(createHash('sha256').update('atek tunnel').update(noiseSeed).digest())
  }

  /** What others connect to. */
  get key () {
    return this.#ownKeyPair.publicKey.toString('hex')
  }

  /** Forwards connections of these nodes to a Unix socket: {id, key}. */
  async listen (socket, allow) {
    const allowed = new Set(allow)
    const server = this.#dht().createServer({ firewall: key => !allowed.has(key.toString('hex')) }, stream => {
      const target = connect(socket)
      target.write(JSON.stringify({ noiseKey: stream.remotePublicKey.toString('hex') }) + '\n')
      join(stream, target)
    })
    await server.listen(this.#ownKeyPair)
    return { id: this.#keep(() => server.close()), key: this.key }
  }

  /** Carries connections to a Unix socket to the node with that tunnel key: {id}. */
  async connect (key, socket) {
    const dht = this.#dht()
    const streams = new Set()
    const server = createServer({ allowHalfOpen: true }, local => {
      const stream = dht.connect(Buffer.from(key, 'hex'), { keyPair: this.#keyPair })
      streams.add(stream)
      stream.once('close', () => streams.delete(stream))
      join(stream, local)
    })
    await listenAt(server, socket)
    const id = this.#keep(async () => {
      for (const stream of streams) stream.destroy()
      await new Promise(resolve => server.close(resolve))
    })
    return { id }
  }

  async close (id) {
    const close = this.#open.get(id)
    if (!close) throw new HyperError('NOT_FOUND', `there is no tunnel ${id}`)
    this.#open.delete(id)
    await close()
  }

  async closeAll () {
    await Promise.all([...this.#open.keys()].map(id => this.close(id)))
  }

  #dht () {
    const { swarm } = this.#network
    if (!swarm) throw new HyperError('BAD_REQUEST', 'tunnels need a DHT', 'give bootstrap nodes')
    return swarm.dht
  }

  #keep (close) {
    const id = randomUUID()
    this.#open.set(id, close)
    return id
  }
}

/** Both ways, each of which may end before the other. */
function join (one, other) {
  for (const stream of [one, other]) stream.on('error', () => {})
  pipeline(one, other, () => {})
  pipeline(other, one, () => {})
}
