/*
 * The daemon's own Unix socket, for its owner only. A socket file that is left over is removed.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'

import { Connection } from './connection.js'

export class RpcServer {
  #server
  #path
  #connections = new Set()

  /** `onConnection(connection)` is told of each client. */
  constructor (path, call, onConnection) {
    this.#path = path
    this.#server = createServer(socket => {
      const connection = new Connection(socket, call)
      this.#connections.add(connection)
      connection.onClose(() => this.#connections.delete(connection))
      onConnection(connection)
    })
  }

  async listen () {
    await listenAt(this.#server, this.#path)
  }

  /** Ends every connection, too. */
  async close () {
    for (const connection of this.#connections) connection.close()
    await new Promise(resolve => this.#server.close(resolve))
  }
}

/** Listens at a Unix socket that only the owner may open, from its first moment. */
export async function listenAt (server, path) {
  rmSync(path, { force: true })
  const mask = process.umask(0o177)
  try {
    await new Promise((resolve, reject) => server.once('error', reject).listen(path, resolve))
  } finally {
    process.umask(mask)
  }
  chmodSync(path, 0o600)
}
