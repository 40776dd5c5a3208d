/*
 * Who hears what: each connection's watches, and the states of the databases that it has opened.
 */
import { randomUUID } from 'node:crypto'

import { Watch } from '../watch.js'

/** What a client has that asked for nothing; one that is gone keeps nothing. */
const NOBODY = () => ({ databases: new Set(), watches: new Map(), late: new Set() })

export class Watchers {
  #connections = new Map()

  constructor (databases, network) {
    databases.on('state', database => this.#tellState(database))
    databases.on('conflict', database => this.#tell(database, 'db.conflict', { dbId: database.id }))
    databases.on('close', database => this.#forget(database))
    network.on('up', key => this.#tellAll('peer.up', { key }))
    network.on('down', key => this.#tellAll('peer.down', { key }))
  }

  /** From now on this client hears of peers. */
  add (connection) {
    this.#connections.set(connection, NOBODY())
    connection.onClose(() => this.#end(connection))
  }

  /** From now on this connection hears of the database's state. */
  follow (connection, database) {
    this.#of(connection).databases.add(database.id)
  }

  watch (connection, database, prefix, since) {
    this.follow(connection, database)
    const id = randomUUID()
    const watch = new Watch({ id, database, prefix, since, connection })
    this.#of(connection).watches.set(id, watch)
    return { id, watch }
  }

  unwatch (connection, id) {
    const { watches } = this.#of(connection)
    watches.get(id)?.stop()
    watches.delete(id)
  }

  #of (connection) {
    return this.#connections.get(connection) ?? NOBODY()
  }

  #end (connection) {
    for (const watch of this.#of(connection).watches.values()) watch.stop()
    this.#connections.delete(connection)
  }

  #forget (database) {
    for (const { databases, watches } of this.#connections.values()) {
      databases.delete(database.id)
      for (const [id, watch] of watches) {
        if (watch.database !== database) continue
        watch.stop()
        watches.delete(id)
      }
    }
  }

  /** A client that does not take what it is sent hears the newest state once it does. */
  async #tellState (database) {
    for (const [connection, { databases, late }] of this.#connections) {
      if (!databases.has(database.id) || late.has(database.id)) continue
      late.add(database.id)
      connection.drained().then(() => {
        late.delete(database.id)
        const { dbId, known, version, peers, synced, conflict } = database.describe()
        connection.notify('db.state', { dbId, known, version, peers, synced, conflict })
      })
    }
  }

  #tell (database, method, params) {
    for (const [connection, { databases }] of this.#connections) {
      if (databases.has(database.id)) connection.notify(method, params)
    }
  }

  #tellAll (method, params) {
    for (const connection of this.#connections.keys()) connection.notify(method, params)
  }
}
