/*
 * Finding each other over a DHT of the user's own nodes: whoever has a database open announces it there.
 *
 * The library looks anew every ten minutes only, gives up on a peer after some tries, and never recovers when
 * no bootstrap node answered at first; `refresh` mends all three.
 */
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'

import { showAddress } from '../settings.js'

/** The pauses between tries to reach a node again, in milliseconds; the library's own go up to 10 minutes. */
const PAUSES = [300, 800, 1500, 4000]

export class Swarm {
  #settings
  #keyPair
  #firewall
  #onStream
  #onCall
  #onAnew
  #onChange
  #swarm = null
  #topics = new Map()
  #sought = new Set()
  #mending = null
  #isSettled = false

  /** `onStream(stream)` gets connections that the firewall let in; `onCall(key)` hears who begins one;
   * `onAnew()` that there is another DHT node, `onChange()` that the machine's addresses are others. */
  constructor ({ settings, keyPair, firewall, onStream, onCall, onAnew, onChange }) {
    this.#settings = settings
    this.#keyPair = keyPair
    this.#firewall = firewall
    this.#onStream = onStream
    this.#onCall = onCall
    this.#onAnew = onAnew
    this.#onChange = onChange
  }

  get dht () {
    return this.#swarm.dht
  }

  get address () {
    const { port } = this.dht.address() ?? {}
    return port ? { host: this.#settings.dht.host, port } : null
  }

  /** Does not wait for the bootstrap nodes. */
  async start () {
    const dht = this.#makeNode()
    this.#swarm = new Hyperswarm({
      dht, keyPair: this.#keyPair, backoffs: PAUSES, jitter: 200, firewall: (key, payload) => this.#refuses(key.toString('hex'), payload !== null)
    })
    this.#swarm.on('connection', stream => this.#onStream(stream))
    dht.on('network-change', () => this.#onChange())
    await dht.ready()
    this.#isSettled = false
    dht.fullyBootstrapped().catch(() => {}).finally(() => { this.#isSettled ||= dht === this.dht })
    this.#swarm.listen().catch(() => {})
    for (const topic of this.#topics.values()) this.#join(topic)
    for (const key of this.#sought) this.#seekOne(key)
  }

  join (database) {
    this.#topics.set(database.id, database.discoveryKey)
    this.#join(database.discoveryKey)
  }

  leave (database) {
    this.#topics.delete(database.id)
    this.#swarm.leave(database.discoveryKey).catch(() => {})
  }

  /** Looks for these nodes by key, whatever databases they have. */
  seek (keys) {
    for (const key of this.#sought) {
      if (!keys.has(key)) this.#swarm.leavePeer(Buffer.from(key, 'hex'))
    }
    this.#sought = new Set(keys)
    for (const key of keys) this.#seekOne(key)
  }

  refresh () {
    if (this.isLost) return this.#startAnew()
    for (const topic of this.#swarm.topics()) topic.refresh().catch(() => {})
    for (const key of this.#sought) this.#seekOne(key)
  }

  async close () {
    await this.#mending
    await this.#swarm.destroy({ force: true })
  }

  /** A private DHT begins with a node whose address does not change, and which nobody has to tell of others. */
  #makeNode () {
    const { bootstrap, meetingPoint, isPublic, dht: { host, port } } = this.#settings
    const others = [...bootstrap.map(showAddress), ...(isPublic ? HyperDHT.BOOTSTRAP : [])]
    if (!meetingPoint) return new HyperDHT({ bootstrap: others, host, port })
    return HyperDHT.bootstrapper(meetingPoint.port, meetingPoint.host, { bootstrap: others, host })
  }

  #refuses (key, isCalling) {
    if (!this.#firewall.lets(key)) return true
    if (isCalling) this.#onCall(key)
    return false
  }

  /** It has asked the bootstrap nodes, and none of them answered. */
  get isLost () {
    return !this.#settings.meetingPoint && this.#isSettled && this.dht.toArray().length === 0 && this.#swarm.connections.size === 0
  }

  #join (topic) {
    this.#swarm.join(topic, { server: true, client: true })
  }

  #seekOne (key) {
    const info = this.#swarm.peers.get(key)
    info?.ban(false)
    info?._reset()
    this.#swarm.joinPeer(Buffer.from(key, 'hex'))
  }

  /** No bootstrap node ever answered this one. */
  #startAnew () {
    this.#mending ??= this.#swarm.destroy({ force: true })
      .then(() => this.start())
      .then(() => this.#onAnew())
      .finally(() => { this.#mending = null })
    this.#mending.catch(() => {})
  }
}
