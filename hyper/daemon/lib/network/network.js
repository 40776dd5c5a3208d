/*
 * All ways to other nodes: those whose address we know over TCP, and, only where bootstrap nodes were given,
 * a DHT of the user's own. Without any of it, nothing leaves this machine.
 *
 * Events: `up` (key), `down` (key); `anew` when there is another DHT node than before, `change` when the machine has
 * other addresses.
 */
import { EventEmitter } from 'node:events'

import { Connections } from './connections.js'
import { Dialer } from './dialer.js'
import { Firewall } from './firewall.js'
import { tellLengths } from './lengths.js'
import { Listener } from './listener.js'

/** So often we look for peers of databases that have none, in milliseconds. */
const LOOK_EVERY = 20_000
/** And so long after a database was opened, or a node was lost. */
const LOOK_SOON = [1_000, 2_500, 5_000, 10_000]
/** And so often whether the DHT has lost us, who may be a machine without any peers. */
const FIND_EVERY = 2_000
/** And so often for peers that do not know how far we are. */
const TELL_EVERY = 500

export class Network extends EventEmitter {
  #settings
  #store
  #keyPair
  #databases
  #firewall
  #connections
  #listener = null
  #swarm = null
  #dialers = new Map()
  #timer = null
  #telling = null
  #finding = null
  #soon = []
  #isClosed = false

  constructor ({ settings, store, keyPair, databases }) {
    super()
    this.#settings = settings
    this.#store = store
    this.#keyPair = keyPair
    this.#databases = databases
    this.#firewall = new Firewall(settings.knownOnly)
    this.#connections = new Connections(store, keyPair.publicKey.toString('hex'))
    for (const event of ['up', 'down']) this.#connections.on(event, key => this.emit(event, key))
  }

  async start () {
    const { listen, peers, bootstrap, meetingPoint, isPublic } = this.#settings
    for (const peer of peers) this.addPeer(peer)
    if (listen) await this.#listen(listen)
    if (bootstrap.length > 0 || meetingPoint || isPublic) await this.#join()
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY)
    this.#finding = setInterval(() => { if (this.#swarm?.isLost) this.refresh() }, FIND_EVERY)
    this.#telling = setInterval(() => tellLengths(this.#store), TELL_EVERY)
    this.#connections.on('down', () => this.#lookSoon())
    this.#databases.on('open', () => this.#lookSoon())
    this.#lookSoon()
  }

  get noiseKey () {
    return this.#keyPair.publicKey.toString('hex')
  }

  get firewall () {
    return this.#firewall
  }

  /** The swarm, null where there is none. */
  get swarm () {
    return this.#swarm
  }

  describe () {
    return {
      noiseKey: this.noiseKey,
      address: this.#listener?.address ?? '',
      peers: this.#connections.keys(),
      dht: this.#swarm?.address ?? null
    }
  }

  /** Only these may connect to us, beside the configured peers. */
  allow (keys) {
    this.#firewall.allow(keys)
    this.#dropStrangers()
    this.#swarm?.seek(this.#firewall.known())
  }

  addPeer (peer) {
    this.#dialers.get(peer.key)?.stop()
    this.#firewall.addPeer(peer.key)
    this.#dialers.set(peer.key, new Dialer({ peer, keyPair: this.#keyPair, connections: this.#connections }))
    this.#swarm?.seek(this.#firewall.known())
  }

  removePeer (key) {
    this.#dialers.get(key)?.stop()
    this.#dialers.delete(key)
    this.#firewall.removePeer(key)
    this.#connections.drop(key)
    this.#swarm?.seek(this.#firewall.known())
  }

  /** Looks for everybody again, now. */
  refresh () {
    for (const dialer of this.#dialers.values()) dialer.hurry()
    this.#swarm?.refresh()
  }

  /** Ends all connections; those that we keep come back by themselves. */
  reconnect () {
    this.#connections.dropAll()
  }

  async close () {
    clearInterval(this.#timer)
    clearInterval(this.#telling)
    clearInterval(this.#finding)
    this.#soon.forEach(clearTimeout)
    this.#isClosed = true
    for (const dialer of this.#dialers.values()) dialer.stop()
    await Promise.all([this.#listener?.close(), this.#swarm?.close()])
    this.#connections.dropAll()
  }

  async #listen (address) {
    this.#listener = new Listener({
      keyPair: this.#keyPair,
      firewall: this.#firewall,
      onStream: stream => this.#letIn(stream) && this.#connections.addTcp(stream)
    })
    await this.#listener.listen(address)
  }

  /** The libraries for it take memory: they are loaded only where they are used. */
  async #join () {
    const { Swarm } = await import('./swarm.js')
    this.#swarm = new Swarm({
      settings: this.#settings,
      keyPair: this.#keyPair,
      firewall: this.#firewall,
      onStream: stream => this.#letIn(stream) && this.#connections.addSwarm(stream),
      onCall: key => this.#connections.dropLost(key),
      onAnew: () => this.emit('anew'),
      onChange: () => this.emit('change')
    })
    await this.#swarm.start()
    this.#swarm.seek(this.#firewall.known())
    this.#databases.on('open', database => this.#swarm.join(database))
    this.#databases.on('close', database => this.#swarm.leave(database))
    for (const database of this.#databases.all()) this.#swarm.join(database)
  }

  #look () {
    const isLonely = this.#databases.all().some(database => !database.writable && database.peers === 0)
    const isAway = [...this.#firewall.known()].some(key => !this.#connections.has(key))
    if (isLonely || isAway) this.refresh()
  }

  #lookSoon () {
    if (this.#isClosed) return
    this.#soon.forEach(clearTimeout)
    this.#soon = LOOK_SOON.map(ms => setTimeout(() => this.#look(), ms))
  }

  /** Asked once more: while its handshake was under way somebody may have become a stranger, or we have called one. */
  #letIn (stream) {
    if (this.#firewall.lets(stream.remotePublicKey.toString('hex'))) return true
    stream.on('error', () => {})
    stream.destroy()
    return false
  }

  #dropStrangers () {
    for (const key of this.#connections.keys()) {
      if (!this.#firewall.lets(key)) this.#connections.drop(key)
    }
  }
}
