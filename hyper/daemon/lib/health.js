/*
 * What the reconciler asks: GET /health on the socket that it assigned, and nothing else.
 */
import { createServer } from 'node:http'

import { listenAt } from './rpc/server.js'

export class HealthServer {
  #server
  #path

  /** `look()` returns {ok, …}, which is the answer. */
  constructor (path, look) {
    this.#path = path
    this.#server = createServer((request, response) => {
      if (request.url !== '/health' || request.method !== 'GET') return send(response, 404, { error: 'Not found' })
      const found = look()
      send(response, found.ok ? 200 : 503, found)
    })
  }

  listen () {
    return listenAt(this.#server, this.#path)
  }

  async close () {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

function send (response, status, value) {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value) + '\n')
}
