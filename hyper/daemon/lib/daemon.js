/*
 * The daemon as a whole: what it is made of, the order in which that begins, and the reverse at its end.
 */
import SecretStream from '@hyperswarm/secret-stream'
import { readFileSync } from 'node:fs'

import { Databases } from './databases.js'
import { Drives } from './drives.js'
import { HealthServer } from './health.js'
import { Marker } from './marker.js'
import { Memory } from './memory.js'
import { Network } from './network/network.js'
import { Room } from './room.js'
import { makeCall } from './rpc/methods.js'
import { RpcServer } from './rpc/server.js'
import { Watchers } from './rpc/watchers.js'
import { openRestore, readBackup } from './restore.js'
import { openStore, sizeOf } from './store.js'
import { Tunnels } from './tunnels/tunnels.js'
import { Wal } from './wal.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

export class Daemon {
  #settings
  #store = null
  #memory = null
  #marker
  #wal
  #room
  #rpc = null
  #health = null

  constructor (settings) {
    this.#settings = settings
    this.#marker = new Marker(settings.store)
    this.#wal = new Wal(settings.store)
    this.#room = new Room(settings.store, () => process.exit(1))
  }

  /** Opens the store, then the ways to it. Raises STORE_LOCKED, STORE_COPIED. */
  async start () {
    const settings = this.#settings
    const backup = readBackup(settings.restore)
    this.#store = await openStore(settings.store, backup?.primaryKey)
    const mayHaveLost = this.#marker.start()
    this.#memory = new Memory(settings.store)
    if (backup) backup.begin(this.#memory, settings.store)
    if (this.#memory.isNew) this.#memory.begin()
    const keyPair = SecretStream.keyPair(this.#memory.noiseSeed)
    this.databases = new Databases({
      store: this.#store, folder: settings.store, memory: this.#memory, wal: this.#wal, holdMs: settings.holdMs, mayHaveLost,
      restore: openRestore(settings.store)
    })
    await this.databases.resume()
    this.network = new Network({ settings, store: this.#store, keyPair, databases: this.databases })
    this.tunnels = new Tunnels({ network: this.network, keyPair, noiseSeed: this.#memory.noiseSeed })
    this.drives = new Drives({
      store: this.#store, folder: settings.store, memory: this.#memory, wal: this.#wal, mayHaveLost
    })
    this.databases.on('repair', () => this.network.reconnect())
    this.watchers = new Watchers(this.databases, this.network)
    await this.network.start()
    this.#rpc = new RpcServer(settings.socket, makeCall(this, error => this.#room.notice(error)), connection => this.watchers.add(connection))
    await this.#rpc.listen()
    if (settings.healthSocket) await this.#serveHealth(settings.healthSocket)
  }

  async status () {
    return {
      version,
      ...this.network.describe(),
      tunnelKey: this.tunnels.key,
      held: this.databases.isHeld,
      rss: process.memoryUsage.rss(),
      storeBytes: await sizeOf(this.#settings.store),
      databases: this.databases.all().map(database => database.describe())
    }
  }

  /** Everything that a new store needs to be this one. */
  exportKeys () {
    const facts = this.#memory.databases().map(([dbId, fact]) => ({ dbId, ...fact }))
    const own = facts.filter(({ name }) => name)
    const secret = facts.filter(({ encryptionKey }) => encryptionKey)
    return {
      primaryKey: this.#store.primaryKey.toString('hex'),
      noiseSeed: this.#memory.noiseSeed.toString('hex'),
      names: own.map(({ name }) => name),
      encryptionKeys: Object.fromEntries(secret.map(({ name, dbId, encryptionKey }) => [name || dbId, encryptionKey]))
    }
  }

  async close () {
    this.#room.close()
    await this.#health?.close()
    await this.#rpc?.close()
    await this.tunnels?.closeAll()
    await this.network?.close()
    await this.databases?.closeAll()
    await this.#store?.close()
    this.#wal.close()
    if (this.#memory && !this.#room.isBroken) this.#marker.finish()
  }

  async #serveHealth (path) {
    this.#health = new HealthServer(path, () => ({ ok: true, held: this.databases.isHeld, full: this.#room.isBroken }))
    await this.#health.listen()
  }
}
