/*
 * Live connections to other nodes, whatever carries them: each is a noise secret-stream whose remote key was
 * proven, over which the store replicates.
 *
 * Two nodes that call each other over TCP at once end up with one connection: the one that the smaller key began. A
 * new one by the same beginner replaces the old, which it must have lost.
 *
 * Events: `up` (key) and `down` (key), when the first connection to a node came and the last one went.
 */
import { EventEmitter } from 'node:events'

/** A peer that is silent for so long is gone; its stream says something every 5 s. Milliseconds. */
const SILENCE = 15_000

/** Two nodes may call each other at once; a call that comes later than this is a new one. Milliseconds. */
const SETTLING = 1_500

export class Connections extends EventEmitter {
  #store
  #ownKey
  #streams = new Map()
  #tcp = new Set()
  #swarm = new Map()

  constructor (store, ownKey) {
    super()
    this.setMaxListeners(0)
    this.#store = store
    this.#ownKey = ownKey
  }

  /** The keys of the nodes that are connected. */
  keys () {
    return [...this.#streams.keys()]
  }

  has (key) {
    return this.#streams.has(key)
  }

  /** Takes a TCP stream whose handshake is done. */
  addTcp (stream) {
    stream.on('error', () => {})
    if (stream.destroying) return
    if (!this.#makeWay(keyOf(stream), stream)) return stream.destroy()
    this.#tcp.add(stream)
    this.#add(stream)
  }

  /** Takes a stream of the swarm, which sees to it by itself that there is one for each node. */
  addSwarm (stream) {
    stream.on('error', () => {})
    if (stream.destroying) return
    this.#swarm.set(stream, performance.now())
    this.#add(stream)
  }

  /** A node calls us over the swarm: what it had with us before, it has lost, even if we have not noticed. */
  dropLost (key) {
    for (const stream of this.#streams.get(key) ?? []) {
      if (performance.now() - this.#swarm.get(stream) > SETTLING) stream.destroy()
    }
  }

  /** Ends the connections to a node, or to all. */
  drop (key) {
    for (const stream of this.#streams.get(key) ?? []) stream.destroy()
  }

  dropAll () {
    for (const key of this.keys()) this.drop(key)
  }

  #add (stream) {
    const key = keyOf(stream)
    stream.setTimeout(SILENCE)
    const streams = this.#streams.get(key) ?? new Set()
    this.#streams.set(key, streams.add(stream))
    stream.once('close', () => this.#remove(key, stream))
    this.#store.replicate(stream)
    if (streams.size === 1) this.emit('up', key)
  }

  #makeWay (key, stream) {
    const mayBegin = [this.#ownKey, key].sort()[0]
    const begunBy = one => one.isInitiator ? this.#ownKey : key
    for (const other of this.#streams.get(key) ?? []) {
      if (!this.#tcp.has(other)) continue
      if (begunBy(other) === begunBy(stream) || begunBy(stream) === mayBegin) other.destroy()
      else return false
    }
    return true
  }

  #remove (key, stream) {
    const streams = this.#streams.get(key)
    this.#tcp.delete(stream)
    this.#swarm.delete(stream)
    if (!streams?.delete(stream) || streams.size > 0) return
    this.#streams.delete(key)
    this.emit('down', key)
  }
}

function keyOf (stream) {
  return stream.remotePublicKey.toString('hex')
}
