/*
 * Byte streams between nodes, end to end encrypted, over the DHT: `listening` is the end that others come to,
 * `calling` the one that goes out, with its `doors` for programs of this machine.
 *
 * A node's tunnel has a key of its own, beside its noise key: one key can listen once on a DHT. A key may also be
 * made from a seed that both ends know. A tunnel lasts as long as the client's connection that asked for it: who
 * starts again finds nothing in its way.
 */
import { createHash, randomUUID } from 'node:crypto'

import SecretStream from '@hyperswarm/secret-stream'

import { HyperError } from '../errors.js'
import { Calling } from './calling.js'
import { openDoors } from './doors.js'
import { Listening } from './listening.js'

export class Tunnels {
  #network
  #keyPair
  #ownKeyPair
  #open = new Map()
  /** By key, those that listen, or are about to have ended. */
  #keys = new Map()

  constructor ({ network, keyPair, noiseSeed }) {
    this.#network = network
    this.#keyPair = keyPair
    this.#ownKeyPair = SecretStream.keyPair(createHash('sha256').update('atek tunnel').update(noiseSeed).digest())
    network.on('anew', () => this.#startAnew())
    network.on('change', () => this.#each(Calling, calling => calling.check()))
  }

  /** What others connect to. */
  get key () {
    return this.#ownKeyPair.publicKey.toString('hex')
  }

  /** Forwards connections of these nodes to a Unix socket: {id, key}. Raises IN_USE. */
  async listen ({ socket, allow, secret, seed }, connection) {
    const dht = this.#dht()
    const keyPair = seed ? SecretStream.keyPair(Buffer.from(seed, 'hex')) : this.#ownKeyPair
    const listening = new Listening({ keyPair, socket, secret, allow })
    const { key } = listening
    await this.#keys.get(key)?.closing
    if (this.#keys.has(key)) {
      throw new HyperError('IN_USE', 'somebody listens with that key already', 'another node may run on this home')
    }
    const entry = { closing: null }
    this.#keys.set(key, entry)
    const close = () => {
      entry.closing ??= listening.close().finally(() => this.#keys.delete(key))
      return entry.closing
    }
    try {
      await listening.start(dht)
    } catch (error) {
      await close()
      throw error
    }
    return { id: this.#keep(listening, close, connection), key }
  }

  /** Carries connections to a Unix socket or a port to the node with that tunnel key: {id, port?}. */
  async connect ({ noiseKey, seed, socket, port }, connection) {
    this.#dht()
    const key = seed ? SecretStream.keyPair(Buffer.from(seed, 'hex')).publicKey.toString('hex') : noiseKey
    const id = randomUUID()
    const calling = new Calling({
      dht: () => this.#dht(), keyPair: this.#keyPair, key,
      onChange: isUp => connection.notify('tunnel.state', { id, isUp })
    })
    let doors
    try {
      doors = await openDoors({ socket, port }, (...each) => calling.carry(...each))
    } catch (error) {
      calling.close()
      throw error
    }
    this.#keep(calling, async () => {
      calling.close()
      await doors.close()
    }, connection, id)
    return doors.port === null ? { id } : { id, port: doors.port }
  }

  /** Only these may come from now on; whoever else is here is cut off. */
  allow (id, keys) {
    const { tunnel } = this.#get(id)
    if (!(tunnel instanceof Listening)) throw new HyperError('BAD_REQUEST', 'nobody comes to that tunnel')
    tunnel.allow(keys)
  }

  /** {callers} of one that listens, {isUp} of one that goes out. */
  info (id) {
    const { tunnel } = this.#get(id)
    return tunnel instanceof Listening ? { callers: tunnel.callers() } : { isUp: tunnel.isUp }
  }

  async close (id) {
    const { close } = this.#get(id)
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

  #get (id) {
    const found = this.#open.get(id)
    if (!found) throw new HyperError('NOT_FOUND', `there is no tunnel ${id}`)
    return found
  }

  #keep (tunnel, close, connection, id = randomUUID()) {
    this.#open.set(id, { tunnel, close })
    connection.onClose(() => { if (this.#open.has(id)) this.close(id).catch(() => {}) })
    if (connection.closed) this.close(id).catch(() => {})
    return id
  }

  #each (kind, then) {
    for (const { tunnel } of this.#open.values()) {
      if (tunnel instanceof kind) then(tunnel)
    }
  }

  #startAnew () {
    this.#each(Listening, listening => listening.start(this.#dht()).catch(() => {}))
    this.#each(Calling, calling => calling.hurry())
  }
}
